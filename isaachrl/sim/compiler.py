"""Compiles a scene to a MuJoCo model."""

from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from isaachrl.errors import ConfigError
from isaachrl.sim.scene import Control, Integrator, Marker, Scene

ASSETS = Path(__file__).resolve().parents[2] / "assets"

SOLVER_ITERATIONS = 50  # a lower limit makes the engines differ and saves no time: both exit early
LINE_SEARCH_ITERATIONS = 30
TORQUE_DAMPING = 0.1  # of the position motor's velocity gain
ROUGH_GRID_M = 0.25  # spacing of the height field of a rough floor
CAPACITY = (64, 384)  # default nconmax and njmax
_INTEGRATORS = {
    Integrator.implicitfast: mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
    Integrator.euler: mujoco.mjtIntegrator.mjINT_EULER,
    Integrator.rk4: mujoco.mjtIntegrator.mjINT_RK4,
}


def compile_scene(scene: Scene) -> mujoco.MjModel:
    """Compile a scene to a MuJoCo model: floor, robot, mocap boxes and markers, contact sensors.

    Raises:
        ConfigError: the robot has no MJCF under `assets/`, or no body named like a contact body.
    """
    path = ASSETS / scene.robot / f"{scene.robot}.xml"
    if not path.exists():
        known = sorted(entry.parent.name for entry in ASSETS.glob("*/*.xml"))
        raise ConfigError(f"no robot {scene.robot!r} under assets/ (there are: {', '.join(known)})")
    spec = mujoco.MjSpec.from_file(str(path))
    spec.stat.extent = 4.0  # the unit of the clipping planes; must not depend on the floor's size
    spec.option.timestep = scene.timestep_s
    spec.option.integrator = _INTEGRATORS[scene.integrator]
    spec.option.iterations = SOLVER_ITERATIONS
    spec.option.ls_iterations = LINE_SEARCH_ITERATIONS
    _add_surroundings(spec, scene)
    _add_blocks(spec, scene)
    bodies = {body.name for body in spec.bodies}
    for name in scene.contact_bodies:
        if name not in bodies:
            raise ConfigError(f"contact body {name!r} is not a body of {scene.robot!r} ({', '.join(sorted(bodies))})")
        spec.add_sensor(
            name=f"contact_{name}",
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            reftype=mujoco.mjtObj.mjOBJ_BODY,  # as second body, so that the force acts on it
            refname=name,
            intprm=[1 << 1, 3, 1],  # data = force, reduce = netforce, one slot
        )
    if scene.control is Control.torque:
        for actuator in spec.actuators:
            actuator.gainprm[0] = 1.0
            # keep some damping: without it, full torques accelerate light limbs without bound
            actuator.biasprm[:3] = [0.0, 0.0, TORQUE_DAMPING * actuator.biasprm[2]]
    return spec.compile()


def capacity(scene: Scene, model: mujoco.MjModel) -> tuple[int, int]:
    """The GPU engine's nconmax and njmax: the scene's, else custom numerics of the robot's MJCF, else `CAPACITY`."""
    robot = {model.numeric(i).name: int(model.numeric(i).data[0]) for i in range(model.nnumeric)}
    contacts, rows = CAPACITY
    return scene.nconmax or robot.get("nconmax", contacts), scene.njmax or robot.get("njmax", rows)


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
            contype=0, conaffinity=1, condim=3, friction=[0.5, 0.005, 0.0001], group=1,
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
    """Add sliding blocks, and override the contacts' impedance if the scene says so."""
    for block in scene.blocks:
        body = spec.worldbody.add_body(name=block.name, pos=block.pos_m)
        body.add_geom(
            name=block.name, type=mujoco.mjtGeom.mjGEOM_BOX, size=block.half_size_m, rgba=block.rgba,
            mass=block.mass_kg, contype=1, conaffinity=1, condim=3, friction=[1, 0.5, 0.5], group=1,
        )  # fmt: skip
        for axis, low, high in block.range_m:
            body.add_joint(
                name=f"{block.name}_{axis}", type=mujoco.mjtJoint.mjJNT_SLIDE,
                axis=[float(axis == one) for one in "xyz"], limited=True, range=[low, high], margin=0.01,
                armature=block.armature_kg, damping=[block.damping, 0.0, 0.0],
            )  # fmt: skip
    if scene.solimp is not None:
        for geom in spec.geoms:
            geom.solimp[:3] = scene.solimp
