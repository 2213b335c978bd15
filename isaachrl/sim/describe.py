"""Reads a `Robot` from a compiled model, with the hash that ties a skill to its robot."""

import hashlib
from typing import Any

import mujoco
import numpy as np
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim.robot import HASH_PREFIX, Joint, Robot

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


def describe_robot(model: mujoco.MjModel, name: str) -> Robot:
    """Read a `Robot` from a compiled model: the tree under the first free joint.

    Raises:
        ConfigError: the model has no free root, an unsupported joint, or motors other than one of gear 1 with a known
            range for each degree of freedom, in model order.
    """
    roots = [j for j in range(model.njnt) if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE]
    if not roots or model.jnt_qposadr[roots[0]] != 0:
        raise ConfigError(f"robot {name!r}: the first joint of the model must be the free joint of its root")
    root_body = int(model.jnt_bodyid[roots[0]])
    ids = [b for b in range(model.nbody) if model.body_rootid[b] == root_body]
    index = {body: i for i, body in enumerate(ids)}
    moving = [j for j in range(model.njnt) if j != roots[0] and int(model.jnt_bodyid[j]) in index]
    _check_joints(model, name, moving)
    joints = tuple(_joint(model, j, index) for j in moving)
    dof_names = [dof for joint in joints for dof in _dof_names(joint)]
    is_root = np.array(ids)[:, None] == root_body  # its pose is qpos, not body_pos
    return Robot(
        name=name,
        body_names=tuple(model.body(b).name for b in ids),
        parents=tuple(index.get(int(model.body_parentid[b]), -1) for b in ids),
        local_pos_m=torch.tensor(np.where(is_root, 0.0, model.body_pos[ids])).float(),
        local_quat=torch.tensor(np.where(is_root, [1.0, 0.0, 0.0, 0.0], model.body_quat[ids])).float(),
        joints=joints,
        dof_names=tuple(dof_names),
        dof_range_rad=_motor_ranges(model, name, joints, moving),
        effort_limit=_effort_limits(model),
        qpos0=torch.tensor(model.qpos0[: 7 + max((joint.qpos.stop for joint in joints), default=0)]).float(),
        mass_kg=float(model.body_mass[ids].sum()),
        model_hash=_hash(model, ids, [roots[0], *moving]),
    )


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
    )


def _dof_names(joint: Joint) -> list[str]:
    """A hinge's own name; for a ball joint one name per axis."""
    return [f"{joint.name}_{axis}" for axis in "xyz"] if joint.ball else [joint.name]


def _check_joints(model: mujoco.MjModel, name: str, moving: list[int]) -> None:
    """Check for unsupported joints.

    Raises:
        ConfigError: a slide joint, several joints on one body, or a hinge with `ref`.
    """
    on_body: dict[int, str] = {}
    for j in moving:
        joint, body = model.joint(j).name or f"number {j}", int(model.jnt_bodyid[j])
        where = f"robot {name!r}: joint {joint!r} of body {model.body(body).name!r}"
        if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_SLIDE:
            raise ConfigError(f'{where} slides; write type="hinge" or type="ball"')
        if body in on_body:
            raise ConfigError(
                f"{where} moves a body that already has the joint {on_body[body]!r}; write one joint of"
                ' type="ball" for both, or give each a body of its own, one inside the other'
            )
        on_body[body] = joint
        rest = float(model.qpos0[model.jnt_qposadr[j]])
        if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE and rest != 0.0:
            raise ConfigError(
                f'{where} has ref={rest:.4g} rad; write ref="0" and measure its ranges from the pose in which the'
                f" model is written: {rest:.4g} rad less"
            )


def _motor_ranges(model: mujoco.MjModel, name: str, joints: tuple[Joint, ...], moving: list[int]) -> torch.Tensor:
    """Anatomical range `(D, 2)` in rad of each motor's axis: its `user` pair, else the range of its hinge.

    Raises:
        ConfigError: there is not one motor for each degree of freedom, or one has no range.
    """
    dofs = [
        (dof, j, i, joint) for j, joint in zip(moving, joints, strict=True) for i, dof in enumerate(_dof_names(joint))
    ]
    actuators, dof_names = tuple(model.actuator(a).name for a in range(model.nu)), tuple(dof for dof, *_ in dofs)
    if actuators != dof_names:
        raise ConfigError(f"robot {name!r}: motors {actuators} must be named and ordered as its dofs {dof_names}")
    ranges = []
    for a, (dof, j, axis, joint) in enumerate(dofs):
        where = f"robot {name!r}: motor {dof!r} of body {model.body(model.jnt_bodyid[j]).name!r}"
        gear = " ".join(f"{float(i == axis):g}" for i in range(3 if joint.ball else 1))
        unit = np.eye(6)[axis]
        turns = model.actuator_trntype[a] == mujoco.mjtTrn.mjTRN_JOINT and model.actuator_trnid[a, 0] == j
        if not turns or (model.actuator_gear[a][: 3 if joint.ball else 1] != unit[: 3 if joint.ball else 1]).any():
            raise ConfigError(f'{where} must act on its joint by itself: write joint="{joint.name}" gear="{gear}"')
        low_high = model.actuator_user[a, :2] if model.nuser_actuator >= 2 else np.zeros(2)
        if not low_high.any() and not joint.ball and model.jnt_limited[j]:
            low_high = model.jnt_range[j]
        if not low_high[0] < low_high[1]:
            other = "" if joint.ball else ", or give its joint a range"
            raise ConfigError(
                f"{where} has no range (user is {low_high.tolist()}); write"
                f' user="LOW HIGH" in radians on the motor{other}'
            )
        ranges.append(low_high)
    return torch.tensor(np.array(ranges).reshape(-1, 2)).float()


def _effort_limits(model: mujoco.MjModel) -> torch.Tensor:
    """Largest force `(D,)` of each motor; infinite without `forcerange`."""
    limited = np.asarray(model.actuator_forcelimited, bool)
    return torch.tensor(np.where(limited, model.actuator_forcerange[:, 1], np.inf)).float()


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
    return HASH_PREFIX + digest.hexdigest()[:16]


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
