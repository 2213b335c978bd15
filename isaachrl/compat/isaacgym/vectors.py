"""Vectors, rotations, poses and states of the API. Quaternions are x, y, z, w."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, cast

import numpy as np

from isaachrl.errors import ConfigError

_F4 = np.float32


class Buffered:
    """What can be read from an element of a NumPy array of its `dtype`."""

    dtype: ClassVar[np.dtype]

    @classmethod
    def from_buffer(cls, buffer: Any) -> Self:
        """The value of one element: of an array of `dtype`, of as many float32 numbers, or of their bytes.

        Raises:
            ConfigError: the buffer is not as long as one element.
        """
        try:
            raw = memoryview(buffer).tobytes()
        except TypeError as error:
            raise ConfigError(
                f"{cls.__name__}.from_buffer: {type(buffer).__name__} came; an element of an array of"
                f" gymapi.{cls.__name__}.dtype is needed"
            ) from error
        if len(raw) != cls.dtype.itemsize:
            raise ConfigError(
                f"{cls.__name__}.from_buffer: the buffer has {len(raw)} bytes; one element of"
                f" gymapi.{cls.__name__}.dtype has {cls.dtype.itemsize}, pass states[i]"
            )
        record, build = np.frombuffer(raw, cls.dtype)[0], cast(Any, cls)
        return build(*(_value(record[name]) for name in cls.dtype.names or ()))


def _value(part: Any) -> Any:
    """A part of a record: a number, a vector or a rotation."""
    kind = next((kind for kind in (Vec3, Quat) if part.dtype == kind.dtype), None)
    return float(part) if kind is None else kind(*(float(number) for number in part))


@dataclass
class Vec2(Buffered):
    """Two numbers."""

    x: float = 0.0
    y: float = 0.0
    dtype: ClassVar = np.dtype([("x", _F4), ("y", _F4)])


@dataclass
class Int2:
    """Two whole numbers."""

    x: int = 0
    y: int = 0
    dtype: ClassVar = np.dtype([("x", np.int32), ("y", np.int32)])


@dataclass
class Int3:
    """Three whole numbers."""

    x: int = 0
    y: int = 0
    z: int = 0
    dtype: ClassVar = np.dtype([("x", np.int32), ("y", np.int32), ("z", np.int32)])


@dataclass
class Vec3(Buffered):
    """A vector."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    dtype: ClassVar = np.dtype([("x", _F4), ("y", _F4), ("z", _F4)])

    def array(self) -> np.ndarray:
        """`(3,)`."""
        return np.array([self.x, self.y, self.z], dtype=float)

    def __add__(self, other: "Vec3") -> "Vec3":
        return Vec3(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other: "Vec3") -> "Vec3":
        return Vec3(self.x - other.x, self.y - other.y, self.z - other.z)

    def __neg__(self) -> "Vec3":
        return Vec3(-self.x, -self.y, -self.z)

    def __mul__(self, scale: float) -> "Vec3":
        return Vec3(self.x * scale, self.y * scale, self.z * scale)

    __rmul__ = __mul__

    def __truediv__(self, scale: float) -> "Vec3":
        return self * (1.0 / scale)

    def dot(self, other: "Vec3") -> float:
        """The scalar product."""
        return self.x * other.x + self.y * other.y + self.z * other.z

    def cross(self, other: "Vec3") -> "Vec3":
        """The vector product."""
        return Vec3(*(float(v) for v in np.cross(self.array(), other.array())))

    def length_sq(self) -> float:
        """The squared length."""
        return self.dot(self)

    def length(self) -> float:
        """The length."""
        return math.sqrt(self.dot(self))

    def normalize(self) -> "Vec3":
        """The vector of length 1 in this direction."""
        return self / max(self.length(), 1e-12)


