"""This project beside other libraries, on the machine at hand: `make bench`.

    python benchmarks/bench.py out=FOLDER [quick=true] [groups=NAME,NAME] [trainings=NAME,NAME] [page=FILE.md]

Environments, engines and trainings of a group take turns in short rounds, each in a process of its own, so that drifts
of the machine cancel in the ratios. Then one core trains until a walking humanoid, a solved U-maze and AntMaze, and the
minutes are read from the metrics of the runs; a training that is cut off is continued by the same command. A library
that is not installed is a row that says so. `FOLDER/bench.md` is the table, `FOLDER/bench.json` has all rounds.
"""

import json
import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
import numpy as np
import torch
import yaml
from contenders import MODEL, STATES

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.config import bounded
from isaachrl.errors import ConfigError, IsaacHRLError, nearest
from isaachrl.files import write_atomically
from isaachrl.run.loop.stop import Stop
from isaachrl.run.process import guarded, set_up_logging
from isaachrl.run.recording.tables import markdown_table
from isaachrl.run.storage.checkpoint import LAST
from isaachrl.run.storage.folder import CONFIG
from isaachrl.run.storage.metrics import read_metrics
from isaachrl.run.suite.results import fill_page, machine
from isaachrl.run.suite.runner import Call, TrainPy
from isaachrl.sim.compiler import scene_xml

log = logging.getLogger("isaachrl.bench")

CONTENDER = Path(__file__).with_name("contenders.py")
MJBATCH = Path(sys.prefix) / "mjbatch" / ("Scripts" if os.name == "nt" else "bin") / "python"
MARK = "bench"  # of the page
HEAD = ["", "physics steps/s", "evaluations of the dynamics/s", "minutes per million control steps",
        "first row's physics steps/s over its (range)", "the same per processor second", "motors", "senses",
        "physics steps a control step", "what differs"]  # fmt: skip
MINUTES_HEAD = ["one core, to", "minutes", "million samples", "from which on", "what differs"]
INSTALL = 'not installed: pip install -e ".[bench]"'


@dataclass
class Options:
    """The command line.

    Args:
        out: folder of the results and of the trainings.
        quick: fewer and shorter rounds, and no trainings to a goal.
        groups: names in `GROUPS`, separated by commas; empty: none.
        trainings: names in `TRAININGS`, separated by commas; empty: none.
        num_envs: worlds of a contender; Gymnasium and Warp take fewer.
        rounds: of each group; 0: 3 if `quick`, else 9.
        seconds: of a contender in a round; 0: 1 if `quick`, else 3.
        mjbatch: a Python interpreter that has mjbatch, which needs a MuJoCo of its own.
        page: a Markdown file whose part between `<!-- bench -->` and `<!-- /bench -->` becomes the table.
    """

    out: str = "runs/bench"
    quick: bool = False
    groups: str = "humanoid,ant,engine,train_humanoid,train_ant"
    trainings: str = "walk,umaze,umaze_sac,antmaze"
    num_envs: int = bounded(1024, 1, 1_000_000)
    rounds: int = bounded(0, 0, 1000)
    seconds: float = bounded(0.0, 0.0, 3600.0)
    mjbatch: str = str(MJBATCH)
    page: str = ""


@dataclass(frozen=True)
class Row:
    """A contender in the table.

    Args:
        title: its first cell.
        differs: its last cell.
        missing: said if its library is not installed.
    """

    title: str
    differs: str
    missing: str = INSTALL


