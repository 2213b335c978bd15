"""N worlds of any MuJoCo model as float32 tensors: the interface of the engines.

This layer knows neither scene nor robot: `isaachrl.sim.Sim` names the parts of a scene with one robot in it.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import mujoco
import torch
from torch import Tensor

log = logging.getLogger(__name__)

ALL = slice(None)
OF_LAST_STEP = ("sensordata", "actuator_force", "qfrc_actuator", "qacc")  # fields that `refresh` leaves alone


class Worlds(ABC):
    """N worlds of one model. All tensors are updated in place; never rebind them.

    Attributes:
        model: MuJoCo's model that all worlds share.
        num_worlds: N.
        device: of the tensors.
        ctrl: `(N, nu)` controls, written by the caller before `step`.
        diverged: `(N,)` bool, worlds whose state was not finite or too large in the last `step`, or in what was written
            before it. They have been put back to the model's defaults, or to where `start_at` has put them.
        num_diverged: `(N,)` how often each world has diverged.
        max_velocity: `(N, nv)` that velocities are clamped to at the end of each `step`; None does not.
        ENGINE: name of the engine.
        CAPTURABLE: whether steps can be captured as CUDA graphs.
        STATE: names of the tensors that a `state_dict` must have; it may have those of `OPTIONAL`, too.
    """

    model: mujoco.MjModel
    num_worlds: int
    device: torch.device
    ctrl: Tensor
    diverged: Tensor
    num_diverged: Tensor
    max_velocity: Tensor | None = None
    ENGINE: ClassVar[str]
    CAPTURABLE: ClassVar[bool] = False
    STATE: ClassVar[tuple[str, ...]]
    OPTIONAL: ClassVar[tuple[str, ...]] = ("room", "mocap_quat")

    def __init__(self, model: mujoco.MjModel, num_worlds: int, device: torch.device) -> None:
        self.model, self.num_worlds, self.device = model, num_worlds, device
        self.diverged = torch.zeros(num_worlds, dtype=torch.bool, device=device)
        self.num_diverged = torch.zeros(num_worlds, dtype=torch.long, device=device)
        self._start: dict[str, Tensor] = {}
        self._warned = False  # of worlds that have diverged
        self._found: Tensor | None = None
        self._first_watched, self._every_substep = 0, False

    @property
    @abstractmethod
    def xfrc_applied(self) -> Tensor:
        """`(N, nbody, 6)` force and torque in the world frame at the centres of mass, written before `step`."""

    @abstractmethod
    def field(self, name: str, rows: slice = ALL) -> Tensor:
        """A field of MuJoCo's `mjData`, `(N, …)`, or rows of it: updated by `step` and `refresh`; read-only.

        Raises:
            ConfigError: the engine has no such field.
        """

    @abstractmethod
    def origin_velocity(self, bodies: slice) -> Tensor:
        """Linear velocity `(N, B, 3)` of the origins of bodies of one tree, its root first; updated like a field."""

    def watch(self, first: int, every_substep: bool) -> Tensor:
        """Flags `(N, S)` of the sensors from number `first` on: above 0 in the last physics step of `step`, or in any.

        Ask for them before the first step.
        """
        shape = (self.num_worlds, self.model.nsensordata - first)
        self._found = torch.zeros(shape, dtype=torch.bool, device=self.device)
        self._first_watched, self._every_substep = first, every_substep
        return self._found

    @abstractmethod
    def write(self, name: str, values: Tensor, mask: Tensor, columns: slice = ALL, warm: bool = False) -> None:
        """Set entries of a state field: qpos, qvel, mocap_pos or mocap_quat.

        Args:
            name: of the field.
            values: of the shape of these columns, which may be split into groups: `(N, k, c)` for `k * c` columns.
            mask: bool, broadcast to that shape: the entries to set.
            columns: of the field.
            warm: whether the solver starts the next step from the forces of the last one; else from none.
        """

    @abstractmethod
    def reset(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """Begin anew in the worlds of `mask (N,)`, at `qpos (N, nq)` and `qvel (N, nv)`.

        Controls, time, sensors and the solver's warm start are zeroed, and fields follow at once.
        """

    @abstractmethod
    def refresh(self) -> None:
        """Bring fields that depend on the state up to date, in worlds that `write` has changed."""

    @abstractmethod
    def step(self, substeps: int) -> None:
        """Take physics steps, and update all fields. Sensors are those of the last one."""

    @abstractmethod
    def rays(self, origin_w: Tensor, direction_w: Tensor, group: int) -> Tensor:
        """Distance `(N, R)` in m from `origin_w (N, R, 3)` along unit `direction_w` to a geom of a group, else inf."""

    @abstractmethod
    def model_field(self, name: str) -> Tensor:
        """Per-world values `(N, …)` of a model field such as `body_mass`; write in place, then `apply_model_fields`.

        Raises:
            ConfigError: the engine cannot vary that field between worlds.
        """

    @abstractmethod
    def apply_model_fields(self) -> None:
        """Recompute the constants that depend on changed model fields."""

    def check_capacity(self) -> dict[str, int]:
        """Number of worlds in which contacts or constraints were dropped since the last call, by exceeded capacity.

        `nconmax` and `njmax` can be doubled by `make_room`; `hfield` is a fixed limit of contacts with an uneven floor.
        Synchronizes with the device: call it once a rollout. The CPU engine has no limits.
        """
        return {}

    def make_room(self, shares: Mapping[str, float]) -> None:
        """Double these capacities, up to a limit and as far as there is memory. Tensors and state stay.

        Args:
            shares: by name as in `check_capacity`, the share of iterations since the last call that exceeded it.

        Raises:
            ConfigError: a capacity at its limit is still exceeded in most iterations.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """The physical state, without sensors; on the CPU, `load_state_dict` continues bit for bit."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a `state_dict` of the same engine, model and number of worlds; other entries are left out."""

    def start_at(self, **state: Tensor) -> None:
        """Set the state fields of all worlds, which is also where a diverged world is put back to."""
        self._start = {name: values.clone() for name, values in state.items()}
        self._restart(torch.ones_like(self.diverged))
        self.refresh()

    def _warn_of_diverged(self, count: int) -> None:
        """Say once that worlds have diverged, if they are put back to a start."""
        if self._start and not self._warned:
            log.warning("%d worlds diverged and were put back to their start; num_diverged counts them", count)
            self._warned = True

    def _restart(self, mask: Tensor) -> None:
        """Write the start into the worlds of `mask (N,)`."""
        for name, values in self._start.items():
            self.write(name, values, mask.view(-1, *[1] * (values.dim() - 1)))
