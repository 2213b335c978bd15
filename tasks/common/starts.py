"""Banks of start states for the humanoid, sampled once, so that a reset costs one look-up."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.kinematics import JointLayout
from isaachrl.motion.library import MotionLibrary, MotionState, to_qpos_qvel
from isaachrl.motion.sources import load_motion
from isaachrl.sim import Robot
from isaachrl.sim.soles import robot_soles

from . import humanoid

STANDING = "stand"
STANDING_STATES = 512
CLIP_STATES = 4096
_JOINT_NOISE_RAD = 0.03
_CLEARANCE = 0.092  # height of the lowest joint of a tipped-over body, of the robot's: a bit more than a limb's radius


@dataclass(frozen=True)
class StartBank:
    """S start states; position and yaw are set by `placed`.

    Args:
        qpos: `(S, nq)`.
        qvel: `(S, nv)`.
        style: `(S, W, style size)` style windows that end in these states, newest frame first; W may be 0.
    """

    qpos: Tensor
    qvel: Tensor
    style: Tensor

    def pick(self, count: int, generator: torch.Generator) -> Tensor:
        """Sample rows `(count,)` uniformly."""
        return torch.randint(len(self.qpos), (count,), generator=generator, device=self.qpos.device)

    def placed(self, rows: Tensor, xy_w: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
        """`qpos` and `qvel` of states `rows (N,)`, moved to `xy_w (N, 2)` and rotated by `yaw (N,)`."""
        qpos, qvel = self.qpos[rows], self.qvel[rows]
        turn = rotations.from_yaw(yaw)
        quat = rotations.multiply(turn, qpos[:, 3:7])
        linvel = rotations.rotate(turn, qvel[:, :3])
        # the angular velocity is in the body frame and does not change
        return torch.cat((xy_w, qpos[:, 2:3], quat, qpos[:, 7:]), dim=-1), torch.cat((linvel, qvel[:, 3:]), dim=-1)


def standing_bank(robot: Robot, frames: int, generator: torch.Generator) -> StartBank:
    """The standing pose with noise in the joints, soles on the floor, at rest."""
    device = generator.device
    layout = JointLayout(robot, device)
    qpos = robot.stand_qpos.to(device).repeat(STANDING_STATES, 1)
    noise = torch.randn(STANDING_STATES, qpos.shape[1] - 7, generator=generator, device=device)
    balls = torch.zeros(qpos.shape[1] - 7, device=device)
    for joint in robot.joints:
        balls[joint.qpos] = float(joint.ball)
    # a quaternion's components are half the angle
    joint_pos = qpos[:, 7:] + _JOINT_NOISE_RAD * noise * (1.0 - 0.5 * balls)
    joint_quat = rotations.normalize(kinematics.joint_quat_from_qpos(layout, joint_pos))
    pos, quat = kinematics.forward(layout, qpos[:, :3], qpos[:, 3:7], joint_quat)
    soles = [
        rotations.rotate(quat[:, [body]], corners.to(device).unsqueeze(0)) + pos[:, [body]]
        for body, corners in ((robot.body_names.index(name), own) for name, own in robot_soles(robot).items())
    ]
    lift = -torch.cat(soles, dim=1)[..., 2].amin(1)
    up = torch.stack((torch.zeros_like(lift), torch.zeros_like(lift), lift), dim=-1)
    still = torch.zeros(STANDING_STATES, 3, device=device)
    dof_vel = torch.zeros(STANDING_STATES, robot.num_dofs, device=device)
    state = MotionState(
        qpos[:, :3] + up, qpos[:, 3:7], still, still, joint_quat, dof_vel, pos + up.unsqueeze(1)
    )  # fmt: skip
    frame = humanoid.StyleFrame(robot, device)(state)
    return StartBank(*to_qpos_qvel(layout, state), frame.unsqueeze(1).repeat(1, frames, 1))


def clip_bank(
    library: MotionLibrary, frames: int, step_s: float, max_speed_mps: float, generator: torch.Generator
) -> StartBank:
    """Random states of clips with a horizontal root speed up to the limit.

    Raises:
        ConfigError: there are none.
    """
    ids = library.sample_clips(CLIP_STATES, generator)
    times = library.sample_times(ids, generator, max(frames - 1, 0) * step_s)
    slow = library.state(ids, times).root_linvel_w[:, :2].norm(dim=-1) <= max_speed_mps
    if not bool(slow.any()):
        raise ConfigError(f"no moment of the clips is as slow as {max_speed_mps} m/s; raise task.start_speed_mps")
    ids, times = ids[slow], times[slow]
    past = torch.arange(max(frames, 1), device=ids.device) * step_s
    windows = library.state(ids.unsqueeze(1), times.unsqueeze(1) - past)
    style = humanoid.StyleFrame(library.robot, ids.device)(windows)[:, :frames]
    return StartBank(*to_qpos_qvel(library.layout, library.state(ids, times)), style)


def fallen_bank(
    layout: JointLayout, qpos: Tensor, frames: int, tilt_rad: tuple[float, float], generator: torch.Generator
) -> StartBank:
    """States tipped over in a random direction and placed just above the floor, at rest.

    Args:
        layout: of the robot.
        qpos: `(S, nq)` upright states.
        frames: length of the style windows.
        tilt_rad: range of the uniformly distributed tilt angle.
        generator: source of randomness.
    """
    device, count = qpos.device, len(qpos)
    side, share = torch.rand(2, count, generator=generator, device=device)
    side = 2.0 * torch.pi * side
    axis = torch.stack((side.cos(), side.sin(), torch.zeros_like(side)), dim=-1)
    tilt = rotations.from_axis_angle(axis, tilt_rad[0] + (tilt_rad[1] - tilt_rad[0]) * share)
    quat = rotations.multiply(tilt, qpos[:, 3:7])
    joint_quat = kinematics.joint_quat_from_qpos(layout, qpos[:, 7:])
    still = torch.zeros(count, 3, device=device)
    pos, _ = kinematics.forward(layout, still, quat, joint_quat)
    lift = humanoid.sized_m(layout.robot, _CLEARANCE) - pos[..., 2].amin(1)
    root = torch.stack((qpos[:, 0], qpos[:, 1], lift), dim=-1)
    dof_vel = torch.zeros(count, layout.robot.num_dofs, device=device)
    state = MotionState(root, quat, still, still, joint_quat, dof_vel, pos + root.unsqueeze(1))
    frame = humanoid.StyleFrame(layout.robot, device)(state)
    return StartBank(*to_qpos_qvel(layout, state), frame.unsqueeze(1).repeat(1, frames, 1))


def make_bank(
    robot: Robot, motion: str, frames: int, step_s: float, max_speed_mps: float, generator: torch.Generator
) -> StartBank:
    """The bank of a motion: `standing_bank` for `stand`, else `clip_bank` of what `load_motion` reads."""
    if motion == STANDING:
        return standing_bank(robot, frames, generator)
    clips, weights = load_motion(motion, robot)
    library = MotionLibrary(clips, robot, generator.device, weights)
    return clip_bank(library, frames, step_s, max_speed_mps, generator)
