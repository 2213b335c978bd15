"""The interface of a simulation engine: N worlds of one model as float32 tensors on one device."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from isaachrl.errors import CheckpointError
from isaachrl.maths import rotations
from isaachrl.sim.robot import Robot
from isaachrl.sim.scene import Scene


class Sim(ABC):
    """N worlds of one scene. `step` and `reset` update the tensors below in place; never rebind them.

    Attributes:
        scene: the content of each world.
        robot: the robot's description.
        num_envs: N.
        device: of the tensors.
        qpos: `(N, nq)` generalised positions: robot with its root first, blocks, objects.
        qvel: `(N, nv)` generalised velocities (root: linear in the world frame, angular in the body frame).
        root_pos_w, root_quat_w, root_linvel_w, root_angvel_w: `(N, 3 | 4 | 3 | 3)` root body, world frame.
        joint_pos: `(N, nq_joints)` joint coordinates: a quaternion per ball joint, an angle per hinge.
        joint_vel: `(N, D)` joint velocities, rad/s.
        body_pos_w, body_quat_w, body_linvel_w, body_angvel_w: `(N, B, 3 | 4 | 3 | 3)` all bodies of the robot.
        contact_force_w: `(N, C, 3)` net contact force on each of `scene.contact_bodies`, N.
        object_pos_w, object_quat_w, object_linvel_w, object_angvel_w: `(N, K, 3 | 4 | 3 | 3)` `scene.objects`, world
            frame; write through `place_objects`. They are the last K bodies and geoms in `model_field`.
        object_touched: `(N, K)` bool, objects that were in contact with the robot in any physics step of the last
            `step`, or in its last one, see `Scene.sense_substeps`.
        object_contact: `(N, K, C)` bool, the same for each of `scene.object_contact_bodies`.
        ctrl: `(N, A)` controls, written by the caller before `step`.
        mocap_pos_w: `(N, M, 3)` boxes, then markers, in scene order; write through `move_mocap`.
        diverged: `(N,)` bool, worlds whose state was not finite or too large in the last `step` or the `reset` before
            it. The engine has reset them to the model's defaults; their episode must end. `TaskEnv` adds worlds with
            an invalid action.
        num_diverged: `(N,)` how often each world has diverged.
        CAPTURABLE: whether steps can be captured as CUDA graphs.
    """

    scene: Scene
    robot: Robot
    num_envs: int
    device: torch.device
    qpos: Tensor
    qvel: Tensor
    root_pos_w: Tensor
    root_quat_w: Tensor
    root_linvel_w: Tensor
    root_angvel_w: Tensor
    joint_pos: Tensor
    joint_vel: Tensor
    body_pos_w: Tensor
    body_quat_w: Tensor
    body_linvel_w: Tensor
    body_angvel_w: Tensor
    contact_force_w: Tensor
    object_pos_w: Tensor
    object_quat_w: Tensor
    object_linvel_w: Tensor
    object_angvel_w: Tensor
    object_touched: Tensor
    object_contact: Tensor
    ctrl: Tensor
    mocap_pos_w: Tensor
    diverged: Tensor
    num_diverged: Tensor
    CAPTURABLE: ClassVar[bool] = False

    @abstractmethod
    def step(self, substeps: int) -> None:
        """Apply `ctrl` for `substeps` physics steps and update all tensors."""

    @abstractmethod
    def reset(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """Set the state of the worlds in `mask (N,)` to `qpos (N, nq)` and `qvel (N, nv)`.

        Coordinates of the objects may be left out: objects then are at their initial poses, or at rest. Controls,
        contacts and solver warm start of these worlds are zeroed.
        """

    def place_objects(self, mask: Tensor, pos_w: Tensor, quat_w: Tensor, linvel_w: Tensor, angvel_w: Tensor) -> None:
        """Set pose and velocity of the objects in `mask (N, K)`, and clear their contacts.

        Args:
            mask: bool.
            pos_w, quat_w, linvel_w, angvel_w: `(N, K, 3 | 4 | 3 | 3)`; quaternions are normalised.
        """
        quat = rotations.normalize(quat_w)
        wide = mask.unsqueeze(-1)
        qpos, qvel = torch.cat((pos_w, quat), -1), torch.cat((linvel_w, rotations.rotate_inverse(quat, angvel_w)), -1)
        self._object_qpos.copy_(torch.where(wide, qpos, self._object_qpos))
        self._object_qvel.copy_(torch.where(wide, qvel, self._object_qvel))
        self._object_contact.masked_fill_(wide, False)
        self._update_objects()

    @abstractmethod
    def move_mocap(self, mask: Tensor, pos_w: Tensor) -> None:
        """Move boxes and markers of the worlds in `mask (N,)` to `pos_w (N, M, 3)`, from the next step or reset on."""

    @abstractmethod
    def push(self, force_w: Tensor) -> None:
        """Apply `force_w (N, 3)`, in N, to the root bodies in every step until the next call."""

    @property
    @abstractmethod
    def motor_torque(self) -> Tensor:
        """`(N, D)` torque of the motors on each degree of freedom in the last physics step, N m."""

    @abstractmethod
    def rays(self, origin_w: Tensor, direction_w: Tensor) -> Tensor:
        """Distance `(N, R)` in m from `origin_w (N, R, 3)` along unit `direction_w (N, R, 3)` to the next box or floor.

        Rays pass through the robot and objects; without a hit the distance is `inf`.
        """

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
        """The whole physical state; on the CPU, `load_state_dict` continues bit for bit."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load a `state_dict` of the same engine, scene and number of worlds.

        Raises:
            CheckpointError: the state is of another engine.
        """

    def _bind_robot_views(self) -> None:
        """Create the views of root and joints into `qpos`, `qvel` and `body_angvel_w`."""
        joints = self.robot.joints
        self.root_pos_w, self.root_quat_w = self.qpos[:, :3], self.qpos[:, 3:7]
        self.root_linvel_w, self.root_angvel_w = self.qvel[:, :3], self.body_angvel_w[:, 0]
        self.joint_pos = self.qpos[:, 7 : 7 + (joints[-1].qpos.stop if joints else 0)]
        self.joint_vel = self.qvel[:, 6 : 6 + self.robot.num_dofs]

    def _bind_object_views(self, qpos0: np.ndarray) -> None:
        """Create the tensors of the objects; they are views of the last columns of `qpos` and `qvel` where possible.

        Args:
            qpos0: `(nq,)` coordinates of the model.
        """
        n, objects = self.num_envs, len(self.scene.objects)
        self._object_qpos = self.qpos[:, self.qpos.shape[1] - 7 * objects :].view(n, objects, 7)
        self._object_qvel = self.qvel[:, self.qvel.shape[1] - 6 * objects :].view(n, objects, 6)
        start = qpos0[len(qpos0) - 7 * objects :]
        self._object_qpos0 = torch.tensor(start, dtype=torch.float32, device=self.device)
        self.object_pos_w, self.object_quat_w = self._object_qpos[..., :3], self._object_qpos[..., 3:]
        self.object_linvel_w = self._object_qvel[..., :3]
        self.object_angvel_w = torch.zeros(n, objects, 3, device=self.device)
        contacts = 1 + len(self.scene.object_contact_bodies)
        self._object_contact = torch.zeros(n, objects, contacts, dtype=torch.bool, device=self.device)
        self.object_touched, self.object_contact = self._object_contact[..., 0], self._object_contact[..., 1:]

    def _update_objects(self) -> None:
        """Compute what is no view: the angular velocities of the objects in the world frame."""
        if self.scene.objects:
            self.object_angvel_w.copy_(rotations.rotate(self.object_quat_w, self._object_qvel[..., 3:]))

    def _complete(self, qpos: Tensor, qvel: Tensor) -> tuple[Tensor, Tensor]:
        """Append the objects' initial poses to `qpos`, and zeros to `qvel`, where their coordinates were left out."""
        if not self.scene.objects:
            return qpos, qvel
        if qpos.shape[1] < self.qpos.shape[1]:
            qpos = torch.cat((qpos, self._object_qpos0.expand(self.num_envs, -1)), 1)
        if qvel.shape[1] < self.qvel.shape[1]:
            qvel = torch.cat((qvel, torch.zeros_like(self._object_qvel).flatten(1)), 1)
        return qpos, qvel

    def _object_state(self) -> dict[str, Tensor]:
        """What `state_dict` has in scenes with objects alone."""
        return {"object_contact": self._object_contact} if self.scene.objects else {}


def floor_distance(origin_w: Tensor, direction_w: Tensor) -> Tensor:
    """Distance `(…)` in m from `origin_w (…, 3)` along unit `direction_w (…, 3)` to the floor; `inf` without a hit."""
    distance = -origin_w[..., 2] / direction_w[..., 2].clamp(max=-1e-9)
    return torch.where((direction_w[..., 2] < -1e-9) & (origin_w[..., 2] >= 0), distance, torch.inf)


def require_state(state: dict[str, Tensor], names: set[str]) -> None:
    """Check that a state has exactly these tensors.

    Raises:
        CheckpointError: it is of another engine.
    """
    if set(state) != names:
        raise CheckpointError(
            f"the stored state of the simulation holds {', '.join(sorted(state))}; this engine needs"
            f" {', '.join(sorted(names))}: use the engine it was stored with (sim=mujoco or sim=mujoco_warp)"
        )
