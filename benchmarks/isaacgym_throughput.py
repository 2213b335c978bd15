"""Where the time of an Isaac Gym task's step goes, on the CPU.

    python benchmarks/isaacgym_throughput.py PATH [worlds=1024] [steps=30] [repeats=3] [only=Ant,Humanoid,HumanoidAMP]

PATH is a copy of IsaacGymEnvs with what it needs installed. Its classes run unchanged with random actions in [-1, 1] of
seed 0. Blocks of `steps` control steps alternate with blocks of the bare engine: a second batch of the same worlds,
without tensors, that starts from the state and properties of the block's start, and takes as many physics steps with
the drives' controls of the block. In a control step of the task

- `engine` is the share of the time in `step` and `forward` of MuJoCo's batch,
- `api` the rest of the time in methods of the API, `isaacgym.gymapi.Gym`,
- `own` the rest: the task's own PyTorch.

A step of a task that leaves resets to its agent, as HumanoidAMP, includes `reset_done`. Figures are medians over
`repeats` pairs of blocks, after one pair that does not count. A table goes to standard error, a line of JSON to
standard output.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
import torch
from mujoco import batch
from torch import Tensor

from isaachrl import config
from isaachrl.compat.bridge import IsaacGymEnv, resets_itself
from isaachrl.config import bounded
from isaachrl.errors import ConfigError, IsaacHRLError
from isaachrl.isaacgym import register_task
from isaachrl.sim.bare import BareEngine
from isaachrl.sim.worlds import CpuWorlds

FILES = {"Ant": "ant.py", "Humanoid": "humanoid.py", "HumanoidAMP": "humanoid_amp.py"}


@dataclass
class Options:
    """The command line after PATH.

    Args:
        worlds: N.
        steps: control steps in a block.
        repeats: pairs of blocks.
        only: classes, separated by commas.
    """

    worlds: int = bounded(1024, 1)
    steps: int = bounded(30, 1)
    repeats: int = bounded(3, 1)
    only: str = ",".join(FILES)


@dataclass(frozen=True)
class Block:
    """What a pair of blocks took, in s.

    Args:
        total: all control steps of the task.
        engine: of it, the engine.
        api: of it, the API without the engine.
        bare: the same physics steps in the bare engine.
    """

    total: float
    engine: float
    api: float
    bare: float


class Stopwatch:
    """Adds up the time within calls.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds, self.clock = 0.0, clock

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose time is added."""

        def wrapped(*arguments: Any, **named: Any) -> Any:
            start = self.clock()
            try:
                return call(*arguments, **named)
            finally:
                self.seconds += self.clock() - start

        return wrapped


class Timed:
    """An object whose methods are timed.

    Args:
        inner: the object.
        watch: adds their time up.
        names: of the methods; all if empty.
    """

    def __init__(self, inner: Any, watch: Stopwatch, names: Sequence[str] = ()) -> None:
        self._inner, self._watch, self._names = inner, watch, names

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        chosen = callable(value) and (not self._names or name in self._names)
        return self._watch.timed(value) if chosen else value


class Measurement:
    """Steps a task, and the bare engine.

    Args:
        task: the task.
        bare: the bare engine, with `follow()` and `step(ctrl, substeps)`.
        resets: whether the task resets itself in its step; else its agent does, through `reset_done`.
        clock: seconds.

    Attributes:
        controls: what the engine got in each simulation of the last block, and the number of physics steps of it.
    """

    def __init__(self, task: Any, bare: Any, resets: bool, clock: Callable[[], float] = time.perf_counter) -> None:
        self._task, self._bare, self._resets, self._clock = task, bare, resets, clock
        self._engine, self._api = Stopwatch(clock), Stopwatch(clock)
        self.controls: list[tuple[Tensor, int]] = []
        worlds = task.sim.physics.worlds
        worlds._batch = Timed(worlds._batch, self._engine, ("step", "forward"))
        task.gym = Timed(task.gym, self._api)
        step = worlds.step

        def recorded(substeps: int) -> None:
            self.controls.append((worlds.ctrl.clone(), substeps))
            step(substeps)

        worlds.step = recorded

    def block(self, actions: Sequence[Tensor]) -> Block:
        """Take a control step with each of the actions, then as many physics steps in the bare engine."""
        self._bare.follow()
        self.controls.clear()
        self._engine.seconds = self._api.seconds = 0.0
        start = self._clock()
        for action in actions:
            if not self._resets:
                self._task.reset_done()
            self._task.step(action)
        total = self._clock() - start
        engine, api = self._engine.seconds, self._api.seconds
        start = self._clock()
        for ctrl, substeps in self.controls:
            self._bare.step(ctrl, substeps)
        return Block(total, engine, api - engine, self._clock() - start)


class Bare(BareEngine):
    """The bare engine of worlds whose properties differ.

    Args:
        worlds: whose state it gets.
        drives: number of drives; the other actuators, the springs of limits, are left as they are at the start, since
            their properties follow the state.
    """

    def __init__(self, worlds: CpuWorlds, drives: int) -> None:
        super().__init__(worlds)
        own, source = self._batch, worlds._batch
        names = [name for name in batch.MODEL_FIELDS if source.expanded(name) is not None]
        self._properties = [(own.expand(name), source.expand(name)) for name in names]
        self._drives = drives

    def follow(self) -> None:
        """Copy state and properties; see `BareEngine.follow`."""
        for own, source in self._properties:
            own[:] = source
        super().follow()
        self._ctrl[:] = self._worlds.ctrl.numpy()

    def step(self, ctrl: Tensor, substeps: int) -> None:
        """Apply the drives' columns of `ctrl (N, A)` for `substeps` physics steps."""
        self._ctrl[:, : self._drives] = ctrl[:, : self._drives].numpy()
        self._batch.step(None, substeps)


