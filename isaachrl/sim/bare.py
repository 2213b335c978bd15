"""The engine alone, without the tensors around it: what the simulation's own cost is measured against."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from mujoco import batch
from torch import Tensor

from isaachrl.sim.base import Sim
from isaachrl.sim.mujoco_sim import MujocoSim

if TYPE_CHECKING:
    from isaachrl.sim.warp_sim import WarpSim


class Bare(Protocol):
    """An engine alone."""

    def follow(self) -> None:
        """Take over the simulation's present state, with everything that the next step starts from."""
        ...

    def step(self, ctrl: Tensor, substeps: int) -> None:
        """Apply `ctrl (N, A)` for a number of physics steps."""
        ...


def bare_engine(sim: Sim) -> Bare:
    """The engine of a simulation alone, with as many worlds and as many threads."""
    return BareEngine(sim) if isinstance(sim, MujocoSim) else BareWarp(sim)  # pyright: ignore[reportArgumentType]


class BareEngine:
    """The worlds of a simulation a second time, stepped with nothing copied but the controls.

    Args:
        sim: whose model, number of worlds and threads are taken.
    """

    def __init__(self, sim: MujocoSim) -> None:
        self._sim = sim
        self._batch = batch.Batch(sim.model, sim.num_envs, sim.num_threads, persistent=True)
        self._ctrl = self._batch.bind("ctrl")

    @property
    def engine_state(self) -> np.ndarray:
        """`(N, S)` float64: the engine's own numbers of each world, to be read."""
        return self._batch.state

    def follow(self) -> None:
        """Take over the simulation's present state, with everything that the next step starts from."""
        self._batch.state[:] = self._sim.engine_state
        self._batch.forward(None)

    def step(self, ctrl: Tensor, substeps: int) -> None:
        """Apply `ctrl (N, A)` for a number of physics steps."""
        self._ctrl[:] = ctrl.numpy()
        self._batch.step(None, substeps)


class BareWarp:
    """The worlds of a simulation on the GPU engine a second time: on a GPU, one CUDA graph of plain steps.

    Args:
        sim: whose scene, number of worlds and device are taken.
    """

    def __init__(self, sim: "WarpSim") -> None:
        self._sim = sim
        self._twin = type(sim)(sim.scene, sim.num_envs, sim.device)

    def follow(self) -> None:
        """See `Bare.follow`."""
        self._twin.load_state_dict(self._sim.state_dict())

    def step(self, ctrl: Tensor, substeps: int) -> None:
        """See `Bare.step`."""
        self._twin.ctrl.copy_(ctrl)
        self._twin.step_bare(substeps)

    @property
    def qpos(self) -> Tensor:
        """`(N, nq)` where the worlds are."""
        return self._twin.qpos
