"""Functions of tensors that task files import; quaternions are x, y, z, w. All of them can be scripted."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def to_torch(x: Any, dtype: torch.dtype = torch.float, device: str = "cuda:0", requires_grad: bool = False) -> Tensor:
    """Numbers as a tensor; without a CUDA device, on the CPU."""
    place = device if not str(device).startswith("cuda") or torch.cuda.is_available() else "cpu"
    return torch.tensor(x, dtype=dtype, device=place, requires_grad=requires_grad)


def normalize(x: Tensor, eps: float = 1e-9) -> Tensor:
    """Vectors of length 1."""
    return x / x.norm(p=2, dim=-1).clamp(min=eps, max=None).unsqueeze(-1)


def quat_unit(a: Tensor) -> Tensor:
    """Quaternions of length 1."""
    return normalize(a)


def quat_mul(a: Tensor, b: Tensor) -> Tensor:
    """The rotation `b` followed by `a`."""
    u, v, p, q = a[..., :3], b[..., :3], a[..., 3:], b[..., 3:]
    vector = p * v + q * u + torch.linalg.cross(u, v, dim=-1)
    return torch.cat([vector, p * q - (u * v).sum(-1, keepdim=True)], dim=-1)


def quat_conjugate(a: Tensor) -> Tensor:
    """The opposite rotations."""
    return torch.cat([-a[..., :3], a[..., 3:]], dim=-1)


def quat_apply(a: Tensor, b: Tensor) -> Tensor:
    """Vectors `b` rotated by `a`."""
    shape = b.shape
    a, b = a.reshape(-1, 4), b.reshape(-1, 3)
    t = 2.0 * torch.linalg.cross(a[:, :3], b, dim=-1)
    return (b + a[:, 3:] * t + torch.linalg.cross(a[:, :3], t, dim=-1)).view(shape)


def quat_rotate(q: Tensor, v: Tensor) -> Tensor:
    """Vectors `v (n, 3)` rotated by `q (n, 4)`."""
    return quat_apply(q, v)


def quat_rotate_inverse(q: Tensor, v: Tensor) -> Tensor:
    """Vectors `v (n, 3)` rotated by the inverse of `q (n, 4)`."""
    return quat_apply(quat_conjugate(q), v)


def quat_from_angle_axis(angle: Tensor, axis: Tensor) -> Tensor:
    """Rotations by angles in rad about axes."""
    half = 0.5 * angle.unsqueeze(-1)
    return quat_unit(torch.cat([normalize(axis) * half.sin(), half.cos()], dim=-1))


def quat_from_euler_xyz(roll: Tensor, pitch: Tensor, yaw: Tensor) -> Tensor:
    """Rotations by roll about x, then pitch about the fixed y, then yaw about the fixed z, in rad."""
    cr, sr, cp, sp = torch.cos(0.5 * roll), torch.sin(0.5 * roll), torch.cos(0.5 * pitch), torch.sin(0.5 * pitch)
    cy, sy = torch.cos(0.5 * yaw), torch.sin(0.5 * yaw)
    x, y = sr * cp * cy - cr * sp * sy, cr * sp * cy + sr * cp * sy
    return torch.stack([x, y, cr * cp * sy - sr * sp * cy, cr * cp * cy + sr * sp * sy], dim=-1)


def get_euler_xyz(q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Roll, pitch and yaw of `quat_from_euler_xyz`, in [0, 2 pi)."""
    x, y, z, w = q[:, 0], q[:, 1], q[:, 2], q[:, 3]
    roll = torch.atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
    pitch = torch.asin((2.0 * (w * y - z * x)).clamp(-1.0, 1.0))
    yaw = torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    turn = 2.0 * 3.141592653589793
    return roll % turn, pitch % turn, yaw % turn


def normalize_angle(x: Tensor) -> Tensor:
    """Angles in [-pi, pi]."""
    return torch.atan2(torch.sin(x), torch.cos(x))


def tf_inverse(q: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The opposite poses."""
    inverse = quat_conjugate(q)
    return inverse, -quat_apply(inverse, t)


def tf_apply(q: Tensor, t: Tensor, v: Tensor) -> Tensor:
    """Points given in the frames of poses."""
    return quat_apply(q, v) + t


def tf_vector(q: Tensor, v: Tensor) -> Tensor:
    """Directions given in the frames of poses."""
    return quat_apply(q, v)


def tf_combine(q1: Tensor, t1: Tensor, q2: Tensor, t2: Tensor) -> tuple[Tensor, Tensor]:
    """Poses 2 given in the frames of poses 1."""
    return quat_mul(q1, q2), quat_apply(q1, t2) + t1


def get_basis_vector(q: Tensor, v: Tensor) -> Tensor:
    """Rotated vectors."""
    return quat_rotate(q, v)


def get_axis_params(
    value: float, axis_idx: int, x_value: float = 0.0, dtype: Any = np.float64, n_dims: int = 3
) -> list[float]:
    """A list of zeros with a value at one place, and `x_value` at the first."""
    values = np.zeros(n_dims)
    values[axis_idx] = value
    values[0] = x_value
    return list(values.astype(dtype))


def copysign(a: float, b: Tensor) -> Tensor:
    """The size of `a` with the signs of `b`."""
    return abs(a) * torch.sign(b)


def torch_rand_float(lower: float, upper: float, shape: tuple[int, int], device: str) -> Tensor:
    """Uniform random numbers."""
    return (upper - lower) * torch.rand(shape[0], shape[1], device=device) + lower


def torch_random_dir_2(shape: tuple[int, int], device: str) -> Tensor:
    """Random directions in the plane."""
    angle = torch_rand_float(-3.141592653589793, 3.141592653589793, shape, device).squeeze(-1)
    return torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)


def tensor_clamp(t: Tensor, min_t: Tensor, max_t: Tensor) -> Tensor:
    """Numbers between two tensors."""
    return torch.max(torch.min(t, max_t), min_t)


def scale(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """From [-1, 1] to [lower, upper]."""
    return 0.5 * (x + 1.0) * (upper - lower) + lower


def unscale(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """From [lower, upper] to [-1, 1]."""
    return (2.0 * x - upper - lower) / (upper - lower)


def unscale_np(x: Any, lower: Any, upper: Any) -> Any:
    """`unscale` for arrays."""
    return (2.0 * x - upper - lower) / (upper - lower)
