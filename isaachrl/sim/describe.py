"""Reads a `Robot` from a compiled model, with the hash that ties a skill to its robot."""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim.motors import Motor, list_dofs, read_motors
from isaachrl.sim.robot import HASH_PREFIX, Joint, Robot
from isaachrl.sim.robot_file import RobotFile
from isaachrl.sim.robot_spec import STAND
from isaachrl.sim.roles import find_roles
from isaachrl.sim.soles import Pose, find_soles

_LOOPS = (int(mujoco.mjtEq.mjEQ_CONNECT), int(mujoco.mjtEq.mjEQ_WELD))
_BOTH_SIDES = np.array([-1.0, 1.0])
_DIGITS = 6  # significant digits that are hashed: compilers and processors differ in later ones

# The model fields that determine how a robot moves. Inertias are hashed as full tensors, because the principal axes are
# ambiguous where two moments are equal.
_FIELDS = {
    "body": ("pos", "quat", "mass", "ipos", "gravcomp"),
    "jnt": ("type", "axis", "pos", "stiffness", "limited", "range", "actfrclimited", "actfrcrange", "margin"),
    "dof": ("armature", "damping", "frictionloss"),
    "geom": (
        "type", "size", "pos", "quat", "contype", "conaffinity", "condim", "priority", "friction", "margin", "gap",
    ),
    "actuator": (
        "trntype", "gear", "dyntype", "dynprm", "gaintype", "gainprm", "biastype", "biasprm", "ctrllimited",
        "ctrlrange", "forcelimited", "forcerange",
    ),
}  # fmt: skip


def describe_robot(model: mujoco.MjModel, robot: RobotFile | str) -> Robot:
    """Read a `Robot` from a compiled model: the tree under the first free joint.

    Args:
        model: of a scene.
        robot: where the robot in it comes from; of one without a file its name.

    Raises:
        ConfigError: the model has no free root, an unsupported joint or constraint, motors other than one for each
            degree of freedom, or one without a known range.
    """
    file = RobotFile(robot, robot, Path()) if isinstance(robot, str) else robot
    name = file.name
    roots = [j for j in range(model.njnt) if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE]
    if not roots or model.jnt_qposadr[roots[0]] != 0:
        raise ConfigError(f"robot {name!r}: the first joint of the model must be the free joint of its root")
    root_body = int(model.jnt_bodyid[roots[0]])
    ids = [b for b in range(model.nbody) if model.body_rootid[b] == root_body]
    index = {body: i for i, body in enumerate(ids)}
    moving = [j for j in range(model.njnt) if j != roots[0] and int(model.jnt_bodyid[j]) in index]
    _check_joints(model, name, moving)
    joints = tuple(_joint(model, j, index) for j in moving)
    dofs = list_dofs(model, moving)
    motors = read_motors(model, name, dofs) or [Motor(dof, None, 0.0, 0.0, (-math.inf, math.inf)) for dof in dofs]
    is_root = np.array(ids)[:, None] == root_body  # its pose is qpos, not body_pos
    nq = 7 + max((joint.qpos.stop for joint in joints), default=0)
    stand = _stand(model, nq)
    pose = Pose.of(model, stand)
    roles = find_roles(model, pose.data, ids, file.roles, name)
    soles = find_soles(model, pose.data, roles)
    floor_m = pose.floor_m(soles, ids)
    return Robot(
        name=name,
        body_names=tuple(model.body(b).name for b in ids),
        parents=tuple(index.get(int(model.body_parentid[b]), -1) for b in ids),
        local_pos_m=torch.tensor(np.where(is_root, 0.0, model.body_pos[ids])).float(),
        local_quat=torch.tensor(np.where(is_root, [1.0, 0.0, 0.0, 0.0], model.body_quat[ids])).float(),
        joints=joints,
        dof_names=tuple(dof.name for dof in dofs),
        dof_range_rad=_ranges(model, name, motors),
        effort_limit=torch.tensor([max(-low, high) for low, high in (motor.effort for motor in motors)]).float(),
        qpos0=torch.tensor(model.qpos0[:nq]).float(),
        mass_kg=float(model.body_mass[ids].sum()),
        model_hash=_hash(model, ids, [roots[0], *moving]),
        file=file.given,
        stiffness=torch.tensor([motor.stiffness for motor in motors]).float(),
        damping=torch.tensor([motor.damping for motor in motors]).float(),
        effort_range=torch.tensor([motor.effort for motor in motors]).float().view(-1, 2),
        has_motor_ranges=all(any(motor.user[:2]) for motor in motors),
        stand_qpos=torch.tensor(stand).float(),
        stand_pos_m=torch.tensor(pose.data.xpos[ids] - [0.0, 0.0, floor_m]).float(),
        height_m=pose.extent_m(ids)[1] - floor_m,
        roles=roles,
        soles=soles,
    )


