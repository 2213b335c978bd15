"""Numerics of the synthesis in NumPy: blends, filters, a boundary-value problem, and rotation matrices."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Knot = tuple[float, float, float]  # value, rate, acceleration

GRAVITY = 9.81


def smooth(x: ArrayLike) -> Floats:
    """Smootherstep: from 0 to 1 over `x` in [0, 1], with vanishing first two derivatives at both ends."""
    x = np.clip(np.asarray(x, float), 0.0, 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x * x)


def quintic(t_s: ArrayLike, start_s: float, stop_s: float, first: Knot, last: Knot) -> Floats:
    """The quintic polynomial with given value, rate and acceleration at `start_s` and `stop_s`."""
    span = stop_s - start_s
    s = (np.asarray(t_s, float) - start_s) / span
    (x0, v0, a0), (x1, v1, a1) = first, last
    c0, c1, c2 = x0, v0 * span, 0.5 * a0 * span * span
    rest = x1 - c0 - c1 - c2
    rest_v = v1 * span - c1 - 2.0 * c2
    rest_a = a1 * span * span - 2.0 * c2
    c3 = 10.0 * rest - 4.0 * rest_v + 0.5 * rest_a
    c4 = -15.0 * rest + 7.0 * rest_v - rest_a
    c5 = 6.0 * rest - 3.0 * rest_v + 0.5 * rest_a
    return c0 + s * (c1 + s * (c2 + s * (c3 + s * (c4 + s * c5))))


def gaussian(x: Floats, sigma_frames: float) -> Floats:
    """Gaussian low-pass filter along the first axis, with edge padding."""
    radius = int(np.ceil(4.0 * sigma_frames))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma_frames) ** 2)
    return _convolve(x, kernel / kernel.sum())


def box(x: Floats, frames: int) -> Floats:
    """Moving average along the first axis over about `frames` frames (an odd number), with edge padding."""
    size = 2 * (frames // 2) + 1
    return _convolve(x, np.full(size, 1.0 / size))


def running_max(x: Floats, radius: int) -> Floats:
    """Maximum `(N,)` within `radius` frames on either side."""
    padded = np.pad(x, radius, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1).max(-1)


def _convolve(x: Floats, kernel: Floats) -> Floats:
    radius = len(kernel) // 2
    flat = x.reshape(len(x), -1)
    padded = np.pad(flat, ((radius, radius), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel, mode="valid") for column in padded.T]
    return np.stack(columns, axis=-1).reshape(x.shape)


def pendulum(target: Floats, stiffness: Floats, dt_s: float) -> Floats:
    """Solve the inverted pendulum x'' = k (x - p) for each column of p `(N, C)`, with x = p at both ends.

    k is `(N,)` in 1/s^2. Central differences give a tridiagonal system.
    """
    n = len(target)
    k = stiffness * dt_s * dt_s
    ratio, shifted = np.zeros(n), np.zeros_like(target)
    shifted[0] = target[0]
    for i in range(1, n - 1):
        pivot = -(2.0 + k[i]) - ratio[i - 1]
        ratio[i] = 1.0 / pivot
        shifted[i] = (-k[i] * target[i] - shifted[i - 1]) / pivot
    x = np.empty_like(target)
    x[-1] = target[-1]
    for i in range(n - 2, -1, -1):
        x[i] = shifted[i] - ratio[i] * x[i + 1]
    return x


def turn_x(angle: ArrayLike) -> Floats:
    """Rotation matrices `(…, 3, 3)` about x."""
    return _turn(angle, 1, 2)


def turn_y(angle: ArrayLike) -> Floats:
    """Rotation matrices `(…, 3, 3)` about y; positive angles pitch forward."""
    return _turn(angle, 2, 0)


def turn_z(angle: ArrayLike) -> Floats:
    """Rotation matrices `(…, 3, 3)` about z."""
    return _turn(angle, 0, 1)


def _turn(angle: ArrayLike, a: int, b: int) -> Floats:
    """Rotation from axis a towards axis b."""
    angle = np.asarray(angle, float)
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., 0, 0] = matrix[..., 1, 1] = matrix[..., 2, 2] = 1.0
    matrix[..., a, a] = matrix[..., b, b] = np.cos(angle)
    matrix[..., b, a] = np.sin(angle)
    matrix[..., a, b] = -matrix[..., b, a]
    return matrix


def flat(yaw: ArrayLike, xy: Floats) -> Floats:
    """Rotate planar vectors `(…, 2)` by `yaw (…)` rad."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.stack((c * xy[..., 0] - s * xy[..., 1], s * xy[..., 0] + c * xy[..., 1]), axis=-1)


def quaternion(matrix: Floats) -> Floats:
    """Quaternions `(…, 4)`, w x y z with w >= 0, from rotation matrices `(…, 3, 3)`."""
    xx, yy, zz = matrix[..., 0, 0], matrix[..., 1, 1], matrix[..., 2, 2]
    sizes = np.stack((1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz), axis=-1)
    q = 0.5 * np.sqrt(np.maximum(sizes, 0.0))
    q[..., 1] = np.copysign(q[..., 1], matrix[..., 2, 1] - matrix[..., 1, 2])
    q[..., 2] = np.copysign(q[..., 2], matrix[..., 0, 2] - matrix[..., 2, 0])
    q[..., 3] = np.copysign(q[..., 3], matrix[..., 1, 0] - matrix[..., 0, 1])
    return q / np.linalg.norm(q, axis=-1, keepdims=True)
