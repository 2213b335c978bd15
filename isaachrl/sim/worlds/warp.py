"""The GPU engine: MuJoCo Warp. The tensors share its float32 arrays; no copies, no synchronization.

A control step is one `mujoco_warp.step` per substep and then body kinematics; collisions are not recomputed, and
sensors are those of the last substep; contacts of objects may be gathered over all of them. On a GPU it is replayed as
one CUDA graph: outside a graph the solver's early exit would synchronize with the device in every iteration.
"""

import dataclasses
import gc
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mujoco
import numpy as np
import torch
import warp as wp
from mujoco.batch import MODEL_FIELDS
from torch import Tensor

wp.config.log_level = wp.LOG_WARNING  # before MuJoCo Warp initializes Warp, which prints the devices

import mujoco_warp as mjw  # noqa: E402

from isaachrl.errors import ConfigError, RecordError, nearest  # noqa: E402
from isaachrl.sim.cuda_graph import recording  # noqa: E402
from isaachrl.sim.worlds import warp_kernels  # noqa: E402
from isaachrl.sim.worlds.worlds import ALL, Worlds  # noqa: E402

log = logging.getLogger(__name__)

LARGEST = float(mujoco.mjMAXVAL)  # bound on the state, as in the CPU engine; beyond it a world has diverged
POOL_SLACK = 256  # extra contacts in the pool that all worlds share, for small numbers of worlds
_SENSOR_OFF = int(mjw.DisableBit.SENSOR)
# fields computed from others: they differ between worlds if any field does
_CONSTANTS = (
    "body_subtreemass", "body_invweight0", "dof_invweight0", "tendon_invweight0", "actuator_acc0", "geom_rbound",
    "geom_aabb",
)  # fmt: skip
_BOX_CONTACTS = int(mjw.DisableBit.NATIVECCD)  # makes Warp find those of two boxes like the CPU engine, no more
_OVERFLOWS = {
    "njmax": mjw.OverflowType.NEFC | mjw.OverflowType.NJMAX_NNZ,
    "nconmax": mjw.OverflowType.BROADPHASE | mjw.OverflowType.NARROWPHASE | mjw.OverflowType.CCD,
    "hfield": mjw.OverflowType.HFIELD,
}
_MAX_GROWTH = 8  # capacities grow up to this multiple of their initial values
_MAX_SHORT_SHARE = 0.5  # at that limit, the largest share of iterations that may exceed a capacity


