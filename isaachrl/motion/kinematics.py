"""Conversions between joint rotations, generalised coordinates and velocities, and forward kinematics; batched."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.sim.robot import Robot

_WEAK = 1e-3  # of a body's own origin, where the axes of its joints leave its pivot open


class JointLayout:
    """Index tensors of a robot's joints on one device, for conversions with few kernels.

    All functions of this module take a `Robot` or a `JointLayout`; where speed matters, build the layout once.

    Args:
        robot: the robot.
        device: of the index tensors.

    Attributes:
        levels: by depth in the tree of frames, from the root's children on: indices of the frames' parents among the
            preceding frames; indices of their joints (J for a welded body); joint positions in the parents' frames;
            rotations in the parents' frames at rest; joint positions in the own frames. The last two are None if
            trivial. Each joint has a frame, the last one of a body is the body's; a welded body is one frame.
        ref_rad: `(H,)` coordinates of the H hinges at rest; None if all are zero.
    """

    def __init__(self, robot: Robot, device: torch.device | str = "cpu") -> None:
        self.robot = robot
        self.device = torch.device(device)
        self.num_qpos = max((joint.qpos.stop for joint in robot.joints), default=0)
        self._read_coordinates(robot)
        self._read_dofs(robot)
        self._read_tree(robot)

    def _indices(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=self.device)

    def _read_coordinates(self, robot: Robot) -> None:
        """Indices of the components of `joint_quat` in (qpos, cosines, sines), and the inverse."""
        hinges = [j for j, joint in enumerate(robot.joints) if not joint.ball]
        source: list[int] = []
        factor: list[float] = []
        back = [0] * self.num_qpos
        for j, joint in enumerate(robot.joints):
            if joint.ball:
                source += range(joint.qpos.start, joint.qpos.stop)
                factor += [1.0] * 4
                back[joint.qpos] = range(4 * j, 4 * j + 4)
            else:
                h = hinges.index(j)
                cosine, sine = self.num_qpos + h, self.num_qpos + len(hinges) + h
                source += [cosine, sine, sine, sine]
                factor += [1.0, *joint.axis]
                back[joint.qpos.start] = 4 * len(robot.joints) + h
        self.hinge_joint = self._indices(hinges)
        self.hinge_qpos = self._indices([robot.joints[j].qpos.start for j in hinges])
        self.hinge_axis = torch.tensor([robot.joints[j].axis for j in hinges], device=self.device).reshape(-1, 3)
        refs = [robot.joints[j].ref_rad for j in hinges]
        self.ref_rad = torch.tensor(refs, device=self.device) if any(refs) else None
        self.dof_ref_rad = torch.zeros(robot.num_dofs, device=self.device)
        self.dof_ref_rad[[robot.joints[j].dof.start for j in hinges]] = torch.tensor(refs, device=self.device)
        self.quat_source = self._indices(source)
        self.quat_factor = torch.tensor(factor, device=self.device)
        self.qpos_source = self._indices(back)

    def _read_dofs(self, robot: Robot) -> None:
        """Joint and axis of each degree of freedom: unit axes for a ball, the hinge's own axis."""
        joint_of, axes = [0] * robot.num_dofs, torch.zeros(robot.num_dofs, 3)
        for j, joint in enumerate(robot.joints):
            joint_of[joint.dof] = [j] * (3 if joint.ball else 1)
            axes[joint.dof] = torch.eye(3) if joint.ball else torch.tensor([joint.axis])
        self.dof_joint = self._indices(joint_of)
        self.dof_axis = axes.to(self.device)

    def _read_tree(self, robot: Robot) -> None:
        """Fill `levels`: the frames of one depth are computed together."""
        frames = _frames(robot)
        depth: list[int] = []
        for frame in frames:
            depth.append(0 if frame.parent < 0 else depth[frame.parent] + 1)
        levels = [[f for f, d in enumerate(depth) if d == level] for level in range(1, max(depth) + 1)]
        position = {frame: i for i, frame in enumerate([0, *(f for level in levels for f in level)])}
        self.levels: list[tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]] = []
        for level in levels:
            own = [frames[f] for f in level]
            turn, pivot = torch.stack([f.local_quat for f in own]), torch.tensor([f.anchor_m for f in own])
            joint_pos = torch.stack([f.local_pos_m for f in own]) + rotations.rotate(turn, pivot)
            rotated = (turn != torch.tensor([1.0, 0.0, 0.0, 0.0])).any()
            self.levels.append(
                (
                    self._indices([position[f.parent] for f in own]),
                    self._indices([f.joint for f in own]),
                    joint_pos.to(self.device),
                    turn.to(self.device) if rotated else None,
                    pivot.to(self.device) if pivot.any() else None,
                )
            )
        last = {frame.body: f for f, frame in enumerate(frames)}
        self.body_order = self._indices([position[last[b]] for b in range(robot.num_bodies)])


