"""Speed of the off-policy correction, compared with plain loops, and of worker updates, on the CPU.

    python benchmarks/goals.py [batch=512] [hidden=128] [seconds=10] [threads=1]

Ours: the learner's own correction and updates on AntMaze (recipe `parallel`), in float32 and with the rounding that
`precision=auto` chooses here. The same correction in two plain forms: `loop_samples` goes through the batch one segment
at a time, with all its candidates and steps in one forward pass; `loop_all` also takes candidates and steps one at a
time. Measurements alternate, so that drifts of the machine cancel; each number is a median. Prints one JSON line.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
import torch
import yaml
from torch import Tensor

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.config import bounded
from isaachrl.learn.goals import GoalsCfg, GoalsLearner
from isaachrl.learn.goals.goals import candidate_goals
from isaachrl.learn.goals.updates.manager_update import ManagerUpdate

RECIPES = Path(__file__).resolve().parents[1] / "cfg" / "train" / "_goals.yaml"
NUM_ENVS = 16
PLAIN_TUPLES = 8  # per measurement of the plain loops, which are too slow for whole batches


@dataclass
class Options:
    """Options of the command line.

    Args:
        batch: rows of an update and of a correction.
        hidden: width of the two hidden layers.
        seconds: length of the measurement.
        threads: threads of PyTorch. With one, processor time is measured, so that other processes do not count; with
            more, wall-clock time.
    """

    batch: int = bounded(512, PLAIN_TUPLES)
    hidden: int = bounded(128, 1)
    seconds: float = bounded(10.0, 0.0)
    threads: int = bounded(1, 1)


def make_learner(options: Options, precision: str) -> GoalsLearner:
    """A learner with the recipe `parallel` and a few segments of random actions in its replay."""
    values = yaml.safe_load(RECIPES.read_text())["recipes"]["parallel"]["train"]
    sizes = {"hidden": [options.hidden, options.hidden], "batch": options.batch}
    values |= {"precision": precision, "eval_every": 0, "pool_sets": 0, "correction": "hiro"}
    values |= {level: values[level] | sizes for level in ("worker", "manager")}
    env = isaachrl.make("AntMaze", NUM_ENVS, device="cpu", seed=0)
    learner = GoalsLearner(env, config.build(GoalsCfg, values), 0)
    learner.collector.uniform = True
    for _ in range(10 * learner.cfg.periods[0]):
        learner.collector.step()
    return learner


@torch.no_grad()
def relabel_plainly(learner: GoalsLearner, rows: Tensor, every_step: bool) -> list[int]:
    """The candidate that the correction chooses for each segment, by loops over samples (and candidates and steps)."""
    replay, levels, chosen = learner.replays[0], learner.levels, []
    for row in rows.tolist():
        states, actions, goal = (replay.data[name][row] for name in ("states", "actions", "goal"))
        steps = int(replay.data["length"][row])
        change = states[steps, : len(goal)] - states[0, : len(goal)]
        candidates = candidate_goals(goal[None], change[None], levels.goal_limits, learner.generator)[0]
        moved = states[:1, : len(goal)] - states[:steps, : len(goal)]
        if not every_step:
            goals = candidates[:, None] + moved[None]
            expanded = states[None, :steps].expand(len(candidates), -1, -1)
            errors = (actions[None, :steps] - levels.mean_action(0, expanded, goals)).square().sum((1, 2))
            chosen.append(int(errors.argmin()))
            continue
        totals = []
        for candidate in candidates:
            error = 0.0
            for i in range(steps):
                error += float((actions[i] - levels.mean_action(0, states[i], candidate + moved[i])).square().sum())
            totals.append(error)
        chosen.append(totals.index(min(totals)))
    return chosen


def correct(learner: GoalsLearner, rows: Tensor) -> Tensor:
    """Goals `(B, d)` of segments `rows (B,)` after the learner's own correction."""
    assert isinstance(learner.top_update, ManagerUpdate)
    return learner.top_update.corrected(rows)


def rate(work: Callable[[], object], units: int) -> float:
    """Units of work per second, of processor time with one thread and of wall-clock time with more."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    work()
    return units / max(clock() - start, 1e-9)


def measure(options: Options) -> dict[str, Any]:
    """The figures by name."""
    exact, mixed = (make_learner(options, precision) for precision in ("float32", "auto"))
    rows = exact.replays[0].draw_rows(options.batch, exact.generator)
    few = rows[:PLAIN_TUPLES]
    works: dict[str, tuple[Callable[[], object], int]] = {
        "relabel_float32": (lambda: correct(exact, rows), options.batch),
        "relabel_auto": (lambda: correct(mixed, rows), options.batch),
        "relabel_loop_samples": (lambda: relabel_plainly(exact, few, False), PLAIN_TUPLES),
        "relabel_loop_all": (lambda: relabel_plainly(exact, few, True), PLAIN_TUPLES),
        "worker_rows_float32": (exact.trainers[0].update.step, options.batch),
        "worker_rows_auto": (mixed.trainers[0].update.step, options.batch),
    }
    found: dict[str, list[float]] = {name: [] for name in works}
    begin = time.perf_counter()
    while len(found["relabel_auto"]) < 3 or time.perf_counter() - begin < options.seconds:
        for name, (work, units) in works.items():
            found[name].append(rate(work, units))
    medians = {f"{name}_per_s": round(statistics.median(values), 1) for name, values in found.items()}
    pairs = zip(found["relabel_auto"], found["relabel_loop_samples"], found["relabel_loop_all"], strict=True)
    ratios = [(ours / samples, ours / every) for ours, samples, every in pairs]
    return medians | {
        "relabel_ratio_to_loop_samples": round(statistics.median(one for one, _ in ratios), 1),
        "relabel_ratio_to_loop_all": round(statistics.median(other for _, other in ratios), 1),
        "rounding": mixed.cfg.precision.resolve(mixed.env.device).value,
        "batch": options.batch,
        "hidden": options.hidden,
        "threads": torch.get_num_threads(),
        "versions": {"torch": version("torch")},
    }


def main(words: Sequence[str]) -> None:
    """Measure, and print one JSON line."""
    pairs = [word.partition("=") for word in words]
    options = config.build(Options, {key: yaml.safe_load(value) for key, _, value in pairs})
    torch.set_num_threads(options.threads)
    print(json.dumps(measure(options)))


if __name__ == "__main__":
    main(sys.argv[1:])
