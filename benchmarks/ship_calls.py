"""Upper bound of the ship's task graph: its calls, sailed by a hand-written controller, under an optimal root.

    python benchmarks/ship_calls.py [train=true] [seed=0]

The path of a call depends only on the heading relative to its direction and on the turn rate. It is simulated once for
each of some hundred combinations, then rotated and translated to the start of the call. Value iteration over positions
and headings gives the optimal root. With `train=true` the subtasks are those of a hybrid, trained first. One JSON line
goes to standard output.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
import torch
from torch import Tensor

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.envs.task_graph import Frame
from isaachrl.errors import IsaacHRLError
from isaachrl.learn.registry import learner_entry
from isaachrl.learn.task_graph.continuous.frames import SubtaskFrames
from isaachrl.learn.task_graph.continuous.hybrid import Hybrid, HybridCfg
from isaachrl.learn.task_graph.continuous.learner import ContinuousLearner
from tasks.ship_steering import DIAGONAL_GOAL_M, STRAIGHT_GOAL_M, ShipSteering, ShipSteeringCfg, wrap

CALL_HEADINGS, CALL_RATES = 72, 9  # of the simulated calls
POSITIONS, HEADINGS = 50, 24  # of value iteration: positions along x and y, and headings
SWEEPS = 15
STARTS = 4000
BATCH = 8192  # calls evaluated at a time
MIDDLE_M = 700.0  # coordinates far from gate and edge

Steer = Callable[[Tensor, Tensor], Tensor]  # kinds (n,) and views (n, 4) -> actions (n,)


@dataclass
class Options:
    """The command line.

    Args:
        train: use the subtasks of a trained hybrid.
        seed: of the training.
        num_envs: ships of the training.
        max_iterations: of the training; 0: the default.
    """

    train: bool = False
    seed: int = 0
    num_envs: int = 1024
    max_iterations: int = 0


def by_hand(kind: Tensor, view: Tensor) -> Tensor:
    """Turn towards the subtask's goal; the gains are the fastest of a grid of 25."""
    goal = torch.tensor([STRAIGHT_GOAL_M, DIAGONAL_GOAL_M])[kind]
    off = wrap(torch.atan2(goal[:, 1] - view[:, 1], goal[:, 0] - view[:, 0]) - view[:, 2])
    return 2.0 * off - 3.0 * view[:, 3]


def trained(options: Options) -> Steer:
    """The mean actions of a trained hybrid's subtasks."""
    entry = learner_entry("hybrid")
    train = {"max_iterations": options.max_iterations} if options.max_iterations else {}
    env = isaachrl.make("ShipSteering", num_envs=options.num_envs, device="cpu", seed=options.seed)
    learner = entry.build(env, config.build(entry.cfg_type, train, "train"), options.seed)
    assert isinstance(learner, ContinuousLearner) and isinstance(learner.algorithm, Hybrid)
    while learner.iteration < learner.max_iterations:
        learner.iterate()
    hybrid = learner.algorithm
    return lambda kind, view: hybrid.actor.mean_action(hybrid.tiles(kind, view))


@dataclass
class Outcome:
    """Outcomes of calls, each `(n, …)`.

    Args:
        steps: until the call, or the episode, ended.
        passed: the episode ended at the gate.
        lost: the episode ended at the edge of the sea.
        after: `(n, 4)` state at the end of the call, if the episode continues.
    """

    steps: Tensor
    passed: Tensor
    lost: Tensor
    after: Tensor

    @property
    def over(self) -> Tensor:
        """`(n,)` bool: the episode ended."""
        return self.passed | self.lost

    @property
    def reward(self) -> Tensor:
        """Reward of the hybrid's root `(n,)`."""
        cfg = HybridCfg()
        return cfg.goal_reward * self.passed + cfg.failure_reward * self.lost - self.steps


