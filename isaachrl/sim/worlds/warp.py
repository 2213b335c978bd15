"""N worlds of any MuJoCo model on MuJoCo Warp. The tensors share its float32 arrays, and nothing synchronizes.

A step is one CUDA graph on a GPU: its physics steps, and then the kinematics of the new state.
"""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import mujoco
import numpy as np
import torch
import warp as wp
from torch import Tensor

wp.config.log_level = wp.LOG_WARNING  # before MuJoCo Warp initializes Warp, which prints the devices

import mujoco_warp as mjw  # noqa: E402

from isaachrl.errors import ConfigError  # noqa: E402
from isaachrl.sim import warp_kernels  # noqa: E402
from isaachrl.sim.warp_sim import _OVERFLOWS, LARGEST, POOL_SLACK, _exchange  # noqa: E402
from isaachrl.sim.worlds.worlds import INPUT_FIELDS, Worlds  # noqa: E402

log = logging.getLogger(__name__)

_PER_PAIR, _PER_BODY = 8, 12  # contacts, at most, of a pair of geoms, and of a body in the average world
_ROWS_PER_CONTACT, _ROWS_PER_BODY = 4, 40  # constraint rows
_MAX_GROWTH = 16  # capacities grow up to this multiple of their first values
_BOX_CONTACTS = int(mjw.DisableBit.NATIVECCD)  # makes Warp find those of two boxes like the CPU engine, no more
_CONSTANTS = (
    "body_subtreemass", "body_invweight0", "dof_invweight0", "tendon_invweight0", "actuator_acc0", "geom_rbound",
    "geom_aabb",
)  # fmt: skip


def capacity(model: mujoco.MjModel) -> dict[str, int]:
    """Room for contacts on the average world and for constraint rows: what all pairs of geoms need, or less."""
    kind, other, weld = model.geom_contype, model.geom_conaffinity, model.body_weldid[model.geom_bodyid]
    touch = ((kind[:, None] & other) | (other[:, None] & kind)) != 0
    pairs = int(np.count_nonzero(np.triu(touch & (weld[:, None] != weld), 1)))
    contacts = max(min(_PER_PAIR * pairs, _PER_BODY * model.nbody), 1)
    others = 2 * model.nv + 6 * model.neq + model.ntendon  # limits, friction and equalities
    return {"nconmax": contacts, "njmax": min(_ROWS_PER_CONTACT * contacts, _ROWS_PER_BODY * model.nbody) + others}


