"""Functions of the module `gymapi` that compute with NumPy arrays of vectors and rotations.

They take arrays of `Vec3.dtype` or `Quat.dtype`, whose shapes are broadcast, or single vectors and rotations.
"""

from typing import Any

import numpy as np
import torch

from isaachrl.compat.isaacgym.vectors import Quat, Vec3
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations


def dot(a: Any, b: Any) -> np.ndarray:
    """Scalar products of vectors, float32."""
    return (_numbers(a, Vec3, "dot") * _numbers(b, Vec3, "dot")).sum(-1).astype(np.float32)


def cross(a: Any, b: Any) -> np.ndarray:
    """Vector products, an array of `Vec3.dtype`."""
    return _records(np.cross(_numbers(a, Vec3, "cross"), _numbers(b, Vec3, "cross")), Vec3)


def rotate(rotation: Any, vector: Any) -> np.ndarray:
    """Vectors rotated as by `Quat.rotate`, an array of `Vec3.dtype`."""
    q, v = _numbers(rotation, Quat, "rotate"), _numbers(vector, Vec3, "rotate")
    return _records(_turn(q, v), Vec3)


def rotate_inverse(rotation: Any, vector: Any) -> np.ndarray:
    """Vectors rotated by the opposite rotations, an array of `Vec3.dtype`."""
    q, v = _numbers(rotation, Quat, "rotate_inverse"), _numbers(vector, Vec3, "rotate_inverse")
    return _records(_turn(q * (-1, -1, -1, 1), v), Vec3)


def eulers_to_quats_zyx(angles: Any) -> np.ndarray:
    """`Quat.from_euler_zyx` of many angles x, y, z in rad, an array of `Quat.dtype`."""
    numbers = torch.from_numpy(_numbers(angles, Vec3, "eulers_to_quats_zyx"))
    axes = torch.eye(3, dtype=numbers.dtype).expand(*numbers.shape, 3)
    x, y, z = rotations.from_axis_angle(axes, numbers).unbind(-2)
    return _records(rotations.multiply(rotations.multiply(z, y), x).roll(-1, -1).numpy(), Quat)


def quats_to_eulers_zyx(rotation: Any) -> np.ndarray:
    """`Quat.to_euler_zyx` of many rotations: x, y, z in rad, an array of `Vec3.dtype`."""
    q = _numbers(rotation, Quat, "quats_to_eulers_zyx")
    angles = [Quat(*(float(number) for number in row)).to_euler_zyx() for row in q.reshape(-1, 4)]
    return _records(np.array(angles, dtype=float).reshape(*q.shape[:-1], 3), Vec3)


def carb_init(config_str: str = "") -> bool:
    """Nothing has to be started."""
    return True


def _turn(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`(…, 3)` vectors rotated by x, y, z, w `(…, 4)`."""
    shape = np.broadcast_shapes(q.shape[:-1], v.shape[:-1])  # which torch.linalg.cross does not do for all shapes
    wxyz = torch.from_numpy(q).roll(1, -1).expand(*shape, 4)
    return rotations.rotate(wxyz, torch.from_numpy(v).expand(*shape, 3)).numpy()


def _numbers(values: Any, kind: type[Vec3 | Quat], method: str) -> np.ndarray:
    """`(…, k)` float64 numbers of an array of the kind's type, or of one vector or rotation.

    Raises:
        ConfigError: it is neither.
    """
    names = kind.dtype.names or ()
    if isinstance(values, kind):
        return np.array([getattr(values, name) for name in names], dtype=float)
    array = np.asarray(values)
    if array.dtype != kind.dtype:
        raise ConfigError(
            f"gymapi.{method}: an array of type {array.dtype} came; one of gymapi.{kind.__name__}.dtype is needed"
        )
    return np.stack([array[name] for name in names], -1).astype(float)


def _records(numbers: np.ndarray, kind: type[Vec3 | Quat]) -> np.ndarray:
    """`(…,)` of the kind's type."""
    records = np.empty(numbers.shape[:-1], kind.dtype)
    for i, name in enumerate(kind.dtype.names or ()):
        records[name] = numbers[..., i]
    return records
