"""Vectors, rotations and parameter structures of the API. Quaternions are x, y, z, w."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from isaachrl.compat.isaacgym.enums import ContactCollection, MeshNormalMode, UpAxis

_F4 = np.float32


@dataclass
class Vec2:
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
class Vec3:
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
class Quat:
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
class Transform:
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
class Velocity:
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


class DofFrame:
    """Origin and axis of a degree of freedom, as a NumPy type."""

    dtype: ClassVar = np.dtype([("origin", Vec3.dtype), ("axis", Vec3.dtype)])


@dataclass
class Version:
    """The version of the API that is offered."""

    major: int = 1
    minor: int = 0


@dataclass
class PhysXParams:
    """Parameters of PhysX; they change nothing in MuJoCo."""

    always_use_articulations: bool = False
    bounce_threshold_velocity: float = 0.2
    contact_collection: ContactCollection = ContactCollection.CC_ALL_SUBSTEPS
    contact_offset: float = 0.02
    default_buffer_size_multiplier: float = 2.0
    friction_correlation_distance: float = 0.025
    friction_offset_threshold: float = 0.04
    max_depenetration_velocity: float = 100.0
    max_gpu_contact_pairs: int = 1024 * 1024
    num_position_iterations: int = 4
    num_subscenes: int = 0
    num_threads: int = 0
    num_velocity_iterations: int = 1
    rest_offset: float = 0.001
    solver_type: int = 1
    use_gpu: bool = False


@dataclass
class FlexParams:
    """Parameters of Flex, which is not simulated."""

    contact_regularization: float = 1e-6
    deterministic_mode: bool = False
    dynamic_friction: float = 0.0
    friction_mode: int = 1
    geometric_stiffness: float = 1.0
    max_rigid_contacts: int = 0
    max_soft_contacts: int = 0
    num_inner_iterations: int = 20
    num_outer_iterations: int = 4
    particle_friction: float = 0.0
    relaxation: float = 0.75
    return_contacts: bool = False
    shape_collision_distance: float = 0.0
    shape_collision_margin: float = 0.0
    solver_type: int = 5
    static_friction: float = 0.0
    warm_start: float = 0.4


@dataclass
class SimParams:
    """Parameters of a simulation."""

    dt: float = 1.0 / 60.0
    substeps: int = 2
    gravity: Vec3 = field(default_factory=lambda: Vec3(0.0, -9.8, 0.0))
    up_axis: UpAxis = UpAxis.UP_AXIS_Y
    use_gpu_pipeline: bool = False
    num_client_threads: int = 0
    enable_actor_creation_warning: bool = True
    stress_visualization: bool = False
    stress_visualization_max: float = 1e5
    stress_visualization_min: float = 0.0
    physx: PhysXParams = field(default_factory=PhysXParams)
    flex: FlexParams = field(default_factory=FlexParams)


@dataclass
class PlaneParams:
    """The ground plane: `normal` and its `distance` below the origin."""

    normal: Vec3 = field(default_factory=lambda: Vec3(0.0, 1.0, 0.0))
    distance: float = 0.0
    static_friction: float = 1.0
    dynamic_friction: float = 1.0
    restitution: float = 0.0
    segmentation_id: int = 0


@dataclass
class HeightFieldParams:
    """A height field: sample `x * nbRows + y` is at `(x * column_scale, y * row_scale)`."""

    nbRows: int = 0  # noqa: N815
    nbColumns: int = 0  # noqa: N815
    row_scale: float = 1.0
    column_scale: float = 1.0
    vertical_scale: float = 1.0
    transform: Transform = field(default_factory=Transform)
    static_friction: float = 1.0
    dynamic_friction: float = 1.0
    restitution: float = 0.0
    segmentation_id: int = 0


@dataclass
class TriangleMeshParams:
    """A triangle mesh as ground."""

    nb_vertices: int = 0
    nb_triangles: int = 0
    transform: Transform = field(default_factory=Transform)
    static_friction: float = 1.0
    dynamic_friction: float = 1.0
    restitution: float = 0.0
    segmentation_id: int = 0


@dataclass
class VhacdParams:
    """Parameters of convex decompositions; a mesh is one convex hull here."""

    alpha: float = 0.05
    beta: float = 0.05
    concavity: float = 0.0
    convex_hull_approximation: bool = True
    convex_hull_downsampling: int = 4
    max_convex_hulls: int = 64
    max_num_vertices_per_ch: int = 64
    min_volume_per_ch: float = 1e-4
    mode: int = 0
    ocl_acceleration: bool = True
    pca: int = 0
    plane_downsampling: int = 4
    project_hull_vertices: bool = True
    resolution: int = 100000


@dataclass
class AssetOptions:
    """Options of an import."""

    angular_damping: float = 0.5
    armature: float = 0.0
    collapse_fixed_joints: bool = False
    convex_decomposition_from_submeshes: bool = False
    default_dof_drive_mode: int = 0
    density: float = 1000.0
    disable_gravity: bool = False
    enable_gyroscopic_forces: bool = True
    fix_base_link: bool = False
    flip_visual_attachments: bool = False
    linear_damping: float = 0.0
    max_angular_velocity: float = 64.0
    max_linear_velocity: float = 1000.0
    mesh_normal_mode: MeshNormalMode = MeshNormalMode.FROM_ASSET
    min_particle_mass: float = 1e-12
    override_com: bool = False
    override_inertia: bool = False
    replace_cylinder_with_capsule: bool = False
    slices_per_cylinder: int = 20
    tendon_limit_stiffness: float = 1.0
    thickness: float = 0.02
    use_mesh_materials: bool = False
    use_physx_armature: bool = True
    vhacd_enabled: bool = False
    vhacd_params: VhacdParams = field(default_factory=VhacdParams)


@dataclass
class AttractorProperties:
    """A spring that pulls a point of a body to a target."""

    axes: int = 0
    damping: float = 0.0
    offset: Transform = field(default_factory=Transform)
    rigid_handle: int = -1
    stiffness: float = 0.0
    target: Transform = field(default_factory=Transform)


@dataclass
class ActuatorProperties:
    """A motor of an MJCF file."""

    control_limited: bool = False
    force_limited: bool = False
    kp: float = 0.0
    kv: float = 0.0
    lower_control_limit: float = 0.0
    lower_force_limit: float = 0.0
    motor_effort: float = 0.0
    upper_control_limit: float = 0.0
    upper_force_limit: float = 0.0
    type: str = "motor"


@dataclass
class RigidBodyProperties:
    """Mass, centre of mass and inertia of a body."""

    com: Vec3 = field(default_factory=Vec3)
    flags: int = 0
    inertia: Mat33 = field(default_factory=Mat33)
    invInertia: Mat33 = field(default_factory=Mat33)  # noqa: N815
    invMass: float = 0.0  # noqa: N815
    mass: float = 0.0


@dataclass
class RigidShapeProperties:
    """Material and filter of a collision shape."""

    compliance: float = 0.0
    contact_offset: float = 0.02
    filter: int = 0
    friction: float = 1.0
    rest_offset: float = 0.0
    restitution: float = 0.0
    rolling_friction: float = 0.0
    thickness: float = 0.02
    torsion_friction: float = 0.0


@dataclass
class ForceSensorProperties:
    """What a force sensor measures, and in which axes."""

    enable_constraint_solver_forces: bool = True
    enable_forward_dynamics_forces: bool = True
    use_world_frame: bool = False


@dataclass
class CameraProperties:
    """A camera."""

    enable_tensors: bool = False
    far_plane: float = 2_000_000.0
    height: int = 900
    horizontal_fov: float = 90.0
    near_plane: float = 1e-6
    supersampling_horizontal: int = 1
    supersampling_vertical: int = 1
    use_collision_geometry: bool = False
    width: int = 1600


@dataclass
class TendonProperties:
    """A fixed tendon."""

    damping: float = 0.0
    fixed_lower_limit: float = 0.0
    fixed_spring_rest_length: float = 0.0
    fixed_upper_limit: float = 0.0
    is_fixed_limited: bool = False
    limit_stiffness: float = 0.0
    stiffness: float = 0.0
    num_joints: int = 0
    num_attachments: int = 0
