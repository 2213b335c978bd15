"""Reads an articulated body from MJCF and describes it in terms of rigid bodies, degrees of freedom and shapes.

Three hinges on one body with orthogonal axes through one point are one ball joint of three degrees of freedom. Motors,
springs and dampers are taken out of the model: they are parameters of the drives that `assemble` adds.
"""

import math
from dataclasses import dataclass, field

import mujoco
import numpy as np

from isaachrl.errors import ConfigError, brief

ROOT_JOINT = "root"  # name of the free joint of a floating body, after its prefix
_HINGE, _SLIDE, _BALL, _FREE = (
    getattr(mujoco.mjtJoint, f"mjJNT_{kind}") for kind in ("HINGE", "SLIDE", "BALL", "FREE")
)


@dataclass
class Dof:
    """A degree of freedom: a hinge, a slide, or one of the three of a ball joint.

    Attributes:
        name: of the joint in the file.
        joint: of the joint in the model; three degrees of freedom of a ball share it.
        axis: number of the axis within a ball joint, else 0.
        kind: `hinge`, `slide` or `ball`.
        lower, upper: limits in rad or m, if `limited`.
        stiffness, damping, armature: of the joint in the file.
        effort, velocity: limits; infinite if there are none.
    """

    name: str
    joint: str
    axis: int
    kind: str
    limited: bool
    lower: float
    upper: float
    stiffness: float
    damping: float
    armature: float
    effort: float = math.inf
    velocity: float = math.inf


@dataclass
class Motor:
    """A motor of the file: name, joint, gear, and the ranges of control and force, if any."""

    name: str
    joint: str
    gear: float
    ctrl_range: tuple[float, float] | None
    force_range: tuple[float, float] | None


@dataclass
class Tendon:
    """A fixed tendon of the file: its length is the sum of positions of joints, times coefficients.

    Attributes:
        name: of the tendon.
        joints, coefficients: what it adds up.
        limited: whether its length is within `lower` and `upper`.
        stiffness, damping, rest: of its spring.
    """

    name: str
    joints: list[str]
    coefficients: list[float]
    limited: bool
    lower: float
    upper: float
    stiffness: float
    damping: float
    rest: float


@dataclass
class AssetModel:
    """What `read_asset` found. Bodies and shapes are in depth-first order, degrees of freedom in that of their bodies.

    Attributes:
        xml: the model as MJCF, without free joint, motors, springs and dampers.
        body_names, body_parents: the parent of the root is -1.
        body_mass, body_inertia, body_com: `(B,)` kg, `(B, 3, 3)` kg m² about the centre of mass in the axes of the
            body, `(B, 3)` m.
        body_pos, body_quat: `(B, 3)` m and `(B, 4)`, w first: poses in the root at coordinates of 0.
        dofs: degrees of freedom.
        dof_bodies: the body that each of them moves.
        motors: motors of the file, in its order.
        geom_names: by shape.
        geom_bodies: the body of each shape.
        geom_friction: sliding friction of each shape.
        geom_filter: what the file says about contacts of each shape; 0 if nothing.
        geom_solid: whether the shape collides at all.
        tendons: fixed tendons of the file, in its order.
    """

    xml: str
    body_names: list[str]
    body_parents: list[int]
    body_mass: np.ndarray
    body_inertia: np.ndarray
    body_com: np.ndarray
    body_pos: np.ndarray
    body_quat: np.ndarray
    dofs: list[Dof]
    dof_bodies: list[int]
    motors: list[Motor]
    geom_names: list[str] = field(default_factory=list)
    geom_bodies: list[int] = field(default_factory=list)
    geom_friction: list[float] = field(default_factory=list)
    geom_solid: list[bool] = field(default_factory=list)
    tendons: list[Tendon] = field(default_factory=list)


