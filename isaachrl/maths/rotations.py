"""Rotations as unit quaternions `(…, 4)` in the order w, x, y, z; angles in radians.

All functions are pure, take any leading shape, and do not branch on values.

The *heading* of a rotation is the yaw of the rotated x axis, if that is more than 2.6 degrees from the vertical. Nearer
to it, as for a body that lies on its back or face, the heading blends into the yaw of the swing-twist decomposition
about z, the direction of `(x_x + y_y, x_y - y_x)` of the rotated axes x and y. Both agree for a body that only pitches,
up to the vertical. The *heading frame* is the world frame turned by the heading about z.

Every continuous heading is undefined somewhere; this one where y is horizontal and x is pitched 2.5 degrees beyond the
vertical. The twist's yaw is undefined only upside down. But skills observe the body in its heading frame, and the
shipped skill for getting up succeeds less often the wider the blend is.
"""

import torch
from torch import Tensor

_TINY = 1e-8
_STEEP = 0.999  # vertical component of the rotated x axis at which the blend begins


def normalize(q: Tensor) -> Tensor:
    """Scale quaternions `(…, 4)` to unit length."""
    return q / q.norm(dim=-1, keepdim=True).clamp_min(_TINY)


def conjugate(q: Tensor) -> Tensor:
    """Inverse of unit quaternions `(…, 4)`."""
    return torch.cat((q[..., :1], -q[..., 1:]), dim=-1)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product `(…, 4)`: the rotation `b` followed by `a`."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        dim=-1,
    )


def rotate(q: Tensor, v: Tensor) -> Tensor:
    """Rotate vectors `(…, 3)` by unit quaternions `(…, 4)`."""
    w, u = q[..., :1], q[..., 1:]
    t = 2.0 * torch.linalg.cross(u, v)
    return v + w * t + torch.linalg.cross(u, t)


def rotate_inverse(q: Tensor, v: Tensor) -> Tensor:
    """Rotate vectors `(…, 3)` by the inverse of unit quaternions `(…, 4)`."""
    return rotate(conjugate(q), v)


def from_axis_angle(axis: Tensor, angle: Tensor) -> Tensor:
    """Quaternion `(…, 4)` of a rotation by `angle (…)` about the unit `axis (…, 3)`."""
    half = 0.5 * angle.unsqueeze(-1)
    return torch.cat((half.cos(), axis * half.sin()), dim=-1)


def from_rotvec(v: Tensor) -> Tensor:
    """Exponential map: quaternion `(…, 4)` of the rotation vector `(…, 3)` (axis times angle)."""
    angle = v.norm(dim=-1, keepdim=True)
    half = 0.5 * angle
    # sin(x/2)/x near zero: 1/2 - x^2/48
    scale = torch.where(angle > 1e-4, half.sin() / angle.clamp_min(1e-4), 0.5 - angle * angle / 48.0)
    return torch.cat((half.cos(), v * scale), dim=-1)


def to_rotvec(q: Tensor) -> Tensor:
    """Logarithm: rotation vector `(…, 3)` of unit quaternions, with an angle in [0, pi]."""
    w, u = q[..., :1], q[..., 1:]
    sign = torch.where(w < 0, -1.0, 1.0)
    w, u = w * sign, u * sign
    sine = u.norm(dim=-1, keepdim=True)
    angle = 2.0 * torch.atan2(sine, w)
    scale = torch.where(sine > 1e-5, angle / sine.clamp_min(1e-5), 2.0 / w.clamp_min(_TINY))
    return u * scale


def slerp(a: Tensor, b: Tensor, blend: Tensor) -> Tensor:
    """Spherical interpolation `(…, 4)` from `a` (blend 0) to `b` (blend 1), `blend (…)`, along the shorter arc."""
    cosine = (a * b).sum(-1, keepdim=True)
    b = torch.where(cosine < 0, -b, b)
    cosine = cosine.abs().clamp(max=1.0)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    t = blend.unsqueeze(-1)
    near = sine < 1e-3
    safe = torch.where(near, torch.ones_like(sine), sine)
    wa = torch.where(near, 1.0 - t, torch.sin((1.0 - t) * angle) / safe)
    wb = torch.where(near, t, torch.sin(t * angle) / safe)
    return normalize(wa * a + wb * b)


def axis_x(q: Tensor) -> Tensor:
    """The rotated x axis `(…, 3)`: first column of the rotation matrix."""
    w, x, y, z = q.unbind(-1)
    return torch.stack((1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)), dim=-1)


