"""Proprioception, style observation, actions and fall detection of a humanoid's tasks."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from isaachrl.errors import ConfigError, nearest
from isaachrl.maths import rotations
from isaachrl.motion.kinematics import JointLayout, dof_pos, joint_quat_from_qpos
from isaachrl.motion.library import MotionState
from isaachrl.sim import Control, Robot, Sim, load_robot
from isaachrl.sim.robot import Joint

from .motors import motor_contract

HUMANOID = "humanoid"  # the shipped one, of which the defaults are
PELVIS, TORSO, HEAD = "pelvis", "torso", "head"
SIDES, FEET = ("right", "left"), ("right_foot", "left_foot")
MIN_HEIGHT_M = {PELVIS: 0.5, HEAD: 0.85}  # below which a body of the shipped humanoid has fallen
MIN_HEIGHT_SHARE = {PELVIS: 0.57, HEAD: 0.63}  # of its height in the standing pose, to the centimetre
LEAST_REACH, MOST_REACH = 0.25, 0.7  # of a motor's range, to each side of the standing pose
KNEE_RAD = 1.25  # to which targets of knees reach: a walk bends them that far


def require_roles(robot: Robot) -> None:
    """Check that a robot has what all tasks of a humanoid need.

    Raises:
        ConfigError: it lacks pelvis, torso or feet; the message has the lines to write.
    """
    robot.roles.require(PELVIS, TORSO, *FEET)


def top_body(robot: Robot) -> str:
    """The head, or the torso of a robot without one."""
    return robot.roles.get(HEAD) or robot.roles.require(TORSO)[0]


def hand_body(robot: Robot, side: str) -> str | None:
    """The hand of a side, the forearm of a robot without one, None where there is no arm."""
    return robot.roles.get(f"{side}_hand") or robot.roles.get(f"{side}_elbow")


def key_bodies(robot: Robot) -> tuple[str, ...]:
    """Right and left hand, right and left foot; a forearm where there is no hand, feet alone where there are no arms.

    Raises:
        ConfigError: the robot has no feet.
    """
    arms = [hand_body(robot, side) for side in SIDES]
    return (*(body for body in arms if body), *robot.roles.require(*FEET))


def sized_m(robot: Robot, share: float) -> float:
    """A share of the robot's height in metres, to the centimetre."""
    return round(share * robot.height_m, 2)


def fall_heights(robot: Robot, given: Mapping[str, float]) -> dict[str, float]:
    """Height limits by body: those given, by body or role, and for other robots than the shipped one their own.

    Args:
        robot: the robot.
        given: heights in m; those of `MIN_HEIGHT_M` count as not given.

    Raises:
        ConfigError: the robot lacks pelvis or torso.
    """
    if robot.file == HUMANOID:
        return dict(given)
    top, pelvis = top_body(robot), robot.roles.require(PELVIS)[0]
    shares = {top: MIN_HEIGHT_SHARE[HEAD], pelvis: MIN_HEIGHT_SHARE[PELVIS]}
    height = {body: float(robot.stand_pos_m[robot.body_names.index(body), 2]) for body in shares}
    own = {body: round(share * height[body], 2) for body, share in shares.items()}
    typed = {name: value for name, value in given.items() if value != MIN_HEIGHT_M.get(name)}
    return own | {robot.roles.get(name, name): value for name, value in typed.items()}


def sized_to_robot(name: str, given: Mapping[str, float]) -> dict[str, float]:
    """`fall_heights` of a robot by name or file; as given for one that no task can have, which the task will refuse."""
    if name == HUMANOID:
        return dict(given)
    try:
        return fall_heights(load_robot(name), given)
    except ConfigError:
        return dict(given)


def proprioception_layout(robot: Robot) -> list[tuple[str, int, str]]:
    """Name, size and unit of each part of the proprioception, in order; 15 B - 2 numbers."""
    bodies = robot.num_bodies
    return [
        ("root_height", 1, "m"),
        ("body_pos_h", 3 * (bodies - 1), "m, relative to the root, heading frame, root left out"),
        ("body_axis_x_h", 3 * bodies, "unit vectors, heading frame"),
        ("body_axis_z_h", 3 * bodies, "unit vectors, heading frame"),
        ("body_linvel_h", 3 * bodies, "m/s, heading frame"),
        ("body_angvel_h", 3 * bodies, "rad/s, heading frame"),
    ]


def proprioception_size(robot: Robot) -> int:
    """Width of `proprioception`."""
    return sum(size for _, size, _ in proprioception_layout(robot))


