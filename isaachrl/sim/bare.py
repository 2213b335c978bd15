"""The engines without the tensor interface: the baseline of throughput benchmarks."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from mujoco import batch
from torch import Tensor

from isaachrl.sim.base import Sim
from isaachrl.sim.mujoco_sim import MujocoSim

if TYPE_CHECKING:
    from isaachrl.sim.warp_sim import WarpSim


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
    return BareEngine(sim) if isinstance(sim, MujocoSim) else BareWarp(sim)  # pyright: ignore[reportArgumentType]


class BareEngine:
    """A second batch of the CPU engine's worlds; a step copies only the controls.

    Args:
        sim: gives the model, number of worlds and threads.
    """

    def __init__(self, sim: MujocoSim) -> None:
        self._sim = sim
        self._batch = batch.Batch(sim.model, sim.num_envs, sim.num_threads, persistent=True)
        self._ctrl = self._batch.bind("ctrl")

    @property
    def engine_state(self) -> np.ndarray:
        """`(N, S)` float64: the engine's state of each world; read-only."""
        return self._batch.state

    def follow(self) -> None:
        """See `Bare.follow`."""
        self._batch.state[:] = self._sim.engine_state
        self._batch.forward(None)

    def step(self, ctrl: Tensor, substeps: int) -> None:
        """See `Bare.step`."""
        self._ctrl[:] = ctrl.numpy()
        self._batch.step(None, substeps)


class BareWarp:
    """A second copy of a Warp simulation; on a GPU its plain physics steps replay as one CUDA graph.

    Args:
        sim: gives the scene, number of worlds and device.
    """

    def __init__(self, sim: "WarpSim") -> None:
        self._sim = sim
        self._copy = type(sim)(sim.scene, sim.num_envs, sim.device)

    def follow(self) -> None:
        """See `Bare.follow`."""
        self._copy.load_state_dict(self._sim.state_dict())

    def step(self, ctrl: Tensor, substeps: int) -> None:
        """See `Bare.step`."""
        self._copy.ctrl.copy_(ctrl)
        self._copy.step_bare(substeps)

    @property
    def qpos(self) -> Tensor:
        """`(N, nq)` generalised positions."""
        return self._copy.qpos