def axis_z(q: Tensor) -> Tensor:
    """The rotated z axis `(…, 3)`: third column of the rotation matrix."""
    w, x, y, z = q.unbind(-1)
    return torch.stack((2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)), dim=-1)


def axes_xz(q: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The components of the rotated x axis, then of the rotated z axis, each `(…)`.

    Bit for bit those of `axis_x` and `axis_z`, in a third of the time.
    """
    parts = q.movedim(-1, 0).contiguous()
    # all products of two components, doubled
    (_, _, _, _), (wx, xx, _, _), (wy, xy, yy, _), (wz, xz, yz, zz) = (2.0 * parts).unsqueeze(1) * parts.unsqueeze(0)
    return 1 - (yy + zz), xy + wz, xz - wy, xz + wy, yz - wx, 1 - (xx + yy)


def tangent_normal(q: Tensor) -> Tensor:
    """6D representation `(…, 6)` of rotations for networks: the rotated x axis, then the rotated z axis."""
    return torch.stack(axes_xz(q), dim=-1)


def to_matrix(q: Tensor) -> Tensor:
    """Rotation matrices `(…, 3, 3)`; their columns are the rotated axes."""
    x, z = axis_x(q), axis_z(q)
    return torch.stack((x, torch.linalg.cross(z, x), z), dim=-1)


def heading(q: Tensor) -> Tensor:
    """Heading angle `(…)`; for an upright body the yaw of the rotated x axis."""
    x, y = _facing(*axes_xz(q)).unbind(-1)
    return torch.atan2(y, x)


def heading_cos_sin(q: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine `(…)` of the heading angle."""
    return _heading_of(*axes_xz(q))


def _facing(xx: Tensor, xy: Tensor, xz: Tensor, zx: Tensor, zy: Tensor, zz: Tensor) -> Tensor:
    """Heading direction `(…, 2)`, not normalised, from the components of the rotated x and z axes."""
    x, z = torch.stack((xx, xy), dim=-1), torch.stack((zx, zy), dim=-1)
    steep = (xz.abs() - _STEEP).clamp(0.0, 1.0 - _STEEP).unsqueeze(-1)
    # the rotated y axis, z cross x, turned by -90 degrees about z
    sideways = torch.addcmul(zz.unsqueeze(-1) * x, xz.unsqueeze(-1), z, value=-1.0)
    return torch.addcmul(x, steep, sideways, value=1.0 / (1.0 - _STEEP))


def _heading_of(xx: Tensor, xy: Tensor, xz: Tensor, zx: Tensor, zy: Tensor, zz: Tensor) -> tuple[Tensor, Tensor]:
    """`heading_cos_sin` from `axes_xz`."""
    facing = _facing(xx, xy, xz, zx, zy, zz)
    cosine, sine = (facing / facing.norm(dim=-1, keepdim=True).clamp_min(_TINY)).unbind(-1)
    return cosine, sine


def from_yaw(angle: Tensor) -> Tensor:
    """Quaternion `(…, 4)` of a rotation by `angle (…)` about z."""
    half = 0.5 * angle
    zero = torch.zeros_like(half)
    return torch.stack((half.cos(), zero, zero, half.sin()), dim=-1)


def world_to_heading(q: Tensor) -> Tensor:
    """Matrices `(…, 3, 3)` from the world into the heading frame of rotations `q (…, 4)`.

    For row vectors use `v_w @ world_to_heading(q).mT`.
    """
    return to_heading_of(*axes_xz(q))


def to_heading_of(xx: Tensor, xy: Tensor, xz: Tensor, zx: Tensor, zy: Tensor, zz: Tensor) -> Tensor:
    """`world_to_heading` from `axes_xz`."""
    c, s = _heading_of(xx, xy, xz, zx, zy, zz)
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    return torch.stack((c, s, zero, -s, c, zero, zero, zero, one), dim=-1).unflatten(-1, (3, 3))


def angular_velocity(q: Tensor, dt_s: float) -> Tensor:
    """World-frame angular velocities `(F, …, 3)` in rad/s of a path of rotations `(F, …, 4)`.

    Central differences `log(q[i+1] q[i-1]^-1) / (2 dt)`, one-sided at the ends.
    """
    inner = to_rotvec(multiply(q[2:], conjugate(q[:-2]))) / (2 * dt_s)
    first = to_rotvec(multiply(q[1:2], conjugate(q[:1]))) / dt_s
    last = to_rotvec(multiply(q[-1:], conjugate(q[-2:-1]))) / dt_s
    return torch.cat((first, inner, last))
