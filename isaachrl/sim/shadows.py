"""Soft shadows of boxes and capsules on a horizontal plane, in closed form."""

from dataclasses import dataclass

import mujoco
import numpy as np

SUN = np.array([0.45, 0.25, -1.0])  # direction of light
SLANT = SUN[:2] / -SUN[2]  # from a point to its shadow, per metre of height
DARKEST = 0.5  # share of the light that a full shadow takes away
EDGE_M = (0.02, 0.05)  # half width of a shadow's edge: constant, and per metre of height
FOOT = (0.25, 0.3)  # ambient occlusion at the foot of a box: share of the light, and fading distance in m
BOX_TEXEL_M, BODY_TEXEL_M = 0.03, 0.02
MARGIN_M = 1.5  # around all boxes
MAX_TEXELS = 2048  # along a side


@dataclass(frozen=True)
class Shade:
    """Shadow texture of a rectangle on a horizontal plane.

    Args:
        origin: `(2,)` xy of its first corner, m.
        texel_m: side of a texel.
        share: `(X, Y)` share of the light that is taken away, in [0, 1].
    """

    origin: np.ndarray
    texel_m: float
    share: np.ndarray

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The share at points, interpolated bilinearly; clamped to the edge outside."""
        (columns, rows), scale, flat = self.share.shape, np.float32(1.0 / self.texel_m), self.share.ravel()
        i, right = _split(x, self.origin[0], scale, columns)
        j, up = _split(y, self.origin[1], scale, rows)
        i *= rows
        i += j
        low, high = flat.take(i), flat.take(i + rows)
        i += 1
        low += up * (flat.take(i) - low)
        high += up * (flat.take(i + rows) - high)
        high -= low
        high *= right
        low += high
        return low

    def corners(self) -> np.ndarray:
        """`(4, 2)` xy, m."""
        x, y = (self.origin[k] + self.texel_m * np.array((0, self.share.shape[k])) for k in (0, 1))
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(4, 2)


def box_shade(low: np.ndarray, high: np.ndarray, texel_m: float = BOX_TEXEL_M) -> Shade:
    """Shadows and ambient occlusion, on the floor, of boxes from `low (B, 3)` to `high (B, 3)`, m."""
    start, end = low[:, :2].min(0) - MARGIN_M, high[:, :2].max(0) + MARGIN_M
    texel = max(texel_m, float((end - start).max()) / MAX_TEXELS)
    light = np.ones(np.ceil((end - start) / texel).astype(int), np.float32)
    for lo, hi in zip(low, high, strict=True):
        shift = SLANT * hi[2]
        x, y = _window(light, start, texel, lo[:2] + np.minimum(shift, 0) - 1, hi[:2] + np.maximum(shift, 0) + 1)
        beside = _light_beside(_centres(x, start[0], texel)[:, None], _centres(y, start[1], texel), lo, hi)
        light[x, y] = np.minimum(light[x, y], beside)
    return Shade(start, texel, 1.0 - light)


def body_shade(ends: np.ndarray, radius: np.ndarray, height_m: float) -> Shade:
    """Shadows of capsules with axis ends `(C, 2, 3)` and `radius (C,)`, m, on the horizontal plane at `height_m`."""
    above = np.maximum(ends[..., 2] - height_m, 0.0)
    ends = ends[..., :2] + SLANT * above[..., None]
    edge = EDGE_M[0] + EDGE_M[1] * above.mean(1)
    reach = (radius + edge)[:, None]
    low, high, texel = ends.min(1) - reach, ends.max(1) + reach, BODY_TEXEL_M
    start = low.min(0) - texel
    share = np.zeros(np.ceil((high.max(0) + texel - start) / texel).astype(int), np.float32)
    for number, (first, last) in enumerate(ends):
        x, y = _window(share, start, texel, low[number], high[number])
        across = (_centres(x, start[0], texel)[:, None] - first[0], _centres(y, start[1], texel) - first[1])
        along = last - first
        part = np.clip((across[0] * along[0] + across[1] * along[1]) / max(along @ along, 1e-9), 0.0, 1.0)
        distance = np.hypot(across[0] - part * along[0], across[1] - part * along[1])
        cover = np.clip((radius[number] + edge[number] - distance) / (2.0 * edge[number]), 0.0, 1.0)
        full = DARKEST * min(1.0, radius[number] / edge[number])  # lighter if thinner than its soft edge
        share[x, y] = np.maximum(share[x, y], full * cover)
    return Shade(start, texel, share)


def object_geoms(model: mujoco.MjModel) -> np.ndarray:
    """Ids of the geoms of free bodies, without the robot's."""
    joint = model.body_jntadr[model.geom_bodyid]
    free = (joint >= 0) & (model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE)
    return np.flatnonzero(free & (model.geom_bodyid > 1))


def capsules(model: mujoco.MjModel, geoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Capsules in place of geoms of any shape: axis ends `(C, 2, 3)` in the geoms' frames and radius `(C,)`, m."""
    middle, half = model.geom_aabb[geoms, :3], model.geom_aabb[geoms, 3:]
    longest = half.argmax(1)
    size = half[np.arange(len(half)), longest]
    radius = (half.sum(1) - size) / 2
    axis = np.eye(3)[longest] * np.maximum(size - radius, 0.0)[:, None]
    return middle[:, None] + np.stack((-axis, axis), axis=1), radius


def _split(points: np.ndarray, origin: float, scale: np.float32, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Index of the last texel centre before each point, and interpolation weight of the next."""
    position = points * scale
    position -= np.float32(0.5 + origin * scale)
    np.clip(position, 0.0, count - 1.001, out=position)
    index = position.astype(np.int32)
    position -= index
    return index, position


def _window(
    grid: np.ndarray, start: np.ndarray, texel: float, low: np.ndarray, high: np.ndarray
) -> tuple[slice, slice]:
    """The texels between two corners, clipped to the grid."""
    first = np.maximum((low - start) / texel, 0).astype(int)
    last = np.minimum(np.ceil((high - start) / texel).astype(int), grid.shape)
    return slice(first[0], last[0]), slice(first[1], last[1])


def _centres(texels: slice, start: float, texel: float) -> np.ndarray:
    """Coordinates of texel centres, m."""
    return start + texel * (np.arange(texels.start, texels.stop) + 0.5)


def _light_beside(x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The light on the floor at `x (X, 1)` and `y (Y,)` beside one box."""
    # slab method: the heights between which the ray to the sun is inside the box

    enter, leave = low[2], high[2]
    away = 0.0
    for point, k in ((x, 0), (y, 1)):
        enter = np.maximum(enter, (point - high[k]) / SLANT[k])
        leave = np.minimum(leave, (point - low[k]) / SLANT[k])
        away = away + np.square(np.maximum(np.maximum(low[k] - point, point - high[k]), 0.0))
    cover = np.clip((leave - enter) * SLANT.min() / (2.0 * EDGE_M[0]), 0.0, 1.0)
    foot = FOOT[0] * np.exp(-np.sqrt(away) / FOOT[1]) if low[2] < FOOT[1] else 0.0
    return (1.0 - DARKEST * cover) * (1.0 - foot)
