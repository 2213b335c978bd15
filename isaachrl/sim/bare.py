"""The engine alone, without the tensors around it: what the simulation's own cost is measured against."""

import numpy as np
from mujoco import batch
from torch import Tensor

from isaachrl.sim.mujoco_sim import MujocoSim


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