class _Frame(NamedTuple):
    """A body, or a body after some of its joints; parents come first."""

    body: int
    parent: int
    joint: int
    local_pos_m: Tensor
    local_quat: Tensor
    anchor_m: tuple[float, float, float]


def _frames(robot: Robot) -> list[_Frame]:
    """The frames of a robot: one a joint, in the order in which they act, and one for the root and each welded body."""
    frames: list[_Frame] = []
    last: dict[int, int] = {}
    at_rest = torch.zeros(3), torch.tensor([1.0, 0.0, 0.0, 0.0])
    for body, parent in enumerate(robot.parents):
        own = [j for j, joint in enumerate(robot.joints) if joint.body == body] or [len(robot.joints)]
        place = robot.local_pos_m[body], robot.local_quat[body]
        for j in own:
            anchor = robot.joints[j].anchor_m if j < len(robot.joints) else (0.0, 0.0, 0.0)
            above = last.get(body, last.get(parent, -1))
            frames.append(_Frame(body, above, j, *(place if body not in last else at_rest), anchor))
            last[body] = len(frames) - 1
    return frames


def as_layout(robot: Robot | JointLayout, device: torch.device) -> JointLayout:
    """The layout itself, or a new one for a robot."""
    return robot if isinstance(robot, JointLayout) else JointLayout(robot, device)


def joint_quat_from_qpos(robot: Robot | JointLayout, joint_pos: Tensor) -> Tensor:
    """Joint rotations `(…, J, 4)` from joint coordinates `(…, nq - 7)`: quaternions of balls and angles of hinges."""
    layout = as_layout(robot, joint_pos.device)
    hinges = joint_pos.index_select(-1, layout.hinge_qpos)
    half = 0.5 * (hinges if layout.ref_rad is None else hinges - layout.ref_rad.to(hinges))
    source = torch.cat((joint_pos, half.cos(), half.sin()), dim=-1)
    return (source.index_select(-1, layout.quat_source) * layout.quat_factor).unflatten(-1, (-1, 4))


def qpos_from_joint_quat(robot: Robot | JointLayout, joint_quat: Tensor) -> Tensor:
    """Joint coordinates `(…, nq - 7)` from joint rotations `(…, J, 4)`; hinges turn by [-pi, pi] from rest."""
    layout = as_layout(robot, joint_quat.device)
    hinges = rotations.to_rotvec(joint_quat.index_select(-2, layout.hinge_joint))
    angles = (hinges * layout.hinge_axis).sum(-1)
    if layout.ref_rad is not None:
        angles = angles + layout.ref_rad.to(angles)
    return torch.cat((joint_quat.flatten(-2), angles), dim=-1).index_select(-1, layout.qpos_source)


def dof_pos(robot: Robot | JointLayout, joint_quat: Tensor) -> Tensor:
    """Positions `(…, D)` in rad of the degrees of freedom from joint rotations `(…, J, 4)`.

    Exponential map of a ball joint, on which its motors act; coordinate of a hinge.
    """
    layout = as_layout(robot, joint_quat.device)
    positions = _on_dofs(layout, rotations.to_rotvec(joint_quat))
    return positions if layout.ref_rad is None else positions + layout.dof_ref_rad.to(positions)


def dof_velocity(robot: Robot | JointLayout, joint_quat: Tensor, dt_s: float) -> Tensor:
    """Velocities `(F, D)` in rad/s along a path of joint rotations `(F, J, 4)`, by finite differences.

    As in MuJoCo: for a ball joint the angular velocity of its body relative to the parent body, in the body's frame.
    Central differences, one-sided at the ends.
    """
    layout = as_layout(robot, joint_quat.device)
    # the angular velocity in the body's frame is minus that of the inverse rotation in the world frame
    return _on_dofs(layout, -rotations.angular_velocity(rotations.conjugate(joint_quat), dt_s))


