"""Feet on the floor: when they touch it, and where they stay while they roll or stand there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.retarget.body import as_tensor

Floats = NDArray[np.float64]

GROUND_QUANTILE = 0.05  # share of frames in which the lowest point of the soles is below the floor
ON, OFF = (0.06, 0.35), (0.09, 0.6)  # height (m) and speed (m/s) at which a contact begins and ends, for legs of LEG_M
LEG_M = 0.83
SPEED_S = 0.03  # half of the time over which a speed is measured
SOFT_M = 0.004  # points of the sole as much higher than the lowest one count e times less
LEVEL_RAD, FREE_RAD = 0.12, 0.35  # a sole tilted less is put down flat; one tilted more keeps its tilt
LEVEL_M = 0.08  # height up to which soles are levelled
CLEAR_M, CLEAR_S = 0.015, 0.12  # height of a foot in the air above the floor, this long from a contact
SPREAD_S = 0.4  # before and after
LEAST_CLEAR = 0.5  # share of that height for a foot that is in the air for an instant
TURN_RAD = 0.12  # a standing foot that turns less is held
BESIDE_M, AHEAD = 0.01, (0.8, 1.2)  # gap between the feet where one is not ahead of the other, in lengths of a sole


@dataclass(frozen=True)
class Foot:
    """A foot's targets.

    Args:
        pos: `(F, 3)`.
        quat: `(F, 4)` rotation from the standing pose.
        sole: `(C, 3)` points of its sole in that pose, relative to the foot.
    """

    pos: Floats
    quat: Tensor
    sole: Floats

    def points(self) -> Floats:
        """`(F, C, 3)` points of the sole relative to the foot, turned."""
        points = as_tensor(self.sole).expand(len(self.quat), -1, 3)
        return rotations.rotate(self.quat[:, None].expand(-1, len(self.sole), 4), points).numpy()

    def height(self) -> Floats:
        """`(F,)` of the lowest point of the sole."""
        return self.pos[:, 2] + self.points()[..., 2].min(1)


def shift_to_floor(feet: Sequence[Foot], fps: float, size: float) -> float:
    """What to add to all heights for the feet to stand on the floor: the median over the feet that stand.

    Args:
        feet: left and right.
        fps: frames per second.
        size: of the robot, as a share of a person's.
    """
    heights = [foot.height() for foot in feet]
    rough = float(np.quantile(np.min(heights, axis=0), GROUND_QUANTILE))
    contacts = [_touches(replace(foot, pos=foot.pos - [0.0, 0.0, rough]), fps, size) for foot in feet]
    standing = np.concatenate([height[touches] for height, touches in zip(heights, contacts, strict=True)])
    return -float(np.median(standing)) if len(standing) else -rough


def spread(feet: Sequence[Foot], across: Floats, fps: float) -> list[Foot]:
    """The feet, moved apart about the time at which they would be in each other.

    Args:
        feet: left and right.
        across: `(F, 3)` horizontal unit vectors to the left, shorter where left is not level.
        fps: frames per second.
    """
    left, right = feet
    length = max(float(np.ptp(foot.sole[:, 0])) for foot in feet)
    ahead = np.abs(((left.pos - right.pos)[:, :2] * np.stack((across[:, 1], -across[:, 0]), axis=1)).sum(1)) / length
    beside = 1.0 - _smooth((ahead - AHEAD[0]) / (AHEAD[1] - AHEAD[0]))
    inner = [(np.einsum("fcx,fx->fc", foot.points() + foot.pos[:, None], across)) for foot in feet]
    lack = np.maximum(inner[1].max(1) + BESIDE_M - inner[0].min(1), 0.0) * beside
    around = np.arange(-round(SPREAD_S * fps), round(SPREAD_S * fps) + 1)
    window = np.clip(np.arange(len(lack))[:, None] + around, 0, len(lack) - 1)
    push = 0.5 * lack[window].max(1)[window].mean(1)[:, None] * across
    return [replace(left, pos=left.pos + push), replace(right, pos=right.pos - push)]


def lock_foot(foot: Foot, fps: float, size: float) -> tuple[Foot, NDArray[np.bool_], Floats]:
    """Put a foot down on the floor where it touches it, and let it roll there without sliding.

    Args:
        foot: its targets.
        fps: frames per second.
        size: of the robot, as a share of a person's.

    Returns:
        The foot, its contacts `(F,)`, and how far `(F,)` it was moved over the floor.
    """
    foot = replace(foot, quat=_levelled(foot, size))
    touches = _touches(foot, fps, size)
    held = _across_gaps(_held_yaw(foot, touches)[:, None], touches)[:, 0]
    yaw = rotations.from_yaw(as_tensor(held))
    foot = replace(foot, quat=rotations.multiply(yaw, foot.quat))
    pos, lowest = foot.pos, foot.points()[..., 2].min(1)
    offset, path = np.zeros_like(pos), np.concatenate((np.zeros((1, 2)), np.cumsum(_rolling(foot, size), axis=0)))
    for first, stop in spans(touches):
        stay = path[first:stop] - pos[first:stop, :2]
        offset[first:stop, :2] = stay - stay.mean(0)
        offset[first:stop, 2] = -(pos[first:stop, 2] + lowest[first:stop])
    moved = np.linalg.norm(offset[..., :2], axis=-1)
    placed = pos + _across_gaps(offset, touches)
    placed[:, 2] = np.maximum(placed[:, 2], _clearance(touches, fps, size) - lowest)
    return replace(foot, pos=placed), touches, moved


def _held_yaw(foot: Foot, touches: NDArray[np.bool_]) -> Floats:
    """What to add to the yaw `(F,)` of a foot for it not to turn by less than `TURN_RAD` while it stands."""
    yaw = np.unwrap(rotations.heading(foot.quat).numpy())
    result = np.zeros(len(yaw))
    for first, stop in spans(touches):
        now = float(np.median(yaw[first:stop]))
        for frame in range(first, stop):
            now = min(max(now, yaw[frame] - TURN_RAD), yaw[frame] + TURN_RAD)
            result[frame] = now - yaw[frame]
    return result


def _clearance(touches: NDArray[np.bool_], fps: float, size: float) -> Floats:
    """Least heights `(F,)` of a foot: above the floor between two contacts, also if it hardly leaves it."""
    result = np.zeros(len(touches))
    for first, stop in spans(~touches):
        inside = np.arange(first, stop)
        since = inside - first + 1.0 if first else np.full(len(inside), np.inf)
        until = stop - inside if stop < len(touches) else np.full(len(inside), np.inf)
        ramp = min(CLEAR_S * fps, (stop - first + 1) / 2)
        share = min(max((stop - first) / (2 * CLEAR_S * fps), LEAST_CLEAR), 1.0)
        result[first:stop] = share * CLEAR_M * size * _smooth(np.minimum(since, until) / ramp)
    return result


def _touches(foot: Foot, fps: float, size: float) -> NDArray[np.bool_]:
    """Contacts `(F,)`: the foot is low, and the point about which it rolls is slow."""
    path = foot.pos[:, :2] - np.concatenate((np.zeros((1, 2)), np.cumsum(_rolling(foot, size), axis=0)))
    reach, last = max(1, round(SPEED_S * fps)), len(path) - 1  # some files repeat each frame
    low, high = np.maximum(np.arange(last + 1) - reach, 0), np.minimum(np.arange(last + 1) + reach, last)
    speed = np.linalg.norm(path[high] - path[low], axis=1) / (high - low) * fps
    return hysteresis(foot.height() / size, speed / size)


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


def _rolling(foot: Foot, size: float) -> Floats:
    """Steps `(F - 1, 2)` of a foot whose lowest points rest while it turns."""
    points = foot.points()
    weight = np.exp((points[..., 2].min(1, keepdims=True) - points[..., 2]) / (SOFT_M * size))
    weight /= weight.sum(1, keepdims=True)
    return -np.einsum("fc,fcx->fx", 0.5 * (weight[1:] + weight[:-1]), np.diff(points[..., :2], axis=0))


def _levelled(foot: Foot, size: float) -> Tensor:
    """Rotations with small tilts taken out near the floor."""
    yaw = rotations.from_yaw(rotations.heading(foot.quat))
    tilt = rotations.to_rotvec(rotations.multiply(foot.quat, rotations.conjugate(yaw)))
    keep = _smooth((tilt.norm(dim=-1).numpy() - LEVEL_RAD) / (FREE_RAD - LEVEL_RAD))
    keep = np.maximum(keep, _smooth(foot.height() / (LEVEL_M * size)))
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
