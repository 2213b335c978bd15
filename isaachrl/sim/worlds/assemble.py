"""Assembles the model of one world from assets, with a drive for each degree of freedom.

A drive is an affine actuator, force = stiffness * (target - position) - (damping + h * stiffness) * velocity, together
with an armature of h * (damping + h * stiffness), for a physics step of h seconds. The semi-implicit Euler step with
both is the backward Euler step of the spring and damper, and the solver of contacts knows how stiff the drive is.

A ball joint has one more actuator for each axis with limits, since MuJoCo's own limit is a cone: the caller
makes it a spring where the limit is exceeded.
"""

from dataclasses import dataclass, field

import mujoco
import numpy as np

from isaachrl.errors import ConfigError, brief
from isaachrl.sim.worlds.asset import ROOT_JOINT, AssetModel

UNLIMITED = 1e9  # N or N m: the range of forces without a limit
SOLVER_ITERATIONS = 50
_SENSOR, _OBJECT, _GEOM = mujoco.mjtSensor, mujoco.mjtObj, mujoco.mjtGeom


@dataclass
class Actor:
    """One asset in the world.

    Attributes:
        asset: its model.
        pos, quat: start pose of the root, m; w, x, y, z.
        fixed: whether the root is a mocap body instead of floating.
        gravity: whether gravity acts on it.
        contype, conaffinity: `(S,)` contact bits of the shapes.
        friction: `(S,)` sliding friction of the shapes.
    """

    asset: AssetModel
    pos: np.ndarray
    quat: np.ndarray
    fixed: bool
    gravity: bool
    contype: np.ndarray
    conaffinity: np.ndarray
    friction: np.ndarray


@dataclass
class Plane:
    """The ground: points `x` with `normal · x = height_m`."""

    normal: np.ndarray
    height_m: float
    friction: float


@dataclass
class HeightMap:
    """Ground above a grid: `heights_m (X, Y)` at `origin_m + (i, j) * spacing_m`."""

    heights_m: np.ndarray
    spacing_m: tuple[float, float]
    origin_m: np.ndarray
    friction: float


@dataclass
class Attractor:
    """A spring between a point of a body and a point of the world.

    Attributes:
        actor, body: the body's number in its asset, and the actor's.
        offset_m: the point in the body.
        target_m: the point in the world.
        stiffness: N/m; critically damped.
    """

    actor: int
    body: int
    offset_m: np.ndarray
    target_m: np.ndarray
    stiffness: float


@dataclass
class World:
    """The content of one world.

    Attributes:
        sizes_differ: whether shapes have other sizes in other worlds.
    """

    timestep_s: float
    gravity: np.ndarray
    actors: list[Actor] = field(default_factory=list)
    ground: list[Plane | HeightMap] = field(default_factory=list)
    attractors: list[Attractor] = field(default_factory=list)
    sizes_differ: bool = False


def prefix(actor: int) -> str:
    """The prefix of all names of an actor in the model."""
    return f"a{actor}_"


def assemble(world: World) -> mujoco.MjModel:
    """Compile the model of a world. Its sensors are the net contact forces of all bodies.

    Raises:
        ConfigError: MuJoCo cannot compile it.
    """
    spec = mujoco.MjSpec()
    spec.compiler.boundmass, spec.compiler.boundinertia = 1e-4, 1e-8  # as in `read_asset`
    option = spec.option
    option.timestep, option.gravity = world.timestep_s, world.gravity
    option.integrator, option.iterations = mujoco.mjtIntegrator.mjINT_EULER, SOLVER_ITERATIONS
    for i, ground in enumerate(world.ground):
        add = _add_plane if isinstance(ground, Plane) else _add_height_map
        add(spec, ground, f"ground_{i}")  # pyright: ignore[reportArgumentType]
    for i, actor in enumerate(world.actors):
        _add_actor(spec, actor, prefix(i))
    for i, actor in enumerate(world.actors):  # after all drives
        for dof in actor.asset.dofs:
            if dof.kind == "ball" and dof.limited:
                _add_actuator(spec, f"{prefix(i)}limit_{dof.name}", prefix(i) + dof.joint, dof.axis)
    for i, attractor in enumerate(world.attractors):
        _add_attractor(spec, world, attractor, i)
    _add_sensors(spec, world)
    try:
        return spec.compile()
    except ValueError as error:
        raise ConfigError(f"MuJoCo cannot compile the environment's actors: {brief(error, 400)}") from error


def _add_actor(spec: mujoco.MjSpec, actor: Actor, start: str) -> None:
    """Attach an actor, and add its drives."""
    asset = actor.asset
    child = mujoco.MjSpec.from_string(asset.xml)
    for name, contype, conaffinity, friction in zip(
        asset.geom_names, actor.contype, actor.conaffinity, actor.friction, strict=True
    ):
        geom = child.geom(name)
        geom.contype, geom.conaffinity, geom.condim, geom.priority = int(contype), int(conaffinity), 3, 1
        geom.friction[0] = friction
    frame = spec.worldbody.add_frame()
    spec.attach(child, prefix=start, frame=frame)
    for name in asset.body_names:
        body = spec.body(start + name)
        body.gravcomp, body.simple = 0.0 if actor.gravity else 1.0, 0  # its inertia may get other axes later
    root = spec.body(start + asset.body_names[0])
    root.pos, root.quat = actor.pos, actor.quat
    if actor.fixed:
        _fix(spec, asset, root, start)
    else:
        root.add_freejoint(name=start + ROOT_JOINT)
    for i, dof in enumerate(asset.dofs):
        _add_actuator(spec, f"{start}drive_{i}", start + dof.joint, dof.axis)