def _stand(model: mujoco.MjModel, nq: int) -> np.ndarray:
    """Coordinates `(nq,)` of the standing pose: the numeric that `robot_spec` writes, else the model's own."""
    numeric = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_NUMERIC, STAND)
    return model.qpos0[:nq].copy() if numeric < 0 else model.numeric(numeric).data[:nq].copy()


def _joint(model: mujoco.MjModel, j: int, index: dict[int, int]) -> Joint:
    """Describe joint `j`, with qpos and dof slices relative to those after the root's."""
    ball = model.jnt_type[j] == mujoco.mjtJoint.mjJNT_BALL
    qpos, dof = int(model.jnt_qposadr[j]) - 7, int(model.jnt_dofadr[j]) - 6
    x, y, z = (float(value) for value in model.jnt_axis[j])
    anchor_x, anchor_y, anchor_z = (float(value) for value in model.jnt_pos[j])
    return Joint(
        name=model.joint(j).name,
        body=index[int(model.jnt_bodyid[j])],
        ball=bool(ball),
        axis=(x, y, z),
        qpos=slice(qpos, qpos + (4 if ball else 1)),
        dof=slice(dof, dof + (3 if ball else 1)),
        anchor_m=(anchor_x, anchor_y, anchor_z),
        ref_rad=0.0 if ball else float(model.qpos0[model.jnt_qposadr[j]]),
    )


def _check_joints(model: mujoco.MjModel, name: str, moving: list[int]) -> None:
    """Check for what kinematics on a tree of hinges and balls cannot hold.

    Raises:
        ConfigError: a slide joint, or a constraint that closes a loop.
    """
    for j in moving:
        if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_SLIDE:
            joint, body = model.joint(j).name or f"number {j}", model.body(model.jnt_bodyid[j]).name
            raise ConfigError(
                f'robot {name!r}: joint {joint!r} of body {body!r} slides; write type="hinge" or type="ball", or remove'
                " it and so weld its body"
            )
    for e in range(model.neq):
        if int(model.eq_type[e]) in _LOOPS:
            raise ConfigError(
                f"robot {name!r}: the constraint {model.eq(e).name or e!r} closes a loop of bodies, which a tree of"
                " joints cannot hold; remove <connect> and <weld> from <equality>"
            )


def _ranges(model: mujoco.MjModel, name: str, motors: list[Motor]) -> torch.Tensor:
    """Anatomical range `(D, 2)` in rad of each degree of freedom.

    It is the motor's `user` pair, else the range of the hinge, a whole turn if it has none; of a ball joint, whose
    range is one angle, that to both sides.

    Raises:
        ConfigError: there is none.
    """
    ranges = []
    for motor in motors:
        dof, j = motor.dof, motor.dof.joint
        ball = int(model.jnt_type[j]) == int(mujoco.mjtJoint.mjJNT_BALL)
        low_high = np.array([*motor.user, 0.0, 0.0])[:2]
        if not low_high.any() and model.jnt_limited[j]:
            low_high = model.jnt_range[j] if not ball else model.jnt_range[j, 1] * _BOTH_SIDES
        if not low_high.any() and not ball:
            low_high = model.qpos0[model.jnt_qposadr[j]] + math.pi * _BOTH_SIDES
        if not low_high[0] < low_high[1]:
            raise ConfigError(
                f"robot {name!r}: joint {model.joint(j).name!r} of body {model.body(model.jnt_bodyid[j]).name!r} has no"
                f' range about {dof.name!r} (user is {low_high.tolist()}); write user="LOW HIGH" in radians on its'
                ' motor, or range="0 ANGLE" on the ball joint'
            )
        ranges.append(low_high)
    return torch.tensor(np.array(ranges).reshape(-1, 2)).float()