def read_asset(xml: str, where: str) -> AssetModel:
    """Read one articulated body: the first body below the world of a MJCF.

    Args:
        xml: the file's content.
        where: the file's name, for messages.

    Raises:
        ConfigError: MuJoCo cannot read it, or there is no body.
    """
    try:
        spec = mujoco.MjSpec.from_string(xml)
        root = spec.worldbody.first_body()
        if root is None:
            raise ConfigError(f"{where} has no body below the world: an asset needs one")
        _isolate(spec, root)
        _name_everything(spec)
        motors = _take_motors(spec)
        dofs = [dof for body in spec.bodies[1:] for dof in _take_dofs(spec, body)]
        spec.compiler.boundmass = max(spec.compiler.boundmass, 1e-4)  # for links without a shape
        spec.compiler.boundinertia = max(spec.compiler.boundinertia, 1e-8)
        spec.compiler.balanceinertia = True
        spec.compiler.discardvisual = False
        model = spec.compile()
        return _describe(model, spec.to_xml(), dofs, motors)
    except ValueError as error:  # MuJoCo's compiler
        raise ConfigError(f"MuJoCo cannot read the asset {where}: {brief(error, 400)}; correct that file") from error


def _isolate(spec: mujoco.MjSpec, root: mujoco.MjsBody) -> None:
    """Delete everything but the root's tree, and its pose, free joint and joints that cannot move."""
    keep = {id(root)}
    for body in list(spec.worldbody.bodies):
        if body.name != root.name and id(body) not in keep:
            spec.delete(body)
    for geom in list(spec.worldbody.geoms):
        spec.delete(geom)
    for kind in (spec.keys, spec.excludes, spec.pairs, spec.sensors, spec.equalities, spec.cameras, spec.lights):
        for item in list(kind):
            spec.delete(item)
    for tendon in list(spec.tendons):
        if any(part.type != mujoco.mjtWrap.mjWRAP_JOINT for part in tendon.path):
            spec.delete(tendon)
    for joint in list(root.joints):
        if joint.type == _FREE or _is_locked(joint):
            spec.delete(joint)
    root.pos, root.quat = [0, 0, 0], [1, 0, 0, 0]
    for orientation in (root.alt,):
        orientation.type = mujoco.mjtOrientation.mjORIENTATION_QUAT


def _name_everything(spec: mujoco.MjSpec) -> None:
    """Name what has no name, since parts are found by name later."""
    for i, body in enumerate(spec.bodies[1:]):
        body.name = body.name or f"body_{i}"
    for i, joint in enumerate(spec.joints):
        joint.name = joint.name or f"joint_{i}"
    for i, geom in enumerate(spec.geoms):
        geom.name = geom.name or f"geom_{i}"
    for i, tendon in enumerate(spec.tendons):
        tendon.name = tendon.name or f"tendon_{i}"


def _take_motors(spec: mujoco.MjSpec) -> list[Motor]:
    """The actuators of joints; all are deleted."""
    motors = []
    for i, actuator in enumerate(list(spec.actuators)):
        if actuator.trntype == mujoco.mjtTrn.mjTRN_JOINT:
            ctrl, force = _interval(actuator.ctrlrange), _interval(actuator.forcerange)
            motors.append(Motor(actuator.name or f"motor_{i}", actuator.target, float(actuator.gear[0]), ctrl, force))
        spec.delete(actuator)
    return motors


def _interval(values: np.ndarray) -> tuple[float, float] | None:
    """A range; None if it is empty."""
    return (float(values[0]), float(values[1])) if values[0] < values[1] else None


def _take_dofs(spec: mujoco.MjSpec, body: mujoco.MjsBody) -> list[Dof]:
    """The degrees of freedom of a body, whose joints lose springs, dampers and dry friction."""
    unit = math.pi / 180 if spec.compiler.degree else 1.0
    joints = list(body.joints)
    dofs = [_dof(joint, unit) for joint in joints]
    if not _is_ball(joints):
        for joint in joints:
            joint.stiffness[:], joint.damping[:], joint.frictionloss = 0.0, 0.0, 0.0
            joint.actfrclimited = mujoco.mjtLimited.mjLIMITED_FALSE
        return dofs
    name, pos = joints[0].name, np.array(joints[0].pos)
    for joint in joints:
        spec.delete(joint)
    ball = body.add_joint(name=name, type=_BALL, pos=pos)
    ball.stiffness[:], ball.damping[:], ball.frictionloss = 0.0, 0.0, 0.0
    ball.armature = float(np.mean([dof.armature for dof in dofs]))
    ball.limited = mujoco.mjtLimited.mjLIMITED_FALSE  # `assemble` adds actuators that hold the limits
    for i, dof in enumerate(dofs):
        dof.joint, dof.kind, dof.axis = name, "ball", i
    return dofs


