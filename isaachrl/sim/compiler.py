"""Compiles a scene to a MuJoCo model."""

import copy
import functools
from typing import Any

import mujoco
import numpy as np

from isaachrl.errors import ConfigError
from isaachrl.sim.robot_file import RobotFile, find_robot
from isaachrl.sim.robot_spec import BOXES_GROUP, robot_spec
from isaachrl.sim.scene import FreeBody, Integrator, Marker, Scene, Shape

SOLVER_ITERATIONS = 50  # a lower limit makes the engines differ and saves no time: both exit early
LINE_SEARCH_ITERATIONS = 30
ROUGH_GRID_M = 0.25  # spacing of the height field of a rough floor
CAPACITY = (64, 384)  # default nconmax and njmax
OBJECT_CAPACITY = (16, 64)  # more for each object; three pillars thrown onto a moving humanoid need 58 and 233
TORSION_M = 0.005  # friction of objects against turning on the spot
_INTEGRATORS = {
    Integrator.implicitfast: mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
    Integrator.euler: mujoco.mjtIntegrator.mjINT_EULER,
    Integrator.rk4: mujoco.mjtIntegrator.mjINT_RK4,
}
_SHAPES = {
    Shape.box: mujoco.mjtGeom.mjGEOM_BOX,
    Shape.capsule: mujoco.mjtGeom.mjGEOM_CAPSULE,
    Shape.ball: mujoco.mjtGeom.mjGEOM_SPHERE,
}


Source = mujoco.MjModel | Scene


def model_of(source: Source) -> mujoco.MjModel:
    """A model of the caller's own: of a scene, or a copy."""
    return compile_scene(source) if isinstance(source, Scene) else copy.copy(source)


def compile_scene(scene: Scene) -> mujoco.MjModel:
    """Compile a scene to a MuJoCo model of the caller's own; see `scene_spec`."""
    return copy.copy(_compiled(scene, find_robot(scene.robot)))


@functools.lru_cache(4)
def _compiled(scene: Scene, _file: RobotFile) -> mujoco.MjModel:
    """The last models: meshes take seconds, and a run needs the same scene several times."""
    return scene_spec(scene).compile()


def scene_xml(scene: Scene) -> str:
    """A scene as MJCF, which MuJoCo 3 can read, too: there the input of a position motor is never written."""
    spec = scene_spec(scene)
    spec.compile()
    return spec.to_xml().replace(' input="pos"', "")


def scene_spec(scene: Scene) -> mujoco.MjSpec:
    """The spec of a scene: robot, floor, mocap boxes and markers, blocks, objects, contact sensors.

    Raises:
        ConfigError: the robot cannot be read, has no body named like a contact body, or one named like an object.
    """
    spec = robot_spec(find_robot(scene.robot), scene.control)
    spec.stat.extent = 4.0  # the unit of the clipping planes; must not depend on the floor's size
    spec.option.timestep = scene.timestep_s
    spec.option.integrator = _INTEGRATORS[scene.integrator]
    spec.option.iterations = SOLVER_ITERATIONS
    spec.option.ls_iterations = LINE_SEARCH_ITERATIONS
    root = spec.worldbody.first_body().name
    _add_surroundings(spec, scene)
    _add_blocks(spec, scene)
    _check_bodies(spec, scene)
    for body in scene.objects:
        _add_object(spec, body)
    if scene.solimp is not None:
        for geom in spec.geoms:
            geom.solimp[:3] = scene.solimp
    _add_sensors(spec, scene, root)
    return spec


def capacity(scene: Scene, model: mujoco.MjModel) -> tuple[int, int]:
    """The GPU engine's nconmax and njmax: the scene's, else custom numerics of the robot's MJCF, else `CAPACITY`."""
    robot = {model.numeric(i).name: int(model.numeric(i).data[0]) for i in range(model.nnumeric)}
    contacts, rows = CAPACITY
    more_contacts, more_rows = (len(scene.objects) * each for each in OBJECT_CAPACITY)
    return (
        scene.nconmax or robot.get("nconmax", contacts) + more_contacts,
        scene.njmax or robot.get("njmax", rows) + more_rows,
    )


def _check_bodies(spec: mujoco.MjSpec, scene: Scene) -> None:
    """Check the names of contact bodies and objects."""
    bodies = {body.name for body in spec.bodies}
    for name in (*scene.contact_bodies, *scene.object_contact_bodies):
        if name not in bodies:
            raise ConfigError(f"contact body {name!r} is not a body of {scene.robot!r} ({', '.join(sorted(bodies))})")
    for body in scene.objects:
        if body.name in bodies:
            raise ConfigError(f"object {body.name!r} needs another name: a body of the scene has this one")
        bodies.add(body.name)


