"""Two-bone inverse kinematics and reach of the legs."""

import numpy as np
from numpy.typing import NDArray

from isaachrl.motion.synthesis.feet import STRAIGHTEST_KNEE_RAD, FootPath
from isaachrl.motion.synthesis.numerics import gaussian, running_max, turn_y
from isaachrl.motion.synthesis.skeleton import BodyModel
from isaachrl.motion.synthesis.timeline import RATE_HZ

Floats = NDArray[np.float64]


def leg_rotations(
    model: BodyModel, hip: Floats, ankle: Floats, pelvis_yaw: Floats, foot_yaw: Floats
) -> tuple[Floats, Floats]:
    """World rotations `(N, 3, 3)` of thigh and shin for ankles and hips `(N, 3)`.

    The knee's axis is perpendicular to the leg and to the mean of the directions of pelvis and foot (rad). Ankles out
    of reach are approached along the line from the hip.
    """
    a, b = model.thigh_m, model.shin_m
    leg = ankle - hip
    length = np.linalg.norm(leg, axis=1, keepdims=True)
    leg = leg / length
    r = np.clip(length[:, 0], abs(a - b) + 1e-6, a + b - 1e-9)
    knee = np.pi - np.arccos(np.clip((a * a + b * b - r * r) / (2.0 * a * b), -1.0, 1.0))
    lead = np.arccos(np.clip((a * a + r * r - b * b) / (2.0 * a * r), -1.0, 1.0))
    apart = np.mod(pelvis_yaw - foot_yaw + np.pi, 2.0 * np.pi) - np.pi
    middle = foot_yaw + 0.5 * apart
    ahead = np.stack((np.cos(middle), np.sin(middle), np.zeros_like(middle)), axis=1)
    hinge = np.cross(ahead, leg)
    hinge /= np.linalg.norm(hinge, axis=1, keepdims=True)
    # the thigh is rotated from the leg's line by -lead about the hinge
    bone = np.cos(lead)[:, None] * leg - np.sin(lead)[:, None] * np.cross(hinge, leg)
    thigh = np.stack((np.cross(hinge, -bone), hinge, -bone), axis=-1)
    return thigh, thigh @ turn_y(knee)


def yaw_of(rotation: Floats) -> Floats:
    """Heading `(N,)` of rotations `(N, 3, 3)`."""
    return np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])


def too_high(model: BodyModel, hips: list[Floats], feet: list[FootPath]) -> Floats:
    """How much the pelvis must be lowered, `(N,)` m, for legs in stance to reach their feet; smoothed."""
    reach = model.reach_m(STRAIGHTEST_KNEE_RAD)
    excess = np.zeros(len(hips[0]))
    for hip, foot in zip(hips, feet, strict=True):
        flat_m2 = ((hip - foot.ankle)[:, :2] ** 2).sum(1)
        highest = foot.ankle[:, 2] + np.sqrt(np.maximum(reach * reach - flat_m2, 0.0))
        excess = np.where(foot.stance, np.maximum(excess, hip[:, 2] - highest), excess)
    return gaussian(running_max(excess, round(0.05 * RATE_HZ)), 0.035 * RATE_HZ)
