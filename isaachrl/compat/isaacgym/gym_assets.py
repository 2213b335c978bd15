"""Methods of the API about assets."""

import copy

import numpy as np

from isaachrl.compat.isaacgym import objects
from isaachrl.compat.isaacgym.enums import DofType
from isaachrl.compat.isaacgym.objects import Asset, Sim
from isaachrl.compat.isaacgym.structs import (
    ActuatorProperties,
    AssetOptions,
    ForceSensorProperties,
    RigidShapeProperties,
)  # fmt: skip
from isaachrl.compat.isaacgym.vectors import Transform
from isaachrl.errors import ConfigError


def index_of(names: list[str], name: str) -> int:
    """The place of a name, -1 if it is not there."""
    return names.index(name) if name in names else -1


class AssetMethods:
    """Loading and querying assets; indices count within the asset."""

    def load_asset(self, sim: Sim, rootpath: str, filename: str, options: AssetOptions | None = None) -> Asset:
        """Read an MJCF or URDF file; see `objects.load`."""
        return objects.load(rootpath, filename, copy.copy(options) if options else AssetOptions())

    load_mjcf = load_urdf = load_asset

    def create_box(
        self, sim: Sim, width: float, height: float, depth: float, options: AssetOptions | None = None
    ) -> Asset:
        """A box of these sizes along x, y and z."""
        return objects.primitive("box", [width / 2, height / 2, depth / 2], options or AssetOptions())

    def create_sphere(self, sim: Sim, radius: float, options: AssetOptions | None = None) -> Asset:
        """A ball."""
        return objects.primitive("sphere", [radius], options or AssetOptions())

    def create_capsule(self, sim: Sim, radius: float, width: float, options: AssetOptions | None = None) -> Asset:
        """A capsule along z whose cylinder has the length `width`."""
        return objects.primitive("capsule", [radius, width / 2], options or AssetOptions())

    def get_asset_rigid_body_count(self, asset: Asset) -> int:
        """Number of bodies."""
        return len(asset.model.body_names)

    def get_asset_rigid_body_names(self, asset: Asset) -> list[str]:
        """Names of the bodies."""
        return list(asset.model.body_names)

    def get_asset_rigid_body_name(self, asset: Asset, index: int) -> str:
        """The name of a body."""
        return asset.model.body_names[index]

    def get_asset_rigid_body_dict(self, asset: Asset) -> dict[str, int]:
        """Bodies by name."""
        return {name: i for i, name in enumerate(asset.model.body_names)}

    def find_asset_rigid_body_index(self, asset: Asset, name: str) -> int:
        """The number of a body, -1 if there is none of that name."""
        return index_of(asset.model.body_names, name)

    def get_asset_rigid_shape_count(self, asset: Asset) -> int:
        """Number of shapes."""
        return len(asset.shape_props)

    def get_asset_rigid_shape_properties(self, asset: Asset) -> list[RigidShapeProperties]:
        """Copies of the properties of the shapes."""
        return [copy.copy(shape) for shape in asset.shape_props]

    def set_asset_rigid_shape_properties(self, asset: Asset, props: list[RigidShapeProperties]) -> bool:
        """Set the properties of the shapes, for actors created from now on."""
        if len(props) != len(asset.shape_props):
            raise ConfigError(
                f"set_asset_rigid_shape_properties: {len(props)} properties came for {len(asset.shape_props)} shapes;"
                " change the list of get_asset_rigid_shape_properties and hand it back"
            )
        asset.shape_props = [copy.copy(shape) for shape in props]
        return True

    def get_asset_dof_count(self, asset: Asset) -> int:
        """Number of degrees of freedom."""
        return len(asset.model.dofs)

    def get_asset_dof_names(self, asset: Asset) -> list[str]:
        """Names of the degrees of freedom."""
        return asset.dof_names

    def get_asset_dof_name(self, asset: Asset, index: int) -> str:
        """The name of a degree of freedom."""
        return asset.dof_names[index]

    def get_asset_dof_dict(self, asset: Asset) -> dict[str, int]:
        """Degrees of freedom by name."""
        return {name: i for i, name in enumerate(asset.dof_names)}

    def find_asset_dof_index(self, asset: Asset, name: str) -> int:
        """The number of a degree of freedom, -1 if there is none of that name."""
        return index_of(asset.dof_names, name)

    def get_asset_dof_type(self, asset: Asset, index: int) -> DofType:
        """Whether a degree of freedom rotates or slides."""
        slides = asset.model.dofs[index].kind == "slide"
        return DofType.DOF_TRANSLATION if slides else DofType.DOF_ROTATION

    def get_asset_dof_properties(self, asset: Asset) -> np.ndarray:
        """A copy of the properties of the degrees of freedom."""
        return asset.dof_props.copy()

    def get_asset_actuator_count(self, asset: Asset) -> int:
        """Number of motors of an MJCF file."""
        return len(asset.model.motors)

    def get_asset_actuator_properties(self, asset: Asset) -> list[ActuatorProperties]:
        """The motors of an MJCF file, in its order."""
        return objects.actuator_properties(asset.model)

    def get_asset_actuator_name(self, asset: Asset, index: int) -> str:
        """The name of a motor."""
        return asset.model.motors[index].name

    def get_asset_actuator_joint_name(self, asset: Asset, index: int) -> str:
        """The name of a motor's joint."""
        return asset.model.motors[index].joint

    def get_asset_soft_body_count(self, asset: Asset) -> int:
        """Number of soft bodies: they are not simulated, so 0."""
        return 0

    def create_asset_force_sensor(
        self, asset: Asset, body_idx: int, local_pose: Transform, props: ForceSensorProperties | None = None
    ) -> int:
        """Add a force sensor to a body; its number in the asset, -1 if there is no such body."""
        if not 0 <= body_idx < len(asset.model.body_names):
            return -1
        pose = Transform(copy.copy(local_pose.p), copy.copy(local_pose.r))
        asset.sensors.append((body_idx, pose, props or ForceSensorProperties()))
        return len(asset.sensors) - 1