@dataclass
class Quat(Buffered):
    """A rotation."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    w: float = 1.0
    dtype: ClassVar = np.dtype([("x", _F4), ("y", _F4), ("z", _F4), ("w", _F4)])

    def wxyz(self) -> np.ndarray:
        """`(4,)` in MuJoCo's order, of unit length."""
        values = np.array([self.w, self.x, self.y, self.z], dtype=float)
        return values / max(np.linalg.norm(values), 1e-12)

    @staticmethod
    def from_axis_angle(axis: Vec3, angle: float) -> "Quat":
        """The rotation by an angle in rad about an axis."""
        v = axis.normalize() * math.sin(0.5 * angle)
        return Quat(v.x, v.y, v.z, math.cos(0.5 * angle))

    @staticmethod
    def from_euler_zyx(x: float, y: float, z: float) -> "Quat":
        """The rotation by angles in rad about x, then the fixed y, then the fixed z."""
        about = Quat.from_axis_angle
        return about(Vec3(0, 0, 1), z) * about(Vec3(0, 1, 0), y) * about(Vec3(1, 0, 0), x)

    def to_euler_zyx(self) -> tuple[float, float, float]:
        """The angles of `from_euler_zyx`."""
        w, x, y, z = self.wxyz()
        sine = float(np.clip(2 * (w * y - z * x), -1.0, 1.0))
        roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
        return roll, math.asin(sine), math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))

    def __mul__(self, other: "Quat") -> "Quat":
        u, v = Vec3(self.x, self.y, self.z), Vec3(other.x, other.y, other.z)
        w = v * self.w + u * other.w + u.cross(v)
        return Quat(w.x, w.y, w.z, self.w * other.w - u.dot(v))

    def inverse(self) -> "Quat":
        """The opposite rotation."""
        return Quat(-self.x, -self.y, -self.z, self.w)

    def normalize(self) -> "Quat":
        """This rotation as a quaternion of unit length."""
        w, x, y, z = (float(v) for v in self.wxyz())
        return Quat(x, y, z, w)

    def rotate(self, vector: Vec3) -> Vec3:
        """A rotated vector."""
        u = Vec3(self.x, self.y, self.z)
        t = u.cross(vector) * 2.0
        return vector + t * self.w + u.cross(t)


@dataclass
class Transform(Buffered):
    """A pose: position `p`, rotation `r`."""

    p: Vec3 = field(default_factory=Vec3)
    r: Quat = field(default_factory=Quat)
    dtype: ClassVar = np.dtype([("p", Vec3.dtype), ("r", Quat.dtype)])

    def __post_init__(self) -> None:
        self.p, self.r = self.p or Vec3(), self.r or Quat()  # None is the identity

    def __mul__(self, other: "Transform") -> "Transform":
        return Transform(self.p + self.r.rotate(other.p), self.r * other.r)

    def inverse(self) -> "Transform":
        """The opposite pose."""
        r = self.r.inverse()
        return Transform(r.rotate(-self.p), r)

    def transform_point(self, point: Vec3) -> Vec3:
        """A point given in this frame."""
        return self.p + self.r.rotate(point)

    def transform_vector(self, vector: Vec3) -> Vec3:
        """A direction given in this frame."""
        return self.r.rotate(vector)

    def transform_points(self, points: np.ndarray) -> np.ndarray:
        """Points `(n,)` of `Vec3.dtype` given in this frame."""
        rows = [self.transform_point(Vec3(*(float(v) for v in row))) for row in points]
        return np.array([(v.x, v.y, v.z) for v in rows], dtype=Vec3.dtype)

    def transform_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Directions `(n,)` of `Vec3.dtype` given in this frame."""
        return Transform(Vec3(), self.r).transform_points(vectors)


@dataclass
class Velocity(Buffered):
    """Linear and angular velocity."""

    linear: Vec3 = field(default_factory=Vec3)
    angular: Vec3 = field(default_factory=Vec3)
    dtype: ClassVar = np.dtype([("linear", Vec3.dtype), ("angular", Vec3.dtype)])


@dataclass
class SpatialForce:
    """Force and torque."""

    force: Vec3 = field(default_factory=Vec3)
    torque: Vec3 = field(default_factory=Vec3)


@dataclass
class Mat33:
    """A matrix of three rows."""

    x: Vec3 = field(default_factory=Vec3)
    y: Vec3 = field(default_factory=Vec3)
    z: Vec3 = field(default_factory=Vec3)

    def array(self) -> np.ndarray:
        """`(3, 3)`."""
        return np.stack([self.x.array(), self.y.array(), self.z.array()])


@dataclass
class Mat44:
    """A matrix of four rows."""

    x: Quat = field(default_factory=Quat)
    y: Quat = field(default_factory=Quat)
    z: Quat = field(default_factory=Quat)
    w: Quat = field(default_factory=Quat)


class DofState:
    """Position and velocity of a degree of freedom, as a NumPy type."""

    dtype: ClassVar = np.dtype([("pos", _F4), ("vel", _F4)])


class RigidBodyState:
    """Pose and velocity of a body, as a NumPy type."""

    dtype: ClassVar = np.dtype([("pose", Transform.dtype), ("vel", Velocity.dtype)])


@dataclass
class DofFrame(Buffered):
    """Origin and axis of a degree of freedom."""

    origin: Vec3 = field(default_factory=Vec3)
    axis: Vec3 = field(default_factory=Vec3)
    dtype: ClassVar = np.dtype([("origin", Vec3.dtype), ("axis", Vec3.dtype)])
