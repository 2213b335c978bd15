"""Generalised positions of a known robot, a row `x y z, quaternion, joints` a frame, as in Unitree's CSV files."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.errors import ClipError
from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.clip import Clip
from isaachrl.motion.library import MotionLibrary, fit_to_robot
from isaachrl.motion.source.skeleton import RawMotion
from isaachrl.sim.robot import Robot

CSV_FPS = 30.0  # of Unitree's retargeted LAFAN1, whose files say nothing
LOOP_S = 8.0  # for which a looping clip goes on
UPRIGHT = 0.05  # by how much one order of the quaternion must keep the body more upright than the other


def has_positions(arrays: dict[str, NDArray[Any]]) -> bool:
    """Whether an `.npz` has generalised positions: `qpos`, or `joint_pos` beside the root's position and rotation."""
    return "qpos" in arrays or ("joint_pos" in arrays and _root(arrays) is not None)


def stack(arrays: dict[str, NDArray[Any]], path: str | os.PathLike[str]) -> tuple[NDArray[np.float64], float | None]:
    """Rows `(F, nq)` of an `.npz`, and its frames per second if it says so.

    Raises:
        ClipError: the shapes do not fit each other.
    """
    rate = float(arrays["fps"]) if "fps" in arrays and arrays["fps"].size == 1 else None
    if "qpos" in arrays:
        rows = arrays["qpos"]
    else:
        pos, quat = _root(arrays) or (arrays["joint_pos"], arrays["joint_pos"])
        parts = [part[:, 0] if part.ndim == 3 else part for part in (pos, quat)] + [arrays["joint_pos"]]
        if len({len(part) for part in parts}) > 1:
            raise ClipError(f"{path}: root and joints have different numbers of frames")
        rows = np.concatenate(parts, axis=-1)
    if rows.ndim != 2 or rows.dtype.kind != "f":
        raise ClipError(f"{path}: the positions have the shape {rows.shape}, expected (F, nq)")
    return rows.astype(np.float64), rate


def _root(arrays: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Position and rotation of the root under any of its usual names."""
    for pos, quat in (("root_pos", "root_rot"), ("root_pos", "root_quat"), ("body_pos_w", "body_quat_w")):
        if pos in arrays and quat in arrays:
            return arrays[pos], arrays[quat]
    return None


def read(
    rows: NDArray[np.float64], path: str | os.PathLike[str], robot: Robot, fps: float | None, quat: str = "auto"
) -> RawMotion:
    """The motion of a robot's bodies.

    Args:
        rows: `(F, nq)`: root position, root quaternion, joints in the robot's order.
        path: of the file, for its name.
        robot: whose coordinates these are.
        fps: frames per second; None is `CSV_FPS`.
        quat: order of the root's quaternion; `auto` takes the one that keeps the root upright.

    Raises:
        ClipError: another number of columns, or the quaternions have no unit length in either order.
    """
    path = Path(path)
    if rows.ndim != 2 or rows.shape[1] != len(robot.qpos0):
        raise ClipError(
            f"{path} has {rows.shape[-1]} numbers a frame, and robot {robot.name!r} {len(robot.qpos0)} (x y z,"
            f" quaternion, {len(robot.qpos0) - 7} joints); name the robot that moves in it: type source.robot=NAME"
        )
    values = torch.from_numpy(rows)
    length = values[:, 3:7].norm(dim=-1)
    if not ((length - 1.0).abs() < 0.05).all():
        raise ClipError(f"{path}: columns 4 to 7 are no quaternion, their length is {float(length.median()):.3f}")
    order = quat if quat != "auto" else _order(values[:, 3:7])
    root = values[:, 3:7].roll(1, dims=-1) if order == "xyzw" else values[:, 3:7]
    joint_quat = kinematics.joint_quat_from_qpos(robot, values[:, 7:].float())
    pos, turn = kinematics.forward(robot, values[:, :3].float(), rotations.normalize(root).float(), joint_quat)
    return _tree(path, robot, pos.double(), turn.double(), fps or CSV_FPS, order)


def from_clip(clip: Clip, robot: Robot) -> RawMotion:
    """A clip of another robot; loops are repeated for `LOOP_S`.

    Raises:
        ClipError: it is no clip of this robot.
    """
    clip = fit_to_robot(clip, robot, "; name the robot that moves in it: type source.robot=NAME")
    library = MotionLibrary([clip], robot, "cpu")
    laps = math.ceil(LOOP_S / clip.duration_s) if clip.loop else 1
    times = torch.arange(round(laps * clip.duration_s * clip.fps) + 1) / clip.fps
    state = library.state(torch.zeros(len(times), dtype=torch.long), times.float())
    pos, turn = kinematics.forward(robot, state.root_pos_w, state.root_quat_w, state.joint_quat)
    return _tree(Path(clip.name), robot, pos.double(), turn.double(), clip.fps, "")


def _order(quat: Tensor) -> str:
    """`wxyz` or `xyzw`: under which the root's z axis points up more, else its heading turns less."""
    upright = [float(rotations.axis_z(q)[:, 2].median()) for q in (quat, quat.roll(1, dims=-1))]
    if abs(upright[0] - upright[1]) > UPRIGHT:
        return "wxyz" if upright[0] > upright[1] else "xyzw"
    return "wxyz" if float(quat[:, 0].abs().median()) >= float(quat[:, 3].abs().median()) else "xyzw"


def _tree(path: Path, robot: Robot, pos: Tensor, turn: Tensor, fps: float, order: str) -> RawMotion:
    """Bodies as nodes whose frames are parallel at rest."""
    start = robot.qpos0[None]
    joints = kinematics.joint_quat_from_qpos(robot, start[:, 7:])
    rest_pos, rest_quat = kinematics.forward(robot, start[:, :3], start[:, 3:7], joints)
    for role, name in robot.roles.items():
        if role.endswith(("hip", "shoulder")):  # limbs begin where they turn, which need not be where their bodies do
            body = robot.body_names.index(name)
            rest_pos[0, body] += rotations.rotate(rest_quat[0, body], kinematics.limb_pivot(robot, body).float())
    parents = list(robot.parents)
    offset = rest_pos[0].double() - rest_pos[0, [max(parent, 0) for parent in parents]].double()
    since = rotations.multiply(turn, rotations.conjugate(rest_quat.double()).expand_as(turn))
    inverse = rotations.conjugate(since[:, [max(parent, 0) for parent in parents]])
    local = torch.where(torch.tensor(parents)[:, None] < 0, since, rotations.multiply(inverse, since))
    return RawMotion(
        path.stem, f"generalised positions of {robot.name}", robot.body_names, robot.parents, fps, offset, local,
        pos[:, 0], up="z", unit_m=1.0, quat_order=order, roles=dict(robot.roles),
    )  # fmt: skip