class WarpWorlds(Worlds):
    """N worlds on MuJoCo Warp.

    Args:
        model: of all worlds.
        num_worlds: N.
        device: a CUDA device, or the CPU (one thread, slow: for tests).
    """

    def __init__(self, model: mujoco.MjModel, num_worlds: int, device: torch.device) -> None:
        index = device.index if device.index is not None or device.type == "cpu" else torch.cuda.current_device()
        self.model, self.num_worlds, self.device = model, num_worlds, torch.device(device.type, index)
        self.capacity = capacity(model)
        self._most = {name: _MAX_GROWTH * size for name, size in self.capacity.items()}
        self._graphs: dict[str, wp.Graph | None] = {}
        self._start: dict[str, Tensor] = {}
        self._fields: dict[str, Tensor] = {}
        self._said: set[str] = set()  # capacities that were logged
        self._dirty = False
        with self._scope():
            self._m = mjw.put_model(model)
            self._m.opt.warn_overflow = 0  # printing from kernels is slow
            self._m.opt.disableflags |= _BOX_CONTACTS
            self._d = self._make_data()
            self.ctrl, self.xfrc_applied = (wp.to_torch(getattr(self._d, name)) for name in INPUT_FIELDS)
            self._overflow = wp.to_torch(self._d.overflow)
            self._flags = torch.zeros(num_worlds, dtype=torch.bool, device=self.device)
            self._diverged = wp.from_torch(self._flags)
            self._mocap_pos0 = wp.array(wp.to_torch(self._d.mocap_pos)[0].cpu().numpy(), dtype=wp.vec3)
        self.num_diverged = torch.zeros(num_worlds, dtype=torch.long, device=self.device)
        self._exceeded = torch.zeros(len(_OVERFLOWS), dtype=torch.bool, pin_memory=self.device.type == "cuda")
        self._run("refresh", self._kinematics)

    def _make_data(self) -> mjw.Data:
        """The engine's arrays with the present capacities."""
        contacts = self.capacity["nconmax"]
        pool = self.num_worlds * contacts + POOL_SLACK
        return mjw.make_data(
            self.model, nworld=self.num_worlds, nconmax=contacts, naconmax=pool, njmax=self.capacity["njmax"]
        )

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """Launch kernels on this device, in PyTorch's stream."""
        if self.device.type == "cpu":
            with wp.ScopedDevice("cpu"):
                yield
        else:
            with wp.ScopedStream(wp.stream_from_torch(self.device), sync_enter=False):
                yield

    def _run(self, name: str, work: Callable[[], None]) -> None:
        """Run a function that only launches kernels: on a GPU eagerly the first time, then as a CUDA graph."""
        with self._scope():
            if self.device.type == "cpu" or name not in self._graphs:
                self._graphs[name] = None
                work()  # loads the kernels, which is not possible during a capture
                return
            if self._graphs[name] is None:
                self._graphs[name] = _capture(work)
            wp.capture_launch(self._graphs[name])

    @property
    def captured(self) -> set[str]:
        """Names of what runs as a CUDA graph by now."""
        return {name for name, graph in self._graphs.items() if graph is not None}

    def field(self, name: str) -> Tensor:
        """See `Worlds.field`."""
        if name not in self._fields:
            array = getattr(self._d, name, None)
            if not isinstance(array, wp.array):
                raise ConfigError(f"MuJoCo Warp has no field {name!r} of this kind")
            self._fields[name] = wp.to_torch(array)
        return self._fields[name]

    def write(self, name: str, values: Tensor, mask: Tensor) -> None:
        """See `Worlds.write`."""
        field = self.field(name)
        field.copy_(torch.where(mask, values, field))
        changed = mask.expand(field.shape).flatten(1).any(1)
        self.field("qacc_warmstart").masked_fill_(changed.unsqueeze(-1), 0.0)
        self._dirty = True

    def refresh(self) -> None:
        """See `Worlds.refresh`: all worlds at once."""
        if self._dirty:
            self._run("refresh", self._kinematics)
            self._dirty = False

    def _kinematics(self) -> None:
        """Recompute positions and velocities of bodies."""
        mjw.kinematics(self._m, self._d)
        mjw.com_pos(self._m, self._d)
        mjw.com_vel(self._m, self._d)

    def step(self, substeps: int) -> None:
        """See `Worlds.step`."""
        self._make_room()
        self._flags.zero_()
        self._run(f"step {substeps}", lambda: self._physics(substeps))
        self._dirty = False
        self.num_diverged.add_(self._flags)
        for name, values in self._start.items():  # where a world has diverged
            field = self.field(name)
            field.copy_(torch.where(self._flags.view(-1, *[1] * (field.dim() - 1)), values, field))
        if self.max_velocity is not None:
            self.field("qvel").clamp_(-self.max_velocity, self.max_velocity)
        self.field("sensordata").masked_fill_(self._flags.unsqueeze(-1), 0.0)
        self._run("refresh", self._kinematics)

    def _make_room(self) -> None:
        """Double capacities that a step before has exceeded, and say so.

        The flags are copied into host memory without waiting, so that one is seen a step or more after it was set.
        """
        if bool(self._exceeded.any()):
            names = {name for name, over in zip(_OVERFLOWS, self._exceeded.tolist(), strict=True) if over}
            self._exceeded.zero_()
            self._overflow.zero_()
            growing = {name for name in names if self.capacity.get(name, 0) < self._most.get(name, 0)}
            self._grow(growing)
            self._full(names - growing)
        flags = [(self._overflow & int(bits)).any() for bits in _OVERFLOWS.values()]
        self._exceeded.copy_(torch.stack(flags), non_blocking=True)

    def _grow(self, names: set[str]) -> None:
        """Double capacities by exchanging the arrays of contacts and constraints; the state and the tensors stay."""
        if not names:
            return
        self.capacity |= {name: 2 * self.capacity[name] for name in names}
        with self._scope():
            _exchange(self._d, self._make_data())
        self._graphs.clear()
        sizes = ", ".join(f"{name}={self.capacity[name]}" for name in names)
        log.warning(
            "there were more contacts than expected, and some were left out; there is room from now on: %s", sizes
        )

    def _full(self, names: set[str]) -> None:
        """Say once which capacities stay exceeded; that of height fields is the engine's."""
        if names - self._said:
            self._said |= names
            log.warning("contacts are left out: %s exceeded, which does not grow", ", ".join(sorted(names)))

    def _physics(self, substeps: int) -> None:
        """The kernels of a step."""
        m, d = self._m, self._d
        for _ in range(substeps):
            mjw.step(m, d)
            # at once, since NaN in one world breaks the contact pool of all
            state = [d.qpos, d.qvel, d.qacc, d.qacc_warmstart, d.time, d.mocap_pos]
            inputs = [LARGEST, m.qpos0, self._mocap_pos0, *state, self._diverged]
            wp.launch(warp_kernels.reset_diverged, dim=self.num_worlds, inputs=inputs)

    def model_field(self, name: str) -> Tensor:
        """See `Worlds.model_field`."""
        for field in (name, *_CONSTANTS):
            self._expand(field)
        owner, part = self._owner(name)
        return wp.to_torch(getattr(owner, part))

    def _owner(self, name: str) -> tuple[object, str]:
        """The object that has a model field, and the field's name in it."""
        return (self._m.opt if name.startswith("opt.") else self._m), name.removeprefix("opt.")

    def _expand(self, name: str) -> None:
        """Give every world its own row of a model field; the array is new, so all graphs are dropped."""
        owner, part = self._owner(name)
        old = getattr(owner, part)
        if not getattr(old, "_is_batched", False):
            raise ConfigError(f"MuJoCo Warp cannot vary the model field {name!r} between worlds")
        if old.shape[0] == self.num_worlds:
            return
        with self._scope():
            new = wp.empty((self.num_worlds, *old.shape[1:]), dtype=old.dtype)
            wp.to_torch(new).copy_(wp.to_torch(old).expand_as(wp.to_torch(new)))
        new._is_batched = True
        setattr(owner, part, new)
        self._graphs.clear()

    def apply_model_fields(self) -> None:
        """See `Worlds.apply_model_fields`."""
        with self._scope():
            mjw.set_const(self._m, self._d)
        self._dirty = True


def _capture(work: Callable[[], None]) -> wp.Graph:
    """Capture the kernels of `work` as a CUDA graph, without running them."""
    collecting = gc.isenabled()
    gc.disable()  # freeing memory during a capture breaks it
    try:
        with wp.ScopedStream(wp.Stream(wp.get_device())), wp.ScopedCapture() as capture:
            work()
    finally:
        if collecting:
            gc.enable()
    return capture.graph