_FALLING = "uniform torques, so it falls and starts again; rewards for speed and health; RK4"
_OURS = "small random joint targets; PD control; {}; one evaluation of the dynamics a physics step"
_PPO = "PPO of isaachrl, 8 steps of each world an iteration"
GROUPS: dict[str, dict[str, Row]] = {
    "humanoid": {
        "humanoid": Row("isaachrl `HumanoidAMP`", _OURS.format("style window and history for AMP")),
        "humanoid_envpool": Row("EnvPool `Humanoid-v5`", _FALLING),
        "humanoid_gymnasium": Row("Gymnasium `Humanoid-v5`, a process a world", _FALLING),
    },
    "ant": {
        "ant": Row("isaachrl `AntMaze`", "random torques; distance reward; walls of a maze; semi-implicit Euler"),
        "ant_rk4": Row("isaachrl `AntMaze`, `task.integrator=rk4`", "the same with the others' integrator"),
        "ant_envpool": Row("EnvPool `Ant-v5`", _FALLING.replace("falls", "turns over")),
        "ant_gymnasium": Row("Gymnasium `Ant-v5`, a process a world", _FALLING.replace("falls", "turns over")),
    },
    "engine": {
        "mujoco": Row("`mujoco.batch`, on which isaachrl steps", "physics alone, of isaachrl's humanoid"),
        "mjbatch": Row("mjbatch", "the same, on the MuJoCo that it requires", "not installed: see `mjbatch=`"),
        "warp": Row("MuJoCo Warp on the CPU", "the same in float32, on one core: an engine for GPUs"),
    },
    "train_humanoid": {
        "ppo_humanoid": Row("isaachrl `HumanoidLocation skill=none`", f"{_PPO}; PD control; rewards of a target"),
        "ppo_humanoid_envpool": Row("EnvPool `Humanoid-v5`", f"{_PPO}; torques; rewards for speed and health; RK4"),
        "amp": Row("isaachrl `HumanoidAMP`", "AMP with latents, the shipped skill's training: also a discriminator"),
    },
    "train_ant": {
        "ppo_ant": Row("isaachrl `AntMaze`", f"{_PPO}; walls; distance reward; semi-implicit Euler"),
        "ppo_ant_envpool": Row("EnvPool `Ant-v5`", f"{_PPO}; rewards for speed and health; RK4"),
    },
}
TITLES = {
    "humanoid": "Humanoids, steps", "ant": "Ants, steps", "engine": "Engines alone",
    "train_humanoid": "Humanoids, training", "train_ant": "Ants, training",
}  # fmt: skip


@dataclass(frozen=True)
class Training:
    """A training until a signal reaches a goal.

    Args:
        title: what it leads to.
        arguments: of `train.py`.
        signal: of `metrics.jsonl`.
        goal: reached when the mean of `readings` values of the signal in a row is as large.
        readings: their number.
        differs: the last cell of its row.
    """

    title: str
    arguments: tuple[str, ...]
    signal: str
    goal: float
    readings: int
    differs: str


TRAININGS = {
    "walk": Training(
        "a walking humanoid",
        ("task=HumanoidAMP", "motion=walk", "train.latents=none", "max_iterations=610", "train.log_std_end=-4.6",
         "train.anneal_from=0.42", "train.anneal_to=0.85", "train.discriminator.replay_keep=0.4"),
        "episode/length_deterministic", 290.0, 30,
        "AMP of one synthesised walk, from nothing; mean actions, of at most 300 steps",
    ),
    "umaze": Training(
        "a solved U-maze", ("task=HumanoidHRLMaze", "task.layout=umaze"), "episode/success_rate", 0.9, 10,
        "PPO on the shipped skill, whose training is not counted; with exploration",
    ),
    "umaze_sac": Training(
        "a solved U-maze, off-policy", ("task=HumanoidHRLMaze", "task.layout=umaze", "train=sac"),
        "eval/success_rate", 0.9, 2, "the same by SAC, evaluated without exploration",
    ),
    "antmaze": Training(
        "AntMaze", ("task=AntMaze", "train=hrl"), "eval/success_rate", 0.9, 3,
        "two levels from nothing; evaluations at three points, without noise",
    ),
}  # fmt: skip


class Contender:
    """A contender in its process.

    Args:
        name: in `contenders.BUILD`.
        options: of the command.
        folder: of the humanoid, see `write_humanoid`.

    Attributes:
        facts: see `contenders.Work`; None if its library is missing.

    Raises:
        IsaacHRLError: it failed.
    """

    def __init__(self, name: str, options: Options, folder: Path) -> None:
        self.name, self._log = name, folder / f"{name}.log"
        own = Path(options.mjbatch).is_file() and name == "mjbatch"
        command = [options.mjbatch if own else sys.executable, str(CONTENDER), name, str(options.num_envs), str(folder)]
        with self._log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        answer = self._read()
        self.facts = None if "missing" in answer else answer

    def _read(self) -> dict[str, Any]:
        """Its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            *_, last = ["no message", *self._log.read_text(encoding="utf-8", errors="replace").splitlines()]
            raise IsaacHRLError(f"{self.name} ended with code {self._process.wait()}: {last}; see {self._log}")
        return json.loads(line)

    def measure(self, seconds: float) -> dict[str, float]:
        """What it does in a round, see `contenders.measure`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def write_humanoid(folder: Path, num_envs: int) -> None:
    """Write this project's humanoid as MJCF, and start states, for engines that know nothing of it."""
    env: Any = isaachrl.make("HumanoidAMP", num_envs=num_envs, sim="mujoco", device="cpu")
    env.reset()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_text(scene_xml(env.sim.scene), encoding="utf-8")
    np.savez(folder / STATES, qpos=env.sim.qpos, qvel=env.sim.qvel, substeps=env.task.cfg.substeps)


