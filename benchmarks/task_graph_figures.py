"""Figures of the task graphs: learning curves over several seeds, with optimum or bounds as lines.

    python benchmarks/task_graph_figures.py run=maxq,hpg,flat_q seeds=5 [folder=runs/figures] [max_iterations=600]
    python benchmarks/task_graph_figures.py run=rooms_basic,rooms_baseline,rooms_entropy,rooms_baseline+entropy
    python benchmarks/task_graph_figures.py run=yardsticks
    python benchmarks/task_graph_figures.py draw=docs/results

A run writes one JSON file per learner and seed, and is skipped if the file exists; figures show the files there are.
One JSON line with the results goes to standard output.
"""

import io
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from omegaconf import OmegaConf

import isaachrl.learn.subgoals
import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.errors import IsaacHRLError
from isaachrl.files import write_atomically
from isaachrl.learn.learner import Learner
from isaachrl.learn.registry import learner_entry
from isaachrl.learn.task_graph.continuous.hybrid import HybridPolicy
from isaachrl.learn.task_graph.continuous.learner import ContinuousLearner
from isaachrl.learn.task_graph.tabular import oracle
from isaachrl.learn.task_graph.tabular.learner import TabularLearner, greedy_means
from isaachrl.run.recording.report import COLOURS
from isaachrl.run.rollout import Episodes, run_episodes
from tasks.ship_steering import HeadingController, ShipSteering, straight_line_steps

CFG = Path(__file__).resolve().parents[1] / "cfg" / "train"
TAXI, SHIP = ("maxq", "hpg", "flat_q"), ("hybrid", "flat_pg", "actor_critic")
ROOMS = tuple(f"rooms_{variant}" for variant in ("basic", "baseline", "entropy", "baseline+entropy"))
ROOMS_CFG = {"task": {"random_goal": False}}
GREEDY_EVERY = 20
EVALUATED = 1000
SMOOTH = 9
# the two starts of the paper's Figure 12, in which signs of headings and turn rates are missing
SAMPLES = ((700.0, 700.0, 100.0, 3.65), (750.0, 180.0, 80.0, 7.9))

Record = dict[str, Any]


@dataclass
class Options:
    """The command line.

    Args:
        run: learners to run, or `yardsticks`, separated by commas.
        draw: folder for the figures; empty: none are drawn.
        seeds: number of seeds, from 0.
        folder: of the JSON files.
        num_envs: environments; 0: those of the learner's `cpu` recipe.
        max_iterations: 0: the learner's default.
        threads: of PyTorch.
    """

    run: str = ""
    draw: str = ""
    seeds: int = 5
    folder: str = "runs/figures"
    num_envs: int = 0
    max_iterations: int = 0
    threads: int = 1


def make_learner(name: str, seed: int, options: Options) -> Learner:
    """The learner as `train.py` builds it; `rooms_NAME` is a variant of the subgoal learner."""
    file, _, variant = name.replace("rooms_", "subgoals ").partition(" ")
    entry = learner_entry(file)
    values = OmegaConf.to_container(OmegaConf.load(CFG / f"{file}.yaml"))
    assert isinstance(values, dict)
    train = {str(key): value for key, value in values.items() if key not in ("name", "recipes")}
    if options.max_iterations:
        train["max_iterations"] = options.max_iterations
    if variant:
        train["variant"] = variant
    task = "FourRooms" if variant else "TaxiFuel" if name in TAXI else "ShipSteering"
    usual = values["recipes"]["cpu"]["num_envs"]
    cfg = ROOMS_CFG if variant else None
    env = isaachrl.make(task, num_envs=options.num_envs or usual, device="cpu", seed=seed, cfg=cfg)
    return entry.build(env, config.build(entry.cfg_type, train, "train"), seed)


