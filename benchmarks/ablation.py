"""Ablation of the hierarchy, as a figure and a table: `python benchmarks/ablation.py FOLDER`.

Trains a task over a skill, HumanoidHRLMaze by default, in every setting below with the same number of control steps,
evaluates each run, and writes `ablation.png` and `ablation.json` of all finished runs into the folder. Finished runs
are skipped and interrupted ones resumed, so the same command continues the work. Options are the fields of `Options`,
such as `only=k=5,style seeds=0`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isaachrl import config
from isaachrl.config import bounded, positive
from isaachrl.errors import ConfigError, IsaacHRLError, nearest
from isaachrl.files import write_atomically
from isaachrl.run.compare import compare
from isaachrl.run.storage.metrics import read_metrics

ROOT = Path(__file__).resolve().parents[1]
STEPS = 5  # control steps per decision of the recipe
ROLLOUT_STEPS = 80  # control steps of a rollout in all settings: 16 decisions of the recipe
GAMMA = {"HumanoidHRLMaze": 0.96, "HumanoidLocation": 0.97}  # per decision of 5 control steps, as in the recipes
SIGNAL = {"HumanoidHRLMaze": "success_rate", "HumanoidLocation": "score"}
MEASURES = ("score", "success_rate", "fall_rate", "path_efficiency", "minutes")
RESULT = "ablation.json"  # in the folder of a run: its evaluation and options

Result = dict[str, Any]


@dataclass
class Options:
    """The command line.

    Args:
        task: HumanoidHRLMaze or HumanoidLocation.
        layout: of the maze.
        million_steps: control steps of a run.
        seeds: separated by commas.
        jobs: parallel runs, each with one thread.
        episodes: of an evaluation.
        num_envs: in training and evaluation.
        only: names or groups of settings, separated by commas; empty for all.
        skills: other latent sizes, `8:PATH,32:PATH`, trained with `train.py task=HumanoidAMP train.latent.size=8`.
    """

    task: str = "HumanoidHRLMaze"
    layout: str = "umaze"
    million_steps: float = positive(1.5)
    seeds: str = "0,1,2"
    jobs: int = bounded(2, 1)
    episodes: int = bounded(256, 1)
    num_envs: int = bounded(256, 1)
    only: str = ""
    skills: str = ""

    def __post_init__(self) -> None:
        """Validate task and seeds."""
        if self.task not in GAMMA:
            raise ConfigError(f"task={self.task}: expected {' or '.join(GAMMA)}{nearest(self.task, GAMMA)}")
        if not all(word.isdigit() for word in self.seeds.split(",")):
            raise ConfigError(f"seeds={self.seeds}: type whole numbers with commas between, such as seeds=0,1,2")

    @property
    def seed_numbers(self) -> list[int]:
        """The seeds."""
        return [int(word) for word in self.seeds.split(",")]

    def shared(self) -> Result:
        """The options that must be equal for all results of a table."""
        return {key: asdict(self)[key] for key in ("task", "layout", "million_steps", "episodes", "num_envs")}


@dataclass(frozen=True)
class Setting:
    """A row of the table.

    Args:
        group: name of what is varied.
        name: of the setting.
        steps: control steps per decision.
        overrides: its arguments of `train.py`.
    """

    group: str
    name: str
    steps: int
    overrides: tuple[str, ...] = ()

    def command(self, run: Path, seed: int, options: Options) -> list[str]:
        """Arguments of `train.py`; discount and rollout length are equal in seconds for all settings."""
        horizon = max(ROLLOUT_STEPS // self.steps, 2)
        decisions = options.num_envs * horizon
        iterations = max(1, round(options.million_steps * 1e6 / (decisions * self.steps)))
        maze = {"task.layout": options.layout} if options.task == "HumanoidHRLMaze" else {}
        keys = maze | {
            "seed": seed, "num_envs": options.num_envs, "run_dir": run,
            "task.hierarchy.steps": self.steps, "train.horizon": horizon, "max_iterations": iterations,
            "train.gamma": round(GAMMA[options.task] ** (self.steps / STEPS), 6),
        }  # fmt: skip
        typed = [f"{key}={value}" for key, value in keys.items()]
        return [f"task={options.task}", *typed, *self.overrides]


def settings(skills: str) -> list[Setting]:
    """All settings, with those of `Options.skills`.

    Raises:
        ConfigError: an entry of `skills` is not SIZE:PATH, or there is no such file.
    """
    result = [Setting("k", f"k={steps}", steps) for steps in (1, 5, 10, 20)]
    result.append(Setting("k", "flat", 1, ("skill=none",)))
    result += [  # the recipe's, 0.1 in the maze and 0 in the other tasks, is that of k=5
        Setting("style", f"style {weight:g}", STEPS, (f"task.hierarchy.style_weight={weight}",))
        for weight in (0.0, 0.1, 0.5)
    ]
    for entry in filter(None, skills.split(",")):
        size, colon, path = entry.partition(":")
        if not colon or not size.isdigit():
            raise ConfigError(f"skills={skills}: expected SIZE:PATH,SIZE:PATH, such as skills=8:runs/small/skill.pt")
        if not Path(path).is_file():
            raise ConfigError(f"skills={skills}: there is no file {path}")
        result.append(Setting("latent", f"d={size}", STEPS, (f"skill={path}",)))
    return result


def select(available: list[Setting], only: str) -> list[Setting]:
    """The settings of names or groups separated by commas; all if empty.

    Raises:
        ConfigError: there is no such name or group.
    """
    names = [word for word in only.split(",") if word]
    known = {word for setting in available for word in (setting.group, setting.name)}
    for word in names:
        if word not in known:
            raise ConfigError(f"only={only}: no setting or group {word!r}{nearest(word, sorted(known))}")
    return [setting for setting in available if not names or setting.group in names or setting.name in names]


def run_folder(setting: Setting, seed: int, folder: Path) -> Path:
    """The folder of a run."""
    return folder / f"{setting.group}_{setting.name}_{seed}".replace(" ", "_").replace("=", "")


def finished(run: Path, options: Options) -> Result | None:
    """The evaluation of a run; None if there is none.

    Raises:
        ConfigError: it was made with other options.
    """
    if not (run / RESULT).exists():
        return None
    stored = json.loads((run / RESULT).read_text())
    if stored["options"] != options.shared():
        raise ConfigError(f"{run} was made with {stored['options']}, not {options.shared()}; take another folder")
    return stored["evaluation"]


def train_and_evaluate(setting: Setting, seed: int, folder: Path, options: Options) -> Result:
    """Train or resume a run and evaluate it, unless it is finished; returns its evaluation.

    Raises:
        ConfigError: it was made with other options.
        RuntimeError: a command failed; its last lines are in the message.
    """
    run = run_folder(setting, seed, folder)
    result = finished(run, options)
    if result is None:
        started = (run / "checkpoints" / "last.pt").exists()
        _call([f"resume={run}"] if started else setting.command(run, seed, options))
        printed = _call(["mode=evaluate", f"checkpoint={run}", f"episodes={options.episodes}"])
        result = json.loads(printed.splitlines()[-1])
        result["minutes"] = read_metrics(run / "metrics.jsonl")[-1]["wall_s"] / 60.0
        content = {"options": options.shared(), "evaluation": result}
        write_atomically(run / RESULT, (json.dumps(content) + "\n").encode())
    return result


def _call(arguments: list[str]) -> str:
    """Run `train.py`; returns its standard output."""
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-1500:]}")
    return done.stdout


def collect(folder: Path, options: Options) -> dict[Setting, dict[Path, Result]]:
    """The evaluations of all finished runs in the folder, by setting."""
    result: dict[Setting, dict[Path, Result]] = {}
    for setting in settings(options.skills):
        prefix = run_folder(setting, 0, folder).name.removesuffix("0")
        runs = sorted(path for path in folder.glob(f"{prefix}*") if path.name.removeprefix(prefix).isdigit())
        evaluations = {run: evaluation for run in runs if (evaluation := finished(run, options)) is not None}
        if evaluations:
            result[setting] = evaluations
    return result


def draw(folder: Path, options: Options) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Write figure and table of all finished runs; returns the table."""
    finished_runs = collect(folder, options)
    table = {setting.name: summarise(list(runs.values())) for setting, runs in finished_runs.items()}
    scale = {setting.name: setting.steps for setting in finished_runs}
    signals = [f"episode/{name}" for name in (SIGNAL[options.task], "fall_rate")]
    curves = {setting.name: list(runs) for setting, runs in finished_runs.items()}
    write_atomically(folder / "ablation.png", compare(curves, signals, scale, "control steps"))
    write_atomically(folder / RESULT, (json.dumps(table) + "\n").encode())
    return table


def summarise(rows: list[Result]) -> dict[str, tuple[float, float, float]]:
    """Minimum, mean and maximum of each measure over the seeds of a setting."""
    columns = {key: [row[key] for row in rows if row.get(key) is not None] for key in MEASURES}
    return {key: (min(v), sum(v) / len(v), max(v)) for key, v in columns.items() if v}


def main(arguments: Sequence[str]) -> None:
    """Run what is missing, then draw."""
    if not arguments or "=" in arguments[0]:
        raise SystemExit(__doc__)
    folder = Path(arguments[0]).resolve()
    words = {key: value for key, _, value in (word.partition("=") for word in arguments[1:])}
    options = config.build(Options, words)
    chosen = select(settings(options.skills), options.only)
    jobs = [(setting, seed) for seed in options.seed_numbers for setting in chosen]  # each setting once, then again
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda job: train_and_evaluate(job[0], job[1], folder, options), jobs))
    table = draw(folder, options)
    for name, row in table.items():
        measured = "  ".join(f"{key} {low:.2f} {mean:.2f} {high:.2f}" for key, (low, mean, high) in row.items())
        sys.stdout.write(f"{name:12} {measured}\n")
    sys.stdout.write(json.dumps(table) + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