def run_group(name: str, options: Options, folder: Path) -> dict[str, Any]:
    """Let the contenders of a group take turns; facts and rounds of each, None for a missing library."""
    contenders: list[Contender] = []
    rounds = options.rounds or (3 if options.quick else 9)
    seconds = options.seconds or (1.0 if options.quick else 3.0)
    try:
        for each in GROUPS[name]:
            contenders.append(Contender(each, options, folder))
        present = [contender for contender in contenders if contender.facts]
        measured: dict[str, list[dict[str, float]]] = {contender.name: [] for contender in present}
        for number in range(rounds):
            log.info("%s: round %d of %d", TITLES[name], number + 1, rounds)
            for contender in present:
                measured[contender.name].append(contender.measure(seconds))
    finally:
        for contender in contenders:
            contender.close()
    return {c.name: {"facts": c.facts, "rounds": measured[c.name]} if c.facts else None for c in contenders}


def rates(result: dict[str, Any], clock: str) -> list[float]:
    """Physics steps a second in each round, by the clock `wall_s` or `processor_s`."""
    substeps = result["facts"]["substeps"]
    return [one["steps"] * substeps / max(one[clock], 1e-9) for one in result["rounds"]]


def ratio(first: dict[str, Any], result: dict[str, Any], clock: str) -> str:
    """Median over the rounds of the first contender's rate over that of another, and the range."""
    each = [a / b for a, b in zip(rates(first, clock), rates(result, clock), strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def group_rows(name: str, results: Mapping[str, Any]) -> list[list[str]]:
    """The rows of a group."""
    rows: list[list[str]] = [[f"**{TITLES[name]}**", *[""] * (len(HEAD) - 1)]]
    first = next((result for result in results.values() if result), None)
    for each, row in GROUPS[name].items():
        result = results.get(each)
        if result is None or first is None:
            rows.append([row.title, *[""] * (len(HEAD) - 2), row.missing])
            continue
        facts, physics = result["facts"], statistics.median(rates(result, "wall_s"))
        ratios = ["", ""] if result is first else [ratio(first, result, clock) for clock in ("wall_s", "processor_s")]
        rows.append([
            row.title, f"{physics:,.0f}", f"{physics * facts['evaluations']:,.0f}",
            f"{1e6 * facts['substeps'] / physics / 60.0:.1f}", *ratios, str(facts["motors"]),
            str(facts["senses"] or "none"), f"{facts['substeps']} of {1e3 * facts['timestep_s']:.3g} ms",
            f"{row.differs}; {facts['worlds']} worlds; {facts['version']}",
        ])  # fmt: skip
    return rows


def train(name: str, options: Options, call: Call) -> None:
    """Train, or continue a training, on one core."""
    training, folder = TRAININGS[name], Path(options.out).resolve() / name
    begun = (folder / "checkpoints" / LAST).exists()
    folder.mkdir(parents=True, exist_ok=True)
    log.info("to %s: %s", training.title, "resumed" if begun else "started")
    own = [f"resume={folder}"] if begun else [*training.arguments, "seed=0", "device=cpu", f"run_dir={folder}"]
    call(own, folder)


def reached(metrics: Sequence[Mapping[str, Any]], training: Training) -> Mapping[str, Any] | None:
    """The first line of the metrics at whose end the goal is held; None if it never is.

    Lines without the signal are left out. The mean is over `training.readings` lines, the last of which is returned.
    """
    lines = [line for line in metrics if isinstance(line.get(training.signal), int | float)]
    for end in range(training.readings, len(lines) + 1):
        held = [line[training.signal] for line in lines[end - training.readings : end]]
        if statistics.fmean(held) >= training.goal:
            return lines[end - 1]
    return None


def cut_off(run: Path, line: Mapping[str, Any]) -> str:
    """Where a training was cut off, whose last line of metrics this is; empty if it went to its end."""
    path = run / CONFIG
    end = yaml.safe_load(path.read_text(encoding="utf-8"))["max_iterations"] if path.is_file() else 0
    return f", cut off at iteration {line['iteration']} of {end}" if line["iteration"] < end else ""


def training_row(name: str, out: Path) -> list[str]:
    """The row of a training, from the metrics of its run."""
    training, path = TRAININGS[name], out / name / "metrics.jsonl"
    metrics = read_metrics(path) if path.is_file() else []
    minutes = samples = ""
    if not metrics:
        minutes = "not run yet"
    elif line := reached(metrics, training):
        minutes, samples = f"{line['wall_s'] / 60.0:.1f}", f"{line['samples'] / 1e6:.2f}"
    else:
        minutes = f"not reached in {metrics[-1]['wall_s'] / 60.0:.1f}{cut_off(path.parent, metrics[-1])}"
        samples = f"{metrics[-1]['samples'] / 1e6:.2f}"
    held = f"`{training.signal}` ≥ {training.goal:g}, mean of {training.readings} in a row"
    typed = " ".join(("python train.py", *training.arguments, "seed=0"))
    return [training.title, minutes, samples, held, f"{training.differs}: `{typed}`"]


def markdown(results: Mapping[str, Any], options: Options) -> str:
    """Both tables, and what they were measured on."""
    made = results["machine"]
    groups: Mapping[str, Any] = results["groups"]
    rows = [row for name in GROUPS if name in groups for row in group_rows(name, groups[name]["contenders"])]
    rounds = max((len(r["rounds"]) for g in groups.values() for r in g["contenders"].values() if r), default=0)
    loads = [group["load"] for group in groups.values()] or [0.0]
    versions = ", ".join(f"{name} {found}" for name, found in made["versions"].items())
    sentence = (
        f"{made['cores']} cores of {made['processor']}, PyTorch threads: {results['threads']}, Python {made['python']},"
        f" {versions}. Medians of {rounds} rounds in turn, by the clock unless marked. Load average before a group:"
        f" {min(loads):.1f} to {max(loads):.1f}."
    )
    minutes = [training_row(name, Path(options.out)) for name in TRAININGS]
    return "\n".join([
        *([markdown_table(HEAD, rows), "", sentence, ""] if rows else []), markdown_table(MINUTES_HEAD, minutes),
    ]) + "\n"  # fmt: skip


def publish(results: Mapping[str, Any], options: Options) -> str:
    """Write all that is known; returns the tables."""
    out, table = Path(options.out), markdown(results, options)
    write_atomically(out / "bench.json", (json.dumps(results, indent=1) + "\n").encode())
    write_atomically(out / "bench.md", table.encode())
    if options.page:
        fill_page(Path(options.page), table, MARK)
    return table


def chosen(key: str, value: str, known: Mapping[str, Any]) -> list[str]:
    """The names in a list with commas.

    Raises:
        ConfigError: one of them is unknown.
    """
    names = [name for name in value.split(",") if name]
    for name in names:
        if name not in known:
            raise ConfigError(f"{key}={value}: {name!r} is unknown{nearest(name, known)}")
    return names


def measured_before(out: Path, made: Mapping[str, Any]) -> dict[str, Any]:
    """The groups that were measured into a folder by the same versions on the same machine."""
    path = out / "bench.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return results["groups"] if results.get("machine") == made else {}


def on_one_core() -> None:
    """Keep this process, and those that it starts from now on, on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def bench(words: Sequence[str], call: Call | None = None) -> str:
    """Measure and train; returns the tables.

    Args:
        words: `key=value` of `Options`.
        call: runs `train.py`; by default in a process.

    Raises:
        ConfigError: an unknown option or name.
        IsaacHRLError: a contender or a training failed; what was measured before is written.
    """
    options = config.build(Options, {key: value for key, _, value in (word.partition("=") for word in words)})
    groups = chosen("groups", options.groups, GROUPS)
    trainings = chosen("trainings", options.trainings, TRAININGS)
    out, made = Path(options.out), machine("cpu")
    results: dict[str, Any] = {
        "machine": made,
        "threads": torch.get_num_threads(),
        "groups": measured_before(out, made),
    }
    if groups:
        write_humanoid(out / "contenders", options.num_envs)
    for name in groups:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        log.info("%s; load average %.1f", TITLES[name], load)
        results["groups"][name] = {"load": load, "contenders": run_group(name, options, out / "contenders")}
        publish(results, options)
    if not options.quick and trainings:
        on_one_core()
        runner = call or TrainPy(1)
        try:
            with Stop().watching():
                for name in trainings:
                    train(name, options, runner)
                    publish(results, options)
        except BaseException:  # Ctrl-C does not reach a training by itself
            if isinstance(runner, TrainPy):
                runner.stop()
            raise
    return publish(results, options)


def main() -> None:
    """Run the command and print the tables."""
    set_up_logging()
    sys.stdout.write(guarded(bench, sys.argv[1:]))


if __name__ == "__main__":
    main()
