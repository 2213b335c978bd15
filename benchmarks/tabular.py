"""How many steps a second thousands of taxis and ships take at once, beside one at a time in plain Python.

    python benchmarks/tabular.py [num_envs=4096] [seconds=5] [threads=0] [clock=wall|cpu]

Four implementations in one run, alternating. `ours`: `Env.step` on all environments. `python`: a loop over environments
in plain Python with the same interface: an action in; the observation as an array, reward, terminated, truncated,
reward terms, metrics and the last observation out; a random start after each end. `gymnasium`: its Taxi, if installed,
which has no fuel and a number as observation. `bare`: the plain loop with only the state and the reward, a lower bound
for Python, without observations to learn from. All actions are random and drawn beforehand. `ratio` is ours over the
faster of `python` and `gymnasium`, `ratio_to_bare` ours over `bare`. One JSON line goes to standard output.
"""

import importlib.util
import json
import math
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from importlib.metadata import version
from typing import Any

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
import numpy as np
import torch

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.errors import IsaacHRLError
from tasks.taxi_fuel import STATIONS, STEPS, WALLS

BLOCK_S = 0.25
PLAIN_ENVS = 64  # of the plain loops; more would only use more memory
ROUNDS = 64  # steps whose actions are drawn beforehand

Stepper = Callable[[int], None]


class Clock(Enum):
    """The clock to measure with."""

    wall = "wall"
    cpu = "cpu"

    def __call__(self) -> float:
        """Seconds from an arbitrary origin."""
        return time.perf_counter() if self is Clock.wall else time.process_time()


@dataclass
class Options:
    """The command line.

    Args:
        num_envs: taxis, and ships, at once.
        seconds: of each measurement.
        threads: threads of PyTorch; 0: its default.
        clock: `wall`, or `cpu` for the CPU time of this process over all its threads, on a machine that is shared.
    """

    num_envs: int = 4096
    seconds: float = 5.0
    threads: int = 0
    clock: Clock = Clock.wall


class BareTaxi:
    """One taxi with fuel in plain Python, without observation, time limit and extras.

    Args:
        seed: of its random numbers.
    """

    stations = tuple(STATIONS.values())
    walls = frozenset({(cell, 2) for cell in WALLS} | {((row, column + 1), 3) for row, column in WALLS})

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.reset()

    def reset(self) -> Any:
        """Start anew."""
        draw = self.random.randrange
        self.row, self.column, self.passenger, self.fuel = draw(5), draw(5), draw(4), 5 + draw(8)
        self.destination = (self.passenger + 1 + draw(3)) % 4

    def move(self, action: int) -> tuple[float, bool]:
        """Reward, and whether the episode ended."""
        reward, done, here = -1.0, False, (self.row, self.column)
        self.fuel -= 1
        if action < 4:
            row, column = self.row + STEPS[action][0], self.column + STEPS[action][1]
            if 0 <= row < 5 and 0 <= column < 5 and (here, action) not in self.walls:
                self.row, self.column = row, column
        elif action == 4:
            if self.passenger < 4 and self.stations[self.passenger] == here:
                self.passenger = 4
            else:
                reward = -10.0
        elif action == 5:
            if self.passenger == 4 and self.stations[self.destination] == here:
                reward, done = 19.0, True
            else:
                reward = -10.0
        elif here == (3, 2):
            self.fuel = 13
        if self.fuel < 0 and not done:
            reward, done = reward - 20.0, True
        return reward, done

    def step(self, action: int) -> Any:
        """Reward, and whether the episode ended; then a new one has begun."""
        reward, done = self.move(action)
        if done:
            self.reset()
        return reward, done


