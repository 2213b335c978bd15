"""What handles of the API refer to: assets, actors, environments, simulations."""

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isaachrl.compat.isaacgym import mjcf
from isaachrl.compat.isaacgym.enums import DofDriveMode, SimType
from isaachrl.compat.isaacgym.structs import (
    ActuatorProperties,
    AssetOptions,
    AttractorProperties,
    ForceSensorProperties,
    RigidBodyProperties,
    RigidShapeProperties,
    SimParams,
    TendonProperties,
)  # fmt: skip
from isaachrl.compat.isaacgym.urdf import UrdfReader
from isaachrl.compat.isaacgym.vectors import Mat33, Quat, Transform, Vec3
from isaachrl.errors import ConfigError
from isaachrl.sim.worlds import AssetModel, HeightMap, Plane, read_asset

if TYPE_CHECKING:
    from isaachrl.compat.isaacgym.physics import Physics

DOF_PROPERTIES = np.dtype(
    [("hasLimits", "?"), ("lower", "f4"), ("upper", "f4"), ("driveMode", "i4"), ("velocity", "f4"), ("effort", "f4"),
     ("stiffness", "f4"), ("damping", "f4"), ("friction", "f4"), ("armature", "f4")],
    align=True,  # else PyTorch does not take the columns
)  # fmt: skip
NONE: Mapping[str, str] = {}
LARGE = float(np.finfo(np.float32).max)


@dataclass
class Asset:
    """A body that actors are created from; the property lists are replaced, never changed."""

    name: str
    model: AssetModel
    options: AssetOptions
    dof_props: np.ndarray
    shape_props: list[RigidShapeProperties]
    body_props: list[RigidBodyProperties]
    joint_names: list[str]  # of all bodies but the root, of fixed ones too
    tendon_props: list[TendonProperties]
    sensors: list[tuple[int, Transform, ForceSensorProperties]] = field(default_factory=list)

    @property
    def dof_names(self) -> list[str]:
        """Names of the degrees of freedom."""
        return [dof.name for dof in self.model.dofs]


@dataclass(eq=False)
class Actor:
    """An asset in an environment; the property lists are replaced, never changed."""

    asset: Asset
    pose: Transform
    name: str
    group: int
    filter: int
    dof_props: np.ndarray
    shape_props: list[RigidShapeProperties]
    body_props: list[RigidBodyProperties]
    tendon_props: list[TendonProperties]
    scale: float = 1.0
    dof_force: bool = False  # whether the tensor of forces has the drives'


@dataclass(eq=False)
class Env:
    """An environment: one world."""

    sim: "Sim"
    index: int
    origin: Vec3
    actors: list[Actor] = field(default_factory=list)
    attractors: list[AttractorProperties] = field(default_factory=list)


@dataclass(eq=False)
class Sim:
    """A simulation; `physics` exists from `prepare_sim` on, or from the first use of a tensor."""

    params: SimParams
    device: str
    engine: str
    kind: SimType = SimType.SIM_PHYSX
    envs: list[Env] = field(default_factory=list)
    ground: list[Plane | HeightMap] = field(default_factory=list)
    physics: "Physics | None" = None
    steps: int = 0


class Viewer:
    """A viewer that shows nothing."""


def load(root: str, file: str, options: AssetOptions) -> Asset:
    """Read an MJCF or URDF file.

    Raises:
        ConfigError: it is missing, or cannot be read.
    """
    path = Path(root, file)
    limits: dict[str, tuple[float, float]] = {}
    joints: dict[str, str] = {}
    if path.suffix.lower() == ".urdf":
        reader = UrdfReader(path, Path(root), options)
        xml, limits = reader.to_mjcf(), reader.limits
        joints = {joint.child: joint.name for joint in reader.joints}
    elif path.suffix.lower() in (".xml", ".mjcf"):
        xml = mjcf.prepare(path, options.replace_cylinder_with_capsule)
    else:
        raise ConfigError(f"the asset {path} is neither MJCF (.xml) nor URDF (.urdf): convert it")
    model = read_asset(xml, str(path))
    for dof in model.dofs:
        dof.effort, dof.velocity = limits.get(dof.name, (math.inf, math.inf))
    return describe(path.stem, model, options, joints)


