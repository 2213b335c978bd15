"""Quality measures of clips: speed, foot slip and penetration, joint limits, and continuity of loops."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.clip import Clip
from isaachrl.motion.library import fit_to_robot
from isaachrl.sim.robot import Robot

CONTACT_M = 0.004
GLIDE_S = 1.0 / 15.0


@dataclass(frozen=True)
class ClipChecks:
    """Measures of a clip.

    Args:
        length_s: duration.
        speed_m_s: mean speed along the root's horizontal path.
        forward_m_s: mean of the root's horizontal velocity along its heading; negative backward.
        net_m_s: horizontal distance between first and last frame, over the duration.
        turn_rad_s: mean turn rate of the heading, positive to the left.
        slip_cm: largest slip of a sole corner, see `largest_slip_m`.
        penetration_mm: largest depth of a sole corner below the floor.
        margin_deg: smallest distance of a degree of freedom to the limits of its range; negative outside.
        margin_dof: the degree of freedom with that margin.
        knee_deg: smallest and largest flexion of joints whose name ends in `_knee`; zeros without any.
        seam_rad: largest rotation of a joint or of the root (heading removed) between first and last frame of a loop; 0
            for other clips.
        peak_speed_rad_s: largest joint speed.
    """

    length_s: float
    speed_m_s: float
    forward_m_s: float
    net_m_s: float
    turn_rad_s: float
    slip_cm: float
    penetration_mm: float
    margin_deg: float
    margin_dof: str
    knee_deg: tuple[float, float]
    seam_rad: float
    peak_speed_rad_s: float


def check_clip(clip: Clip, robot: Robot, soles_b_m: Mapping[str, Tensor]) -> ClipChecks:
    """Measure a clip.

    Args:
        clip: the motion.
        robot: the clip's robot; joints are matched by name.
        soles_b_m: corners `(C, 3)` of each sole in its body's frame, by body name (`sim.soles.robot_soles`); the
            floor is at z = 0.

    Raises:
        ClipError: the clip's joints or bodies are not the robot's.
    """
    clip = fit_to_robot(clip, robot)
    root, turn, joints = (torch.from_numpy(x).double() for x in (clip.root_pos_w, clip.root_quat_w, clip.joint_quat))
    corners = _corners(robot, root, turn, joints, soles_b_m)
    angles = kinematics.dof_pos(robot, joints)
    margins = torch.minimum(angles - robot.dof_range_rad[:, 0], robot.dof_range_rad[:, 1] - angles).amin(0)
    steps = (root[1:] - root[:-1])[:, :2]
    heading = torch.from_numpy(np.unwrap(rotations.heading(turn).numpy()))
    middle = 0.5 * (heading[1:] + heading[:-1])
    ahead = steps[:, 0] * middle.cos() + steps[:, 1] * middle.sin()
    knees = [angles[:, i] for i, name in enumerate(robot.dof_names) if name.endswith("_knee")]
    flexion = torch.rad2deg(torch.stack(knees)) if knees else torch.zeros(1)
    velocity = kinematics.dof_velocity(robot, joints, 1.0 / clip.fps)
    return ClipChecks(
        length_s=clip.duration_s,
        speed_m_s=float(steps.norm(dim=-1).sum()) / clip.duration_s,
        forward_m_s=float(ahead.sum()) / clip.duration_s,
        net_m_s=float((root[-1] - root[0])[:2].norm()) / clip.duration_s,
        turn_rad_s=float(heading[-1] - heading[0]) / clip.duration_s,
        slip_cm=100.0 * largest_slip_m(corners.numpy(), clip.fps)[0],
        penetration_mm=1000.0 * max(0.0, -float(corners[..., 2].min())) if len(soles_b_m) else 0.0,
        margin_deg=float(torch.rad2deg(margins.min())),
        margin_dof=robot.dof_names[int(margins.argmin())],
        knee_deg=(float(flexion.min()), float(flexion.max())),
        seam_rad=_seam(turn, joints) if clip.loop else 0.0,
        peak_speed_rad_s=float(velocity.abs().max()),
    )


def largest_slip_m(corners_w: NDArray[np.float64], fps: float) -> tuple[float, int]:
    """Largest horizontal displacement of a point in `(F, P, 3)` during one contact, in metres, and its frame.

    A contact is a sequence of frames in which the point is within 4 mm of the floor. Its first and last 1/15 s, in
    which the sole rolls on or off, are ignored.
    """
    ends = round(GLIDE_S * fps)
    worst = (0.0, 0)
    for point in range(corners_w.shape[1]):
        contact = np.concatenate(([0], corners_w[:, point, 2] < CONTACT_M, [0])).astype(int)
        changes = np.flatnonzero(np.diff(contact))
        for first, stop in zip(changes[::2], changes[1::2], strict=True):
            xy = corners_w[first + ends : max(stop - ends, first + ends), point, :2]
            if len(xy):
                away = np.linalg.norm(xy - xy[0], axis=-1)
                worst = max(worst, (float(away.max()), int(first) + ends + int(away.argmax())))
    return worst


def _corners(robot: Robot, root: Tensor, turn: Tensor, joints: Tensor, soles: Mapping[str, Tensor]) -> Tensor:
    """World positions `(F, P, 3)` of all corners of all soles."""
    if not soles:
        return root.new_zeros(len(root), 0, 3)
    layout = kinematics.JointLayout(robot)
    pos, quat = kinematics.forward(layout, root.float(), turn.float(), joints.float())
    parts = []
    for name, local in soles.items():
        body = robot.body_names.index(name)
        turned = quat[:, body, None].expand(-1, len(local), -1)
        parts.append(pos[:, body, None] + rotations.rotate(turned, local.float().expand(len(pos), -1, -1)))
    return torch.cat(parts, dim=1).double()


def _seam(turn: Tensor, joints: Tensor) -> float:
    """Largest rotation between first and last frame, of a joint or of the root with its heading removed."""
    upright = rotations.multiply(rotations.from_yaw(-rotations.heading(turn)), turn)
    poses = torch.cat((upright[:, None], joints), dim=1)
    change = rotations.multiply(rotations.conjugate(poses[0]), poses[-1])
    return float(rotations.to_rotvec(change).norm(dim=-1).max())
