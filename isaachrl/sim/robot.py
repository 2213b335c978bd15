"""The description of a robot, read from a compiled model."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.sim.roles import Roles

HASH_PREFIX = "2-"  # version of `model_hash`; version 1 has no prefix


@dataclass(frozen=True)
class Joint:
    """One actuated joint of a robot.

    Args:
        name: the joint's name in the MJCF.
        body: index of the body it moves, among the robot's bodies.
        ball: a ball joint (3 degrees of freedom, a quaternion in qpos); else a hinge.
        axis: `(3,)` hinge axis in the body's frame; unused for a ball.
        anchor_m: `(3,)` position of the joint in the body's frame.
        qpos: slice of its coordinates in `Sim.joint_pos`.
        dof: slice of its degrees of freedom in `Sim.joint_vel`.
        ref_rad: coordinate of a hinge in the pose in which the model is written.
    """

    name: str
    body: int
    ball: bool
    axis: tuple[float, float, float]
    qpos: slice
    dof: slice
    anchor_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ref_rad: float = 0.0


@dataclass(frozen=True)
class Robot:
    """A tree of bodies on a free root, its joints and its motors.

    Args:
        name: the shipped name, such as `humanoid`, or the file's name without its ending.
        body_names: the B bodies, root first, parents before children.
        parents: `(B,)` index of each body's parent; -1 for the root.
        local_pos_m: `(B, 3)` each body's position in its parent's frame, its joint at zero.
        local_quat: `(B, 4)` each body's rotation in its parent's frame, its joint at zero.
        joints: the J joints, in the order of the model.
        dof_names: the D degrees of freedom; a ball joint gives `name_x`, `name_y`, `name_z`.
        dof_range_rad: `(D, 2)` anatomical range of each degree of freedom (for a ball, of the exponential map).
        effort_limit: `(D,)` largest torque in N m; infinite without a limit.
        qpos0: `(nq,)` default generalised positions: root position, root quaternion, joints.
        mass_kg: total mass.
        model_hash: hash of all that determines how the robot moves; a skill is tied to it.
        file: what finds the robot again, see `robot_file.find_robot`.
        stiffness, damping: `(D,)` of the position motors, N m/rad and N m s/rad; 0 for torque motors.
        effort_range: `(D, 2)` lowest and highest torque of each motor, N m; infinite without a limit.
        has_motor_ranges: all motors have a range of their own, beside that of their joints.
        stand_qpos: `(nq,)` coordinates of the standing pose, its height as in the file.
        stand_pos_m: `(B, 3)` positions of the bodies in it, the soles at height 0.
        height_m: from the soles to the highest point of the standing robot.
        roles: names of bodies by role.
        soles: points `(C, 3)` of each foot's sole in the frame of the foot's body, m, by body name; empty without feet.
    """

    name: str
    body_names: tuple[str, ...]
    parents: tuple[int, ...]
    local_pos_m: Tensor
    local_quat: Tensor
    joints: tuple[Joint, ...]
    dof_names: tuple[str, ...]
    dof_range_rad: Tensor
    effort_limit: Tensor
    qpos0: Tensor
    mass_kg: float
    model_hash: str
    file: str
    stiffness: Tensor
    damping: Tensor
    effort_range: Tensor
    has_motor_ranges: bool
    stand_qpos: Tensor
    stand_pos_m: Tensor
    height_m: float
    roles: Roles
    soles: Mapping[str, Tensor]

    @property
    def num_bodies(self) -> int:
        """Number of bodies B."""
        return len(self.body_names)

    @property
    def num_dofs(self) -> int:
        """Number D of degrees of freedom without the root's, and of motors."""
        return len(self.dof_names)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the J joints."""
        return tuple(joint.name for joint in self.joints)

    @property
    def wrists(self) -> tuple[Joint, ...]:
        """Joints between the forearms and the hands."""
        found: list[Joint] = []
        for side in ("left", "right"):
            hand, forearm = (self.roles.get(f"{side}_{role}") for role in ("hand", "elbow"))
            while hand and hand != forearm:
                body = self.body_names.index(hand)
                found += [joint for joint in self.joints if joint.body == body]
                hand = self.body_names[self.parents[body]] if forearm and body else None
        return tuple(found)

    @property
    def has_plain_frames(self) -> bool:
        """Whether all frames are parallel in the zero pose and all joints are at their bodies' origins."""
        identity = torch.tensor([1.0, 0.0, 0.0, 0.0])
        return bool((self.local_quat == identity).all()) and not any(any(joint.anchor_m) for joint in self.joints)

    def body_index(self, *names: str) -> Tensor:
        """Indices `(len(names),)` of bodies by name.

        Raises:
            KeyError: the robot has no such body.
        """
        for name in names:
            if name not in self.body_names:
                raise KeyError(f"{self.name} has no body {name!r}; it has {', '.join(self.body_names)}")
        return torch.tensor([self.body_names.index(name) for name in names])