def _add_actuator(spec: mujoco.MjSpec, name: str, joint: str, axis: int) -> None:
    """Add an affine actuator of a joint, or of an axis of a ball joint, whose parameters are 0 yet."""
    gear = np.zeros(6)
    gear[axis] = 1.0
    spec.add_actuator(
        name=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint, gear=gear,
        gaintype=mujoco.mjtGain.mjGAIN_FIXED, gainprm=_row(1.0), biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        biasprm=_row(), forcelimited=mujoco.mjtLimited.mjLIMITED_TRUE, forcerange=[-UNLIMITED, UNLIMITED],
        ctrllimited=mujoco.mjtLimited.mjLIMITED_FALSE,
    )  # fmt: skip


def _row(*values: float) -> np.ndarray:
    """Parameters of an actuator."""
    row = np.zeros(mujoco.mjNGAIN)
    row[: len(values)] = values
    return row


def _fix(spec: mujoco.MjSpec, asset: AssetModel, root: mujoco.MjsBody, start: str) -> None:
    """Make the root a mocap body; it does not touch its children, as if it were not static."""
    if any(body == 0 for body in asset.dof_bodies):
        raise ConfigError(f"the root body {asset.body_names[0]!r} has a joint: remove it, or let the asset float")
    root.mocap = True
    children = [name for name, parent in zip(asset.body_names, asset.body_parents, strict=True) if parent == 0]
    for name in children:
        spec.add_exclude(bodyname1=start + asset.body_names[0], bodyname2=start + name)


def _add_plane(spec: mujoco.MjSpec, plane: Plane, name: str) -> None:
    """Add an infinite plane."""
    normal = plane.normal / np.linalg.norm(plane.normal)
    quat = np.zeros(4)
    mujoco.mju_quatZ2Vec(quat, normal)
    spec.worldbody.add_geom(
        name=name, type=_GEOM.mjGEOM_PLANE, size=[0, 0, 1], pos=normal * plane.height_m, quat=quat,
        friction=[plane.friction, 0.005, 0.0001], condim=3, contype=0, conaffinity=-1 & 0x7FFFFFFF,
    )  # fmt: skip


def _add_height_map(spec: mujoco.MjSpec, ground: HeightMap, name: str) -> None:
    """Add a height field; MuJoCo's rows go along y, and its elevations are at least 0."""
    heights = ground.heights_m.T
    low, high = float(heights.min()), float(heights.max())
    rise = max(high - low, 1e-3)
    rows, columns = heights.shape
    half = np.array([(columns - 1) * ground.spacing_m[0] / 2, (rows - 1) * ground.spacing_m[1] / 2])
    spec.add_hfield(
        name=name, nrow=rows, ncol=columns, size=[*half, rise, 1.0], userdata=((heights - low) / rise).ravel()
    )
    spec.worldbody.add_geom(
        name=name, type=_GEOM.mjGEOM_HFIELD, hfieldname=name, pos=ground.origin_m + np.array([*half, low]),
        friction=[ground.friction, 0.005, 0.0001], condim=3, contype=0, conaffinity=-1 & 0x7FFFFFFF,
    )  # fmt: skip


def _add_attractor(spec: mujoco.MjSpec, world: World, attractor: Attractor, number: int) -> None:
    """Add a soft connection of two sites: MuJoCo reads negative `solref` as stiffness and damping, per unit mass."""
    actor = world.actors[attractor.actor]
    body = spec.body(prefix(attractor.actor) + actor.asset.body_names[attractor.body])
    names = [f"attractor_{number}_body", f"attractor_{number}_world"]
    body.add_site(name=names[0], pos=attractor.offset_m)
    spec.worldbody.add_site(name=names[1], pos=attractor.target_m)
    mass = float(actor.asset.body_mass[attractor.body])
    period = np.sqrt(mass / max(attractor.stiffness, 1e-9))  # time constant of a critically damped spring
    stiff = max(period, 3.0 * world.timestep_s)  # no stiffer than the time step resolves
    spec.add_equality(
        type=mujoco.mjtEq.mjEQ_CONNECT, objtype=_OBJECT.mjOBJ_SITE, name1=names[0], name2=names[1],
        solref=[stiff, 1.0],
    )  # fmt: skip


def _add_sensors(spec: mujoco.MjSpec, world: World) -> None:
    """Add a sensor of the net contact force on each body."""
    force, netforce = 1 << 1, 3
    for i, actor in enumerate(world.actors):
        for name in actor.asset.body_names:  # as second body, so that the force acts on it
            spec.add_sensor(
                name=f"contact_{prefix(i)}{name}", type=_SENSOR.mjSENS_CONTACT, reftype=_OBJECT.mjOBJ_BODY,
                refname=prefix(i) + name, intprm=[force, netforce, 1],
            )  # fmt: skip