class BareShip:
    """One ship in plain Python, without observation, time limit and extras.

    Args:
        seed: of its random numbers.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.reset()

    def reset(self) -> Any:
        """Start anew."""
        draw, most = self.random.uniform, math.radians(15.0)
        self.x, self.y = draw(0.0, 1000.0), draw(0.0, 1000.0)
        self.heading, self.rate = draw(-math.pi, math.pi), draw(-most, most)
        self.passed = False

    def move(self, action: float) -> tuple[float, bool]:
        """Reward, and whether the episode ended."""
        desired = min(max(action, -0.2618), 0.2618)
        out = False
        for _ in range(3):
            x, y = self.x + 0.6 * math.cos(self.heading), self.y + 0.6 * math.sin(self.heading)
            if (y < 400.0) != (self.y < 400.0):
                at = self.x + (400.0 - self.y) / (y - self.y) * (x - self.x)
                self.passed = self.passed or 350.0 <= at <= 450.0
            self.heading = (self.heading + 0.2 * self.rate + math.pi) % (2 * math.pi) - math.pi
            self.rate += 0.04 * (desired - self.rate)
            self.x, self.y = x, y
            out = out or not (0.0 <= x <= 1000.0 and 0.0 <= y <= 1000.0)
        return -1.0, self.passed or out

    def step(self, action: float) -> Any:
        """Reward, and whether the episode ended; then a new one has begun."""
        reward, done = self.move(action)
        if done:
            self.reset()
        return reward, done


class PlainTaxi(BareTaxi):
    """The same taxi with the interface of ours: observation, time limit, reward terms and metrics."""

    def reset(self) -> np.ndarray:
        """Start anew; the observation `(20,)`."""
        super().reset()
        self.steps = 0
        return self.observe()

    def observe(self) -> np.ndarray:
        """Observation `(20,)`: row, column, passenger and destination, one-hot, and the share of a full tank."""
        obs = np.zeros(20, dtype=np.float32)
        obs[[self.row, 5 + self.column, 10 + self.passenger, 15 + self.destination]] = 1.0
        obs[19] = self.fuel / 13.0
        return obs

    def step(self, action: int) -> Any:
        """Observation after any reset, reward, terminated, truncated and extras."""
        reward, terminated = self.move(action)
        self.steps += 1
        truncated = self.steps >= 100 and not terminated
        delivered, dry = reward == 19.0, reward < -20.0
        illegal = reward in (-10.0, -30.0)
        obs = last = self.observe()
        if terminated or truncated:
            obs = self.reset()
        terms = {"step": 0.0 if illegal else -1.0, "delivery": 20.0 * delivered, "illegal": -10.0 * illegal}
        metrics = {"success_rate": float(delivered), "dry_rate": float(dry)}
        info = {"terminal_obs": last, "terms": terms | {"dry": -20.0 * dry}, "metrics": metrics}
        return obs, reward, terminated, truncated, info


class PlainShip(BareShip):
    """The same ship with the interface of ours."""

    def reset(self) -> np.ndarray:
        """Start anew; the observation `(5,)`."""
        super().reset()
        self.steps = 0
        return self.observe()

    def observe(self) -> np.ndarray:
        """Observation `(5,)`: position and turn rate in [-1, 1], cosine and sine of the heading."""
        turn = self.rate / math.radians(15.0)
        obs = (self.x / 500.0 - 1.0, self.y / 500.0 - 1.0, math.cos(self.heading), math.sin(self.heading), turn)
        return np.array(obs, dtype=np.float32)

    def step(self, action: float) -> Any:
        """Observation after any reset, reward, terminated, truncated and extras."""
        reward, terminated = self.move(action)
        self.steps += 1
        truncated = self.steps >= 1000 and not terminated
        goal = float(self.passed)
        obs = last = self.observe()
        if terminated or truncated:
            obs = self.reset()
        metrics = {"success_rate": goal, "out_rate": float(terminated) - goal}
        info = {"terminal_obs": last, "terms": {"step": reward, "goal": 0.0, "out": 0.0}, "metrics": metrics}
        return obs, reward, terminated, truncated, info


def ours(task: str, num_envs: int) -> Stepper:
    """A function that takes steps with our environment."""
    env = isaachrl.make(task, num_envs=num_envs)
    generator = torch.Generator().manual_seed(0)
    if task == "TaxiFuel":
        actions = torch.randint(7, (ROUNDS, num_envs), generator=generator).to(env.device)
    else:
        actions = (0.5 * torch.rand(ROUNDS, num_envs, 1, generator=generator) - 0.25).to(env.device)

    def block(steps: int) -> None:
        for i in range(steps):
            env.step(actions[i % ROUNDS])

    return block


def plain(kind: type[BareTaxi] | type[BareShip]) -> Stepper:
    """A function that takes steps with the plain loop over environments."""
    envs: list[Any] = [kind(seed) for seed in range(PLAIN_ENVS)]
    draw = random.Random(0)
    action = (lambda: draw.randrange(7)) if issubclass(kind, BareTaxi) else (lambda: draw.uniform(-0.25, 0.25))
    actions = [[action() for _ in envs] for _ in range(ROUNDS)]

    def block(steps: int) -> None:
        for i in range(steps):
            for env, chosen in zip(envs, actions[i % ROUNDS], strict=True):
                env.step(chosen)

    return block


def gymnasium_taxi() -> Stepper | None:
    """A function that takes steps with Gymnasium's Taxi without wrappers; None where it is not installed."""
    if importlib.util.find_spec("gymnasium") is None:
        return None
    import gymnasium
    from gymnasium.envs.registration import registry

    name = max(name for name in registry if name.startswith("Taxi-v"))
    envs: list[Any] = [gymnasium.make(name).unwrapped for _ in range(PLAIN_ENVS)]
    for seed, env in enumerate(envs):
        env.reset(seed=seed)
    draw = random.Random(0)
    actions = [[draw.randrange(6) for _ in envs] for _ in range(ROUNDS)]

    def block(steps: int) -> None:
        for i in range(steps):
            for env, chosen in zip(envs, actions[i % ROUNDS], strict=True):
                if env.step(chosen)[2]:
                    env.reset()

    return block


