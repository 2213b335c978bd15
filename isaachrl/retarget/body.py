"""What retargeting needs to know about a robot: where the bodies of its roles are when it stands, and how long its limbs."""

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.motion.source.figure import LIMBS
from isaachrl.motion.source.names import SIDES
from isaachrl.sim.robot import Robot

Floats = NDArray[np.float64]
NEEDED = ("pelvis", *(f"{side}_{part}" for side in SIDES for part in ("hip", "knee", "foot")))


@dataclass(frozen=True)
class RobotBody:
    """A robot in its standing pose, facing x.

    Args:
        robot: its description.
        model: compiled, of a scene with the robot and a floor at height 0.
        body: MuJoCo's body name by role.
        pos: `(3,)` by role, m, where the robot stands.
        quat: `(4,)` by role.
        start: `(3,)` by limb (`left_hip` is the thigh): the point about which it turns.
        length: of each limb, m.
        soles: `(C, 3)` points of each foot's sole in the foot's frame, by `left_foot` and `right_foot`.
        leg_m: thigh plus shank, the mean of both sides.
    """

    robot: Robot
    model: mujoco.MjModel
    body: Mapping[str, str]
    pos: dict[str, Floats]
    quat: dict[str, Floats]
    start: dict[str, Floats]
    length: dict[str, float]
    soles: dict[str, Floats]
    leg_m: float


def robot_body(robot: Robot, model: mujoco.MjModel, roles: Mapping[str, str], soles: Mapping[str, Tensor]) -> RobotBody:
    """Measure a robot.

    Args:
        robot: its description.
        model: of a scene with the robot and a floor.
        roles: body by role; hips, knees, feet and pelvis are needed.
        soles: points of the soles by body, see `isaachrl.sim.soles`.

    Raises:
        ConfigError: a needed role is missing, or a foot has no sole.
    """
    missing = [role for role in NEEDED if role not in roles]
    if missing:
        raise ConfigError(f"robot {robot.name!r} has no {', '.join(missing)}, without which no motion can be retargeted")
    bare = [roles[f"{side}_foot"] for side in SIDES if roles[f"{side}_foot"] not in soles]
    if bare:
        raise ConfigError(f"robot {robot.name!r}: {bare[0]!r} has no sole")
    data = mujoco.MjData(model)
    data.qpos[: len(robot.qpos0)] = robot.qpos0
    mujoco.mj_kinematics(model, data)
    ids = {role: model.body(name).id for role, name in roles.items()}
    pos = {role: data.xpos[i].copy() for role, i in ids.items()}
    start: dict[str, Floats] = {}
    length: dict[str, float] = {}
    for side in SIDES:
        for upper, lower in ((f"{side}_{a}", f"{side}_{b}") for a, b in LIMBS):
            if upper in pos and lower in pos:
                start[upper] = _pivot(model, data, ids[upper], pos[lower], top=upper.endswith(("hip", "shoulder")))
                length[upper] = float(np.linalg.norm(pos[lower] - start[upper]))
    return RobotBody(
        robot=robot,
        model=model,
        body=dict(roles),
        pos=pos,
        quat={role: data.xquat[i].copy() for role, i in ids.items()},
        start=start,
        length=length,
        soles={f"{side}_foot": soles[roles[f"{side}_foot"]].double().numpy() for side in SIDES},
        leg_m=0.5 * sum(length[f"{side}_{part}"] for side in SIDES for part in ("hip", "knee")),
    )


def _pivot(model: mujoco.MjModel, data: mujoco.MjData, body: int, end: Floats, top: bool) -> Floats:
    """The point about which a limb turns: on its axis, at the height of the first joint of its cluster.

    A hip of three hinges is three bodies one below the other; the last of them is the thigh.
    """
    here = data.xpos[body].copy()
    if not top:
        return here
    length = float(np.linalg.norm(end - here))
    along = (end - here) / max(length, 1e-9)
    first, parent = 0.0, int(model.body_parentid[body])
    while parent > 0 and model.body_jntnum[parent] == 1 and model.jnt_type[model.body_jntadr[parent]] != 0:
        ahead = data.xpos[parent] - here
        if np.linalg.norm(ahead) > 0.8 * length or np.count_nonzero(model.body_parentid == parent) != 1:
            break
        first, parent = min(first, float(ahead @ along)), int(model.body_parentid[parent])
    return here + first * along


def as_tensor(values: Floats) -> Tensor:
    """A float64 tensor."""
    return torch.from_numpy(np.ascontiguousarray(values, np.float64))
