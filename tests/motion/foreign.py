"""Motion files of other skeletons, written from a shipped clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from isaachrl.maths import rotations
from isaachrl.motion import clip as own_format
from isaachrl.motion.formats import positions
from isaachrl.motion.source.skeleton import RawMotion
from isaachrl.shipped import ASSETS
from isaachrl.sim import load_robot

MIXAMO = {
    "pelvis": "Hips", "torso": "Spine2", "head": "Head", "upper_arm": "Arm", "lower_arm": "ForeArm", "hand": "Hand",
    "thigh": "UpLeg", "shin": "Leg", "foot": "Foot",
}  # fmt: skip
TO_Y_UP = [1, 2, 0]  # left is x, up is y, ahead is z


def walk(frames: int = 90, name: str = "walk") -> RawMotion:
    """The shipped walk as a skeleton with toes: z up, metres, 60 frames per second."""
    clip = own_format.load(ASSETS / "motions" / f"{name}.npz")
    raw = positions.from_clip(replace(clip, loop=False), load_robot("humanoid")).cut(0, frames)
    toes = torch.tensor([[0.12, 0.0, -0.03]] * 2, dtype=torch.float64)
    still = torch.zeros(frames, 2, 4, dtype=torch.float64)
    still[..., 0] = 1.0
    return replace(
        raw,
        kind="made",
        names=(*raw.names, "right_toe", "left_toe"),
        parents=(*raw.parents, raw.names.index("right_foot"), raw.names.index("left_foot")),
        offset=torch.cat((raw.offset, toes)),
        quat=torch.cat((raw.quat, still), dim=1),
    )


def mixamo_name(name: str) -> str:
    """The name that Mixamo gives a body: `left_upper_arm` is `mixamorig:LeftArm`."""
    side, _, part = name.partition("_") if name.startswith(("left_", "right_")) else ("", "", name)
    return f"mixamorig:{side.capitalize()}{MIXAMO.get(part, 'ToeBase')}"


def write_bvh(path: Path, raw: RawMotion, order: str = "ZXY", unit: float = 100.0, mirrored: bool = False) -> Path:
    """Write a BVH with y up, by default in centimetres.

    Args:
        path: of the file.
        raw: the motion, z up and in metres.
        order: of the rotation channels.
        unit: units in a metre.
        mirrored: whether left and right change places, but not their names.
    """
    flip = np.array([-1.0, 1.0, 1.0] if mirrored else [1.0, 1.0, 1.0])
    offset = unit * raw.offset.numpy()[:, TO_Y_UP] * flip
    root = unit * raw.root_pos.numpy()[:, TO_Y_UP] * flip
    quat = torch.cat((raw.quat[..., :1], raw.quat[..., 1:][..., TO_Y_UP]), dim=-1)
    if mirrored:
        quat = quat * torch.tensor([1.0, 1.0, -1.0, -1.0])
    angles = np.rad2deg(euler(quat, order))
    lines = ["HIERARCHY", *_joint(raw, offset, order, 0), "MOTION", f"Frames: {raw.frames}"]
    lines.append(f"Frame Time: {1.0 / raw.fps:.7f}")
    nodes = _depth_first(raw, 0)
    lines += [" ".join(f"{x:.6f}" for x in (*root[f], *angles[f][nodes].ravel())) for f in range(raw.frames)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def euler(quat: torch.Tensor, order: str) -> np.ndarray:
    """Angles `(…, 3)` of turns about three different axes, one after the other in the turned frame."""
    r = rotations.to_matrix(quat).numpy()
    a, b, c = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if order in ("XYZ", "YZX", "ZXY") else -1.0
    return np.stack((
        np.arctan2(-sign * r[..., b, c], r[..., c, c]),
        np.arcsin(np.clip(sign * r[..., a, c], -1.0, 1.0)),
        np.arctan2(-sign * r[..., a, b], r[..., a, a]),
    ), axis=-1)  # fmt: skip


def _children(raw: RawMotion, node: int) -> list[int]:
    return [child for child, parent in enumerate(raw.parents) if parent == node]


def _depth_first(raw: RawMotion, node: int) -> list[int]:
    return [node, *(below for child in _children(raw, node) for below in _depth_first(raw, child))]


def _joint(raw: RawMotion, offset: np.ndarray, order: str, node: int) -> list[str]:
    turns = " ".join(f"{axis}rotation" for axis in order)
    channels = f"6 Xposition Yposition Zposition {turns}" if node == 0 else f"3 {turns}"
    kind = "ROOT" if node == 0 else "JOINT"
    inside = [line for child in _children(raw, node) for line in _joint(raw, offset, order, child)]
    end = [] if inside else ["End Site", "{", "OFFSET 0 0 0", "}"]
    place = "OFFSET " + " ".join(f"{x:.6f}" for x in offset[node])
    return [f"{kind} {mixamo_name(raw.names[node])}", "{", place, f"CHANNELS {channels}", *inside, *end, "}"]
