"""What a robot is made of, read from the compiled model by name: nothing here is typed in by hand."""

from dataclasses import dataclass

import torch
from torch import Tensor

HASH_PREFIX = "2-"  # of a `model_hash`: which version of what goes into it; the first had no prefix


@dataclass(frozen=True)
class Joint:
    """One actuated joint of a robot.

    Args:
        name: the joint's name in the MJCF.
        body: index of the body it moves, among the robot's bodies.
        ball: three degrees of freedom (a quaternion in qpos) or one (an angle).
        axis: `(3,)` hinge axis in the body's frame; unused for a ball.
        anchor_m: `(3,)` the point about which the body turns, in the body's frame.
        qpos: slice of the joint's coordinates in the robot's joint positions (after the root's 7).
        dof: slice of its degrees of freedom in the robot's joint velocities (after the root's 6).
    """

    name: str
    body: int
    ball: bool
    axis: tuple[float, float, float]
    qpos: slice
    dof: slice
    anchor_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Robot:
    """A tree of bodies on a free root, its joints and its motors. Pure data, shared by every part of the library.

    Args:
        name: the asset's name, such as `humanoid`.
        body_names: the B bodies, root first, parents before children.
        parents: `(B,)` index of each body's parent; -1 for the root.
        local_pos_m: `(B, 3)` each body's origin in its parent's frame, its joint at rest.
        local_quat: `(B, 4)` each body's frame in its parent's, its joint at rest.
        joints: the J joints, in the order of the model.
        dof_names: the D degrees of freedom; a ball joint gives `name_x`, `name_y`, `name_z`.
        dof_range_rad: `(D, 2)` anatomical range of each degree of freedom (of the exponential map, for a ball).
        effort_limit: `(D,)` largest torque in N m; infinite where the motor has none.
        qpos0: `(nq,)` the robot's default coordinates: root position, root quaternion, joints.
        mass_kg: whole mass.
        model_hash: hash of all that decides how the robot moves; a skill is tied to it.
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

    @property
    def num_bodies(self) -> int:
        """B."""
        return len(self.body_names)

    @property
    def num_dofs(self) -> int:
        """D, the number of motors: one each degree of freedom."""
        return len(self.dof_names)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the J joints."""
        return tuple(joint.name for joint in self.joints)

    @property
    def has_plain_frames(self) -> bool:
        """Whether at rest all frames are parallel, and every joint sits at its body's origin."""
        identity = torch.tensor([1.0, 0.0, 0.0, 0.0])
        return bool((self.local_quat == identity).all()) and not any(any(joint.anchor_m) for joint in self.joints)

    def body_index(self, *names: str) -> Tensor:
        """Indices `(len(names),)` of bodies by name.

        Raises:
            KeyError: a name is no body of the robot; the message lists them all.
        """
        for name in names:
            if name not in self.body_names:
                raise KeyError(f"{self.name} has no body {name!r}; it has {', '.join(self.body_names)}")
        return torch.tensor([self.body_names.index(name) for name in names])