def record(name: str, seed: int, options: Options) -> Record:
    """Train one learner and record its signals."""
    learner = make_learner(name, seed, options)
    rows: list[Record] = []
    start, cpu = time.perf_counter(), time.process_time()
    while learner.iteration < learner.max_iterations:
        row = learner.iterate()
        if isinstance(learner, TabularLearner) and learner.iteration % GREEDY_EVERY == 0:
            row["greedy/return"], row["greedy/length"] = greedy_means(learner)
        rows.append({"samples": learner.samples} | row)
    found: Record = {"name": name, "seed": seed, "num_envs": learner.env.num_envs, "rows": rows}
    found |= {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    if isinstance(learner, ContinuousLearner):
        found |= ship_results(learner)
    return found


def ship_results(learner: ContinuousLearner) -> Record:
    """Evaluation of the deterministic policy from uniform starts, and its trajectories from the two sample starts."""
    env = isaachrl.make("ShipSteering", num_envs=EVALUATED, device="cpu", seed=10_000)
    policy = learner.algorithm.policy(env)
    calls = torch.zeros(EVALUATED)

    def note(result: Any) -> None:
        if isinstance(policy, HybridPolicy):
            calls.copy_(torch.where(result.done & (calls == 0), policy.calls.float(), calls))

    episodes = run_episodes(env, policy, 1, note)
    success = episodes.metrics["success_rate"][:, 0] > 0
    summary = summarize(episodes) | {"calls": float(calls[success].mean())}
    return {"evaluation": summary, "tracks": [track(learner, start) for start in SAMPLES]}


def summarize(episodes: Episodes) -> Record:
    """Success rate, and steps of the successful episodes."""
    success = episodes.metrics["success_rate"][:, 0] > 0
    return {
        "episodes": len(success),
        "success_rate": float(success.float().mean()),
        "steps_to_goal": float(episodes.lengths[success, 0].mean()),
        "length_mean": float(episodes.lengths.mean()),
    }


def track(learner: ContinuousLearner, start: Sequence[float]) -> Record:
    """Trajectory from one start, and the positions at which subtasks were called."""
    env = isaachrl.make("ShipSteering", num_envs=1, device="cpu")
    assert isinstance(env, ShipSteering)
    policy = learner.algorithm.policy(env)
    x, y, heading, rate = start
    env.state = torch.tensor([[x, y, np.deg2rad(heading), np.deg2rad(rate)]], dtype=torch.float32)
    places, called = [env.state[0, :2].tolist()], []
    for _ in range(env.episode_steps):
        result = env.advance(policy.act(env.observe()))
        if isinstance(policy, HybridPolicy) and policy.entry[0, :2].tolist() not in called:
            called.append(policy.entry[0, :2].tolist())
        places.append(env.state[0, :2].tolist())
        if bool(result.done):
            break
    return {"places": places, "called": called}


def yardsticks() -> Record:
    """The optima of the taxi and the rooms, and for the ship a lower bound and a hand-written controller."""
    mdp = getattr(isaachrl.make("TaxiFuel", device="cpu"), "mdp")  # noqa: B009 - a tabular environment
    best = oracle.evaluate(mdp, oracle.greedy(oracle.action_values(mdp, oracle.optimal_values(mdp))))
    env = isaachrl.make("ShipSteering", num_envs=20_000, device="cpu", seed=10_000)
    assert isinstance(env, ShipSteering)
    bound = float(straight_line_steps(env.cfg, env.state).mean())
    controller = summarize(run_episodes(env, HeadingController(env), 1))
    rooms = getattr(isaachrl.make("FourRooms", device="cpu", cfg=ROOMS_CFG), "mdp")  # noqa: B009 - a tabular environment
    values = oracle.action_values(rooms, oracle.optimal_values(rooms, 0.9), 0.9)
    shortest = oracle.evaluate(rooms, oracle.greedy(values))
    ship = {"straight_line_steps": bound, "controller": controller}
    return {"taxi": best.as_dict(), "ship": ship, "rooms": shortest.as_dict()}


def series(records: list[Record], signal: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Samples `(T,)` and smoothed values `(seeds, T)` of a signal; None if it is missing."""
    grid, rows = None, []
    for found in records:
        points = [(row["samples"], row[signal]) for row in found["rows"] if row.get(signal) is not None]
        if not points:
            return None
        samples, values = np.array(points, dtype=float).T
        width = SMOOTH if len(values) > 10 * SMOOTH else 1  # signals that are rarely measured are exact
        padded = np.pad(values, (width // 2, (width - 1) // 2), mode="edge")
        grid = samples if grid is None else grid
        rows.append(np.interp(grid, samples, np.convolve(padded, np.ones(width) / width, mode="valid")))
    return None if grid is None else (grid, np.stack(rows))


def curve(axes: Axes, groups: dict[str, list[Record]], signal: str, title: str) -> None:
    """One panel: mean over seeds, and the band from the lowest to the highest."""
    for colour, (name, records) in zip(COLOURS, groups.items(), strict=False):
        found = series(records, signal) if records else None
        if found is None:
            continue
        samples, values = found
        axes.plot(samples / 1e6, values.mean(0), color=colour, label=f"{name} ({len(values)} seeds)")
        axes.fill_between(samples / 1e6, values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("million steps", fontsize=8)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)


def level(axes: Axes, value: float, name: str, style: str = "--") -> None:
    """A horizontal line for comparison."""
    axes.axhline(value, color="#555555", linestyle=style, linewidth=1.0, label=f"{name} {value:.3g}")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    for axes in figure.axes:
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(path, buffer.getvalue())


def draw_taxi(groups: dict[str, list[Record]], best: Record, path: Path) -> None:
    """Average reward per step in training (the paper's Figure 6), and the return of the greedy policy."""
    figure = Figure(figsize=(11.0, 4.0), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    curve(left, groups, "reward/total", "average reward per step, exploring")
    level(left, best["reward_per_step"], "optimum")
    curve(right, groups, "greedy/return", "mean return of the greedy policy, all 2400 starts")
    level(right, best["mean_return"], "optimum")
    right.set_ylim(-4.0, 4.5)
    save(figure, path)


def draw_ship(groups: dict[str, list[Record]], marks: Record, path: Path) -> None:
    """The paper's Figures 7 to 11, and the sample paths of Figure 12."""
    figure = Figure(figsize=(15.0, 7.5), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3).flatten()
    hybrid = {"hybrid": groups.get("hybrid", [])}
    curve(panels[0], groups, "episode/success_rate", "share of episodes that pass the gate")
    level(panels[0], marks["controller"]["success_rate"], "controller")
    curve(panels[1], hybrid, "episode/calls", "subtask calls an episode")
    curve(panels[2], groups, "episode/steps_to_goal", "steps to the gate")
    level(panels[2], marks["straight_line_steps"], "straight line", ":")
    level(panels[2], marks["controller"]["steps_to_goal"], "controller")
    curve(panels[3], hybrid, "subtask/diagonal", "share of diagonal calls that arrive")
    curve(panels[4], hybrid, "subtask/straight", "share of straight calls that arrive")
    for record_ in hybrid["hybrid"][:1]:
        draw_tracks(panels[5], record_["tracks"])
    save(figure, path)


def draw_rooms(groups: dict[str, list[Record]], best: Record, path: Path) -> None:
    """The variants of the two-level policy gradient in the rooms, in training."""
    figure = Figure(figsize=(15.0, 4.0), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    named = {name.removeprefix("rooms_"): records for name, records in groups.items()}
    curve(panels[0], named, "episode/success_rate", "share of episodes that reach the goal")
    curve(panels[1], named, "episode/length", "steps an episode")
    level(panels[1], best["mean_length"], "shortest way")
    curve(panels[2], named, "subgoal/achieved", "share of subgoals that are achieved")
    save(figure, path)


def draw_tracks(axes: Axes, tracks: list[Record]) -> None:
    """The two sample trajectories; small circles where subtasks were called."""
    for colour, found in zip(COLOURS, tracks, strict=False):
        axes.plot(*np.array(found["places"]).T, color=colour)
        axes.plot(*np.array(found["places"][0]), "o", color=colour, markersize=9)
        axes.plot(*np.array(found["called"]).T, "o", color=colour, markersize=4)
    axes.plot((350, 450), (400, 400), color="black", linewidth=3)
    axes.set(xlim=(0, 1000), ylim=(0, 1000), aspect="equal")
    axes.set_title("two sample paths", fontsize=10, loc="left")


def load(folder: Path, names: Sequence[str]) -> dict[str, list[Record]]:
    """Records by learner, in the order of their seeds."""
    return {
        name: [json.loads(path.read_text()) for path in sorted(folder.glob(f"{name}_[0-9]*.json"))] for name in names
    }


def final(found: Record) -> Any:
    """The final result of a record."""
    last = found["rows"][-1]
    rooms = {key: last[key] for key in ("episode/success_rate", "episode/length") if key in last}
    return found.get("evaluation") or last.get("greedy/return") or rooms


def main(arguments: Sequence[str]) -> None:
    """Run, draw, print."""
    options = config.build(Options, {key: value for key, _, value in (word.partition("=") for word in arguments)})
    torch.set_num_threads(options.threads)
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in options.run.split(",") if name]
    if "yardsticks" in names:
        names.remove("yardsticks")
        write_atomically(folder / "yardsticks.json", json.dumps(yardsticks()).encode())
    for seed in range(options.seeds):
        for name in names:
            path = folder / f"{name}_{seed}.json"
            if not path.exists():
                write_atomically(path, json.dumps(record(name, seed, options)).encode())
    result: Record = {}
    for name, records in load(folder, (*TAXI, *SHIP, *ROOMS)).items():
        if records:
            result[name] = [final(found) for found in records]
    if options.draw:
        marks = json.loads((folder / "yardsticks.json").read_text())
        draw_taxi(load(folder, TAXI), marks["taxi"], Path(options.draw) / "taxi.png")
        draw_ship(load(folder, SHIP), marks["ship"], Path(options.draw) / "ship.png")
        draw_rooms(load(folder, ROOMS), marks["rooms"], Path(options.draw) / "rooms.png")
        result["yardsticks"] = marks
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
