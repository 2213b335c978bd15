"""What retargeting takes from a motion: directions of limbs, and how pelvis, torso, head and feet are turned.

An *anatomical frame* has x ahead, y to the left and z along the body upward; of a body that stands straight all of them
are parallel.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.motion.source.names import SIDES
from isaachrl.motion.source.settle import from_matrix, leg_length
from isaachrl.motion.source.skeleton import SourceMotion

FRAMES = ("pelvis", "torso", "head", "left_foot", "right_foot")
LIMBS = (("hip", "knee"), ("knee", "foot"), ("shoulder", "elbow"), ("elbow", "hand"))
STRAIGHT = 0.85  # of a rest pose that stands: least height of the hips above the feet, as a share of the legs
SNAP = 0.9  # cosine within which an axis of the rest pose is taken for the next axis of the file
TILT_DEG = 35.0  # largest angle of a foot on the floor that is put down to the skeleton


@dataclass(frozen=True)
class Figure:
    """F frames of a motion, without the proportions of its skeleton; float64.

    Args:
        fps: frames per second.
        leg_m: length of a leg, thigh plus shank.
        hips_w_m: `(F, 3)` the middle of the hips.
        feet_w_m: `(F, 2, 3)` left and right foot.
        limb_w: `(F, 3)` unit vectors by `left_hip` (thigh), `left_knee` (shank), `left_shoulder`, `left_elbow`, ….
        quat_w: `(F, 4)` rotation of the anatomical frame by `pelvis`, `torso`, `left_foot`, …; the head's only
            of files with rotations.
        from_rest: whether the rotations are those since an upright rest pose; else they are made of points.
    """

    fps: float
    leg_m: float
    hips_w_m: Tensor
    feet_w_m: Tensor
    limb_w: dict[str, Tensor]
    quat_w: dict[str, Tensor]
    from_rest: bool


def figure(motion: SourceMotion) -> Figure:
    """The figure of a motion of a foreign skeleton."""
    roles = motion.roles
    pos = {role: motion.pos_w_m[:, node] for role, node in roles.items()}
    limbs = {}
    for side in SIDES:
        for upper, lower in LIMBS:
            if f"{side}_{lower}" in pos:
                limbs[f"{side}_{upper}"] = _unit(pos[f"{side}_{lower}"] - pos[f"{side}_{upper}"])
    frame = rest_frame(motion)
    if frame is None or motion.quat_w is None:
        quats = _from_points(pos)
    else:
        used = {role: roles[role] for role in FRAMES if role in roles}
        quats = {
            r: rotations.multiply(motion.quat_w[:, n], frame.expand(motion.num_frames, 4)) for r, n in used.items()
        }
        if "torso" not in quats:
            quats["torso"] = _from_points(pos)["torso"]
    return Figure(
        fps=motion.fps,
        leg_m=leg_length(motion.pos_w_m, roles),
        hips_w_m=0.5 * (pos["left_hip"] + pos["right_hip"]),
        feet_w_m=torch.stack((pos["left_foot"], pos["right_foot"]), dim=1),
        limb_w=limbs,
        quat_w=_level_feet(quats, pos),
        from_rest=frame is not None and motion.quat_w is not None,
    )


def rest_frame(motion: SourceMotion) -> Tensor | None:
    """Rotation `(4,)` of the anatomical frame in the rest pose, in its axes; None if the rest pose does not stand."""
    if motion.quat_w is None:
        return None
    rest = {role: motion.rest_pos_m[node] for role, node in motion.roles.items()}
    feet, hips = 0.5 * (rest["left_foot"] + rest["right_foot"]), 0.5 * (rest["left_hip"] + rest["right_hip"])
    shoulders = 0.5 * (rest["left_shoulder"] + rest["right_shoulder"])
    up, left = _snapped(shoulders - feet), _snapped(rest["left_hip"] - rest["right_hip"])
    left = _unit(left - (left @ up) * up)
    ahead = torch.linalg.cross(left, up)
    leg = leg_length(motion.rest_pos_m[None], motion.roles)
    toes = [(rest[f"{side}_toe"] - rest[f"{side}_foot"]) @ ahead for side in SIDES if f"{side}_toe" in rest]
    if (hips - feet) @ up < STRAIGHT * leg or (shoulders - hips) @ up < 0.3 * leg or any(toe <= 0 for toe in toes):
        return None
    return from_matrix(torch.stack((ahead, left, up), dim=-1))


def _from_points(pos: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Anatomical frames by role, from the positions of joints."""
    hips = 0.5 * (pos["left_hip"] + pos["right_hip"])
    shoulders = 0.5 * (pos["left_shoulder"] + pos["right_shoulder"])
    quats = {
        "pelvis": _frame(pos["left_hip"] - pos["right_hip"], shoulders - hips),
        "torso": _frame(pos["left_shoulder"] - pos["right_shoulder"], shoulders - hips),
    }
    across = rotations.rotate(quats["pelvis"], torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand(len(hips), 3))
    for side in SIDES:
        foot, shank = pos[f"{side}_foot"], pos[f"{side}_knee"] - pos[f"{side}_foot"]
        toe = pos.get(f"{side}_toe")
        if toe is None:
            quats[f"{side}_foot"] = _frame(across, shank)
            continue
        left = torch.linalg.cross(shank, toe - foot)
        quats[f"{side}_foot"] = _frame(left, torch.linalg.cross(toe - foot, left))
    return quats


def _frame(left: Tensor, up: Tensor) -> Tensor:
    """Quaternions of frames with this y axis, and z as near as possible to `up`."""
    y = _unit(left)
    x = _unit(torch.linalg.cross(y, up))
    return from_matrix(torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1))


def _level_feet(quats: dict[str, Tensor], pos: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Frames with each foot's pitch and roll corrected, so that it is level in the frames in which it stands.

    In the rest pose of many skeletons the legs are splayed and the feet with them: CMU's by 20 degrees.
    """
    for side in SIDES:
        quat, foot = quats[f"{side}_foot"], pos[f"{side}_foot"]
        speed = torch.cat((torch.zeros(1, dtype=torch.float64), foot.diff(dim=0).norm(dim=-1)))
        low = foot[:, 2] <= foot[:, 2].quantile(0.3)
        stands = low & (speed <= speed[low].median())
        for axis, sideways in ((0, 1), (1, 0)):  # roll is how far the y axis is from level, pitch the x axis
            up = rotations.to_matrix(quat)[stands, 2]
            tilt = torch.atan2(up[:, sideways], up[:, 2]).median() * (-1.0 if axis == 0 else 1.0)
            if abs(float(tilt)) < TILT_DEG * torch.pi / 180.0:
                about = torch.eye(3, dtype=torch.float64)[axis].expand(len(quat), 3)
                quat = rotations.multiply(quat, rotations.from_axis_angle(about, tilt.expand(len(quat))))
        quats[f"{side}_foot"] = quat
    return quats


def _unit(vector: Tensor) -> Tensor:
    """Vectors of length one; a zero vector stays zero."""
    return vector / vector.norm(dim=-1, keepdim=True).clamp_min(1e-9)


def _snapped(direction: Tensor) -> Tensor:
    """The axis nearest to a direction, if it is near; else the direction."""
    unit = _unit(direction)
    at = unit.abs().argmax()
    if unit[at].abs() < SNAP:
        return unit
    axis = torch.zeros(3, dtype=torch.float64)
    axis[at] = unit[at].sign()
    return axis