def primitive(kind: str, size: list[float], options: AssetOptions) -> Asset:
    """An asset of one body with one shape: a MuJoCo geom of a type and size."""
    numbers = " ".join(repr(float(x)) for x in size)
    xml = (
        f'<mujoco><worldbody><body name="{kind}"><geom type="{kind}" size="{numbers}" density="{options.density}"/>'
        "</body></worldbody></mujoco>"
    )
    return describe(kind, read_asset(xml, kind), options)


def describe(name: str, model: AssetModel, options: AssetOptions, joints: Mapping[str, str] = NONE) -> Asset:
    """An asset with the properties that its file gives; `joints` are names of joints by the body that they move."""
    motors = {motor.joint for motor in model.motors}
    props = np.zeros(len(model.dofs), DOF_PROPERTIES)
    for row, dof in zip(props, model.dofs, strict=True):
        mode = DofDriveMode.DOF_MODE_EFFORT if dof.name in motors else options.default_dof_drive_mode
        row["hasLimits"], row["lower"], row["upper"] = dof.limited, dof.lower, dof.upper
        row["driveMode"], row["armature"] = int(mode), dof.armature
        row["stiffness"], row["damping"] = dof.stiffness, dof.damping
        row["effort"], row["velocity"] = min(dof.effort, LARGE), min(dof.velocity, LARGE)
    shapes = [RigidShapeProperties(friction=f, thickness=options.thickness) for f in model.geom_friction]
    moving = {model.body_names[body]: dof.name for dof, body in zip(model.dofs, model.dof_bodies, strict=True)}
    names = [(moving | dict(joints)).get(body, body) for body in model.body_names[1:]]
    return Asset(name, model, options, props, shapes, body_properties(model), names, tendon_properties(model, options))


def body_properties(model: AssetModel) -> list[RigidBodyProperties]:
    """Mass, centre of mass and inertia of the bodies."""
    result = []
    for mass, com, inertia in zip(model.body_mass, model.body_com, model.body_inertia, strict=True):
        inverse = np.linalg.inv(inertia) if np.linalg.det(inertia) > 0 else np.zeros((3, 3))
        properties = RigidBodyProperties(
            com=vec3(com), inertia=matrix(inertia), invInertia=matrix(inverse),
            invMass=1.0 / float(mass) if mass > 0 else 0.0, mass=float(mass),
        )  # fmt: skip
        result.append(properties)
    return result


def tendon_properties(model: AssetModel, options: AssetOptions) -> list[TendonProperties]:
    """The fixed tendons of the file, with the stiffness of their limits from the options."""
    return [
        TendonProperties(
            damping=tendon.damping, fixed_lower_limit=tendon.lower, fixed_spring_rest_length=tendon.rest,
            fixed_upper_limit=tendon.upper, is_fixed_limited=tendon.limited,
            limit_stiffness=options.tendon_limit_stiffness, stiffness=tendon.stiffness, num_joints=len(tendon.joints),
        )
        for tendon in model.tendons
    ]  # fmt: skip


def scalar(value: Any) -> float:
    """A number; tasks also set arrays of one number."""
    return float(np.ravel(value)[0])


def vec3(values: Iterable[float]) -> Vec3:
    """Three numbers as a structure."""
    x, y, z = (float(value) for value in values)
    return Vec3(x, y, z)


def quat(values: Iterable[float]) -> Quat:
    """Four numbers in the order x, y, z, w as a structure."""
    x, y, z, w = (float(value) for value in values)
    return Quat(x, y, z, w)


def matrix(values: np.ndarray) -> Mat33:
    """A matrix `(3, 3)` as a structure."""
    x, y, z = (vec3(row) for row in values)
    return Mat33(x, y, z)


def actuator_properties(model: AssetModel) -> list[ActuatorProperties]:
    """The motors of the file; `motor_effort` is the gear, or what the force range allows of it."""
    result = []
    for motor in model.motors:
        properties = ActuatorProperties(motor_effort=motor.gear)
        if motor.ctrl_range is not None:
            properties.control_limited = True
            properties.lower_control_limit, properties.upper_control_limit = motor.ctrl_range
        if motor.force_range is not None:
            properties.force_limited = True
            properties.lower_force_limit, properties.upper_force_limit = motor.force_range
        result.append(properties)
    return result


def new_actor(asset: Asset, pose: Transform, name: str, group: int, filter_bits: int) -> Actor:
    """An actor with the properties that its asset has now."""
    pose = Transform(copy.copy(pose.p), copy.copy(pose.r))
    props = asset.dof_props, asset.shape_props, asset.body_props, asset.tendon_props
    return Actor(asset, pose, name, group, filter_bits, *props)
