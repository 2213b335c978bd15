"""Corners of a robot's soles."""

import functools

import mujoco
import numpy as np
import torch
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.sim.compiler import compile_scene
from isaachrl.sim.scene import Scene


def sole_corners(model: mujoco.MjModel) -> dict[str, Tensor]:
    """Corners `(4, 3)` in metres of each foot's sole, in the frame of the foot's body.

    A foot is a body with `foot` in its name and a box geom; its sole is the box's lowest face in the body's upright
    pose. Of several boxes, the lowest one counts.

    Raises:
        ConfigError: the model has no such body.
    """
    soles: dict[str, Tensor] = {}
    for g in range(model.ngeom):
        name = model.body(model.geom_bodyid[g]).name
        if "foot" not in name or model.geom_type[g] != mujoco.mjtGeom.mjGEOM_BOX:
            continue
        sole = _lowest_face(model, g)
        if name not in soles or float(sole[:, 2].min()) < float(soles[name][:, 2].min()):
            soles[name] = sole
    if not soles:
        names = ", ".join(model.body(b).name for b in range(1, model.nbody))
        raise ConfigError(f"the model has no body named …foot… with a box geom (its bodies: {names})")
    return soles


@functools.cache
def robot_soles(robot: str) -> dict[str, Tensor]:
    """`sole_corners` of a robot under `assets/`.

    Raises:
        ConfigError: there is no such robot, or it has no feet.
    """
    return sole_corners(compile_scene(Scene(robot=robot)))


def _lowest_face(model: mujoco.MjModel, geom: int) -> Tensor:
    """The four lowest corners `(4, 3)` of a box, in its body's frame."""
    signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1], indexing="ij"), axis=-1).reshape(-1, 3)
    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
    corners = model.geom_pos[geom] + (signs * model.geom_size[geom]) @ turn.reshape(3, 3).T
    lowest = corners[np.argsort(corners[:, 2], kind="stable")[:4]]
    return torch.tensor(lowest, dtype=torch.float32)
