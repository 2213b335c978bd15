"""The soles of a robot's feet, and its height, from its collision geometry in the standing pose."""

from dataclasses import dataclass
from typing import Self

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.errors import ConfigError
from isaachrl.sim.robot import Robot
from isaachrl.sim.roles import Roles

Floats = NDArray[np.float64]

FEET = ("left_foot", "right_foot")
SOLE_M = 0.01  # what is higher than this above the lowest point of a foot is no part of its sole
_ROUND = 16  # points on the rim of a cylinder, and directions in which a mesh is measured
_Shape = mujoco.mjtGeom


@dataclass(frozen=True)
class Pose:
    """A model with the kinematics of one pose.

    Args:
        model: of a scene.
        data: its bodies' poses.
    """

    model: mujoco.MjModel
    data: mujoco.MjData

    @classmethod
    def of(cls, model: mujoco.MjModel, qpos: Floats) -> Self:
        """The pose with these first coordinates `(n,)`."""
        data = mujoco.MjData(model)
        data.qpos[: len(qpos)] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        return cls(model, data)

    def floor_m(self, soles: dict[str, Tensor], ids: list[int]) -> float:
        """Height of the lowest point of the soles, or without soles of these bodies."""
        heights = []
        for name, own in soles.items():
            body = self.data.body(name)
            heights.append((body.xpos + own.double().numpy() @ body.xmat.reshape(3, 3).T)[:, 2].min())
        return float(min(heights)) if heights else self.extent_m(ids)[0]

    def extent_m(self, ids: list[int]) -> tuple[float, float]:
        """Heights of the lowest and the highest corner of the boxes around the geoms of these bodies."""
        heights: list[float] = []
        for g in np.flatnonzero(np.isin(self.model.geom_bodyid, ids)):
            centre, half = self.model.geom_aabb[g, :3], self.model.geom_aabb[g, 3:]
            up = self.data.geom_xmat[g].reshape(3, 3)[2]
            middle, reach = float(self.data.geom_xpos[g, 2] + up @ centre), float(np.abs(up) @ half)
            heights += [middle - reach, middle + reach]
        return min(heights, default=0.0), max(heights, default=0.0)


def find_soles(model: mujoco.MjModel, data: mujoco.MjData, roles: Roles) -> dict[str, Tensor]:
    """Points `(C, 3)` in metres of each foot's sole, in the frame of the foot's body, by body name; empty without feet.

    A sole is made of the lowest points of the geoms of the foot, and of what hangs on it, that collide with the floor:
    the lowest face of a box, the ends of a capsule, the lowest vertices of a mesh.

    Args:
        model, data: with the kinematics of the standing pose computed.
        roles: which bodies are feet.
    """
    names = [roles[role] for role in FEET if role in roles]
    feet = sorted(model.body(name).id for name in names)
    soles = {model.body(b).name: _sole(model, data, b) for b in feet}
    return {name: sole for name, sole in soles.items() if len(sole)}


def robot_soles(robot: Robot) -> dict[str, Tensor]:
    """The soles of a robot.

    Raises:
        ConfigError: it has no feet, or one has no sole.
    """
    feet = robot.roles.require(*FEET)
    missing = [name for name in feet if name not in robot.soles]
    if missing:
        raise ConfigError(
            f"robot {robot.name!r}: its foot {missing[0]!r} has no geom that collides with the floor; write"
            ' <geom type="box" size="…" pos="…" contype="1"/> in this body'
        )
    return dict(robot.soles)


def _sole(model: mujoco.MjModel, data: mujoco.MjData, foot: int) -> Tensor:
    below = [b for b in range(foot, model.nbody) if foot in _above(model, b)]
    geoms = [g for g in range(model.ngeom) if int(model.geom_bodyid[g]) in below and model.geom_contype[g] & 1]
    up = data.xmat[foot].reshape(3, 3)[2]
    parts = [part for part in (_lowest(model, data, g, foot, up) for g in geoms) if len(part)]
    if not parts:
        return torch.zeros(0, 3)
    floor = min(float((part @ up).min()) for part in parts)
    points = np.concatenate([part for part in parts if float((part @ up).min()) < floor + SOLE_M])
    return torch.tensor(points, dtype=torch.float32)


def _above(model: mujoco.MjModel, b: int) -> list[int]:
    """A body and those that it hangs on."""
    chain = [b]
    while chain[-1] > 0:
        chain.append(int(model.body_parentid[chain[-1]]))
    return chain


def _lowest(model: mujoco.MjModel, data: mujoco.MjData, geom: int, foot: int, up: Floats) -> Floats:
    """Lowest points `(P, 3)` of a geom in the frame of the foot's body, in which `up (3,)` points up."""
    size, kind = model.geom_size[geom], int(model.geom_type[geom])
    if int(model.geom_bodyid[geom]) == foot:
        pos, turn = model.geom_pos[geom], _matrix(model.geom_quat[geom])
    else:
        frame = data.xmat[foot].reshape(3, 3).T
        pos = frame @ (data.geom_xpos[geom] - data.xpos[foot])
        turn = frame @ data.geom_xmat[geom].reshape(3, 3)
    if kind == int(_Shape.mjGEOM_BOX):
        signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1], indexing="ij"), axis=-1).reshape(-1, 3)
        corners = pos + (signs * size) @ turn.T
        return corners[np.argsort(corners @ up, kind="stable")[:4]]
    if kind == int(_Shape.mjGEOM_MESH):
        points = pos + _vertices(model, int(model.geom_dataid[geom])) @ turn.T
        points = points[points @ up < (points @ up).min() + SOLE_M]
        return points[_outermost(points, up)]
    points = pos + _surface(kind, size, turn.T @ up) @ turn.T
    return points[points @ up < (points @ up).min(initial=np.inf) + SOLE_M]


def _matrix(quat: Floats) -> Floats:
    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, quat)
    return turn.reshape(3, 3)


def _vertices(model: mujoco.MjModel, mesh: int) -> Floats:
    start = model.mesh_vertadr[mesh]
    return model.mesh_vert[start : start + model.mesh_vertnum[mesh]].astype(np.float64)


def _surface(kind: int, size: Floats, up: Floats) -> Floats:
    """Candidates `(P, 3)` for the lowest points of a geom in its own frame, in which `up (3,)` points up; else none."""
    if kind == int(_Shape.mjGEOM_SPHERE):
        return -size[0] * up[None]
    if kind == int(_Shape.mjGEOM_CAPSULE):
        return np.array([[0.0, 0.0, size[1]], [0.0, 0.0, -size[1]]]) - size[0] * up
    if kind == int(_Shape.mjGEOM_ELLIPSOID):
        return -(size**2 * up / np.linalg.norm(size * up))[None]
    if kind == int(_Shape.mjGEOM_CYLINDER):
        angles = 2 * np.pi * np.arange(_ROUND) / _ROUND
        rim = np.stack([size[0] * np.cos(angles), size[0] * np.sin(angles), np.zeros(_ROUND)], axis=-1)
        return np.concatenate([rim + [0.0, 0.0, size[1]], rim - [0.0, 0.0, size[1]]])
    return np.zeros((0, 3))


def _outermost(points: Floats, up: Floats) -> Floats:
    """Indices of the points `(P, 3)` that reach farthest in directions across `up`."""
    across = np.linalg.svd(up[None])[2][1:]
    angles = 2 * np.pi * np.arange(_ROUND) / _ROUND
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=-1) @ across
    return np.unique((points @ ways.T).argmax(0))
