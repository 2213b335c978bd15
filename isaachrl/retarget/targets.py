"""Targets for a robot's bodies: directions of the source's limbs times the lengths of the robot's, and its turns."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.maths import rotations
from isaachrl.motion.source.figure import FRAMES, LIMBS, Figure
from isaachrl.motion.source.names import SIDES
from isaachrl.retarget.body import FEET, RobotBody, as_tensor
from isaachrl.retarget.contacts import LEG_M, Foot, lock_foot, shift_to_floor, spread

Floats = NDArray[np.float64]

LEAST_HEIGHT_M = {"pelvis": 0.1, "knee": 0.07, "elbow": 0.05, "hand": 0.05}  # of a person; bodies are that thick
_HORIZONTAL = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)


@dataclass(frozen=True)
class Targets:
    """Targets of F frames.

    Args:
        pos_w_m: `(F, 3)` by role: pelvis, knees, feet, elbows, hands.
        quat_w: `(F, 4)` by role: pelvis, torso, head, feet.
        contact: `(F, 2)` whether the left and the right foot stand or roll on the floor.
        shift_m: what was added to all heights.
        moved_m: `(F,)` how far a foot was moved over the floor to stay where it stands, of both the farther.
        turn: `(4,)` by which the source is turned about z, after `origin_m` was subtracted and before it is scaled.
        origin_m: `(3,)` in the source.
        scale: length of the robot's legs in lengths of the source's.
    """

    pos_w_m: dict[str, Floats]
    quat_w: dict[str, Floats]
    contact: NDArray[np.bool_]
    shift_m: float
    moved_m: Floats
    turn: Tensor
    origin_m: Tensor
    scale: float

    def place(self, points_m: Tensor) -> Tensor:
        """Points `(…, 3)` of the source where the robot is, in its size; for pictures."""
        moved = (points_m - self.origin_m) * self.scale
        placed = rotations.rotate(self.turn.expand(*moved.shape[:-1], 4), moved)
        placed[..., 2] -= placed[..., 2].flatten(1).amin(1).quantile(0.05)  # on the floor
        return placed


def make_targets(shape: Figure, body: RobotBody) -> Targets:
    """The targets of a motion.

    The path of the hips is scaled by the length of the legs, begins above the origin, and faces along x at first.
    """
    turn, quats = _facing_x(shape, body)
    scale = body.leg_m / shape.leg_m
    origin = shape.hips_w_m[0] * _HORIZONTAL
    path = rotations.rotate(turn.expand(len(shape.hips_w_m), 4), shape.hips_w_m - origin)
    pos = _positions({k: _rotate(turn, v) for k, v in shape.limb_w.items()}, quats, path * scale, body)
    size = body.leg_m / LEG_M
    feet = [Foot(pos[role].numpy(), quats[role], body.soles[role]) for role in FEET]
    shift = shift_to_floor(feet, shape.fps, size)
    for value in pos.values():
        value[:, 2] += shift
    across = rotations.from_yaw(rotations.heading(quats["pelvis"]) + 0.5 * torch.pi)
    level = rotations.axis_z(quats["pelvis"])[:, 2:].clamp(min=0.0)  # of a body that lies, left may be up
    feet = spread(feet, (rotations.axis_x(across) * level).numpy(), shape.fps)
    locked = [lock_foot(foot, shape.fps, size) for foot in feet]
    for role, (foot, _, _) in zip(FEET, locked, strict=True):
        pos[role], quats[role] = as_tensor(foot.pos), foot.quat
    for role, least in LEAST_HEIGHT_M.items():
        for name in (role, *(f"{side}_{role}" for side in SIDES)):
            if name in pos:
                pos[name][:, 2].clamp_(min=least * size)
    return Targets(
        pos_w_m={role: value.numpy() for role, value in pos.items()},
        quat_w={
            role: (rotations.multiply(q, as_tensor(body.quat[role]).expand_as(q))).numpy() for role, q in quats.items()
        },
        contact=np.stack([touches for _, touches, _ in locked], axis=1),
        shift_m=shift,
        moved_m=np.max([moved for _, _, moved in locked], axis=0),
        turn=turn,
        origin_m=origin,
        scale=scale,
    )


def _facing_x(shape: Figure, body: RobotBody) -> tuple[Tensor, dict[str, Tensor]]:
    """The turn about z with which the first frame faces x, and the anatomical frames after it."""
    turn = rotations.from_yaw(-rotations.heading(shape.quat_w["pelvis"][0]))
    used = {role: shape.quat_w[role] for role in FRAMES if role in shape.quat_w and role in body.quat}
    return turn, {role: rotations.multiply(turn.expand_as(quat), quat) for role, quat in used.items()}


def _rotate(quat: Tensor, vectors: Tensor) -> Tensor:
    """Vectors `(F, 3)` turned by one quaternion, or by one each."""
    return rotations.rotate(quat.expand(len(vectors), 4), vectors)


def _positions(limbs: dict[str, Tensor], quats: dict[str, Tensor], hips: Tensor, body: RobotBody) -> dict[str, Tensor]:
    """Positions `(F, 3)` of pelvis, knees, feet, elbows and hands."""
    pelvis_at, frames = body.pos["pelvis"], len(hips)

    def carried(role: str, point: Floats, base: str) -> Tensor:
        offset = as_tensor(point - body.pos[base]).expand(frames, 3)
        return rotations.rotate(quats[role], offset)

    middle = 0.5 * (body.start["left_hip"] + body.start["right_hip"])
    pos = {"pelvis": hips + carried("pelvis", pelvis_at, "pelvis") - carried("pelvis", middle, "pelvis")}
    trunk = "torso" if "torso" in body.pos and "torso" in quats else "pelvis"
    chest = pos["pelvis"] + carried("pelvis", body.pos[trunk], "pelvis")
    for side in SIDES:
        at = pos["pelvis"] + carried("pelvis", body.start[f"{side}_hip"], "pelvis")
        shoulder = (
            chest + carried(trunk, body.start[f"{side}_shoulder"], trunk) if f"{side}_shoulder" in body.start else None
        )
        for upper, lower in ((f"{side}_{a}", f"{side}_{b}") for a, b in LIMBS):
            if upper.endswith("shoulder"):
                if shoulder is None:
                    break
                at = shoulder
            if upper not in body.length or upper not in limbs:
                break
            at = at + body.length[upper] * limbs[upper]
            pos[lower] = at.clone()
    return pos
