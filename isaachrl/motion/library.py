"""A library of clips on the device, sampled and interpolated without a host sync."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import torch
from torch import Tensor

from isaachrl.errors import ClipError
from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.clip import Clip
from isaachrl.motion.kinematics import JointLayout
from isaachrl.sim.robot import Robot


@dataclass
class MotionState:
    """State of a robot in a motion; all tensors have the same leading shape.

    Args:
        root_pos_w: `(…, 3)` m.
        root_quat_w: `(…, 4)`.
        root_linvel_w: `(…, 3)` m/s.
        root_angvel_w: `(…, 3)` rad/s, in the world frame.
        joint_quat: `(…, J, 4)` rotation of each joint's body relative to its parent.
        dof_vel: `(…, D)` rad/s, in MuJoCo's convention (see `kinematics.dof_velocity`).
        body_pos_w: `(…, B, 3)` m.
    """

    root_pos_w: Tensor
    root_quat_w: Tensor
    root_linvel_w: Tensor
    root_angvel_w: Tensor
    joint_quat: Tensor
    dof_vel: Tensor
    body_pos_w: Tensor


def to_qpos_qvel(robot: Robot | JointLayout, state: MotionState) -> tuple[Tensor, Tensor]:
    """MuJoCo's `qpos (…, nq)` and `qvel (…, nv)` of a state."""
    joint_pos = kinematics.qpos_from_joint_quat(robot, state.joint_quat)
    angvel_b = rotations.rotate_inverse(state.root_quat_w, state.root_angvel_w)
    qpos = torch.cat((state.root_pos_w, state.root_quat_w, joint_pos), dim=-1)
    return qpos, torch.cat((state.root_linvel_w, angvel_b, state.dof_vel), dim=-1)


def how_to_import(motion: str | PurePath, robot: Robot) -> str:
    """What to type for a motion of another body, as the end of a message."""
    folder = f"runs/{robot.name}"
    return (
        f"; import it first: type mode=import motion={motion} robot={robot.file} run_dir={folder}, then motion={folder}"
        " (clips of another robot than the humanoid need source.robot=NAME, too)"
    )


def fit_to_robot(clip: Clip, robot: Robot, hint: str = "") -> Clip:
    """The clip with its joints in the robot's order.

    Args:
        clip: the motion.
        robot: the robot; joints are matched by name.
        hint: end of the message if it does not fit.

    Raises:
        ClipError: the clip's joints or bodies are not those of the robot.
    """
    sides = (("joints", clip.joint_names, robot.joint_names), ("bodies", clip.body_names, robot.body_names))
    for what, theirs, ours in sides:
        if sorted(theirs) != sorted(ours):
            raise ClipError(
                f"clip {clip.name!r} does not fit {robot.name!r}: the clip has the {what} {', '.join(theirs)}; "
                f"{robot.name!r} has {', '.join(ours)}{hint}"
            )
    order = [clip.joint_names.index(name) for name in robot.joint_names]
    return replace(
        clip, joint_names=robot.joint_names, body_names=robot.body_names, joint_quat=clip.joint_quat[:, order]
    )


