"""How many steps a second thousands of taxis and ships take at once, beside one at a time in plain Python.

    python benchmarks/tabular.py [num_envs=4096] [seconds=5] [threads=0] [clock=wall|cpu]

Three ways in one run, in turns: ours; a loop over environments in plain Python that keeps no more than it must; and
Gymnasium's Taxi where it is installed, which has no fuel. Actions are random and drawn beforehand for all of them.
`ratio` is ours over the faster of the others. One JSON line goes to standard output.
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
import torch

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.errors import IsaacHRLError
from tasks.taxi_fuel import STATIONS, STEPS, WALLS

BLOCK_S = 0.25
PLAIN_ENVS = 64  # of the plain loops: more would only cost memory
ROUNDS = 64  # steps with actions drawn beforehand

Stepper = Callable[[int], None]


class Clock(Enum):
    """What a second is."""

    wall = "wall"
    cpu = "cpu"

    def __call__(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter() if self is Clock.wall else time.process_time()


@dataclass
class Options:
    """What can be typed.

    Args:
        num_envs: taxis, and ships, at once.
        seconds: of each measurement.
        threads: threads of PyTorch; 0 leaves them as they are.
        clock: `wall`, or `cpu` to count only the time that this process really ran, over all its threads: for a
            machine that others use too.
    """

    num_envs: int = 4096
    seconds: float = 5.0
    threads: int = 0
    clock: Clock = Clock.wall


class PlainTaxi:
    """One taxi with fuel, as one would write it without tensors."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stations = list(STATIONS.values())
        self.walls = {(cell, 2) for cell in WALLS} | {((row, column + 1), 3) for row, column in WALLS}
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        draw = self.random.randrange
        self.row, self.column, self.passenger, self.fuel = draw(5), draw(5), draw(4), 5 + draw(8)
        self.destination = (self.passenger + 1 + draw(3)) % 4

    def step(self, action: int) -> tuple[float, bool]:
        """Reward, and whether the episode ended; then a new one has begun."""
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
        if done:
            self.reset()
        return reward, done


class PlainShip:
    """One ship, as one would write it without tensors."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        draw = self.random.uniform
        self.x, self.y = draw(0.0, 1000.0), draw(0.0, 1000.0)
        self.heading, self.rate = draw(-math.pi, math.pi), draw(-0.2618, 0.2618)

    def step(self, action: float) -> tuple[float, bool]:
        """Reward, and whether the episode ended; then a new one has begun."""
        desired = min(max(action, -0.2618), 0.2618)
        done = False
        for _ in range(3):
            x, y = self.x + 0.6 * math.cos(self.heading), self.y + 0.6 * math.sin(self.heading)
            if (y < 400.0) != (self.y < 400.0):
                at = self.x + (400.0 - self.y) / (y - self.y) * (x - self.x)
                done = done or 350.0 <= at <= 450.0
            self.heading = (self.heading + 0.2 * self.rate + math.pi) % (2 * math.pi) - math.pi
            self.rate += 0.04 * (desired - self.rate)
            self.x, self.y = x, y
            done = done or not (0.0 <= x <= 1000.0 and 0.0 <= y <= 1000.0)
        if done:
            self.reset()
        return -1.0, done


def ours(task: str, num_envs: int) -> Stepper:
    """Blocks of steps of our environment."""
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


def plain(kind: type[PlainTaxi] | type[PlainShip]) -> Stepper:
    """Blocks of steps of the plain loop over environments."""
    envs: list[Any] = [kind(seed) for seed in range(PLAIN_ENVS)]
    draw = random.Random(0)
    action = (lambda: draw.randrange(7)) if kind is PlainTaxi else (lambda: draw.uniform(-0.25, 0.25))
    actions = [[action() for _ in envs] for _ in range(ROUNDS)]

    def block(steps: int) -> None:
        for i in range(steps):
            for env, chosen in zip(envs, actions[i % ROUNDS], strict=True):
                env.step(chosen)

    return block


def gymnasium_taxi() -> Stepper | None:
    """Blocks of steps of Gymnasium's Taxi with nothing wrapped around it; None where it is not installed."""
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
    """Steps of all environments a second, by name: the median over blocks taken in turns.

    Args:
        steppers: a function that takes so many steps, and how many environments each step moves.
        seconds: of each, at least three blocks.
        clock: what a second is.
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
    taxi = {"ours": (ours("TaxiFuel", options.num_envs), options.num_envs), "python": (plain(PlainTaxi), PLAIN_ENVS)}
    if (gymnasium := gymnasium_taxi()) is not None:
        taxi["gymnasium"] = (gymnasium, PLAIN_ENVS)
    ship = {
        "ours": (ours("ShipSteering", options.num_envs), options.num_envs),
        "python": (plain(PlainShip), PLAIN_ENVS),
    }
    result: dict[str, Any] = asdict(options) | {
        "clock": options.clock.value,
        "torch": version("torch"),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
    }
    for name, steppers in (("taxi", taxi), ("ship", ship)):
        rates = race(steppers, options.seconds, options.clock)
        others = max(rate for who, rate in rates.items() if who != "ours")
        result[name] = {f"{who}_steps_per_s": rate for who, rate in rates.items()} | {
            "ratio": round(rates["ours"] / others, 1)
        }
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
