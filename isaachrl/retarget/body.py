"""What retargeting needs to know about a robot: where its bodies are when it stands, and how long its limbs are."""

from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.motion.kinematics import limb_pivot
from isaachrl.motion.source.figure import LIMBS
from isaachrl.motion.source.names import SIDES
from isaachrl.sim import Robot, Scene
from isaachrl.sim.compiler import compile_scene
from isaachrl.sim.soles import robot_soles

Floats = NDArray[np.float64]
FEET = ("left_foot", "right_foot")
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
        start: `(3,)` by limb (`left_hip` is the thigh): the point about which it turns; a thigh's is moved
            sideways to be above the foot.
        length: of each limb, m.
        soles: `(C, 3)` points of each foot's sole relative to the foot in that pose, by `left_foot` and `right_foot`.
        leg_m: thigh plus shank, the mean of both sides.
    """

    robot: Robot
    model: mujoco.MjModel
    body: dict[str, str]
    pos: dict[str, Floats]
    quat: dict[str, Floats]
    start: dict[str, Floats]
    length: dict[str, float]
    soles: dict[str, Floats]
    leg_m: float


def robot_body(robot: Robot) -> RobotBody:
    """Measure a robot.

    Raises:
        ConfigError: it has no body for a role that is needed, or a foot has no sole.
    """
    roles = dict(robot.roles)
    robot.roles.require(*NEEDED)
    soles = robot_soles(robot)
    model = compile_scene(Scene(robot=robot.file))
    data = mujoco.MjData(model)
    data.qpos[: len(robot.stand_qpos)] = robot.stand_qpos
    mujoco.mj_kinematics(model, data)
    ids = {role: model.body(name).id for role, name in roles.items()}
    pos = {role: data.xpos[i].copy() for role, i in ids.items()}
    start: dict[str, Floats] = {}
    length: dict[str, float] = {}
    for side in SIDES:
        for upper, lower in ((f"{side}_{a}", f"{side}_{b}") for a, b in LIMBS):
            if upper in pos and lower in pos:
                start[upper] = pos[upper]
                if upper.endswith(("hip", "shoulder")):
                    pivot = limb_pivot(robot, robot.body_names.index(roles[upper])).numpy()
                    start[upper] = pos[upper] + data.xmat[ids[upper]].reshape(3, 3) @ pivot
                if upper.endswith("hip"):
                    # the legs of Unitree's H1 hang 12 cm beside the axes about which they spread; thighs that begin
                    # there would lean by 16 degrees where a person's are upright, and stand on the edges of the feet
                    start[upper][1] = pos[f"{side}_foot"][1]
                length[upper] = float(np.linalg.norm(pos[lower] - start[upper]))
    turn = {role: data.xmat[i].reshape(3, 3).copy() for role, i in ids.items()}
    return RobotBody(
        robot=robot,
        model=model,
        body=roles,
        pos=pos,
        quat={role: data.xquat[i].copy() for role, i in ids.items()},
        start=start,
        length=length,
        soles={foot: soles[roles[foot]].double().numpy() @ turn[foot].T for foot in FEET},
        leg_m=0.5 * sum(length[f"{side}_{part}"] for side in SIDES for part in ("hip", "knee")),
    )


def as_tensor(values: Floats) -> Tensor:
    """A float64 tensor."""
    return torch.from_numpy(np.ascontiguousarray(values, np.float64))