class MotionLibrary:
    """Clips of one robot, concatenated in tensors.

    Args:
        clips: the motions; their joints are reordered by name.
        robot: the robot.
        device: of the tensors.
        weights: relative sampling weight of each clip; equal by default.

    Attributes:
        names: the C clips' names.
        durations_s: `(C,)`.
        weights: `(C,)` share of each clip, summing to one.
        loops: `(C,)` whether the clip loops.
        commands: `(C,)` whether the clip is a motion that can be asked for, see `Clip.command`.
        mean_speed_mps: `(C,)` length of the root's path over the floor, per second.
        mean_turn_rate_rad_s: `(C,)` change of heading per second, positive to the left.

    Raises:
        ClipError: no clips, clips of another robot, or invalid weights.
    """

    def __init__(
        self, clips: Sequence[Clip], robot: Robot, device: torch.device | str, weights: Sequence[float] | None = None
    ) -> None:
        if not clips:
            raise ClipError("a motion library needs at least one clip, got none")
        clips = [fit_to_robot(clip, robot) for clip in clips]
        self.robot = robot
        self.device = torch.device(device)
        self.layout = JointLayout(robot, self.device)
        self.names = tuple(clip.name for clip in clips)
        self.weights = _shares(clips, weights).to(self.device)
        self._cumulative = self.weights.double().cumsum(0)
        self._cumulative /= self._cumulative[-1].clone()
        layout = JointLayout(robot)
        tables = [_ClipTable(clip, layout) for clip in clips]
        self._quat = torch.cat([table.quat for table in tables]).to(self.device)
        self._vector = torch.cat([table.vector for table in tables]).to(self.device)
        self._dof_vel = torch.cat([table.dof_vel for table in tables]).to(self.device)
        linvel, angvel = self._vector[:, 0], self._vector[:, 1]
        ahead = rotations.rotate_inverse(rotations.from_yaw(rotations.heading(self._quat[:, 0])), linvel)
        self._planar_velocity = torch.cat((ahead[:, :2], angvel[:, 2:]), dim=-1)
        frames = torch.tensor([clip.num_frames for clip in clips])
        self._first = (frames.cumsum(0) - frames).to(self.device)
        self._last_step = (frames - 2).to(self.device)  # the last frame with a next one
        self._fps = torch.tensor([clip.fps for clip in clips], dtype=torch.float32, device=self.device)
        self._any_loop = any(clip.loop for clip in clips)
        self.durations_s = torch.tensor([clip.duration_s for clip in clips], device=self.device)
        self.loops = torch.tensor([clip.loop for clip in clips], device=self.device)
        self.commands = torch.tensor([clip.command for clip in clips], device=self.device)
        self._yaw = torch.stack([table.loop_yaw for table in tables]).to(self.device)
        self._shift = torch.stack([table.loop_shift for table in tables]).to(self.device)
        self.mean_speed_mps = torch.stack([table.mean_speed for table in tables]).to(self.device)
        self.mean_turn_rate_rad_s = torch.stack([table.mean_turn for table in tables]).to(self.device)

    @property
    def num_clips(self) -> int:
        """Number of clips C."""
        return len(self.names)

    def sample_clips(self, n: int, generator: torch.Generator) -> Tensor:
        """Sample clip ids `(n,)` by weight."""
        uniform = torch.rand(n, dtype=torch.float64, generator=generator, device=self.device)
        return torch.searchsorted(self._cumulative, uniform, right=True)

    def sample_times(self, ids: Tensor, generator: torch.Generator, margin_s: float = 0.0) -> Tensor:
        """Sample a time `(…)` in s for each clip of `ids (…)`, uniform over its duration.

        Times of clips without loop are at least `margin_s`, for windows that reach into the past.
        """
        uniform = torch.rand(ids.shape, generator=generator, device=self.device)
        duration = self.durations_s[ids]
        start = torch.where(self.loops[ids], 0.0, duration.clamp(max=margin_s))
        return start + uniform * (duration - start)

    def state(self, ids: Tensor, times_s: Tensor) -> MotionState:
        """The state of clips `ids (…)` at any `times_s (…)`; both broadcast.

        Positions and velocities are interpolated linearly, rotations by slerp. Outside [0, duration], a clip without
        loop stays at its first or last frame; a loop continues in both directions, each lap from the end of the
        previous one.
        """
        ids, laps, row, blend = self._rows(ids, times_s)
        quat = rotations.slerp(self._quat[row], self._quat[row + 1], blend.unsqueeze(-1))
        vector = torch.lerp(self._vector[row], self._vector[row + 1], blend[..., None, None])
        dof_vel = torch.lerp(self._dof_vel[row], self._dof_vel[row + 1], blend.unsqueeze(-1))
        root_quat, joint_quat = quat[..., 0, :], quat[..., 1:, :]
        if self._any_loop:
            root_quat, vector = self._carry(ids, laps, root_quat, vector)
        return MotionState(
            root_pos_w=vector[..., 2, :],
            root_quat_w=root_quat,
            root_linvel_w=vector[..., 0, :],
            root_angvel_w=vector[..., 1, :],
            joint_quat=joint_quat,
            dof_vel=dof_vel,
            body_pos_w=vector[..., 3:, :],
        )

    def postures(self, ids: Tensor, times_s: Tensor) -> Tensor:
        """Positions `(…, B, 3)` of the bodies in `state`, where loops begin anew at the same place."""
        _, _, row, blend = self._rows(ids, times_s)
        bodies = self._vector[:, 3:]
        return torch.lerp(bodies[row], bodies[row + 1], blend[..., None, None])

    def planar_velocity(self, ids: Tensor, times_s: Tensor) -> Tensor:
        """Velocity ahead and to the left in m/s and yaw rate in rad/s of the root in `state`, `(…, 3)`."""
        _, _, row, blend = self._rows(ids, times_s)
        return torch.lerp(self._planar_velocity[row], self._planar_velocity[row + 1], blend.unsqueeze(-1))

    def _rows(self, ids: Tensor, times_s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Clips, laps, the tables' row before each time and the share of the way to the next, each `(…)`."""
        ids, times_s = torch.broadcast_tensors(ids, times_s)
        duration = self.durations_s[ids]
        laps = torch.where(self.loops[ids], torch.floor(times_s / duration), 0.0)
        # clamped, so that nothing is extrapolated
        phase = torch.minimum((times_s - laps * duration).clamp_min(0.0), duration) * self._fps[ids]
        step = torch.minimum(phase.long(), self._last_step[ids])
        return ids, laps, self._first[ids] + step, (phase - step).clamp(0.0, 1.0)

    def _carry(self, ids: Tensor, laps: Tensor, root_quat: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Move states by an integer number of laps `(…)`, which may be negative.

        One lap is p -> R p + t with yaw a. The translation after n laps is a geometric series, in complex numbers
        t (e^(i n a) - 1) / (e^(i a) - 1) = t e^(i (n - 1) a / 2) sin(n a / 2) / sin(a / 2).
        """
        yaw, shift = self._yaw[ids], self._shift[ids]
        sine = torch.sin(0.5 * yaw)
        straight = sine.abs() < 1e-7
        ratio = torch.where(straight, laps, torch.sin(0.5 * laps * yaw) / torch.where(straight, 1.0, sine))
        translation = _turn(shift, 0.5 * (laps - 1.0) * yaw) * ratio.unsqueeze(-1)
        total = laps * yaw
        xy = _turn(vector[..., :2], total.unsqueeze(-1))
        # rows 0 and 1 are velocities: not translated
        xy = torch.cat((xy[..., :2, :], xy[..., 2:, :] + translation.unsqueeze(-2)), dim=-2)
        return rotations.multiply(rotations.from_yaw(total), root_quat), torch.cat((xy, vector[..., 2:]), dim=-1)


class _ClipTable:
    """One clip's tensors in the library, with the yaw and translation of one lap.

    `quat (F, 1 + J, 4)`: root, joints. `vector (F, 3 + B, 3)`: linear and angular velocity, root, bodies.
    """

    def __init__(self, clip: Clip, layout: JointLayout) -> None:
        pos, root = torch.from_numpy(clip.root_pos_w), torch.from_numpy(clip.root_quat_w)
        joints = torch.from_numpy(clip.joint_quat)
        dt_s = 1.0 / clip.fps
        self.loop_yaw, self.loop_shift = _lap(pos, root)
        self.quat = torch.cat((root.unsqueeze(1), joints), dim=1)
        if clip.loop:
            pos, root, joints = self._wrapped(pos, root, joints)
        linvel = _linear_velocity(pos, dt_s)
        angvel = rotations.angular_velocity(root, dt_s)
        self.dof_vel = kinematics.dof_velocity(layout, joints, dt_s)
        body_pos, _ = kinematics.forward(layout, pos, root, joints)
        self.vector = torch.cat((torch.stack((linvel, angvel, pos), dim=1), body_pos), dim=1)
        if clip.loop:
            self.dof_vel, self.vector = self.dof_vel[1:-1], self.vector[1:-1]
        steps = torch.from_numpy(clip.root_pos_w)[:, :2].diff(dim=0)
        self.mean_speed = steps.norm(dim=-1).sum() / clip.duration_s
        turns = rotations.heading(torch.from_numpy(clip.root_quat_w)).diff()
        self.mean_turn = torch.remainder(turns + math.pi, 2 * math.pi).sub(math.pi).sum() / clip.duration_s

    def _wrapped(self, pos: Tensor, root: Tensor, joints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The path with one frame more at each end, for central differences across the seam."""
        turn, z = rotations.from_yaw(self.loop_yaw), pos[:, 2:]
        before_xy = _turn(pos[-2:-1, :2] - self.loop_shift, -self.loop_yaw)
        after_xy = _turn(pos[1:2, :2], self.loop_yaw) + self.loop_shift
        before = torch.cat((before_xy, z[-2:-1]), dim=-1)
        after = torch.cat((after_xy, z[1:2]), dim=-1)
        root_before = rotations.multiply(rotations.conjugate(turn).unsqueeze(0), root[-2:-1])
        root_after = rotations.multiply(turn.unsqueeze(0), root[1:2])
        return (
            torch.cat((before, pos, after)),
            torch.cat((root_before, root, root_after)),
            torch.cat((joints[-2:-1], joints, joints[1:2])),
        )


def _shares(clips: Sequence[Clip], weights: Sequence[float] | None) -> Tensor:
    """Weights `(C,)`, normalised to a sum of one."""
    values = [1.0] * len(clips) if weights is None else [float(weight) for weight in weights]
    if len(values) != len(clips):
        raise ClipError(f"{len(values)} weights for {len(clips)} clips; give one weight for each clip")
    if not all(0.0 <= weight < math.inf for weight in values) or not 0.0 < sum(values) < math.inf:
        raise ClipError(f"clip weights must be finite, not negative and not all zero, got {values}")
    return torch.tensor([weight / sum(values) for weight in values])


def _lap(pos: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Yaw `()` and translation `(2,)` from the first frame of a path to its last."""
    w, _, _, z = rotations.multiply(root[-1], rotations.conjugate(root[0])).unbind(-1)
    yaw = 2.0 * torch.atan2(z, w)
    yaw = torch.remainder(yaw + math.pi, 2 * math.pi) - math.pi
    return yaw, pos[-1, :2] - _turn(pos[0, :2], yaw)


def _turn(xy: Tensor, angle: Tensor) -> Tensor:
    """Rotate planar vectors `(…, 2)` by `angle (…)`."""
    c, s = angle.cos(), angle.sin()
    x, y = xy.unbind(-1)
    return torch.stack((c * x - s * y, s * x + c * y), dim=-1)


def _linear_velocity(pos: Tensor, dt_s: float) -> Tensor:
    """Velocities `(F, 3)` of a path: central differences, one-sided at the ends."""
    inner = (pos[2:] - pos[:-2]) / (2 * dt_s)
    return torch.cat(((pos[1:2] - pos[:1]) / dt_s, inner, (pos[-1:] - pos[-2:-1]) / dt_s))