def _is_ball(joints: list[mujoco.MjsJoint]) -> bool:
    """Whether these are hinges about x, y and z through one point."""
    if len(joints) != 3 or any(joint.type != _HINGE for joint in joints):
        return False
    axes = np.array([joint.axis / np.linalg.norm(joint.axis) for joint in joints])
    same = all(np.allclose(joint.pos, joints[0].pos, atol=1e-6) for joint in joints)
    return same and bool(np.allclose(axes, np.eye(3), atol=1e-6))


def _is_locked(joint: mujoco.MjsJoint) -> bool:
    """Whether the range is empty: the joint is to stay where it is."""
    return joint.limited == mujoco.mjtLimited.mjLIMITED_TRUE and joint.range[0] >= joint.range[1]


def _dof(joint: mujoco.MjsJoint, unit: float) -> Dof:
    """One joint as a degree of freedom; `unit` converts its angles to rad."""
    kinds = {int(_HINGE): "hinge", int(_SLIDE): "slide"}
    if int(joint.type) not in kinds:
        raise ConfigError(f"joint {joint.name!r} is a ball or free joint below the root, which is not supported")
    kind = kinds[int(joint.type)]
    lower, upper = (float(x) * (unit if kind == "hinge" else 1.0) for x in joint.range)
    limited = lower < upper and joint.limited != mujoco.mjtLimited.mjLIMITED_FALSE
    if _is_locked(joint):  # the compiler refuses a range of 0 0
        limited, upper, joint.range[1] = True, lower, joint.range[0] + 1e-6
    stiffness, damping = float(joint.stiffness[0]), float(joint.damping[0])
    return Dof(joint.name, joint.name, 0, kind, limited, lower, upper, stiffness, damping, float(joint.armature))


def _describe(model: mujoco.MjModel, xml: str, dofs: list[Dof], motors: list[Motor]) -> AssetModel:
    """The description of a compiled asset."""
    bodies = range(1, model.nbody)
    rotation = np.zeros(9)
    inertia = np.zeros((model.nbody - 1, 3, 3))
    for i in bodies:
        mujoco.mju_quat2Mat(rotation, model.body_iquat[i])
        matrix = rotation.reshape(3, 3)
        inertia[i - 1] = matrix @ np.diag(model.body_inertia[i]) @ matrix.T
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    by_joint = {model.joint(i).name: int(model.jnt_bodyid[i]) - 1 for i in range(model.njnt)}
    geoms = range(model.ngeom)
    return AssetModel(
        xml=xml,
        body_names=[model.body(i).name for i in bodies],
        body_parents=[int(model.body_parentid[i]) - 1 for i in bodies],
        body_mass=model.body_mass[1:].copy(),
        body_inertia=inertia,
        body_com=model.body_ipos[1:].copy(),
        body_pos=data.xpos[1:].copy(),
        body_quat=data.xquat[1:].copy(),
        dofs=dofs,
        dof_bodies=[by_joint[dof.joint] for dof in dofs],
        motors=motors,
        geom_names=[model.geom(i).name for i in geoms],
        geom_bodies=[int(model.geom_bodyid[i]) - 1 for i in geoms],
        geom_friction=[float(model.geom_friction[i, 0]) for i in geoms],
        geom_solid=[bool(model.geom_contype[i] or model.geom_conaffinity[i]) for i in geoms],
        tendons=[_tendon(model, i) for i in range(model.ntendon)],
    )


def _tendon(model: mujoco.MjModel, i: int) -> Tendon:
    """A fixed tendon of a compiled asset; of a range of rest lengths the middle is taken."""
    parts = slice(model.tendon_adr[i], model.tendon_adr[i] + model.tendon_num[i])
    lower, upper = model.tendon_range[i].tolist()
    return Tendon(
        name=model.tendon(i).name, joints=[model.joint(j).name for j in model.wrap_objid[parts]],
        coefficients=model.wrap_prm[parts].tolist(), limited=bool(model.tendon_limited[i]), lower=lower, upper=upper,
        stiffness=float(model.tendon_stiffness[i]), damping=float(model.tendon_damping[i]),
        rest=float(model.tendon_lengthspring[i].mean()),
    )  # fmt: skip
