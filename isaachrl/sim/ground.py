"""Floor and sky of a picture in closed form.

A software renderer spends most of its time on the floor's texture and on shadows, and draws both badly: distant checks
flicker and shadows are jagged. Here the checks are averaged exactly over each pixel's footprint.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isaachrl.sim.shadows import Shade

SKY = np.array([[0.52, 0.67, 0.84], [0.86, 0.90, 0.94]]) * 255  # zenith and horizon
SKY_SLOPE = 0.5  # slope of a ray from which on the sky has the zenith's colour
FLOOR = np.array([0.80, 0.815, 0.83]) * 255
CHECK = 0.06  # checks are lighter or darker than the floor by this share; they are 1 m wide
HAZE_M = 30.0  # depth at which haze leaves 1/e of the floor's colour


@dataclass(frozen=True)
class Rays:
    """The viewing rays of an upright camera's pixels. Rows run downwards.

    Args:
        pos_w: `(3,)` camera position, m.
        forward: `(3,)` unit vector.
        up: `(3,)` unit vector.
        tangent: of half the vertical field of view.
        size: columns W and rows H.
    """

    pos_w: np.ndarray
    forward: np.ndarray
    up: np.ndarray
    tangent: float
    size: tuple[int, int]

    @cached_property
    def share(self) -> np.ndarray:
        """`(H,)` displacement along `up` per metre of depth."""
        return self.tangent * (1.0 - (2.0 * np.arange(self.size[1]) + 1.0) / self.size[1])

    @cached_property
    def across(self) -> np.ndarray:
        """`(W,)` displacement to the right per metre of depth."""
        return self.tangent / self.size[1] * (2.0 * np.arange(self.size[0]) + 1.0 - self.size[0])

    @cached_property
    def rise(self) -> np.ndarray:
        """`(H,)` change of z per metre of depth."""
        return self.forward[2] + self.share * self.up[2]

    @cached_property
    def right(self) -> np.ndarray:
        """`(3,)` unit vector."""
        return np.cross(self.forward, self.up)

    def nearness(self, height_m: float) -> np.ndarray:
        """`(H,)` inverse depth of the horizontal plane at this height; 0 for rows that do not hit it."""
        return np.maximum(self.rise / (height_m - self.pos_w[2]), 0.0)

    def points(self, rows: slice, columns: slice, height_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates x and y `(rows, columns)`, m, at which pixels hit the horizontal plane at this height."""
        depth = 1.0 / np.maximum(self.nearness(height_m)[rows], 1e-6)
        x, y = (
            (self.pos_w[k] + depth * (self.forward[k] + self.share[rows] * self.up[k])).astype(np.float32)[:, None]
            + (depth * self.right[k]).astype(np.float32)[:, None] * self.across[columns].astype(np.float32)
            for k in (0, 1)
        )
        return x, y

    def window(self, points_w: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns that contain points `(P, 3)`; empty if one is beside or behind the camera."""
        offset = points_w - self.pos_w
        depth = offset @ self.forward
        if (depth < 0.1).any():
            return slice(0, 0), slice(0, 0)
        width, height = self.size
        scale = height / (2.0 * self.tangent) / depth
        columns, rows = width / 2 + scale * (offset @ self.right), height / 2 - scale * (offset @ self.up)
        bounds = [
            slice(int(np.clip(pixels.min(), 0, size)), int(np.clip(np.ceil(pixels.max()), 0, size)))
            for pixels, size in ((rows, height), (columns, width))
        ]
        return bounds[0], bounds[1]


def floor_and_sky(rays: Rays, shades: list[Shade]) -> np.ndarray:
    """Picture `(3, H, W)` in [0, 255] of sky and floor with shadows."""
    picture = np.empty((3, rays.size[1], rays.size[0]), np.float32)
    zenith = np.sqrt(np.clip(rays.rise / SKY_SLOPE, 0.0, 1.0))[None]
    picture[:] = (zenith * SKY[0][:, None] + (1.0 - zenith) * SKY[1][:, None])[..., None]
    first = int((rays.nearness(0.0) <= 0.0).sum())  # row of the floor
    if first == rays.size[1]:
        return picture
    rows, columns = slice(first, None), slice(None)
    light = 1.0 + CHECK * _checks(rays, rows)
    for shade in shades:
        light *= 1.0 - shade.at(*rays.points(rows, columns, 0.0))
    clear = np.exp(-1.0 / (HAZE_M * rays.nearness(0.0)[rows]))
    for k in range(3):
        weight, haze = (values.astype(np.float32)[:, None] for values in (clear * FLOOR[k], (1.0 - clear) * SKY[1][k]))
        np.multiply(light, weight, out=picture[k, rows])
        picture[k, rows] += haze
    return picture


def _checks(rays: Rays, rows: slice) -> np.ndarray:
    """Checks of -1 and 1, averaged over each pixel's footprint: `(rows, W)`."""
    depth = 1.0 / rays.nearness(0.0)[rows]
    deeper = np.abs(np.gradient(depth)) if len(depth) > 1 else np.abs(depth)
    field: np.ndarray | None = None
    for k, points in enumerate(rays.points(rows, slice(None), 0.0)):
        middle = depth * (rays.forward[k] + rays.share[rows] * rays.up[k])
        down = np.abs(np.gradient(middle)) if len(depth) > 1 else np.abs(middle)
        slant = np.abs(rays.right[k]) * (2.0 * rays.tangent / rays.size[1] * depth + deeper * rays.across[-1] / 2)
        width = np.maximum(down + slant, 1e-3)
        wave = _mean_square_wave(points, width.astype(np.float32)[:, None])
        field = wave if field is None else field * wave
    assert field is not None
    return field


def _mean_square_wave(x: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Mean over `width` around `x` of a square wave of period 2: 1 on [0, 1], -1 on [1, 2]."""

    def integral(end: np.ndarray) -> np.ndarray:
        end *= 0.5
        end -= 0.5
        end -= np.rint(end)
        return np.abs(end, out=end)  # -1/2 of the wave's integral, up to a constant

    return (integral(x - width / 2) - integral(x + width / 2)) * (2.0 / width)
