"""N worlds of any MuJoCo model as float32 tensors: the interface, and the CPU engine.

`isaachrl.sim.Sim` is the interface for scenes with one robot; this one knows no robot.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable

import mujoco
import numpy as np
import torch
from mujoco import batch
from torch import Tensor

from isaachrl.errors import ConfigError, nearest
from isaachrl.sim.mujoco_sim import BAD_STATE, as_tensor

log = logging.getLogger(__name__)

STATE_FIELDS = ("qpos", "qvel", "mocap_pos", "mocap_quat")  # what `write` changes
INPUT_FIELDS = ("ctrl", "xfrc_applied")  # written as a whole before `step`
OF_LAST_STEP = ("sensordata", "actuator_force", "qacc")  # fields that `refresh` leaves alone
_STAGE = mujoco.mjtStage.mjSTAGE_VEL.value


class Worlds(ABC):
    """N worlds of one model.

    Attributes:
        model: MuJoCo's model that all worlds share.
        num_worlds: N.
        device: of the tensors.
        ctrl: `(N, nu)` controls, written by the caller before `step`.
        xfrc_applied: `(N, nbody, 6)` force and torque in the world frame at the centre of mass, likewise.
        num_diverged: `(N,)` how often each world has diverged: it is then put back to its start.
        max_velocity: `(N, nv)` that velocities are clamped to at the end of each `step`; None does not.
    """

    model: mujoco.MjModel
    num_worlds: int
    device: torch.device
    ctrl: Tensor
    xfrc_applied: Tensor
    num_diverged: Tensor
    max_velocity: Tensor | None = None

    @abstractmethod
    def field(self, name: str) -> Tensor:
        """A field of MuJoCo's `mjData`, `(N, …)`: updated in place by `step` and `refresh`; read-only."""

    @abstractmethod
    def write(self, name: str, values: Tensor, mask: Tensor) -> None:
        """Set entries of a state field: qpos, qvel, mocap_pos or mocap_quat.

        Args:
            name: of the field.
            values: of its shape.
            mask: bool, broadcast to its shape: the entries to set.
        """

    @abstractmethod
    def refresh(self) -> None:
        """Bring fields that depend on the state up to date, in worlds that `write` has changed."""

    @abstractmethod
    def step(self, substeps: int) -> None:
        """Take physics steps, and update all fields."""

    @abstractmethod
    def model_field(self, name: str) -> Tensor:
        """Per-world values `(N, …)` of a model field; write in place, then `apply_model_fields`."""

    @abstractmethod
    def apply_model_fields(self) -> None:
        """Recompute the constants that depend on changed model fields."""

    def start_at(self, **state: Tensor) -> None:
        """Set the state fields of all worlds, which is also where a diverged world is put back to."""
        self._start = {name: values.clone() for name, values in state.items()}
        for name, values in self._start.items():
            self.write(name, values, torch.ones((), dtype=torch.bool, device=self.device))
        self.refresh()


class CpuWorlds(Worlds):
    """N worlds on `mujoco.batch`, which computes in float64.

    Args:
        model: of all worlds.
        num_worlds: N.
        threads: worker threads; 0 uses all cores.
    """

    def __init__(self, model: mujoco.MjModel, num_worlds: int, threads: int = 0) -> None:
        self.model, self.num_worlds, self.device = model, num_worlds, torch.device("cpu")
        self._batch = batch.Batch(model, num_worlds, threads, persistent=True)
        self._arrays: dict[str, np.ndarray] = {}
        self._copies: dict[str, Tensor] = {}
        self._dirty = np.zeros(num_worlds, bool)
        self._start: dict[str, Tensor] = {}
        self._warmstart = self._batch.bind("qacc_warmstart")
        self._inputs = {name: self._batch.bind(name) for name in INPUT_FIELDS}
        self.ctrl, self.xfrc_applied = (torch.zeros(self._inputs[name].shape) for name in INPUT_FIELDS)
        self.num_diverged = torch.zeros(num_worlds, dtype=torch.long)
        for name in STATE_FIELDS:
            self.field(name)

    def field(self, name: str) -> Tensor:
        """See `Worlds.field`; each field costs a copy in each step."""
        if name not in self._copies:
            if name not in batch.DATA_FIELDS:
                raise ConfigError(f"mjData has no field {name!r}{nearest(name, batch.DATA_FIELDS)}")
            self._arrays[name] = self._batch.bind(name)
            self._copies[name] = torch.zeros(self._arrays[name].shape)
            self._batch.forward(None, _STAGE)
            self._copy_out([name])
        return self._copies[name]

    def write(self, name: str, values: Tensor, mask: Tensor) -> None:
        """See `Worlds.write`."""
        copy, array = self._copies[name], self._arrays[name]
        wide = mask.expand(copy.shape)
        copy.copy_(torch.where(wide, values, copy))
        np.copyto(array, copy.numpy(), where=wide.numpy())  # the rest keeps the engine's precision
        changed = wide.flatten(1).any(1).numpy() if wide.numel() else np.zeros(self.num_worlds, bool)
        self._dirty |= changed
        self._warmstart[changed] = 0.0

    def refresh(self) -> None:
        """See `Worlds.refresh`."""
        ids = np.flatnonzero(self._dirty)
        if not len(ids):
            return
        self._batch.warning[ids] = 0
        self._batch.forward(ids, _STAGE)
        rows = torch.from_numpy(ids)
        for name, copy in self._copies.items():
            if name not in OF_LAST_STEP:
                copy.index_copy_(0, rows, torch.from_numpy(np.asarray(self._arrays[name])[ids]).float())
        self._dirty[:] = False

    def step(self, substeps: int) -> None:
        """See `Worlds.step`."""
        for name, array in self._inputs.items():
            as_tensor(array).copy_(getattr(self, name))
        self._batch.step(None, substeps, _STAGE)
        self._dirty[:] = False
        self._clamp()
        self._copy_out(self._copies)
        bad = self._batch.warning[:, BAD_STATE, 1].any(1)
        if bad.any():
            self._restart(torch.from_numpy(bad))

    def _clamp(self) -> None:
        """Clamp velocities, and bring what depends on them up to date."""
        if self.max_velocity is None:
            return
        qvel, limit = self._arrays["qvel"], self.max_velocity.numpy()
        fast = np.flatnonzero((np.abs(qvel) > limit).any(1))
        if len(fast):
            qvel[fast] = np.clip(qvel[fast], -limit[fast], limit[fast])
            self._batch.forward(fast, _STAGE)

    def _restart(self, bad: Tensor) -> None:
        """Put diverged worlds back to their start."""
        if not self.num_diverged.any():
            log.warning("%d worlds diverged and were put back to their start; num_diverged counts them", int(bad.sum()))
        self.num_diverged.add_(bad)
        for name, values in self._start.items():
            self.write(name, values, bad.view(-1, *[1] * (values.dim() - 1)))
        for copy in self._copies.values():
            copy[bad] = copy[bad].nan_to_num(0.0, 0.0, 0.0)
        self.refresh()

    def _copy_out(self, names: Iterable[str]) -> None:
        """Copy the engine's fields into the tensors."""
        for name in names:
            self._copies[name].copy_(as_tensor(self._arrays[name]))

    def model_field(self, name: str) -> Tensor:
        """See `Worlds.model_field`: float64."""
        return as_tensor(self._batch.expand(name))

    def apply_model_fields(self) -> None:
        """See `Worlds.apply_model_fields`."""
        self._batch.set_const()
        self._dirty[:] = True