def forward(
    robot: Robot | JointLayout, root_pos_w: Tensor, root_quat_w: Tensor, joint_quat: Tensor
) -> tuple[Tensor, Tensor]:
    """Forward kinematics, as in MuJoCo.

    Args:
        robot: the tree of bodies.
        root_pos_w: `(…, 3)` in metres.
        root_quat_w: `(…, 4)`.
        joint_quat: `(…, J, 4)` rotation of each joint from rest: of its body relative to the parent body, if it is the
            body's only joint.

    Returns:
        Positions `(…, B, 3)` in metres and rotations `(…, B, 4)` of the bodies, world frame.
    """
    layout = as_layout(robot, joint_quat.device)
    identity = torch.zeros_like(joint_quat[..., :1, :])  # for welded bodies
    identity[..., 0] = 1.0
    local = torch.cat((joint_quat, identity), dim=-2)
    pos, quat = root_pos_w.unsqueeze(-2), root_quat_w.unsqueeze(-2)
    for parents, joints, joint_pos, frame, anchor in layout.levels:
        parent_quat, own = quat.index_select(-2, parents), local.index_select(-2, joints)
        if frame is not None:
            own = rotations.multiply(frame.to(own).expand_as(own), own)
        offset = joint_pos.to(own).expand(*own.shape[:-1], 3)
        if anchor is not None:
            offset = offset - rotations.rotate(own, anchor.to(own).expand_as(offset))
        offset_w = rotations.rotate(parent_quat, offset.expand(*parent_quat.shape[:-1], 3))
        pos = torch.cat((pos, pos.index_select(-2, parents) + offset_w), dim=-2)
        quat = torch.cat((quat, rotations.multiply(parent_quat, own)), dim=-2)
    return pos.index_select(-2, layout.body_order), quat.index_select(-2, layout.body_order)


def _on_dofs(layout: JointLayout, vectors: Tensor) -> Tensor:
    """Components `(…, D)` of vectors `(…, J, 3)` of joints along the axes of their degrees of freedom."""
    return (vectors.index_select(-2, layout.dof_joint) * layout.dof_axis).sum(-1)


def posture_distance_m2(body_pos_w: Tensor, reference_pos_w: Tensor) -> Tensor:
    """Mean squared distance `(…)` of bodies at `(…, B, 3)`, m, after the best horizontal alignment.

    The alignment is a translation on the floor and a rotation about z. For centred points in the plane as complex
    numbers, the best rotation leaves |a|² + |b|² - 2 |sum of conj(a) b|.
    """
    a, b = (pos[..., :2] - pos[..., :2].mean(-2, keepdim=True) for pos in (body_pos_w, reference_pos_w))
    along = (a * b).sum((-2, -1))
    across = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(-1)
    plane = a.square().sum((-2, -1)) + b.square().sum((-2, -1)) - 2.0 * torch.hypot(along, across)
    height = (body_pos_w[..., 2] - reference_pos_w[..., 2]).square().sum(-1)
    return (plane.clamp_min(0.0) + height) / body_pos_w.shape[-2]


def limb_pivot(robot: Robot, body: int) -> Tensor:
    """The point `(3,)` float64 about which a limb turns, in the frame of its first half.

    It is nearest to the axes of all joints there. A hip of three hinges may be three bodies, one below the other; the
    last of them is the thigh. Where the axes leave the point open, it is near the origin of that body.
    """
    qpos = robot.qpos0[None]
    pos, quat = (
        part[0].double() for part in forward(robot, qpos[:, :3], qpos[:, 3:7], joint_quat_from_qpos(robot, qpos[:, 7:]))
    )
    matrix, vector = _WEAK * torch.eye(3, dtype=torch.float64), _WEAK * pos[body]
    at = body
    while True:
        for joint in (joint for joint in robot.joints if joint.body == at):
            anchor = pos[at] + rotations.rotate(quat[at], torch.tensor(joint.anchor_m, dtype=torch.float64))
            axis = torch.zeros(3) if joint.ball else torch.tensor(joint.axis)
            axis = rotations.rotate(quat[at], axis.double())
            across = torch.eye(3, dtype=torch.float64) - torch.outer(axis, axis)
            matrix, vector = matrix + across, vector + across @ anchor
        at = robot.parents[at]
        if at <= 0 or robot.parents.count(at) != 1:  # the root, or a body that carries others too
            pivot = torch.linalg.solve(matrix, vector)
            return rotations.rotate(rotations.conjugate(quat[body]), pivot - pos[body])
