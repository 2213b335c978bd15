"""Reads a robot's file into a spec of the robot alone, with motors of the kind that is asked for."""

import functools
from collections.abc import Callable
from typing import TypeVar

import mujoco

from isaachrl.errors import ConfigError, brief, nearest
from isaachrl.sim.motors import command_torques, list_dofs, plan_motors, write_motors
from isaachrl.sim.robot_file import RobotFile
from isaachrl.sim.scene import Control
from isaachrl.sim.urdf import read_urdf

STAND = "standing_pose"  # numeric with the robot's coordinates
STAND_KEYS = ("stand", "home")  # names of keyframes that are one
BOXES_GROUP = 1  # of walls and blocks, which rays see
HIDDEN_GROUP = 3  # MuJoCo's viewers do not draw this group and those above
_FREE = mujoco.mjtJoint.mjJNT_FREE

T = TypeVar("T")


def robot_spec(file: RobotFile, control: Control) -> mujoco.MjSpec:
    """The spec of a robot without what stood around it: one tree on a free joint.

    Floors, lights, skies, keyframes and sensors of the file are left out. The standing pose is kept as the numeric
    `STAND`.

    Raises:
        ConfigError: the file cannot be read, or a scene cannot hold what it describes.
    """
    return _prepared(file, control).copy()


@functools.lru_cache(8)
def _prepared(file: RobotFile, control: Control) -> mujoco.MjSpec:
    is_urdf = file.model.suffix.lower() == ".urdf"
    spec = _try(file, lambda: read_urdf(file) if is_urdf else mujoco.MjSpec.from_file(str(file.model)))
    _keep_robot(spec, file.name)
    model = _try(file, spec.compile)
    stand = _standing_pose(model, file)
    for element in [*spec.keys, *spec.sensors]:
        spec.delete(element)
    _regroup(spec)
    dofs = list_dofs(model, [j for j in range(model.njnt) if model.jnt_type[j] != _FREE])
    motors = plan_motors(model, file.name, dofs, file.motors, control)
    if motors is not None:
        write_motors(spec, model, motors)
    for actuator, bias in zip(spec.actuators, model.actuator_biasprm if motors is None else (), strict=False):
        actuator.biasprm[2] = bias[2]  # a damping ratio is resolved by now
    if control is Control.torque:
        command_torques(spec)
    if stand is not None:
        spec.add_numeric(name=STAND, size=len(stand), data=stand)
    return spec


def _try(file: RobotFile, read: Callable[[], T]) -> T:
    """What a call gives, its refusal by MuJoCo as a `ConfigError`."""
    try:
        return read()
    except (ValueError, mujoco.FatalError) as error:
        text = brief(error, 300)
        advice = "; put the file there, or correct its path" if "opening" in text or "not found" in text else ""
        raise ConfigError(f"robot {file.name!r}: MuJoCo cannot read {file.model}: {text}{advice}") from error


def _keep_robot(spec: mujoco.MjSpec, robot: str) -> None:
    """Remove all but the tree with the free joint, and name what has no name.

    Raises:
        ConfigError: there is no such tree, or another one that moves.
    """
    world = spec.worldbody
    for element in [*world.geoms, *world.lights, *world.cameras, *world.sites]:
        spec.delete(element)
    tops = list(world.bodies)
    if not tops:
        raise ConfigError(f"robot {robot!r}: the model has no body")
    free = [body for body in tops if any(joint.type == _FREE for joint in body.joints)]
    if not free:
        raise ConfigError(
            f'robot {robot!r} has no free joint, so it cannot move about; write <freejoint name="root"/> in its body'
            f" {tops[0].name!r}, which stands in the worldbody"
        )
    for body in tops:
        if body is free[0]:
            continue
        if _moves(body):
            raise ConfigError(
                f"robot {robot!r}: its file holds a second body that moves, {body.name!r}, beside {free[0].name!r};"
                " remove it"
            )
        spec.delete(body)
    _drop_pairs(spec)
    _drop_looks(spec)
    for kind in (spec.bodies[1:], spec.joints):
        for i, element in enumerate(kind):
            element.name = element.name or f"unnamed_{i}"


def _drop_pairs(spec: mujoco.MjSpec) -> None:
    """Remove the pairs with geoms around the robot; its own geom, often a sole, collides with any floor instead."""
    geoms = {geom.name: geom for geom in spec.geoms if geom.name}
    for pair in list(spec.pairs):
        own = [geoms[name] for name in (pair.geomname1, pair.geomname2) if name in geoms]
        if len(own) == 2:
            continue
        for geom in own:
            geom.contype |= 1
            geom.condim, geom.friction = pair.condim, pair.friction[[0, 2, 3]]
        spec.delete(pair)


def _moves(body: mujoco.MjsBody) -> bool:
    return bool(body.joints) or any(_moves(child) for child in body.bodies)


def _drop_looks(spec: mujoco.MjSpec) -> None:
    """Remove the sky, and what is named like the scene's floor."""
    used = {geom.material for geom in spec.geoms}
    for material in list(spec.materials):
        if material.name == "floor" and material.name not in used:
            spec.delete(material)
    wanted = {name for material in spec.materials for name in material.textures if name}
    for texture in list(spec.textures):
        is_sky = texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX
        if is_sky or (texture.name == "floor" and texture.name not in wanted):
            spec.delete(texture)


def _regroup(spec: mujoco.MjSpec) -> None:
    """Move the geoms out of the group that rays see; if none would be drawn, move all into one that is."""
    hidden = all(geom.group >= HIDDEN_GROUP for geom in spec.geoms)
    for geom in spec.geoms:
        if hidden or geom.group == BOXES_GROUP:
            geom.group = 0


def _standing_pose(model: mujoco.MjModel, file: RobotFile) -> list[float] | None:
    """Coordinates `(nq,)` of the standing pose; None for those in which the model is written.

    Raises:
        ConfigError: the file names no keyframe or joint of the model.
    """
    keys = {model.key(k).name: model.key_qpos[k] for k in range(model.nkey)}
    if isinstance(file.stand, str):
        if file.stand and file.stand not in keys:
            raise ConfigError(f"robot {file.name!r}: stand: {file.stand} is no keyframe{nearest(file.stand, keys)}")
        name = file.stand or next((name for name in STAND_KEYS if name in keys), "")
        return keys[name].tolist() if name else None
    pose = model.qpos0.tolist()
    hinges = {
        model.joint(j).name: j for j in range(model.njnt) if int(model.jnt_type[j]) == int(mujoco.mjtJoint.mjJNT_HINGE)
    }
    for name, angle in file.stand.items():
        if name not in hinges:
            raise ConfigError(f"robot {file.name!r}: stand.{name}={angle:g} is no hinge{nearest(name, hinges)}")
        pose[model.jnt_qposadr[hinges[name]]] = angle
    return pose
