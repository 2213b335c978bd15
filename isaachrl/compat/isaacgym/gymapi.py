"""The names of the module `gymapi`."""

from isaachrl.compat.isaacgym.array_maths import (
    carb_init,
    cross,
    dot,
    eulers_to_quats_zyx,
    quats_to_eulers_zyx,
    rotate,
    rotate_inverse,
)  # fmt: skip
from isaachrl.compat.isaacgym.enums import (
    CONSTANTS,
    ENUMS,
    CameraFollowMode,
    ContactCollection,
    CoordinateSpace,
    DofDriveMode,
    DofType,
    ImageType,
    IndexDomain,
    JointType,
    KeyboardInput,
    MeshNormalMode,
    MeshType,
    MouseInput,
    SimType,
    SoftMaterialType,
    TendonType,
    TensorDataType,
    UpAxis,
    UsdMaterialMode,
)  # fmt: skip
from isaachrl.compat.isaacgym.gym import Gym, acquire_gym
from isaachrl.compat.isaacgym.gymtorch import Tensor
from isaachrl.compat.isaacgym.objects import Asset, Env, Sim, Viewer
from isaachrl.compat.isaacgym.structs import (
    ActuatorProperties,
    AssetOptions,
    AttractorProperties,
    CameraProperties,
    FlexParams,
    ForceSensorProperties,
    HeightFieldParams,
    PhysXParams,
    PlaneParams,
    RigidBodyProperties,
    RigidShapeProperties,
    SimParams,
    TendonProperties,
    TriangleMeshParams,
    Version,
    VhacdParams,
)  # fmt: skip
from isaachrl.compat.isaacgym.vectors import (
    DofFrame,
    DofState,
    Int2,
    Int3,
    Mat33,
    Mat44,
    Quat,
    RigidBodyState,
    SpatialForce,
    Transform,
    Vec2,
    Vec3,
    Velocity,
)  # fmt: skip

__all__ = [
    "ActuatorProperties", "Asset", "AssetOptions", "AttractorProperties", "CameraFollowMode", "CameraProperties",
    "ContactCollection", "CoordinateSpace", "DofDriveMode", "DofFrame", "DofState", "DofType", "Env", "FlexParams",
    "ForceSensorProperties", "Gym", "HeightFieldParams", "ImageType", "IndexDomain", "Int2", "Int3", "JointType",
    "KeyboardInput", "Mat33", "Mat44", "MeshNormalMode", "MeshType", "MouseInput", "PhysXParams", "PlaneParams", "Quat",
    "RigidBodyProperties", "RigidBodyState", "RigidShapeProperties", "Sim", "SimParams", "SimType", "SoftMaterialType",
    "SpatialForce", "TendonProperties", "TendonType", "Tensor", "TensorDataType", "Transform", "TriangleMeshParams",
    "UpAxis", "UsdMaterialMode", "Vec2", "Vec3", "Velocity", "Version", "VhacdParams", "Viewer", "acquire_gym",
    "carb_init", "cross", "dot", "eulers_to_quats_zyx", "quats_to_eulers_zyx", "rotate", "rotate_inverse",
]  # fmt: skip

globals().update(CONSTANTS)
for _enum in ENUMS:
    globals().update(_enum.__members__)

_UNKNOWN = {
    name: "no task of the supported repositories uses it"
    for name in (
        "ActionEvent", "ForceSensor", "IndexRange", "OmniConnectionParams", "ParticleState", "PerformanceTimers",
        "RigidContact", "SoftContact", "SoftMaterial", "UsdExportOptions", "UsdExporter",
    )
}  # fmt: skip
_UNKNOWN["transform"] = _UNKNOWN["transform_inverse"] = (
    "whether it takes points, directions or poses is not documented; use the methods of gymapi.Transform"
)


def __getattr__(name: str) -> object:
    """Refuse the API's other names with the reason."""
    if name in _UNKNOWN:
        raise NotImplementedError(f"isaacgym.gymapi.{name}: {_UNKNOWN[name]}")
    raise AttributeError(f"module 'isaacgym.gymapi' has no attribute {name!r}")
