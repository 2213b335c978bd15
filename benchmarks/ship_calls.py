"""What the ship's task graph can reach at best: its calls sailed by hand, under a root that knows the whole state.

    python benchmarks/ship_calls.py [train=true] [seed=0]

The way of a call depends on nothing but how the ship lies to its direction, and on its turn rate. So it is sailed once
for each of some hundreds of these, and then turned and moved to wherever it begins. Value iteration over places and
headings gives the best root. With `train=true` the hybrid is trained first, and its subtasks do the steering. One JSON
line goes to standard output.
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

HEADINGS, RATES = 72, 9  # for which calls are sailed
PLACES, COURSES = 50, 24  # of value iteration, along x and y and in a full turn
SWEEPS = 15
STARTS = 4000
AT_ONCE = 8192  # ships whose ways are looked at together
MIDDLE_M = 700.0  # far from the gate and from the sea's edge

Steer = Callable[[Tensor, Tensor], Tensor]  # kinds (n,) and views (n, 4) -> actions (n,)


@dataclass
class Options:
    """What can be typed.

    Args:
        train: let the trained hybrid's subtasks steer.
        seed: of the training.
        num_envs: ships in it.
        max_iterations: iterations of it; 0 takes the learner's own.
    """

    train: bool = False
    seed: int = 0
    num_envs: int = 1024
    max_iterations: int = 0


def by_hand(kind: Tensor, view: Tensor) -> Tensor:
    """Turn towards the subtask's goal; no other gains were quicker on a grid of 25."""
    goal = torch.tensor([STRAIGHT_GOAL_M, DIAGONAL_GOAL_M])[kind]
    off = wrap(torch.atan2(goal[:, 1] - view[:, 1], goal[:, 0] - view[:, 0]) - view[:, 2])
    return 2.0 * off - 3.0 * view[:, 3]


def trained(options: Options) -> Steer:
    """The mean actions of a hybrid's subtasks."""
    entry = learner_entry("hybrid")
    wanted = {"max_iterations": options.max_iterations} if options.max_iterations else {}
    env = isaachrl.make("ShipSteering", num_envs=options.num_envs, device="cpu", seed=options.seed)
    learner = entry.build(env, config.build(entry.cfg_type, wanted, "train"), options.seed)
    assert isinstance(learner, ContinuousLearner) and isinstance(learner.algorithm, Hybrid)
    while learner.iteration < learner.max_iterations:
        learner.iterate()
    hybrid = learner.algorithm
    return lambda kind, view: hybrid.actor.mean_action(hybrid.tiles(kind, view))


@dataclass
class Outcome:
    """What calls lead to, each `(n, …)`.

    Args:
        steps: taken until the call, or the episode, ended.
        passed: the gate.
        lost: left the sea.
        after: `(n, 4)` state in which the call ended, if the episode went on.
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
        """`(n,)` that the hybrid's root gets."""
        cfg = HybridCfg()
        return cfg.goal_reward * self.passed + cfg.failure_reward * self.lost - self.steps


class Calls:
    """Every call's way, sailed once for each heading and turn rate.

    Attributes:
        ways: `(K, T, 2)` metres from where it began after each step; where it ended, from then on.
        lengths: `(K,)` steps.
        ends: `(K, 2)` heading and turn rate at the end.
        arrived: `(K,)` bool.

    Args:
        steer: the subtasks.
        longest: steps T after which a call is cut off.
    """

    def __init__(self, steer: Steer, longest: int = 150) -> None:
        self.cfg = ShipSteeringCfg()
        self.headings = (torch.arange(HEADINGS) + 0.5) / HEADINGS * 2 * math.pi - math.pi
        self.rates = ((torch.arange(RATES) + 0.5) / RATES * 2 - 1) * self.cfg.max_turn_rad_s
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
        ways = []
        for _ in range(longest):
            # East and NorthEast, the first of each kind, are not turned: their numbers are their kinds'
            before = env.state.clone()
            env.advance(steer(self.kind, frames(self.kind, start, before)).unsqueeze(-1))
            env.state = torch.where(over.unsqueeze(-1), before, env.state)
            self.lengths = self.lengths + ~over
            over, self.arrived = frames.ends(self.kind, frames(self.kind, start, env.state))
            ways.append(env.state[:, :2] - start[:, :2])
        self.ways, self.ends = torch.stack(ways, dim=1), env.state[:, 2:].clone()

    def summary(self) -> dict[str, Any]:
        """Share that arrives, and steps of those, by kind; all headings and turn rates alike."""
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
        """What subtasks `(n,)` called at states `(n, 4)` lead to."""
        turn = self.turn[task]
        heading = ((wrap(state[:, 2] - turn) / (2 * math.pi) + 0.5) * HEADINGS).long().clamp(0, HEADINGS - 1)
        rate = ((0.5 * state[:, 3] / self.cfg.max_turn_rad_s + 0.5) * RATES).long().clamp(0, RATES - 1)
        row = (self.task_kind[task] * HEADINGS + heading) * RATES + rate
        cos, sin = turn.cos().unsqueeze(-1), turn.sin().unsqueeze(-1)
        dx, dy = self.ways[row].unbind(-1)
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
    """Number, from 1, of the first true one in each row of `(n, T)`; more than T where there is none."""
    number = torch.arange(1, flags.shape[1] + 1)
    return torch.where(flags, number, flags.shape[1] + 1).amin(-1)


