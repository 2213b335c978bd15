"""Whether a source motion is that of a human: what a wrong axis, unit, side or quaternion order would break."""

import math

import torch

from isaachrl.errors import ClipError
from isaachrl.maths import rotations
from isaachrl.motion.source.figure import Figure
from isaachrl.motion.source.names import SIDES
from isaachrl.motion.source.settle import upward_share
from isaachrl.motion.source.skeleton import SourceMotion

LEG_RANGE_M = (0.3, 1.4)
UPRIGHT = 0.25  # least height of the shoulders above the feet at some time, in lengths of the legs; 1.6 when standing
STANDING, RISEN = 1.35, 0.9  # median along another axis, and most along the upward one, by which the axis is wrong
FASTEST_M_S = 15.0
LOW = 0.06  # a foot is on the floor if it is lower than its lowest place by this share of the legs
SKATE_M_S = 0.8  # speed of the lower foot while it is that low, the median; walking has 0.1
HIGH, LEAN_RAD = 0.6, 0.45  # hips this high above the feet, in lengths of the legs, are at most so far beside them
BACKWARD = 0.2  # mean bend of knees against their sense, radians


def require_plausible(motion: SourceMotion, shape: Figure) -> None:
    """Check a motion and the guesses that were made about its file.

    Raises:
        ClipError: it cannot be right; the message names the measure and the keys to type.
    """
    for problem in problems(motion, shape):
        raise ClipError(f"{motion.name} is refused: {problem} ({'; '.join(motion.notes[1:])})")


def problems(motion: SourceMotion, shape: Figure) -> list[str]:
    """What is wrong, a sentence each with the number that decided."""
    found = []
    if not LEG_RANGE_M[0] <= shape.leg_m <= LEG_RANGE_M[1]:
        low, high = LEG_RANGE_M
        found.append(
            f"the legs are {shape.leg_m:.3g} m long, expected {low} to {high}: the unit is wrong, type source.unit=cm,"
            " m, mm, in or a number of metres"
        )
        return found
    best, other = (
        float((_above(motion) / shape.leg_m).max()),
        float(upward_share(motion.pos_w_m, motion.roles)[:2].abs().max()),
    )
    if best < UPRIGHT or (other > STANDING and best < RISEN):
        found.append(
            f"the shoulders are at most {best:.2f} lengths of the legs above the feet, and {other:.2f} beside them for"
            " half of the time: the upward axis or the order of quaternions is wrong, type source.up=y, z, … or"
            " source.quat=xyzw"
        )
    steps_m = shape.hips_w_m.diff(dim=0).norm(dim=-1)
    fastest = float(steps_m.max()) * shape.fps
    if fastest > FASTEST_M_S:
        found.append(
            f"the hips move at {fastest:.3g} m/s after {int(steps_m.argmax()) / shape.fps:.2f} s, expected at most"
            f" {FASTEST_M_S:g}: positions are in another unit than the skeleton, the frame rate is wrong, or a frame"
            " jumps; type source.unit, source.fps or source.start_s"
        )
    return found + _leaning(shape) + _sides(motion, shape) + _skating(shape)


def _leaning(shape: Figure) -> list[str]:
    """The hips are above the feet while they are high."""
    apart = shape.hips_w_m - shape.feet_w_m.mean(1)
    high = apart[:, 2] > HIGH * shape.leg_m
    lean = float(torch.atan2(apart[high, :2].norm(dim=-1), apart[high, 2]).median()) if high.any() else 0.0
    if lean > LEAN_RAD:
        return [
            f"the body leans by {math.degrees(lean):.0f} degrees while it stands, expected at most"
            f" {math.degrees(LEAN_RAD):.0f}: the order of quaternions or the upward axis is wrong, type"
            " source.quat=xyzw or wxyz, or source.up=y, z, …"
        ]
    return []


def _above(motion: SourceMotion) -> torch.Tensor:
    """Height `(F,)` of the shoulders above the feet."""
    height, roles = motion.pos_w_m[..., 2], motion.roles
    shoulders = height[:, [roles[f"{side}_shoulder"] for side in SIDES]].mean(1)
    return shoulders - height[:, [roles[f"{side}_foot"] for side in SIDES]].mean(1)


def _sides(motion: SourceMotion, shape: Figure) -> list[str]:
    """Left is left of ahead, as toes and knees have it."""
    pos, pelvis, roles = motion.pos_w_m, shape.quat_w["pelvis"], motion.roles
    x = rotations.axis_x(pelvis)
    left = pos[:, roles["left_hip"]] - pos[:, roles["right_hip"]]
    y = torch.linalg.cross(rotations.axis_z(pelvis), x)
    toes, bends = [], []
    for side in SIDES:
        foot, toe = pos[:, roles[f"{side}_foot"]], roles.get(f"{side}_toe")
        if toe is not None:
            toes.append(((pos[:, toe] - foot) * x).sum(-1))
        thigh, shank = shape.limb_w[f"{side}_hip"], shape.limb_w[f"{side}_knee"]
        bends.append((torch.linalg.cross(thigh, shank) * y).sum(-1))
    found = []
    if (left * y).sum(-1).median() < 0:
        found.append("the left hip is on the right: the motion is mirrored or its sides are swapped")
    toe_ahead = float(torch.stack(toes).median()) if toes else 0.0
    bend = float(torch.stack(bends).mean())
    if toe_ahead < 0 or (bend < -BACKWARD):
        found.append(
            f"toes point backward ({toe_ahead:.3f} m ahead of the ankles) or knees bend forward ({bend:.2f}), with the"
            " left hip on the left: the motion is mirrored, or its sides are swapped"
        )
    return found


def _skating(shape: Figure) -> list[str]:
    """The lower foot rests while it is on the floor."""
    height = shape.feet_w_m[..., 2]
    floor = height.quantile(0.05)
    speed = shape.feet_w_m[..., :2].diff(dim=0).norm(dim=-1) * shape.fps
    lower = height[1:].argmin(1, keepdim=True)
    on_floor = height[1:].gather(1, lower)[:, 0] < floor + LOW * shape.leg_m
    skate = float(speed.gather(1, lower)[on_floor, 0].median()) if on_floor.any() else 0.0
    if skate > SKATE_M_S:
        return [
            f"the lower foot slides at {skate:.2f} m/s while it is on the floor, expected at most {SKATE_M_S}:"
            " positions of the root and the skeleton do not belong to each other, or the frame rate is wrong"
        ]
    return []
