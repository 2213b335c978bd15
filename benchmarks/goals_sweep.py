"""Settings of the goal-conditioned learners over seeds: success at each point over minutes and samples.

    python benchmarks/goals_sweep.py FOLDER only=recipe,no_limit,one_step,no_limit+one_step [seeds=41,42]
        [million_steps=1.3] [million_schedule=2.048] [shared="train.threads=2"] [task=AntMaze] [train=hrl] [jobs=1]

`only` names settings of `SETTINGS`; with `+` between, they are combined. `shared` are arguments of `train.py` for all
runs. A run has the schedule (learning rates and so on) of `million_schedule` and is stopped after `million_steps`.
Finished runs are skipped and interrupted ones resumed, so the same command continues the work. It writes `sweep.md` and
`sweep.json` of all runs in the folder: evaluations during training, means over the seeds.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isaachrl import config
from isaachrl.config import bounded, positive
from isaachrl.errors import ConfigError, IsaacHRLError, nearest
from isaachrl.files import write_atomically
from isaachrl.run.storage.metrics import read_metrics

ROOT = Path(__file__).resolve().parents[1]
NUM_ENVS, STEPS = 128, 10  # of the recipe, and steps of an iteration
POLL_S = 5.0
SUCCESS = "eval/success_"


def both(*words: str) -> tuple[str, ...]:
    """Arguments for both levels."""
    return tuple(f"train.{level}.{word}" for word in words for level in ("worker", "manager"))


SETTINGS: dict[str, tuple[str, ...]] = {
    "recipe": (),
    "threads": ("train.threads=2",),
    "correction": ("train.correction=hiro",),
    "no_limit": ("train.progress_limit=0",),
    "one_step": ("train.n_step.decisions=1",),
    "discount_98": ("train.manager.discount=0.98",),
    "no_future": ("train.future_share=0",),
    "any_targets": ("task.free_targets=false",),
    "wide_networks": both("hidden=[256,256]"),
    "fast_targets": ("train.manager.target_rate=0.1",),
    "no_targets": ("train.manager.target_rate=1",),
    "histogram": (
        *both("critic.bins=101"), "train.worker.critic.value_limit=40", "train.manager.critic.value_limit=15",
    ),
    "decay": both("weight_decay=0.1"),
    "period": ("train.meta_periods=[20]", "train.steps_per_iteration=20", "train.manager.discount=0.98"),
    "recent": ("train.recent_share=0.25",),
}  # fmt: skip


@dataclass
class Options:
    """The command line; see the module.

    Args:
        only: settings, separated by commas; empty for all.
        seeds: separated by commas.
        million_steps: of a run, over all environments.
        million_schedule: length of training that the schedules are made for.
        million_between: between two evaluations.
        episodes: of an evaluation.
        shared: arguments of `train.py` for all runs, separated by spaces.
        task, train: as for `train.py`.
        jobs: parallel runs.
    """

    only: str = ""
    seeds: str = "41,42"
    million_steps: float = positive(1.3)
    million_schedule: float = positive(2.048)
    million_between: float = positive(0.1)
    episodes: int = bounded(60, 1)
    shared: str = ""
    task: str = "AntMaze"
    train: str = "hrl"
    jobs: int = bounded(1, 1)

    def __post_init__(self) -> None:
        """Validate settings and seeds."""
        for word in self.only.replace("+", ",").split(","):
            if word and word not in SETTINGS:
                raise ConfigError(f"only={self.only}: no setting {word!r}{nearest(word, SETTINGS)}")
        if not all(word.isdigit() for word in self.seeds.split(",")):
            raise ConfigError(f"seeds={self.seeds}: type whole numbers with commas between, such as seeds=41,42")

    @property
    def names(self) -> list[str]:
        """The settings."""
        return [word for word in self.only.split(",") if word] or list(SETTINGS)


def arguments(name: str, seed: int, run: Path, options: Options) -> list[str]:
    """Arguments of `train.py` for a new run."""
    own = [*options.shared.split(), *(word for part in name.split("+") for word in SETTINGS[part])]
    typed = dict(word.split("=", 1) for word in own)
    samples = NUM_ENVS * int(typed.get("train.steps_per_iteration", STEPS))
    keys = {
        "task": options.task, "train": options.train, "recipe": "parallel", "seed": seed, "run_dir": run,
        "max_iterations": round(options.million_schedule * 1e6 / samples),
        "train.eval_every": max(round(options.million_between * 1e6 / samples), 1),
        "train.eval_episodes": options.episodes,
    }  # fmt: skip
    return [f"{key}={value}" for key, value in (keys | typed).items()]


def samples_of(run: Path) -> int:
    """Samples of a run so far."""
    lines = read_metrics(run / "metrics.jsonl", 2) if (run / "metrics.jsonl").exists() else []
    return int(lines[-1]["samples"]) if lines else 0


def train(name: str, seed: int, folder: Path, options: Options) -> None:
    """Train or resume a run until it has enough samples; it then ends as after Ctrl-C.

    Raises:
        RuntimeError: the training failed; its last lines are in the message.
    """
    run = folder / f"{name}-{seed}"
    target = min(options.million_steps, options.million_schedule) * 1e6 - NUM_ENVS * STEPS
    if samples_of(run) >= target:
        return
    started = (run / "checkpoints" / "last.pt").exists()
    words = [f"resume={run}"] if started else arguments(name, seed, run, options)
    log, variables = folder / f"{name}-{seed}.log", os.environ | {"OMP_NUM_THREADS": "1"}
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *words], stdout=output, stderr=output, env=variables
        )
        try:
            while process.poll() is None and samples_of(run) < target:
                time.sleep(POLL_S)
        finally:  # also if this program is interrupted
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait()
    if samples_of(run) < target:
        raise RuntimeError(f"{run} has ended too early:\n{log.read_text()[-1500:]}")


def table(folder: Path) -> list[dict[str, Any]]:
    """A row for each evaluation of each setting: minutes, million samples and success, means over the seeds."""
    runs: dict[str, list[list[dict[str, Any]]]] = {}
    for path in sorted(folder.glob("*/metrics.jsonl")):
        lines = [line for line in read_metrics(path) if "eval/success_rate" in line]
        runs.setdefault(path.parent.name.rsplit("-", 1)[0], []).append(lines)
    rows = []
    for name, seeds in runs.items():
        for lines in zip(*seeds, strict=False):  # as far as all seeds are
            signals = sorted(key for key in lines[0] if key.startswith(SUCCESS))
            mean = {key: sum(line[key] or 0.0 for line in lines) / len(lines) for key in ("wall_s", *signals)}
            rows.append(
                {"setting": name, "seeds": len(lines), "million": lines[0]["samples"] / 1e6}
                | {"minutes": mean.pop("wall_s") / 60.0}
                | {key.removeprefix(SUCCESS): value for key, value in mean.items()}
            )
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table as text."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [row.get(key, "") for key in columns]
        lines.append(
            "| " + " | ".join(f"{cell:.2f}" if isinstance(cell, float) else f"{cell}" for cell in cells) + " |"
        )
    return "\n".join(lines) + "\n"


def main(words: Sequence[str]) -> None:
    """Run what is missing, then write the table."""
    if not words or "=" in words[0]:
        raise SystemExit(__doc__)
    folder = Path(words[0]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    options = config.build(Options, {key: value for key, _, value in (word.partition("=") for word in words[1:])})
    jobs = [(name, int(seed)) for seed in options.seeds.split(",") for name in options.names]
    try:
        with ThreadPoolExecutor(options.jobs) as pool:
            running = [pool.submit(train, name, seed, folder, options) for name, seed in jobs]
            try:
                for done in running:
                    done.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # start no other run
                raise
    finally:
        rows = table(folder)
        write_atomically(folder / "sweep.json", (json.dumps(rows) + "\n").encode())
        write_atomically(folder / "sweep.md", markdown(rows).encode())
    sys.stdout.write(markdown(rows))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