def _add_sensors(spec: mujoco.MjSpec, scene: Scene, root: str) -> None:
    """Add sensors of the net force on each contact body, then of contacts: object by object, robot and named bodies.

    Reduction to a net force makes both kinds sensors of the contacts that acted in a physics step.
    """
    contact, body, tree = mujoco.mjtSensor.mjSENS_CONTACT, mujoco.mjtObj.mjOBJ_BODY, mujoco.mjtObj.mjOBJ_XBODY
    force, found, netforce = 1 << 1, 1 << 0, 3
    for name in scene.contact_bodies:  # as second body, so that the force acts on it
        spec.add_sensor(name=f"contact_{name}", type=contact, reftype=body, refname=name, intprm=[force, netforce, 1])
    for item in scene.objects:
        for kind, name in ((tree, root), *((body, name) for name in scene.object_contact_bodies)):
            spec.add_sensor(
                type=contact, objtype=body, objname=item.name, reftype=kind, refname=name, intprm=[found, netforce, 1]
            )


def _add_surroundings(spec: mujoco.MjSpec, scene: Scene) -> None:
    """Add floor, boxes and markers to a robot's spec."""
    spec.add_texture(
        name="floor", type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.82, 0.83, 0.84], rgb2=[0.74, 0.76, 0.78], width=256, height=256,
    )  # fmt: skip
    material = spec.add_material(name="floor", texrepeat=[1, 1], texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"
    world = spec.worldbody
    floor = world.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[scene.floor_size_m, scene.floor_size_m, 0.1],
        material="floor", rgba=[1, 1, 1, 1], contype=0, conaffinity=1, condim=3, friction=[1, 0.005, 0.0001],
    )  # fmt: skip
    if scene.rough_m > 0:
        _roughen(spec, floor, scene)
    for box in scene.boxes:
        body = world.add_body(name=box.name, pos=box.pos_m, mocap=True)
        body.add_geom(
            name=box.name, type=mujoco.mjtGeom.mjGEOM_BOX, size=box.half_size_m, rgba=box.rgba,
            contype=0, conaffinity=1, condim=3, friction=[0.5, 0.005, 0.0001], group=BOXES_GROUP,
        )  # fmt: skip
    for given in scene.markers:
        marker = Marker(given) if isinstance(given, str) else given
        body = world.add_body(name=marker.name, pos=[0, 0, -10], mocap=True)
        body.add_geom(
            name=marker.name, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[marker.radius_m, 0, 0], rgba=marker.rgba,
            contype=0, conaffinity=0, group=2,
        )  # fmt: skip


def _roughen(spec: mujoco.MjSpec, floor: Any, scene: Scene) -> None:
    """Make the floor a random height field with mean height 0; the same for every model."""
    points = round(2 * scene.floor_size_m / ROUGH_GRID_M) + 1
    heights = np.random.default_rng(0).random(points * points)
    spec.add_hfield(
        name="floor", nrow=points, ncol=points, userdata=heights,
        size=[scene.floor_size_m, scene.floor_size_m, scene.rough_m, 0.5],
    )  # fmt: skip
    floor.type = mujoco.mjtGeom.mjGEOM_HFIELD
    floor.hfieldname = "floor"
    floor.pos = [0.0, 0.0, -scene.rough_m / 2]


def _add_blocks(spec: mujoco.MjSpec, scene: Scene) -> None:
    """Add sliding blocks."""
    for block in scene.blocks:
        body = spec.worldbody.add_body(name=block.name, pos=block.pos_m)
        body.add_geom(
            name=block.name, type=mujoco.mjtGeom.mjGEOM_BOX, size=block.half_size_m, rgba=block.rgba,
            mass=block.mass_kg, contype=1, conaffinity=1, condim=3, friction=[1, 0.5, 0.5], group=BOXES_GROUP,
        )  # fmt: skip
        for axis, low, high in block.range_m:
            body.add_joint(
                name=f"{block.name}_{axis}", type=mujoco.mjtJoint.mjJNT_SLIDE,
                axis=[float(axis == one) for one in "xyz"], limited=True, range=[low, high], margin=0.01,
                armature=block.armature_kg, damping=[block.damping, 0.0, 0.0],
            )  # fmt: skip


def _add_object(spec: mujoco.MjSpec, item: FreeBody) -> None:
    """Add a body with a free joint. Its friction is that of its contacts, since its geom has priority."""
    body = spec.worldbody.add_body(name=item.name, pos=item.pos_m, quat=item.quat)
    body.add_freejoint(name=item.name)
    body.add_geom(
        name=item.name, type=_SHAPES[item.shape], size=[*item.size_m, 0.0, 0.0][:3], rgba=item.rgba,
        mass=item.mass_kg, contype=1, conaffinity=1, condim=3 if item.shape is Shape.box else 6, priority=1,
        friction=[item.friction, TORSION_M, item.rolling * item.size_m[0]],
    )  # fmt: skip