class Calls:
    """Simulated calls for all headings and turn rates.

    Attributes:
        paths: `(K, T, 2)` metres from the start after each step, constant after the end.
        lengths: `(K,)` steps.
        ends: `(K, 2)` heading and turn rate at the end.
        arrived: `(K,)` bool.

    Args:
        steer: the subtasks.
        longest: time limit T of a call.
    """

    def __init__(self, steer: Steer, longest: int = 150) -> None:
        self.cfg = ShipSteeringCfg()
        self.headings = (torch.arange(CALL_HEADINGS) + 0.5) / CALL_HEADINGS * 2 * math.pi - math.pi
        self.rates = ((torch.arange(CALL_RATES) + 0.5) / CALL_RATES * 2 - 1) * self.cfg.max_turn_rad_s
        kind, heading, rate = torch.meshgrid(torch.arange(2.0), self.headings, self.rates, indexing="ij")
        self.kind, middle = kind.flatten().long(), torch.full((kind.numel(),), MIDDLE_M)
        start = torch.stack((middle, middle, heading.flatten(), rate.flatten()), dim=-1)
        env = isaachrl.make("ShipSteering", num_envs=len(start), device="cpu")
        assert isinstance(env, ShipSteering)
        frames = SubtaskFrames(env.task_graph, env.device)
        self.turn = torch.tensor([_frame(frames, number).turn_rad for number in range(len(frames.subtasks))])
        self.task_kind = frames.kind
        env.state = start.clone()
        self.lengths = torch.zeros(len(start), dtype=torch.long)
        self.arrived = over = torch.zeros(len(start), dtype=torch.bool)
        paths = []
        for _ in range(longest):
            # East and NorthEast, the first of each kind, are not rotated, and their numbers are those of their kinds
            before = env.state.clone()
            env.advance(steer(self.kind, frames(self.kind, start, before)).unsqueeze(-1))
            env.state = torch.where(over.unsqueeze(-1), before, env.state)
            self.lengths = self.lengths + ~over
            over, self.arrived = frames.ends(self.kind, frames(self.kind, start, env.state))
            paths.append(env.state[:, :2] - start[:, :2])
        self.paths, self.ends = torch.stack(paths, dim=1), env.state[:, 2:].clone()

    def summary(self) -> dict[str, Any]:
        """Success rate and steps of the successful calls, by kind, over uniform headings and turn rates."""
        found = {}
        for number, name in enumerate(("straight", "diagonal")):
            mine = self.kind == number
            steps = self.lengths[mine & self.arrived].float().mean()
            found[name] = {
                "arrived": round(float(self.arrived[mine].float().mean()), 4),
                "steps": round(float(steps), 1),
            }
        return found

    def __call__(self, state: Tensor, task: Tensor) -> Outcome:
        """Outcomes of subtasks `(n,)` called at states `(n, 4)`."""
        turn = self.turn[task]
        heading = ((wrap(state[:, 2] - turn) / (2 * math.pi) + 0.5) * CALL_HEADINGS).long().clamp(0, CALL_HEADINGS - 1)
        rate = ((0.5 * state[:, 3] / self.cfg.max_turn_rad_s + 0.5) * CALL_RATES).long().clamp(0, CALL_RATES - 1)
        row = (self.task_kind[task] * CALL_HEADINGS + heading) * CALL_RATES + rate
        cos, sin = turn.cos().unsqueeze(-1), turn.sin().unsqueeze(-1)
        dx, dy = self.paths[row].unbind(-1)
        x = torch.cat((state[:, :1], state[:, :1] + cos * dx - sin * dy), dim=-1)
        y = torch.cat((state[:, 1:2], state[:, 1:2] + sin * dx + cos * dy), dim=-1)
        to_gate, to_edge = _first(self._passes(x, y)), _first(self._outside(x[:, 1:], y[:, 1:]))
        length = self.lengths[row]
        steps = torch.minimum(torch.minimum(to_gate, to_edge), length)
        passed, lost = (to_gate <= steps) & (to_gate <= to_edge), (to_edge <= steps) & (to_edge < to_gate)
        ends = self.ends[row]
        after = torch.stack((x[:, -1], y[:, -1], wrap(ends[:, 0] + turn), ends[:, 1]), dim=-1)
        return Outcome(steps.float(), passed, lost, after)

    def _passes(self, x: Tensor, y: Tensor) -> Tensor:
        """Steps `(n, T)` that cross the gate."""
        cfg, beyond = self.cfg, y - self.cfg.gate_y_m
        low = beyond < 0.0
        at = x[:, :-1] - beyond[:, :-1] * x.diff() / y.diff()
        return (low[:, 1:] != low[:, :-1]) & (at >= cfg.gate_from_m) & (at <= cfg.gate_to_m)

    def _outside(self, x: Tensor, y: Tensor) -> Tensor:
        """Steps `(n, T)` that end outside the sea."""
        return (x < 0.0) | (x > self.cfg.size_m) | (y < 0.0) | (y > self.cfg.size_m)


def _frame(frames: SubtaskFrames, number: int) -> Frame:
    """The frame of a subtask."""
    frame = frames.subtasks[number].frame
    assert frame is not None
    return frame