def proprioception(sim: Sim) -> Tensor:
    """Proprioception `(N, 15 B - 2)`, invariant to translations on the floor and rotations about z."""
    pos, axes = sim.body_pos_w[:, 1:] - sim.root_pos_w.unsqueeze(1), rotations.axes_xz(sim.body_quat_w)
    # separate tensors for x, y and z, since operations with a stride of three take twice as long
    x, y, z = (
        torch.cat((pos[..., i], axes[i], axes[3 + i], sim.body_linvel_w[..., i], sim.body_angvel_w[..., i]), dim=1)
        for i in range(3)
    )
    result = pos.new_empty(len(pos), 1 + 3 * x.shape[1])
    result[:, 0] = sim.root_pos_w[:, 2]
    # written out, since a batched product of 3 x 3 matrices takes several times as long
    cosine, sine = (part.unsqueeze(1) for part in rotations.heading_cos_sin(sim.root_quat_w))
    vectors_h = result[:, 1:].unflatten(1, (-1, 3))
    vectors_h[..., 0] = torch.addcmul(cosine * x, sine, y)
    vectors_h[..., 1] = torch.addcmul(cosine * y, sine, x, value=-1.0)
    vectors_h[..., 2] = z
    return result


def forward_speed_mps(sim: Sim) -> Tensor:
    """Speed `(N,)` of the root along its heading."""
    cosine, sine = rotations.heading_cos_sin(sim.root_quat_w)
    return sim.root_linvel_w[:, 0] * cosine + sim.root_linvel_w[:, 1] * sine


def motion_state(sim: Sim, layout: JointLayout) -> MotionState:
    """The simulated robots' state as a `MotionState` with leading shape `(N,)`."""
    return MotionState(
        root_pos_w=sim.root_pos_w,
        root_quat_w=sim.root_quat_w,
        root_linvel_w=sim.root_linvel_w,
        root_angvel_w=sim.root_angvel_w,
        joint_quat=joint_quat_from_qpos(layout, sim.joint_pos),
        dof_vel=sim.joint_vel,
        body_pos_w=sim.body_pos_w,
    )


def style_layout(robot: Robot) -> list[tuple[str, int, str]]:
    """Name, size and unit of each part of one frame of the style observation, in order."""
    joints = styled_joints(robot)
    return [
        ("root_height", 1, "m"),
        ("root_rotation_h", 6, "tangent-normal, heading frame"),
        ("root_linvel_h", 3, "m/s, heading frame"),
        ("root_angvel_h", 3, "rad/s, heading frame"),
        ("joint_rotations", 6 * len(joints), "tangent-normal, relative to the parent"),
        ("dof_vel", sum(joint.dof.stop - joint.dof.start for joint in joints), "rad/s"),
        ("key_body_pos_h", 3 * len(key_bodies(robot)), "m, relative to the root, heading frame"),
    ]


def styled_joints(robot: Robot) -> list[Joint]:
    """Joints that the discriminator sees: all but wrists.

    In retargeted motions wrists are still. The slightest movement would tell a simulated body from a recorded one then.
    """
    wrists = robot.wrists
    return [joint for joint in robot.joints if joint not in wrists]


def style_size(robot: Robot) -> int:
    """Width of one style frame."""
    return sum(size for _, size, _ in style_layout(robot))


class StyleFrame:
    """Makes frames of the discriminator's observation, see `style_layout`.

    Args:
        robot: whose.
        device: of the states.
    """

    def __init__(self, robot: Robot, device: torch.device) -> None:
        self._keys = robot.body_index(*key_bodies(robot)).to(device)
        joints = styled_joints(robot)
        self._all = len(joints) == len(robot.joints)
        self._joints = torch.tensor([robot.joints.index(joint) for joint in joints], device=device)
        self._dofs = torch.tensor([i for j in joints for i in range(j.dof.start, j.dof.stop)], device=device)

    def __call__(self, state: MotionState) -> Tensor:
        """One frame `(…, style_size)` for simulated or recorded motion."""
        axes = rotations.axes_xz(state.root_quat_w)
        vectors = torch.cat(
            (
                torch.stack(axes, dim=-1).unflatten(-1, (2, 3)),
                state.root_linvel_w.unsqueeze(-2),
                state.root_angvel_w.unsqueeze(-2),
                state.body_pos_w.index_select(-2, self._keys) - state.root_pos_w.unsqueeze(-2),
            ),
            dim=-2,
        )
        vectors_h = vectors @ rotations.to_heading_of(*axes).mT
        joint_quat, dof_vel = state.joint_quat, state.dof_vel
        if not self._all:
            joint_quat, dof_vel = joint_quat.index_select(-2, self._joints), dof_vel.index_select(-1, self._dofs)
        parts = (
            state.root_pos_w[..., 2:],
            vectors_h[..., :4, :].flatten(-2),
            rotations.tangent_normal(joint_quat).flatten(-2),
            dof_vel,
            vectors_h[..., 4:, :].flatten(-2),
        )
        return torch.cat(parts, dim=-1)