def _hash(model: mujoco.MjModel, ids: list[int], joints: list[int]) -> str:
    """Hash of what a controller depends on: `_FIELDS`, inertias, motor ranges and contact exclusions.

    Time step, solver and contact softness belong to the scene and are left out: a skill may be used in other scenes.
    """
    rows: dict[str, Any] = {
        "body": ids, "jnt": joints, "actuator": range(model.nu),
        "dof": [d for d in range(model.nv) if int(model.dof_jntid[d]) in joints],
        "geom": [g for g in range(model.ngeom) if int(model.geom_bodyid[g]) in ids],
    }  # fmt: skip
    digest = hashlib.sha256()
    for kind, fields in _FIELDS.items():
        for field in fields:
            values = getattr(model, f"{kind}_{field}")[list(rows[kind])]
            if kind == "body" and field in ("pos", "quat"):
                values = values[1:]  # the root's initial pose does not matter
            digest.update(_digits(values))
    digest.update(_digits(_inertias(model, ids)))
    digest.update(_digits(model.actuator_user))
    digest.update(_digits(model.exclude_signature))
    for values in _rarely_used(model, joints, list(rows["geom"])):
        digest.update(_digits(values))
    return HASH_PREFIX + digest.hexdigest()[:16]


def _rarely_used(model: mujoco.MjModel, joints: list[int], geoms: list[int]) -> Iterator[Any]:
    """What most robots have none of; left out where a robot has none, so that their hashes stay what they were."""
    hinges = [j for j in joints if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE]
    address = model.jnt_qposadr[hinges]
    if model.qpos0[address].any() or (model.qpos_spring[address] != model.qpos0[address]).any():
        yield from (model.qpos0[address], model.qpos_spring[address])
    for field in ("actuator_armature", "actuator_damping"):  # since MuJoCo 4
        if np.any(values := getattr(model, field, 0.0)):
            yield values
    if model.neq:
        yield from (model.eq_type, model.eq_obj1id, model.eq_obj2id, model.eq_data, model.eq_solref, model.eq_solimp)
    if model.ntendon:
        yield from (model.wrap_type, model.wrap_objid, model.wrap_prm, model.tendon_range, model.tendon_stiffness)
        yield from (model.tendon_damping, model.tendon_lengthspring, model.tendon_frictionloss)
    if model.npair:
        yield from (model.pair_signature, model.pair_friction, model.pair_margin, model.pair_dim)
    for g in geoms:
        if model.geom_type[g] == mujoco.mjtGeom.mjGEOM_MESH and (model.geom_contype[g] or model.geom_conaffinity[g]):
            start, mesh = model.mesh_vertadr[model.geom_dataid[g]], model.geom_dataid[g]
            yield model.mesh_vert[start : start + model.mesh_vertnum[mesh]]


def _inertias(model: mujoco.MjModel, ids: list[int]) -> np.ndarray:
    """Inertia tensors `(B, 3, 3)` about the centres of mass, in the bodies' frames."""
    tensors = []
    for b in ids:
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, model.body_iquat[b])
        tensors.append(turn.reshape(3, 3) * model.body_inertia[b] @ turn.reshape(3, 3).T)
    return np.array(tensors)


def _digits(values: Any) -> bytes:
    """Numbers as text, rounded to 9 decimals and `_DIGITS` digits."""
    numbers = np.round(np.asarray(values, np.float64), 9) + 0.0  # no negative zeros
    return ",".join(f"{number:.{_DIGITS}g}" for number in numbers.flat).encode() + b";"
