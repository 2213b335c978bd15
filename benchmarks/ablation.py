"""What the hierarchy buys, in one figure and one table: `python benchmarks/ablation.py FOLDER`.

Trains HumanoidHRLMaze in every setting below with the same number of control steps, evaluates each run, and writes
`ablation.png` and `ablation.json` into the folder. What is already there is not done again, and a run that was
interrupted goes on: the same command continues the work. Optional: `layout=umaze`, `million_steps=1.5` (control steps
of a run), `seeds=0,1,2`, `jobs=2` (runs at a time, one thread each), `episodes=256`, `num_envs=256`, `only=k=5,style`
(names or groups), and `skills=8:PATH,16:PATH` (other latent sizes, made with `train.py task=HumanoidAMP
train.latent.size=8`).
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from isaachrl.errors import ConfigError, nearest
from isaachrl.run.compare import compare
from isaachrl.run.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
DEFAULTS = {
    "layout": "umaze", "million_steps": "1.5", "seeds": "0,1,2", "jobs": "2", "episodes": "256", "num_envs": "256",
    "only": "", "skills": "",
}  # fmt: skip
STEPS = 5  # of a command, in the recipe
ROLLOUT_STEPS = 80  # control steps of a rollout, whatever a decision lasts: 16 decisions in the recipe
GAMMA = 0.96  # of a decision of 5 control steps, in the recipe
MEASURES = ("success_rate", "fall_rate", "path_efficiency")


@dataclass(frozen=True)
class Setting:
    """One line of the table.

    Args:
        group: what is varied.
        name: of the setting.
        steps: control steps of a decision.
        overrides: what is typed for it.
    """

    group: str
    name: str
    steps: int
    overrides: tuple[str, ...] = ()

    def command(self, run: Path, seed: int, options: dict[str, str]) -> list[str]:
        """What trains this setting; discount and rollout are the same in seconds for all."""
        horizon = max(ROLLOUT_STEPS // self.steps, 2)
        decisions = int(options["num_envs"]) * horizon
        iterations = max(1, round(float(options["million_steps"]) * 1e6 / (decisions * self.steps)))
        keys = {
            "task.layout": options["layout"], "seed": seed, "num_envs": options["num_envs"], "run_dir": run,
            "task.hierarchy.steps": self.steps, "train.horizon": horizon, "max_iterations": iterations,
            "train.gamma": round(GAMMA ** (self.steps / STEPS), 6),
        }  # fmt: skip
        typed = [f"{key}={value}" for key, value in keys.items()]
        return ["task=HumanoidHRLMaze", *typed, *self.overrides]


def settings(skills: str) -> list[Setting]:
    """All settings; `skills` as on the command line.

    Raises:
        ConfigError: an entry of `skills` is not SIZE:PATH.
    """
    result = [Setting("k", f"k={steps}", steps) for steps in (1, 5, 10, 20)]
    result.append(Setting("k", "flat", 1, ("skill=none",)))
    result += [  # 0.1 is the recipe's, so k=5 shows it
        Setting("style", f"style {weight:g}", STEPS, (f"task.hierarchy.style_weight={weight}",))
        for weight in (0.0, 0.5)
    ]
    for entry in filter(None, skills.split(",")):
        size, colon, path = entry.partition(":")
        if not colon or not size.isdigit():
            raise ConfigError(f"skills={skills}: expected SIZE:PATH,SIZE:PATH, such as skills=8:runs/small/skill.pt")
        result.append(Setting("latent", f"d={size}", STEPS, (f"skill={path}",)))
    return result


def select(found: list[Setting], only: str) -> list[Setting]:
    """The settings of these names or groups, separated by commas; all where nothing is given.

    Raises:
        ConfigError: there is no such name or group.
    """
    wanted = [word for word in only.split(",") if word]
    known = {word for setting in found for word in (setting.group, setting.name)}
    for word in wanted:
        if word not in known:
            raise ConfigError(f"only={only}: no setting or group {word!r}{nearest(word, sorted(known))}")
    return [setting for setting in found if not wanted or setting.group in wanted or setting.name in wanted]


def run_folder(setting: Setting, seed: int, folder: Path) -> Path:
    """Where a run lies."""
    return folder / f"{setting.group}_{setting.name}_{seed}".replace(" ", "_").replace("=", "")


def train_and_evaluate(setting: Setting, seed: int, folder: Path, options: dict[str, str]) -> dict[str, float]:
    """Train one run, or go on with it, or leave it if it is finished; then what its evaluation says.

    Raises:
        RuntimeError: a command failed; its last lines are in the message.
    """
    run = run_folder(setting, seed, folder)
    result = run / "evaluate.json"
    if not result.exists():
        begun = (run / "checkpoints" / "last.pt").exists()
        _call([f"resume={run}"] if begun else setting.command(run, seed, options))
        _call(["mode=evaluate", f"checkpoint={run}", f"episodes={options['episodes']}"])
    return json.loads(result.read_text())


def _call(arguments: list[str]) -> None:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-1500:]}")


def main(arguments: list[str]) -> None:
    """Do what is missing, then draw."""
    if not arguments or "=" in arguments[0]:
        raise SystemExit(__doc__)
    folder, options = Path(arguments[0]).resolve(), dict(DEFAULTS)
    for argument in arguments[1:]:
        key, _, value = argument.partition("=")
        if key not in DEFAULTS:
            raise SystemExit(f"unknown option {key!r}; there are: {', '.join(DEFAULTS)}")
        options[key] = value
    chosen = select(settings(options["skills"]), options["only"])
    seeds = [int(seed) for seed in options["seeds"].split(",")]
    jobs = [(setting, seed) for seed in seeds for setting in chosen]  # every setting once before any twice
    with ThreadPoolExecutor(int(options["jobs"])) as pool:
        found = list(pool.map(lambda job: train_and_evaluate(job[0], job[1], folder, options), jobs))
    table = summarise([(setting, result) for (setting, _), result in zip(jobs, found, strict=True)])
    runs = {setting.name: [run_folder(setting, seed, folder) for seed in seeds] for setting in chosen}
    scale = {setting.name: setting.steps for setting in chosen}
    signals = ["episode/success_rate", "episode/fall_rate"]
    write_atomically(folder / "ablation.png", compare(runs, signals, scale, "control steps"))
    write_atomically(folder / "ablation.json", (json.dumps(table) + "\n").encode())
    for name, row in table.items():
        measured = "  ".join(f"{key} {low:.2f} {mean:.2f} {high:.2f}" for key, (low, mean, high) in row.items())
        sys.stdout.write(f"{name:12} {measured}\n")
    sys.stdout.write(json.dumps(table) + "\n")


def summarise(found: list[tuple[Setting, dict[str, float]]]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Per setting and measure the lowest, mean and highest value over its seeds."""
    table: dict[str, dict[str, tuple[float, float, float]]] = {}
    for name in dict.fromkeys(setting.name for setting, _ in found):
        rows = [result for setting, result in found if setting.name == name]
        columns = {key: [row[key] for row in rows if row.get(key) is not None] for key in MEASURES}
        table[name] = {key: (min(v), sum(v) / len(v), max(v)) for key, v in columns.items() if v}
    return table


if __name__ == "__main__":
    main(sys.argv[1:])