class WarpWorlds(Worlds):
    """N worlds on MuJoCo Warp.

    Args:
        model: of all worlds.
        num_worlds: N.
        device: a CUDA device, or the CPU (one thread, slow: for tests).
        nconmax: capacity for contacts, on the average world.
        njmax: capacity for constraint rows of a world.
        grows: capacities double by themselves after a step that has exceeded them; else by `make_room`.
    """

    ENGINE = "mujoco_warp"
    CAPTURABLE = True
    STATE = ("qpos", "qvel", "qacc_warmstart", "time", "mocap_pos", "ctrl", "num_diverged")

    def __init__(
        self,
        model: mujoco.MjModel,
        num_worlds: int,
        device: torch.device,
        nconmax: int,
        njmax: int,
        grows: bool = False,
    ) -> None:
        index = device.index if device.index is not None or device.type == "cpu" else torch.cuda.current_device()
        super().__init__(model, num_worlds, torch.device(device.type, index))
        self.nconmax, self.njmax = nconmax, njmax
        self._limits = {"nconmax": _MAX_GROWTH * nconmax, "njmax": _MAX_GROWTH * njmax}
        self._logged: set[str] = set()  # names of exceeded capacities that were logged
        self._key = "" if grows else "task."  # before the capacities' names in messages
        self._exceeded: Tensor | None = None
        if grows:
            self._exceeded = torch.zeros(len(_OVERFLOWS) + 1, dtype=torch.bool, pin_memory=self.device.type == "cuda")
        self._graphs: dict[str, wp.Graph | None] = {}
        self._inserted = itertools.count()
        self._fields: dict[str, Tensor] = {}
        self._velocity: tuple[int, wp.array] | None = None
        self._dirty = False
        wp.init()  # the stream of a GPU is asked for before anything that would
        with self._scope():
            self._m = mjw.put_model(model)
            self._m.opt.warn_overflow = 0  # printing from kernels is slow; see `check_capacity`
            self._m.opt.disableflags |= _BOX_CONTACTS
            self._d = self._make_data(nconmax, njmax)
            self._allocate()
        self._run("refresh", self._kinematics)

    def _make_data(self, nconmax: int, njmax: int) -> mjw.Data:
        """The engine's arrays with these capacities."""
        n, pool = self.num_worlds, self.num_worlds * nconmax + POOL_SLACK
        return mjw.make_data(self.model, nworld=n, nconmax=nconmax, naconmax=pool, njmax=njmax)

    def _allocate(self) -> None:
        """Create the views that every step needs."""
        self.ctrl, self._warmstart, self._time = (self.field(n) for n in ("ctrl", "qacc_warmstart", "time"))
        self._overflow = self.field("overflow")
        self._diverged, self._num_diverged = wp.from_torch(self.diverged), wp.from_torch(self.num_diverged)
        self._mocap_pos0 = wp.array(self.field("mocap_pos")[0].cpu().numpy(), dtype=wp.vec3)

    @property
    def captured(self) -> set[str]:
        """Names of what runs as a CUDA graph by now."""
        return {name for name, graph in self._graphs.items() if graph is not None}

    @property
    def xfrc_applied(self) -> Tensor:
        """See `Worlds.xfrc_applied`."""
        return self.field("xfrc_applied")

    def field(self, name: str, rows: slice = ALL) -> Tensor:
        """See `Worlds.field`."""
        if name not in self._fields:
            array = getattr(self._d, name, None)
            if not isinstance(array, wp.array):
                raise ConfigError(f"MuJoCo Warp has no field {name!r} of this kind")
            self._fields[name] = wp.to_torch(array)
        return self._fields[name] if rows == ALL else self._fields[name][:, rows]

    def origin_velocity(self, bodies: slice) -> Tensor:
        """See `Worlds.origin_velocity`."""
        velocity = torch.zeros_like(self.field("xpos", bodies))
        self._velocity = bodies.start, wp.from_torch(velocity, dtype=wp.vec3)
        self._graphs.clear()
        self._run("refresh", self._kinematics)
        return velocity

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """Launch the engine's kernels on this device, in PyTorch's stream."""
        if self.device.type == "cpu":
            with wp.ScopedDevice("cpu"):
                yield
        else:
            with wp.ScopedStream(wp.stream_from_torch(self.device), sync_enter=False):
                yield

    def _run(self, name: str, work: Callable[[], None]) -> None:
        """Run a function that only launches the engine's kernels, or insert it into the current recording."""
        recorder = recording()
        if recorder is not None:
            recorder.insert(lambda: self._launch(name, work))
        else:
            self._launch(name, work)

    def _run_once(self, name: str, work: Callable[[], None]) -> None:
        """`_run` for kernels on temporary arrays: each call in a recording gets its own graph."""
        if recording() is not None:
            self._run(f"{name} {next(self._inserted)}", work)
        else:
            with self._scope():
                work()

    def _launch(self, name: str, work: Callable[[], None]) -> None:
        """Run a function: on a GPU eagerly the first time, then as a CUDA graph."""
        with self._scope():
            if self.device.type == "cpu":
                work()
            elif name not in self._graphs:
                self._graphs[name] = None
                work()  # loads the kernels, which is not possible during a capture
            else:
                self._graphs[name] = self._graphs[name] or _capture(work)
                wp.capture_launch(self._graphs[name])

    def _physics(self, substeps: int) -> None:
        """The kernels of a step."""
        self._diverged.zero_()
        self._reset_diverged()
        flags = self._m.opt.disableflags
        found = None if self._found is None else wp.from_torch(self._found)
        if found is not None:
            found.zero_()
        for i in range(substeps):
            read = i == substeps - 1 or (found is not None and self._every_substep)
            self._m.opt.disableflags = flags | (0 if read else _SENSOR_OFF)
            mjw.step(self._m, self._d)
            self._reset_diverged()  # at once, since NaN in one world breaks the contact pool of all
            if found is not None and read:
                inputs = [self._first_watched, self._diverged, self._d.sensordata, found]
                wp.launch(warp_kernels.gather_contacts, dim=found.shape, inputs=inputs)
        wp.launch(
            warp_kernels.count_diverged,
            dim=self.num_worlds,
            inputs=[self._diverged, self._num_diverged, self._d.sensordata],
        )
        self._kinematics()

    def _reset_diverged(self) -> None:
        """Reset diverged worlds to the model's defaults."""
        m, d = self._m, self._d
        state = [d.qpos, d.qvel, d.qacc, d.qacc_warmstart, d.time, d.mocap_pos]
        inputs = [LARGEST, m.qpos0, self._mocap_pos0, *state, self._diverged]
        wp.launch(warp_kernels.reset_diverged, dim=self.num_worlds, inputs=inputs)

    def _kinematics(self) -> None:
        """Recompute body positions and velocities from `qpos` and `qvel`, without collisions."""
        m, d = self._m, self._d
        mjw.kinematics(m, d)
        mjw.com_pos(m, d)
        mjw.com_vel(m, d)
        if self._velocity is not None:
            first, velocity = self._velocity
            inputs = [first, d.cvel, d.xpos, d.subtree_com, velocity]
            wp.launch(warp_kernels.linear_velocity, dim=velocity.shape, inputs=inputs)

    def step(self, substeps: int) -> None:
        """See `Worlds.step`."""
        if self._exceeded is not None:
            self._grow(self._exceeded)
        self._run(f"step {substeps}", lambda: self._physics(substeps))
        if self._start:
            self._restart(self.diverged)
        if self.max_velocity is not None:
            self.field("qvel").clamp_(-self.max_velocity, self.max_velocity)
        if self._start or self.max_velocity is not None:
            self._run("refresh", self._kinematics)
        self._dirty = False

    def _grow(self, exceeded: Tensor) -> None:
        """Double capacities that an earlier step has exceeded, and say which cannot grow further.

        The flags are copied into host memory without waiting, so that one is seen a step or more after it was set.
        """
        if bool(exceeded.any()):
            *over, diverged = exceeded.tolist()
            if diverged:
                self._warn_of_diverged(int(self.diverged.sum()))
            names = {name for name, is_over in zip(_OVERFLOWS, over, strict=True) if is_over}
            if self.device.type == "cuda":
                torch.cuda.current_stream(self.device).synchronize()  # the copy of the last step's flags
            exceeded.zero_()
            self._overflow.zero_()
            full = {name for name in names if self._limits.get(name, 0) < 2 * getattr(self, name, 1)}
            if full - self._logged:
                log.warning("contacts are left out: %s exceeded, which does not grow", ", ".join(sorted(full)))
                self._logged |= full
            if names - full:
                log.warning("some contacts were left out, since there were more than expected")
            self.make_room(dict.fromkeys(sorted(names - full), 0.0))
        flags = [(self._overflow & int(bits)).any() for bits in _OVERFLOWS.values()] + [self.diverged.any()]
        exceeded.copy_(torch.stack(flags), non_blocking=True)

    def step_bare(self, substeps: int) -> None:
        """The engine's steps only, for benchmarks; tensors of bodies are not updated."""

        def work() -> None:
            for _ in range(substeps):
                mjw.step(self._m, self._d)

        self._run(f"bare {substeps}", work)

    def write(self, name: str, values: Tensor, mask: Tensor, columns: slice = ALL, warm: bool = False) -> None:
        """See `Worlds.write`."""
        field = self.field(name)[:, columns].view(values.shape)
        field.copy_(torch.where(mask, values, field))
        if not warm:
            changed = mask.expand(values.shape).flatten(1).any(1)
            self._warmstart.masked_fill_(changed.unsqueeze(-1), 0.0)
        self._dirty = True

    def reset(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """See `Worlds.reset`."""
        wide = mask.unsqueeze(-1)
        for name, values in (("qpos", qpos), ("qvel", qvel)):
            self.field(name).copy_(torch.where(wide, values, self.field(name)))
        for values in (self.ctrl, self._warmstart, self.field("sensordata")):
            values.masked_fill_(wide, 0.0)
        self._time.masked_fill_(mask, 0.0)
        self._run("refresh", self._kinematics)
        if self._found is not None:
            self._found.masked_fill_(wide, False)

    def refresh(self) -> None:
        """See `Worlds.refresh`: all worlds at once."""
        if self._dirty:
            self._run("refresh", self._kinematics)
            self._dirty = False

    def rays(self, origin_w: Tensor, direction_w: Tensor, group: int) -> Tensor:
        """See `Worlds.rays`."""
        groups = wp.types.vector(length=6, dtype=wp.float32)(*(float(i == group) for i in range(6)))
        distance, normal = torch.empty_like(origin_w[..., 0]), torch.empty_like(origin_w)
        geom = torch.empty_like(distance, dtype=torch.int32)
        excluded_body = torch.full_like(distance[0], -1, dtype=torch.int32)
        rays = [wp.from_torch(values.contiguous(), dtype=wp.vec3) for values in (origin_w, direction_w)]
        outputs = [wp.from_torch(excluded_body), wp.from_torch(distance), wp.from_torch(geom)]
        outputs.append(wp.from_torch(normal, dtype=wp.vec3))
        self._run_once("rays", lambda: mjw.rays(self._m, self._d, *rays, groups, True, *outputs))
        return torch.where(distance < 0, torch.inf, distance)

    def model_field(self, name: str) -> Tensor:
        """See `Worlds.model_field`."""
        _forbid_in_recording("model_field")
        if self._shared(name) is None:
            fields = {field for field in MODEL_FIELDS if self._shared(field) is not None}
            raise ConfigError(f"the model field {name!r} cannot differ between worlds{nearest(name, fields)}")
        for field in (name, *_CONSTANTS):
            self._expand(field)
        return wp.to_torch(self._shared(name))

    def _shared(self, name: str) -> wp.array | None:
        """The engine's array of a model field if its first axis is that of worlds (one row if all worlds share it)."""
        owner = self._m.opt if name.startswith("opt.") else self._m
        array = getattr(owner, name.removeprefix("opt."), None)
        return array if isinstance(array, wp.array) and getattr(array, "_is_batched", False) else None

    def _expand(self, name: str) -> None:
        """Give every world its own row of a model field; the array is new, so all graphs are dropped."""
        old = self._shared(name)
        if old is None or old.shape[0] == self.num_worlds:
            return
        with self._scope():
            new = wp.empty((self.num_worlds, *old.shape[1:]), dtype=old.dtype)
            wp.to_torch(new).copy_(wp.to_torch(old).expand_as(wp.to_torch(new)))
        new._is_batched = True
        setattr(self._m.opt if name.startswith("opt.") else self._m, name.removeprefix("opt."), new)
        self._graphs.clear()

    def apply_model_fields(self) -> None:
        """See `Worlds.apply_model_fields`."""
        _forbid_in_recording("apply_model_fields")
        with self._scope():
            mjw.set_const(self._m, self._d)
        self._run("refresh", self._kinematics)

    def check_capacity(self) -> dict[str, int]:
        """See `Worlds.check_capacity`."""
        flags = self._overflow.cpu().numpy()
        counts = {name: int(np.count_nonzero(flags & int(bits))) for name, bits in _OVERFLOWS.items()}
        self._overflow.zero_()
        exceeded = {name: count for name, count in counts.items() if count}
        for name in exceeded.keys() - self._logged:
            log.warning("in %d of %d worlds %s", exceeded[name], self.num_worlds, self._overflow_message(name))
            self._logged.add(name)
        return exceeded

    def _overflow_message(self, name: str) -> str:
        """The cause of an overflow, and what to type."""
        if name == "hfield":
            return (
                "a body touched the uneven floor in more places than the engine takes, and some were left out of the"
                " physics; task.disturb.rough_m=0 makes the floor even"
            )
        size = getattr(self, name)
        what = "contacts on the average world" if name == "nconmax" else "constraint rows in one world"
        return (
            f"task.{name}={size}: there were more than {size} {what}, and some were left out of the physics; type"
            f" task.{name}={2 * size}"
        )

    def make_room(self, shares: Mapping[str, float]) -> None:
        """See `Worlds.make_room`."""
        sizes = {name: 2 * getattr(self, name) for name in shares if name in self._limits}
        for name, size in sizes.items():
            if size > self._limits[name] and shares[name] > _MAX_SHORT_SHARE:
                raise ConfigError(
                    f"{self._overflow_message(name)}. That is {_MAX_GROWTH} times the initial capacity: if so many"
                    " contacts are not plausible, check the task's scene"
                )
        self._resize(**{name: size for name, size in sizes.items() if size <= self._limits[name]})

    def _resize(self, **sizes: int) -> None:
        """Change `nconmax` and `njmax` by exchanging the arrays of contacts and constraints, and drop all graphs.

        The state and the tensors stay. Without enough memory on the device nothing changes.
        """
        if not sizes:
            return
        settings = ", ".join(f"{self._key}{name}={size}" for name, size in sizes.items())
        try:
            with self._scope():
                data = self._make_data(**({"nconmax": self.nconmax, "njmax": self.njmax} | sizes))
        except (RuntimeError, MemoryError) as error:  # Warp raises the former on a GPU
            reason = " ".join(str(error).split())[:200]
            log.warning("there is no memory for %s (%s); it goes on with what there was", settings, reason)
            return
        with self._scope():  # memory is freed in the order of this stream
            _exchange(self._d, data)
            del data
        self._graphs.clear()
        for name, size in sizes.items():
            setattr(self, name, size)
            self._logged.discard(name)
        log.warning("there is room for %s from now on", settings)

    def state_dict(self) -> dict[str, Tensor]:
        """See `Worlds.state_dict`; includes the capacities, which may have grown."""
        room = torch.tensor([self.nconmax, self.njmax])
        return {name: values.clone() for name, values in self._state().items()} | {"room": room}

    def _state(self) -> dict[str, Tensor]:
        """All tensors that a continuation depends on."""
        names = (*self.STATE[:-1], "mocap_quat")
        return {name: self.field(name) for name in names} | {"num_diverged": self.num_diverged}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Worlds.load_state_dict`."""
        if "room" in state:
            stored = dict(zip(("nconmax", "njmax"), state["room"].tolist(), strict=True))
            self._resize(**{name: size for name, size in stored.items() if size > getattr(self, name)})
        for name, values in self._state().items():
            if name in state:
                values.copy_(state[name])
        self._run("refresh", self._kinematics)


def _exchange(old: Any, new: Any) -> None:
    """Replace sizes, and arrays whose shapes differ, by those of other engine data."""
    for item in dataclasses.fields(old):
        mine, other = getattr(old, item.name), getattr(new, item.name)
        if dataclasses.is_dataclass(mine):
            _exchange(mine, other)
        elif isinstance(mine, int) or (isinstance(mine, wp.array) and mine.shape != other.shape):
            setattr(old, item.name, other)


def _forbid_in_recording(name: str) -> None:
    """Forbid a method that allocates memory and works on the host.

    Raises:
        RecordError: a step is being recorded.
    """
    if recording() is not None:
        raise RecordError(f"a step calls Sim.{name}, which cannot be captured in a CUDA graph; call it between steps")


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