def _first(flags: Tensor) -> Tensor:
    """Position, from 1, of the first true entry in each row of `(n, T)`; T + 1 where there is none."""
    number = torch.arange(1, flags.shape[1] + 1)
    return torch.where(flags, number, flags.shape[1] + 1).amin(-1)


class Root:
    """The optimal root for these calls: values on a grid of positions and headings, and a one-step look-ahead.

    Args:
        calls: of the subtasks.
        positions: grid points along x and y.
        headings: grid points of the heading.
        sweeps: of value iteration, at least the number of calls of an episode.
    """

    def __init__(
        self, calls: Calls, positions: int = POSITIONS, headings: int = HEADINGS, sweeps: int = SWEEPS
    ) -> None:
        self.calls, self.positions, self.headings = calls, positions, headings
        self._unit_m = calls.cfg.size_m / positions
        along = (torch.arange(positions) + 0.5) * self._unit_m
        heading = (torch.arange(headings) + 0.5) / headings * 2 * math.pi - math.pi
        columns = [column.flatten() for column in torch.meshgrid(along, along, heading, indexing="ij")]
        states = torch.stack((*columns, torch.zeros_like(columns[0])), dim=-1)
        outcomes = [self._outcome(states, number) for number in range(len(calls.turn))]
        self.values = torch.full((positions, positions, headings), -0.5 * calls.cfg.size_m / calls.cfg.step_m)
        for _ in range(sweeps):
            values = torch.stack([self._q(outcome) for outcome in outcomes]).amax(0)
            self.values = values.view(positions, positions, headings)

    def _outcome(self, states: Tensor, task: int) -> Outcome:
        """Outcomes of one subtask from states `(n, 4)`, in batches."""
        parts = [self.calls(part, torch.full((len(part),), task)) for part in states.split(BATCH)]
        return Outcome(*(torch.cat([getattr(part, name) for part in parts]) for name in Outcome.__annotations__))

    def _q(self, outcome: Outcome) -> Tensor:
        """Value `(n,)` of calls with these outcomes."""
        return outcome.reward + self.value(outcome.after).masked_fill(outcome.over, 0.0)

    def value(self, state: Tensor) -> Tensor:
        """Values `(n,)` of states `(n, 4)`, interpolated linearly between grid points."""
        position = (state[:, :2] / self._unit_m - 0.5).clamp(0.0, self.positions - 1.001)
        point = torch.cat((position, state[:, 2:3] / (2 * math.pi) * self.headings + 0.5 * self.headings - 0.5), dim=-1)
        low = point.floor()
        share, low = point - low, low.long()
        total = torch.zeros(len(state))
        for corner in product((0, 1), repeat=3):
            weight = torch.stack([share[:, i] if up else 1.0 - share[:, i] for i, up in enumerate(corner)]).prod(0)
            x, y, heading = (low + torch.tensor(corner)).unbind(-1)
            total = total + weight * self.values[x, y, heading % self.headings]
        return total

    def best(self, state: Tensor) -> Tensor:
        """Optimal subtasks `(n,)`."""
        q = [self._q(self._outcome(state, number)) for number in range(len(self.calls.turn))]
        return torch.stack(q).argmax(0)

    def play(self, starts: int = STARTS) -> dict[str, float]:
        """Success rate, and steps and calls of the successful episodes, from uniform starts."""
        env = isaachrl.make("ShipSteering", num_envs=starts, device="cpu", seed=10_000)
        assert isinstance(env, ShipSteering)
        state, steps, count = env.state.clone(), torch.zeros(starts), torch.zeros(starts)
        alive, passed = torch.ones(starts, dtype=torch.bool), torch.zeros(starts, dtype=torch.bool)
        for _ in range(2 * SWEEPS):
            outcome = self.calls(state, self.best(state))
            steps, count = steps + outcome.steps * alive, count + alive
            in_time = steps < env.episode_steps
            passed = passed | (alive & outcome.passed & in_time)
            alive, state = alive & ~outcome.over & in_time, outcome.after
        found = {
            "success_rate": passed.float().mean(),
            "steps_to_goal": steps[passed].mean(),
            "calls": count[passed].mean(),
        }
        return {name: round(float(value), 3) for name, value in found.items()}


def main(arguments: Sequence[str]) -> None:
    """Simulate, solve, print."""
    options = config.build(Options, {key: value for key, _, value in (word.partition("=") for word in arguments)})
    torch.set_num_threads(1)
    calls = Calls(trained(options) if options.train else by_hand)
    print(json.dumps(asdict(options) | calls.summary() | Root(calls).play()))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
