"""The interface of a simulation engine: N copies of one model as float32 tensors on one device."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.errors import CheckpointError
from isaachrl.sim.robot import Robot
from isaachrl.sim.scene import Scene


class Sim(ABC):
    """N worlds of one scene. The tensors below are filled in place by `step` and `reset`; read them, never rebind them.

    Attributes:
        scene: what stands in each world.
        robot: the robot's description.
        num_envs: N.
        device: where the tensors live.
        qpos: `(N, nq)` generalised positions; the robot's root first.
        qvel: `(N, nv)` generalised velocities (root: linear in the world frame, angular in the body frame).
        root_pos_w, root_quat_w, root_linvel_w, root_angvel_w: `(N, 3 | 4 | 3 | 3)` the root body, world frame.
        joint_pos: `(N, nq_joints)` joint coordinates: a quaternion per ball joint, an angle per hinge.
        joint_vel: `(N, D)` joint velocities, rad/s.
        body_pos_w, body_quat_w, body_linvel_w, body_angvel_w: `(N, B, 3 | 4 | 3 | 3)` every body of the robot.
        contact_force_w: `(N, C, 3)` net contact force on each of `scene.contact_bodies`, N.
        ctrl: `(N, A)` controls, written by the caller before `step`.
        mocap_pos_w: `(N, M, 3)` boxes, then markers, in the order of the scene; write through `move_mocap`.
        diverged: `(N,)` bool, worlds whose last `step`, or the `reset` before it, met numbers that are not finite
            or huge. Such a world is put back to the model's defaults by the engine; its episode must end. `TaskEnv`
            adds the worlds whose action was broken.
        num_diverged: `(N,)` how often that has happened to each world.
        CAPTURABLE: whether the engine works on a GPU, so that a step can be replayed as CUDA graphs.
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
    ctrl: Tensor
    mocap_pos_w: Tensor
    diverged: Tensor
    num_diverged: Tensor
    CAPTURABLE: ClassVar[bool] = False

    @abstractmethod
    def step(self, substeps: int) -> None:
        """Apply `ctrl` for `substeps` physics steps; every tensor then shows the new state."""

    @abstractmethod
    def reset(self, mask: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """Put the worlds of `mask (N,)` into the given states `(N, nq)`, `(N, nv)`; the others stay untouched.

        Controls, contact forces and the solver's warm start of those worlds are zeroed.
        """

    @abstractmethod
    def move_mocap(self, mask: Tensor, pos_w: Tensor) -> None:
        """Put the boxes and markers of the worlds of `mask (N,)` at `pos_w (N, M, 3)`.

        They are seen there after the next `step` or `reset`.
        """

    @abstractmethod
    def push(self, force_w: Tensor) -> None:
        """Let forces `(N, 3)`, in N, act on the robots' root bodies in the following steps, until the next call."""

    @property
    @abstractmethod
    def motor_torque(self) -> Tensor:
        """`(N, D)` what the motors exerted in the last physics step on each degree of freedom, N m."""

    @abstractmethod
    def rays(self, origin_w: Tensor, direction_w: Tensor) -> Tensor:
        """Distance `(N, R)` in metres from `origin_w (N, R, 3)` along unit `direction_w (N, R, 3)` to boxes and floor.

        The robot is transparent; a ray that meets nothing gives `inf`.
        """

    @abstractmethod
    def model_field(self, name: str) -> Tensor:
        """Per-world values `(N, …)` of a model field (such as `body_mass`, `geom_friction`), to write in place.

        Call `apply_model_fields` after writing.

        Raises:
            ConfigError: the engine cannot vary that field between worlds.
        """

    @abstractmethod
    def apply_model_fields(self) -> None:
        """Make written model fields take effect, with the constants that follow from them."""

    def check_capacity(self) -> dict[str, int]:
        """Worlds in which contacts or constraints were left out of the physics since the last call, by what was short.

        `nconmax` and `njmax` are settings that `make_room` can double; `hfield` is a bound on contacts with an uneven
        floor. What was not short is not named. It waits for the device: call it once a rollout. The CPU engine has no
        bounds.
        """
        return {}

    def make_room(self, shares: Mapping[str, float]) -> None:
        """Double the room that these names of `check_capacity` stand for. The tensors and their numbers stay.

        Room that has been doubled often is not doubled again, nor is any for which there is no memory.

        Args:
            shares: by name, the share of iterations since the last call in which it was short.

        Raises:
            ConfigError: it has been doubled often and is still short more often than not: the fault must lie elsewhere.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """The whole physical state; `load_state_dict` of it continues bit for bit on the CPU."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a state taken by `state_dict` of a simulation of the same engine, scene and size.

        Raises:
            CheckpointError: the state is that of another engine.
        """

    def _show_robot(self) -> None:
        """Make the views of root and joints on `qpos`, `qvel` and `body_angvel_w`."""
        joints = self.robot.joints
        self.root_pos_w, self.root_quat_w = self.qpos[:, :3], self.qpos[:, 3:7]
        self.root_linvel_w, self.root_angvel_w = self.qvel[:, :3], self.body_angvel_w[:, 0]
        self.joint_pos = self.qpos[:, 7 : 7 + (joints[-1].qpos.stop if joints else 0)]
        self.joint_vel = self.qvel[:, 6 : 6 + self.robot.num_dofs]


def floor_distance(origin_w: Tensor, direction_w: Tensor) -> Tensor:
    """Distance `(…)` in metres from `origin_w (…, 3)` along unit `direction_w (…, 3)` to the floor; `inf` without."""
    distance = -origin_w[..., 2] / direction_w[..., 2].clamp(max=-1e-9)
    return torch.where((direction_w[..., 2] < -1e-9) & (origin_w[..., 2] >= 0), distance, torch.inf)


def require_state(state: dict[str, Tensor], names: set[str]) -> None:
    """Refuse a stored state that has not exactly these tensors.

    Raises:
        CheckpointError: it comes from another engine.
    """
    if set(state) != names:
        raise CheckpointError(
            f"the stored state of the simulation holds {', '.join(sorted(state))}; this engine needs"
            f" {', '.join(sorted(names))}: go on with the engine it was stored with (sim=mujoco or sim=mujoco_warp)"
        )