def summary(blocks: Sequence[Block], num_envs: int, steps: int) -> dict[str, float]:
    """Medians: control steps of all worlds per second with and without the task, and shares of the task's time."""

    def median(values: Sequence[float], digits: int) -> float:
        return round(statistics.median(values), digits)

    return {
        "steps_per_s": median([num_envs * steps / b.total for b in blocks], 0),
        "bare_steps_per_s": median([num_envs * steps / b.bare for b in blocks], 0),
        "ratio": median([b.bare / b.total for b in blocks], 3),
        "engine": median([b.engine / b.total for b in blocks], 3),
        "api": median([b.api / b.total for b in blocks], 3),
        "own": median([(b.total - b.engine - b.api) / b.total for b in blocks], 3),
    }


def measure(root: Path, name: str, options: Options) -> dict[str, Any]:
    """The figures of one class."""
    source = f"{root / 'isaacgymenvs' / 'tasks' / FILES[name]}:{name}"
    env = isaachrl.make(register_task(source), options.worlds, device="cpu")
    assert isinstance(env, IsaacGymEnv)
    task = env.isaac_task
    worlds = task.sim.physics.worlds
    if not isinstance(worlds, CpuWorlds):
        raise ConfigError("this benchmark measures the CPU engine")
    measurement = Measurement(task, Bare(worlds, task.sim.physics.num_dofs), resets_itself(task))
    generator = torch.Generator().manual_seed(0)
    shape = (options.steps, options.worlds, int(task.num_actions))
    blocks: list[Block] = []
    with torch.no_grad():
        for _ in range(options.repeats + 1):
            actions = 2.0 * torch.rand(shape, generator=generator) - 1.0
            blocks.append(measurement.block(list(actions)))
    figures = summary(blocks[1:], options.worlds, options.steps)
    per_step = sum(substeps for _, substeps in measurement.controls) // options.steps
    return {"task": name, **figures, "physics_steps": per_step, "engine_threads": worlds.num_threads}


def main(arguments: Sequence[str]) -> None:
    """Measure and print.

    Raises:
        ConfigError: no copy of IsaacGymEnvs is named, or an option is wrong.
    """
    root = Path(arguments[0] if arguments else "")
    if not arguments or not (root / "isaacgymenvs" / "tasks").is_dir():
        raise ConfigError("type benchmarks/isaacgym_throughput.py PATH, the folder of a copy of IsaacGymEnvs")
    words = {key: value for key, _, value in (word.partition("=") for word in arguments[1:])}
    options = config.build(Options, words)
    if unknown := [name for name in options.only.split(",") if name not in FILES]:
        raise ConfigError(f"only={','.join(unknown)}: choose from {', '.join(FILES)}")
    rows = [measure(root.resolve(), name, options) for name in options.only.split(",")]
    print(*(f"{key:>17}" for key in rows[0]), file=sys.stderr)
    for row in rows:
        print(*(f"{value:>17}" for value in row.values()), file=sys.stderr)
    versions = {name: version(name) for name in ("torch", "mujoco")}
    machine = {"cores": os.cpu_count(), "torch_threads": torch.get_num_threads(), "versions": versions}
    print(json.dumps({**asdict(options), **machine, "tasks": rows}))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
