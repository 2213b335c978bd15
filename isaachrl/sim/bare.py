"""The engines without the tensor interface: the baseline of throughput benchmarks."""

from typing import Any, Protocol

import numpy as np
from mujoco import batch
from torch import Tensor

from isaachrl.sim.sim import Sim
from isaachrl.sim.worlds import CpuWorlds


class Bare(Protocol):
    """An engine without the tensor interface."""

    def follow(self) -> None:
        """Copy the simulation's whole state."""
        ...

    def step(self, ctrl: Tensor, substeps: int) -> None:
        """Apply `ctrl (N, A)` for `substeps` physics steps."""
        ...


def bare_engine(sim: Sim) -> Bare:
    """A bare engine with the model, number of worlds and threads of a simulation."""
    return BareEngine(sim.worlds) if isinstance(sim.worlds, CpuWorlds) else BareWarp(sim.worlds)


class BareEngine:
    """A second batch of the CPU engine's worlds; a step copies only the controls.

    Args:
        worlds: give the model, number of worlds and threads.
    """

    def __init__(self, worlds: CpuWorlds) -> None:
        self._worlds = worlds
        self._batch = batch.Batch(worlds.model, worlds.num_worlds, worlds.num_threads, persistent=True)
        self._ctrl = self._batch.bind("ctrl")

    @property
    def engine_state(self) -> np.ndarray:
        """`(N, S)` float64: the engine's state of each world; read-only."""
        return self._batch.state

    def follow(self) -> None:
        """See `Bare.follow`."""
        self._batch.state[:] = self._worlds.engine_state
        self._batch.forward(None)

    def step(self, ctrl: Tensor, substeps: int) -> None:
        """See `Bare.step`."""
        self._ctrl[:] = ctrl.numpy()
        self._batch.step(None, substeps)


class BareWarp:
    """A second copy of Warp's worlds; on a GPU its plain physics steps replay as one CUDA graph.

    Args:
        worlds: give the model, number of worlds, capacities and device.
    """

    def __init__(self, worlds: Any) -> None:
        room = worlds.nconmax, worlds.njmax
        self._worlds = worlds
        self._copy: Any = type(worlds)(worlds.model, worlds.num_worlds, worlds.device, *room)

    def follow(self) -> None:
        """See `Bare.follow`."""
        self._copy.load_state_dict(self._worlds.state_dict())

    def step(self, ctrl: Tensor, substeps: int) -> None:
        """See `Bare.step`."""
        self._copy.ctrl.copy_(ctrl)
        self._copy.step_bare(substeps)

    @property
    def qpos(self) -> Tensor:
        """`(N, nq)` generalised positions."""
        return self._copy.field("qpos")
