"""Parameters and properties of the API."""

from dataclasses import dataclass, field

from isaachrl.compat.isaacgym.enums import ContactCollection, MeshNormalMode, UpAxis
from isaachrl.compat.isaacgym.vectors import Mat33, Transform, Vec3


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