class ActionMap:
    """Maps actions in [-1, 1] to controls: `offset + scale * clamp(action)`.

    If all motors have a range of their own (`user`), targets of hinges cover 1.4 times that range, so that the PD motor
    has torque at the limits, and targets of ball joints are exponential maps of up to 1.2 times the largest limit. Else
    targets are around the standing pose, as far away as takes the full torque, which is a quarter to 0.7 of the range;
    knees reach a bend of 1.25 rad in any case, also from a straight stand.
    Torques cover the effort limit.

    Attributes:
        offset, scale: `(D,)`, rad or N m.
        contract: see `Task.action_contract`.
    """

    def __init__(self, robot: Robot, control: Control, device: torch.device) -> None:
        offset, scale = _targets_in_range(robot) if robot.has_motor_ranges else _targets_around_stand(robot)
        if control is Control.torque:
            offset, scale = torch.zeros_like(offset), robot.effort_limit.clone()
        self.offset, self.scale = offset.to(device), scale.to(device)
        self.contract = motor_contract(robot, control, offset, scale)

    def __call__(self, action: Tensor) -> Tensor:
        """Controls `(N, D)` of actions `(N, D)`."""
        return torch.addcmul(self.offset, self.scale, action.clamp(-1.0, 1.0))


def _targets_in_range(robot: Robot) -> tuple[Tensor, Tensor]:
    """Offset and scale `(D,)` of targets that cover the motors' ranges."""
    low, high = robot.dof_range_rad.unbind(-1)
    offset, scale = 0.5 * (low + high), 0.7 * (high - low)
    for joint in robot.joints:
        if joint.ball:
            reach = 1.2 * float(robot.dof_range_rad[joint.dof].abs().max())
            offset[joint.dof], scale[joint.dof] = 0.0, min(reach, math.pi)
    return offset, scale


def _targets_around_stand(robot: Robot) -> tuple[Tensor, Tensor]:
    """Offset and scale `(D,)` of targets around the standing pose."""
    span = robot.dof_range_rad[:, 1] - robot.dof_range_rad[:, 0]
    full_torque = robot.effort_limit / robot.stiffness
    scale = torch.minimum(torch.maximum(full_torque, LEAST_REACH * span), MOST_REACH * span)
    stand = dof_pos(robot, joint_quat_from_qpos(robot, robot.stand_qpos[7:]))
    knees = [robot.roles[name] for name in ("left_knee", "right_knee") if name in robot.roles]
    for joint in robot.joints:
        if robot.body_names[joint.body] in knees and not joint.ball:
            low, high = robot.dof_range_rad[joint.dof.start].tolist()
            bent = min(KNEE_RAD, high) if high > -low else max(-KNEE_RAD, low)
            scale[joint.dof] = torch.maximum(scale[joint.dof], (bent - stand[joint.dof]).abs())
    return stand, scale


class FallDetector:
    """Detects falls: a body below its height limit, or a diverged world.

    Args:
        min_height_m: limit by body name, metres above the floor, see `fall_heights`.

    Raises:
        ConfigError: the robot has no such body.
    """

    def __init__(self, robot: Robot, min_height_m: dict[str, float], device: torch.device) -> None:
        for name in min_height_m:
            if name not in robot.body_names:
                raise ConfigError(f"task.min_height_m.{name}: there is no such body{nearest(name, robot.body_names)}")
        self._ids = robot.body_index(*min_height_m).to(device)
        self._limits = torch.tensor(list(min_height_m.values()), device=device)

    def __call__(self, sim: Sim) -> Tensor:
        """`(N,)` bool."""
        return self.low(sim.body_pos_w) | sim.diverged

    def low(self, body_pos_w: Tensor) -> Tensor:
        """`(n,)` bool: a body is below its limit, for positions `(n, B, 3)` of all bodies."""
        return (body_pos_w[:, self._ids, 2] < self._limits).any(-1)
