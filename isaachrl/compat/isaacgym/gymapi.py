"""The names of the module `gymapi`."""

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
    DofFrame,
    DofState,
    FlexParams,
    ForceSensorProperties,
    HeightFieldParams,
    Int2,
    Int3,
    Mat33,
    Mat44,
    PhysXParams,
    PlaneParams,
    Quat,
    RigidBodyProperties,
    RigidBodyState,
    RigidShapeProperties,
    SimParams,
    SpatialForce,
    TendonProperties,
    Transform,
    TriangleMeshParams,
    Vec2,
    Vec3,
    Velocity,
    Version,
    VhacdParams,
)  # fmt: skip

__all__ = [
    "ActuatorProperties", "Asset", "AssetOptions", "AttractorProperties", "CameraFollowMode", "CameraProperties",
    "ContactCollection", "CoordinateSpace", "DofDriveMode", "DofFrame", "DofState", "DofType", "Env", "FlexParams",
    "ForceSensorProperties", "Gym", "HeightFieldParams", "ImageType", "IndexDomain", "Int2", "Int3", "JointType",
    "KeyboardInput", "Mat33", "Mat44", "MeshNormalMode", "MeshType", "MouseInput", "PhysXParams", "PlaneParams", "Quat",
    "RigidBodyProperties", "RigidBodyState", "RigidShapeProperties", "Sim", "SimParams", "SimType", "SoftMaterialType",
    "SpatialForce", "TendonProperties", "TendonType", "Tensor", "TensorDataType", "Transform", "TriangleMeshParams",
    "UpAxis", "UsdMaterialMode", "Vec2", "Vec3", "Velocity", "Version", "VhacdParams", "Viewer", "acquire_gym",
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


def __getattr__(name: str) -> object:
    """Refuse the API's other names with the reason."""
    if name in _UNKNOWN:
        raise NotImplementedError(f"isaacgym.gymapi.{name}: {_UNKNOWN[name]}")
    raise AttributeError(f"module 'isaacgym.gymapi' has no attribute {name!r}")