def race(steppers: dict[str, tuple[Stepper, int]], seconds: float, clock: Clock) -> dict[str, float]:
    """Steps per second over all environments, by name: the median over alternating blocks.

    Args:
        steppers: a function that takes a number of steps, and its number of environments.
        seconds: of each; at least three blocks.
        clock: to measure with.
    """
    lengths, rates = {}, {name: list[float]() for name in steppers}
    for name, (block, _) in steppers.items():
        block(2)
        start = clock()
        block(4)
        lengths[name] = max(round(4 * BLOCK_S / max(clock() - start, 1e-9)), 1)
    for _ in range(max(round(seconds / BLOCK_S), 3)):
        for name, (block, envs) in steppers.items():
            start = clock()
            block(lengths[name])
            rates[name].append(lengths[name] * envs / (clock() - start))
    return {name: round(statistics.median(found)) for name, found in rates.items()}


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    options = config.build(Options, {key: value for key, _, value in (word.partition("=") for word in arguments)})
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    taxi = {
        "ours": (ours("TaxiFuel", options.num_envs), options.num_envs),
        "python": (plain(PlainTaxi), PLAIN_ENVS),
        "bare": (plain(BareTaxi), PLAIN_ENVS),
    }
    if (gymnasium := gymnasium_taxi()) is not None:
        taxi["gymnasium"] = (gymnasium, PLAIN_ENVS)
    ship = {
        "ours": (ours("ShipSteering", options.num_envs), options.num_envs),
        "python": (plain(PlainShip), PLAIN_ENVS),
        "bare": (plain(BareShip), PLAIN_ENVS),
    }
    result: dict[str, Any] = asdict(options) | {
        "clock": options.clock.value,
        "torch": version("torch"),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
    }
    for name, steppers in (("taxi", taxi), ("ship", ship)):
        rates = race(steppers, options.seconds, options.clock)
        others = max(rate for other, rate in rates.items() if other not in ("ours", "bare"))
        ratios = {"ratio": rates["ours"] / others, "ratio_to_bare": rates["ours"] / rates["bare"]}
        result[name] = {f"{other}_steps_per_s": rate for other, rate in rates.items()}
        result[name] |= {key: float(f"{ratio:.3g}") for key, ratio in ratios.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
