"""Floor and sky of a picture, by formula, where the renderer left them plain.

A software renderer spends most of its time on the floor's texture and on shadows, and draws both badly: far checks
flicker, and shadows are jagged. Here the checks are averaged exactly over what a pixel sees of them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isaachrl.sim.shadows import Shade

SKY = np.array([[0.52, 0.67, 0.84], [0.86, 0.90, 0.94]]) * 255  # above, and at the horizon
SKY_SLOPE = 0.5  # rise of a ray per metre of depth at which the sky has the colour above
FLOOR = np.array([0.80, 0.815, 0.83]) * 255
CHECK = 0.06  # checks are by this share lighter or darker; they are 1 m wide
HAZE_M = 30.0  # the distance at which all but 1/e of the floor's colour is lost


@dataclass(frozen=True)
class Rays:
    """What the pixels of an upright camera see. Rows run downwards.

    Args:
        pos_w: `(3,)` the camera, m.
        forward: `(3,)` unit vector.
        up: `(3,)` unit vector.
        tangent: of half the vertical angle of sight.
        size: columns W and rows H.
    """

    pos_w: np.ndarray
    forward: np.ndarray
    up: np.ndarray
    tangent: float
    size: tuple[int, int]

    @cached_property
    def share(self) -> np.ndarray:
        """`(H,)` way up for a metre of depth."""
        return self.tangent * (1.0 - (2.0 * np.arange(self.size[1]) + 1.0) / self.size[1])

    @cached_property
    def across(self) -> np.ndarray:
        """`(W,)` way to the right for a metre of depth."""
        return self.tangent / self.size[1] * (2.0 * np.arange(self.size[0]) + 1.0 - self.size[0])

    @cached_property
    def rise(self) -> np.ndarray:
        """`(H,)` change of z for a metre of depth, the same in a whole row."""
        return self.forward[2] + self.share * self.up[2]

    @cached_property
    def right(self) -> np.ndarray:
        """`(3,)` unit vector."""
        return np.cross(self.forward, self.up)

    def nearness(self, height_m: float) -> np.ndarray:
        """`(H,)` one over the depth of the level plane of that height; 0 where a row does not meet it."""
        return np.maximum(self.rise / (height_m - self.pos_w[2]), 0.0)

    def points(self, rows: slice, columns: slice, height_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates x and y, `(rows, columns)` m, where pixels see the level plane of that height."""
        depth = 1.0 / np.maximum(self.nearness(height_m)[rows], 1e-6)  # a row beside the plane sees it far away
        x, y = (
            (self.pos_w[k] + depth * (self.forward[k] + self.share[rows] * self.up[k])).astype(np.float32)[:, None]
            + (depth * self.right[k]).astype(np.float32)[:, None] * self.across[columns].astype(np.float32)
            for k in (0, 1)
        )
        return x, y

    def window(self, points_w: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns that surely show what is between points `(P, 3)`; empty if one is beside the camera."""
        away = points_w - self.pos_w
        depth = away @ self.forward
        if (depth < 0.1).any():
            return slice(0, 0), slice(0, 0)
        width, height = self.size
        scale = height / (2.0 * self.tangent) / depth
        columns, rows = width / 2 + scale * (away @ self.right), height / 2 - scale * (away @ self.up)
        bounds = [
            slice(int(np.clip(one.min(), 0, most)), int(np.clip(np.ceil(one.max()), 0, most)))
            for one, most in ((rows, height), (columns, width))
        ]
        return bounds[0], bounds[1]


def floor_and_sky(rays: Rays, shades: list[Shade]) -> np.ndarray:
    """An empty world `(3, H, W)` in [0, 255], with shades on its floor."""
    picture = np.empty((3, rays.size[1], rays.size[0]), np.float32)
    high = np.sqrt(np.clip(rays.rise / SKY_SLOPE, 0.0, 1.0))[None]
    picture[:] = (high * SKY[0][:, None] + (1.0 - high) * SKY[1][:, None])[..., None]
    first = int((rays.nearness(0.0) <= 0.0).sum())  # of the floor's rows
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
    """Fields of a chessboard, -1 and 1, averaged over what each pixel sees of them: `(rows, W)`."""
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
    """Mean over `width` around `x` of a wave that is 1 from 0 to 1, -1 from 1 to 2, and so on."""

    def integral(end: np.ndarray) -> np.ndarray:
        end *= 0.5
        end -= 0.5
        end -= np.rint(end)
        return np.abs(end, out=end)  # from 0.5 where the wave begins down to 0 at 1; the true one falls by -2 of it

    return (integral(x - width / 2) - integral(x + width / 2)) * (2.0 / width)
