"""Feet on the floor: when they touch it, and where they stay while they roll or stand there."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.retarget.body import as_tensor

Floats = NDArray[np.float64]

GROUND_QUANTILE = 0.05  # share of frames in which the lowest point of the soles is below the floor
ON, OFF = (0.03, 0.35), (0.06, 0.6)  # height (m) and speed (m/s) at which a contact begins and ends, for legs of LEG_M
LEG_M = 0.83
SOFT_M = 0.004  # points of the sole as much higher than the lowest one count e times less
LEVEL_RAD, FREE_RAD = 0.12, 0.35  # a sole tilted less is put down flat; one tilted more keeps its tilt
LEVEL_M = 0.08  # height up to which soles are levelled


def shift_to_floor(feet: Mapping[str, tuple[Floats, Tensor]], soles: Mapping[str, Floats]) -> float:
    """What to add to all heights for the soles to stand on the floor.

    Args:
        feet: positions `(F, 3)` and rotations from the standing pose `(F, 4)` by foot.
        soles: points by foot, in the frame of the standing pose.
    """
    lowest = [pos[:, 2] + _points(quat, soles[role])[..., 2].min(1) for role, (pos, quat) in feet.items()]
    return -float(np.quantile(np.min(lowest, axis=0), GROUND_QUANTILE))


def lock_foot(
    pos: Floats, quat: Tensor, sole: Floats, fps: float, leg_m: float
) -> tuple[Floats, Tensor, NDArray[np.bool_], float]:
    """Put a foot down on the floor where it touches it, and let it roll there without sliding.

    Args:
        pos: `(F, 3)` of the foot.
        quat: `(F, 4)` its rotation from the standing pose.
        sole: `(C, 3)` points of its sole in that pose, relative to the foot.
        fps: frames per second.
        leg_m: length of the robot's legs.

    Returns:
        Positions `(F, 3)`, rotations `(F, 4)`, contacts `(F,)`, and the farthest way by which the foot was moved.
    """
    size = leg_m / LEG_M
    quat = _levelled(pos, quat, sole, size)
    points = _points(quat, sole)
    lowest = points[..., 2].min(1)
    weight = np.exp((lowest[:, None] - points[..., 2]) / (SOFT_M * size))
    weight /= weight.sum(1, keepdims=True)
    roll = _rolling(points, weight)
    slide = np.linalg.norm(np.diff(pos[:, :2], axis=0) - roll, axis=1) * fps
    speed = np.minimum(np.append(slide, slide[-1]), np.insert(slide, 0, slide[0]))
    touches = hysteresis((pos[:, 2] + lowest) / size, speed / size)
    offset, path = np.zeros_like(pos), np.concatenate((np.zeros((1, 2)), np.cumsum(roll, axis=0)))
    for first, stop in spans(touches):
        stay = path[first:stop] - pos[first:stop, :2]
        offset[first:stop, :2] = stay - stay.mean(0)
        offset[first:stop, 2] = -(pos[first:stop, 2] + lowest[first:stop])
    moved = float(np.linalg.norm(offset[..., :2], axis=-1).max())
    placed = pos + _across_gaps(offset, touches)
    placed[:, 2] = np.maximum(placed[:, 2], -lowest)
    return placed, quat, touches, moved


def hysteresis(height: Floats, speed: Floats) -> NDArray[np.bool_]:
    """Contacts `(F,)` that begin where a foot is low and slow (`ON`), and end where it is not (`OFF`)."""
    begins = (height < ON[0]) & (speed < ON[1])
    holds = (height < OFF[0]) & (speed < OFF[1])
    touches, now = np.zeros(len(height), bool), False
    for frame in range(len(height)):
        now = bool(begins[frame] or (now and holds[frame]))
        touches[frame] = now
    return touches


def spans(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First frame and stop of each run of true flags."""
    changes = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    return list(zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True))


def _points(quat: Tensor, sole: Floats) -> Floats:
    """Points `(F, C, 3)` of a sole relative to the foot, turned."""
    points = as_tensor(sole)
    return rotations.rotate(quat[:, None].expand(-1, len(sole), 4), points.expand(len(quat), -1, 3)).numpy()


def _rolling(points: Floats, weight: Floats) -> Floats:
    """Steps `(F - 1, 2)` of a foot whose lowest points rest while it turns."""
    both = 0.5 * (weight[1:] + weight[:-1])
    return -np.einsum("fc,fcx->fx", both, np.diff(points[..., :2], axis=0))


def _levelled(pos: Floats, quat: Tensor, sole: Floats, size: float) -> Tensor:
    """Rotations with small tilts taken out near the floor."""
    yaw = rotations.from_yaw(rotations.heading(quat))
    tilt = rotations.to_rotvec(rotations.multiply(quat, rotations.conjugate(yaw)))
    angle = tilt.norm(dim=-1).numpy()
    height = (pos[:, 2] + _points(quat, sole)[..., 2].min(1)) / (LEVEL_M * size)
    keep = _smooth((angle - LEVEL_RAD) / (FREE_RAD - LEVEL_RAD))
    keep = np.maximum(keep, _smooth(height))
    return rotations.multiply(rotations.from_rotvec(tilt * as_tensor(keep)[:, None]), yaw)


def _smooth(x: Floats) -> Floats:
    """A step from 0 to 1 between x = 0 and 1, without corners."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _across_gaps(offset: Floats, touches: NDArray[np.bool_]) -> Floats:
    """Offsets `(F, 3)` that go smoothly from each contact to the next one; those before the first are its own."""
    if not touches.any():
        return offset
    known = np.flatnonzero(touches)
    frames = np.arange(len(offset))
    after = np.clip(np.searchsorted(known, frames), 0, len(known) - 1)
    before = np.maximum(after - 1, 0)
    low, high = known[before], known[after]
    low = np.where(frames >= known[-1], known[-1], low)
    part = _smooth((frames - low) / np.maximum(high - low, 1))[:, None]
    result = offset[low] * (1.0 - part) + offset[high] * part
    result[touches] = offset[touches]
    return result
