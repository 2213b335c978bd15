"""The CPU engine: `mujoco.batch` in float64, with float32 copies as tensors.

The engine copies every bound field out at each call, so only fields that are needed are bound.
"""

from collections.abc import Mapping

import mujoco
import numpy as np
import torch
from mujoco import batch
from torch import Tensor

from isaachrl.errors import ConfigError, nearest
from isaachrl.processors import usable_cores
from isaachrl.sim.worlds.worlds import ALL, OF_LAST_STEP, Worlds

_STAGE = mujoco.mjtStage.mjSTAGE_VEL.value  # recompute fields that depend on the state, which lag a substep otherwise
_BAD_STATE = [
    mujoco.mjtWarning.mjWARN_BADQPOS.value,
    mujoco.mjtWarning.mjWARN_BADQVEL.value,
    mujoco.mjtWarning.mjWARN_BADQACC.value,
]
_BOUND = ("qpos", "qvel", "ctrl", "time", "qacc_warmstart", "xpos", "xquat", "cvel", "subtree_com", "sensordata")
_MOCAP = ("mocap_pos", "mocap_quat")  # a step changes them in diverged worlds alone


class CpuWorlds(Worlds):
    """N worlds on `mujoco.batch.Batch`, stepped by a thread pool.

    Args:
        model: of all worlds.
        num_worlds: N.
        device: of the tensors; a CUDA device costs a copy in each step.
        threads: worker threads; 0 uses all cores that the process may use.
    """

    ENGINE = "mujoco"
    STATE = ("state", "ctrl", "num_diverged")

    def __init__(self, model: mujoco.MjModel, num_worlds: int, device: torch.device, threads: int = 0) -> None:
        super().__init__(model, num_worlds, device)
        self._batch = batch.Batch(model, num_worlds, threads or len(usable_cores()), persistent=True)
        self._arrays = {name: self._batch.bind(name) for name in _BOUND}
        self._copies: dict[tuple[str, int | None, int | None], tuple[Tensor, Tensor]] = {}
        self._velocity: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
        self._dirty = np.zeros(num_worlds, bool)
        self._applied: Tensor | None = None  # since a copy of it costs time in each step
        self.ctrl = torch.zeros(num_worlds, model.nu, device=device)
        self._batch.forward(None, _STAGE)

    @property
    def xfrc_applied(self) -> Tensor:
        """See `Worlds.xfrc_applied`."""
        if self._applied is None:
            self._applied = self._copy(as_tensor(self._bind("xfrc_applied")))
        return self._applied

    def field(self, name: str, rows: slice = ALL) -> Tensor:
        """See `Worlds.field`; each costs a copy in each step."""
        key = (name, rows.start, rows.stop)
        if key not in self._copies:
            source = as_tensor(self._bind(name)[:, rows])
            self._copies[key] = source, self._copy(source)
        return self._copies[key][1]

    def _bind(self, name: str) -> np.ndarray:
        """The engine's float64 array of a field."""
        if name not in self._arrays:
            if name not in batch.DATA_FIELDS:
                raise ConfigError(f"mjData has no field {name!r}{nearest(name, batch.DATA_FIELDS)}")
            self._arrays[name] = self._batch.bind(name)
            self._batch.forward(None, _STAGE)  # an output is zero until a call
        return self._arrays[name]

    def _copy(self, source: Tensor) -> Tensor:
        """A float32 copy on the device."""
        return source.to(self.device, torch.float32, memory_format=torch.contiguous_format)

    def origin_velocity(self, bodies: slice) -> Tensor:
        """See `Worlds.origin_velocity`."""
        cvel, pos = self.field("cvel", bodies), self.field("xpos", bodies)
        com = self.field("subtree_com", slice(bodies.start, bodies.start + 1))
        self._velocity = cvel, pos, com, torch.zeros_like(pos)
        self._update_velocity()
        return self._velocity[-1]

    def _update_velocity(self, rows: Tensor | None = None) -> None:
        """Compute what `origin_velocity` has returned, in all worlds or these."""
        if self._velocity is None:
            return
        cvel, pos, com, out = self._velocity
        if rows is None:
            _velocity_at_origin(cvel, pos, com, out)
        else:
            cvel, pos, com, new = (values.index_select(0, rows) for values in self._velocity)
            _velocity_at_origin(cvel, pos, com, new)
            out.index_copy_(0, rows, new)

    def write(self, name: str, values: Tensor, mask: Tensor, columns: slice = ALL, warm: bool = False) -> None:
        """See `Worlds.write`."""
        if not values.numel():
            return
        copy = self.field(name)[:, columns].view(values.shape)
        copy.copy_(torch.where(mask, values, copy))
        wide = mask.expand(values.shape).cpu().numpy()
        # the masked entries only: float32 would round the others
        np.copyto(self._arrays[name][:, columns].reshape(values.shape), copy.cpu().numpy(), where=wide)
        changed = wide.reshape(self.num_worlds, -1).any(1)
        self._dirty |= changed
        if not warm:
            self._arrays["qacc_warmstart"][changed] = 0.0

    def reset(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """See `Worlds.reset`."""
        ids = np.flatnonzero(mask.cpu().numpy())
        if len(ids) == 0:
            return
        for name, values in (("qpos", qpos), ("qvel", qvel)):
            self._arrays[name][ids] = values.cpu().numpy()[ids]
        for name in ("ctrl", "qacc_warmstart", "time"):
            self._arrays[name][ids] = 0.0
        self._dirty[ids] = True
        self.refresh()
        wide = mask.unsqueeze(-1)
        for values in (self.ctrl, *self._sensors()):
            values.masked_fill_(wide, 0)

    def _sensors(self) -> list[Tensor]:
        """Copies of sensors, and the flags of `watch`."""
        copies = [copy for (name, *_), (_, copy) in self._copies.items() if name == "sensordata"]
        return copies if self._found is None else [*copies, self._found]

    def refresh(self) -> None:
        """See `Worlds.refresh`."""
        ids = np.flatnonzero(self._dirty)
        if len(ids) == 0:
            return
        self._batch.warning[ids] = 0
        self._batch.forward(ids, _STAGE)
        rows = torch.from_numpy(ids)
        here = rows.to(self.device)
        for (name, *_), (source, copy) in self._copies.items():
            if name not in OF_LAST_STEP:
                copy.index_copy_(0, here, self._copy(source.index_select(0, rows)))
        self._update_velocity(here)
        self._dirty[:] = False

    def step(self, substeps: int) -> None:
        """See `Worlds.step`."""
        as_tensor(self._arrays["ctrl"]).copy_(self.ctrl)
        if self._applied is not None:
            as_tensor(self._arrays["xfrc_applied"]).copy_(self._applied)
        self._physics(substeps)
        self._dirty[:] = False
        self._clamp()
        bad = self._batch.warning[:, _BAD_STATE, 1].any(1)
        self.diverged.copy_(torch.from_numpy(bad))
        self.num_diverged.add_(self.diverged)
        for (name, *_), (source, copy) in self._copies.items():
            if name not in _MOCAP or bad.any():
                copy.copy_(source)
        self._update_velocity()
        if bad.any():
            self._warn_of_diverged(int(bad.sum()))
            self._batch.warning[bad] = 0  # else they would count as diverged in the next step, too
            if self._found is not None:
                self._found.masked_fill_(self.diverged.unsqueeze(-1), False)
            self._restart(self.diverged)
            self.refresh()

    def _physics(self, substeps: int) -> None:
        """All physics steps in one call, or one by one to read the sensors of each."""
        calls = substeps if self._every_substep else 1
        found = np.zeros((), bool)
        for _ in range(calls):
            self._batch.step(None, substeps // calls, _STAGE)
            if self._found is not None:
                found = found | (self._arrays["sensordata"][:, self._first_watched :] > 0)
        if self._found is not None:
            self._found.copy_(torch.from_numpy(found))

    def _clamp(self) -> None:
        """Clamp velocities, and bring what depends on them up to date."""
        if self.max_velocity is None:
            return
        qvel, limit = self._arrays["qvel"], self.max_velocity.numpy()
        fast = np.flatnonzero((np.abs(qvel) > limit).any(1))
        if len(fast):
            qvel[fast] = np.clip(qvel[fast], -limit[fast], limit[fast])
            self._batch.forward(fast, _STAGE)

    def rays(self, origin_w: Tensor, direction_w: Tensor, group: int) -> Tensor:
        """See `Worlds.rays`."""
        groups = [int(i == group) for i in range(mujoco.mjNGROUP)]
        distance, _ = self._batch.ray(origin_w.cpu().numpy(), direction_w.cpu().numpy(), geomgroup=groups)
        found = torch.from_numpy(distance).to(origin_w)
        return torch.where(found < 0, torch.inf, found)

    def model_field(self, name: str) -> Tensor:
        """See `Worlds.model_field`: float64."""
        if name not in batch.MODEL_FIELDS:
            raise ConfigError(
                f"the model field {name!r} cannot differ between worlds{nearest(name, batch.MODEL_FIELDS)}"
            )
        return as_tensor(self._batch.expand(name))

    def apply_model_fields(self) -> None:
        """See `Worlds.apply_model_fields`."""
        self._batch.set_const()
        self._dirty[:] = True
        self.refresh()

    @property
    def num_threads(self) -> int:
        """Number of worker threads."""
        return self._batch.nthread

    @property
    def engine_state(self) -> np.ndarray:
        """`(N, S)` float64: the engine's state of each world; read-only."""
        return self._batch.state

    def state_dict(self) -> dict[str, Tensor]:
        """See `Worlds.state_dict`."""
        return {
            "state": torch.tensor(self._batch.state),
            "ctrl": self.ctrl.clone(),
            "num_diverged": self.num_diverged.clone(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Worlds.load_state_dict`."""
        self._batch.state[:] = state["state"].cpu().numpy()
        self._dirty[:] = True
        self.refresh()
        self.ctrl.copy_(state["ctrl"])
        self.num_diverged.copy_(state["num_diverged"])
        if self._applied is not None:
            self._applied.copy_(as_tensor(self._arrays["xfrc_applied"]))


def _velocity_at_origin(cvel: Tensor, pos: Tensor, com: Tensor, out: Tensor) -> None:
    """Linear velocities `(n, B, 3)` of body origins; `cvel (n, B, 6)` is the velocity at the tree's centre of mass."""
    torch.add(cvel[..., 3:], torch.linalg.cross(cvel[..., :3], pos - com), out=out)


def as_tensor(array: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory; tensors of the engine's read-only outputs must not be written to."""
    if array.flags.writeable:
        return torch.from_numpy(array)
    interface = {**array.__array_interface__, "data": (array.__array_interface__["data"][0], False)}
    return torch.from_numpy(np.asarray(_WritableMemory(interface, array)))


class _WritableMemory:
    """Declares a read-only array's memory as writable, since PyTorch warns of read-only arrays."""

    def __init__(self, interface: dict[str, object], owner: np.ndarray) -> None:
        self.__array_interface__ = interface
        self.owner = owner