class Root:
    """The best root there is for these calls: values over a grid of places and headings, and a look one call ahead.

    Args:
        calls: of the subtasks.
        places: along x and y.
        courses: headings.
        sweeps: of value iteration; an episode needs about as many calls at most.
    """

    def __init__(self, calls: Calls, places: int = PLACES, courses: int = COURSES, sweeps: int = SWEEPS) -> None:
        self.calls, self.places, self.courses = calls, places, courses
        self._unit_m = calls.cfg.size_m / places
        along = (torch.arange(places) + 0.5) * self._unit_m
        heading = (torch.arange(courses) + 0.5) / courses * 2 * math.pi - math.pi
        columns = [column.flatten() for column in torch.meshgrid(along, along, heading, indexing="ij")]
        states = torch.stack((*columns, torch.zeros_like(columns[0])), dim=-1)
        outcomes = [self._outcome(states, number) for number in range(len(calls.turn))]
        self.values = torch.full((places, places, courses), -0.5 * calls.cfg.size_m / calls.cfg.step_m)
        for _ in range(sweeps):
            worth = torch.stack([self._worth(outcome) for outcome in outcomes]).amax(0)
            self.values = worth.view(places, places, courses)

    def _outcome(self, states: Tensor, task: int) -> Outcome:
        """What one subtask leads to from states `(n, 4)`, a part of them at a time."""
        parts = [self.calls(part, torch.full((len(part),), task)) for part in states.split(AT_ONCE)]
        return Outcome(*(torch.cat([getattr(part, name) for part in parts]) for name in Outcome.__annotations__))

    def _worth(self, outcome: Outcome) -> Tensor:
        """Return `(n,)` after these outcomes."""
        return outcome.reward + self.value(outcome.after).masked_fill(outcome.over, 0.0)

    def value(self, state: Tensor) -> Tensor:
        """Values `(n,)` of states `(n, 4)`, linear between the grid's points."""
        place = (state[:, :2] / self._unit_m - 0.5).clamp(0.0, self.places - 1.001)
        point = torch.cat((place, state[:, 2:3] / (2 * math.pi) * self.courses + 0.5 * self.courses - 0.5), dim=-1)
        low = point.floor()
        share, low = point - low, low.long()
        total = torch.zeros(len(state))
        for corner in product((0, 1), repeat=3):
            weight = torch.stack([share[:, i] if up else 1.0 - share[:, i] for i, up in enumerate(corner)]).prod(0)
            x, y, course = (low + torch.tensor(corner)).unbind(-1)
            total = total + weight * self.values[x, y, course % self.courses]
        return total

    def best(self, state: Tensor) -> Tensor:
        """Numbers `(n,)` of the subtasks to call."""
        every = [self._worth(self._outcome(state, number)) for number in range(len(self.calls.turn))]
        return torch.stack(every).argmax(0)

    def play(self, starts: int = STARTS) -> dict[str, float]:
        """Success, and steps and calls of those that succeed, from uniform starts."""
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
    """Sail, solve, print."""
    options = config.build(Options, {key: value for key, _, value in (word.partition("=") for word in arguments)})
    torch.set_num_threads(1)
    calls = Calls(trained(options) if options.train else by_hand)
    print(json.dumps(asdict(options) | calls.summary() | Root(calls).play()))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
