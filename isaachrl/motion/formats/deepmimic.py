"""DeepMimic's JSON motions of its humanoid: y up, x ahead, metres, quaternions w x y z, knees and elbows as angles."""

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from isaachrl.errors import ClipError, brief
from isaachrl.maths import rotations
from isaachrl.motion.clip import check_bytes
from isaachrl.motion.source.skeleton import RawMotion

# node: parent, position in its frame (m), numbers in a frame (4: quaternion, 1: angle about z, 0: none)
_NODES: dict[str, tuple[str, tuple[float, float, float], int]] = {
    "root": ("", (0.0, 0.0, 0.0), 4),
    "chest": ("root", (0.0, 0.236151, 0.0), 4),
    "neck": ("chest", (0.0, 0.223894, 0.0), 4),
    "right_hip": ("root", (0.0, 0.0, 0.084887), 4),
    "right_knee": ("right_hip", (0.0, -0.421546, 0.0), 1),
    "right_ankle": ("right_knee", (0.0, -0.409870, 0.0), 4),
    "right_shoulder": ("chest", (-0.02405, 0.2435, 0.18311), 4),
    "right_elbow": ("right_shoulder", (0.0, -0.274788, 0.0), 1),
    "left_hip": ("root", (0.0, 0.0, -0.084887), 4),
    "left_knee": ("left_hip", (0.0, -0.421546, 0.0), 1),
    "left_ankle": ("left_knee", (0.0, -0.409870, 0.0), 4),
    "left_shoulder": ("chest", (-0.02405, 0.2435, -0.18311), 4),
    "left_elbow": ("left_shoulder", (0.0, -0.274788, 0.0), 1),
    "right_wrist": ("right_elbow", (0.0, -0.258947, 0.0), 0),
    "left_wrist": ("left_elbow", (0.0, -0.258947, 0.0), 0),
    "right_toe": ("right_ankle", (0.13, -0.045, 0.0), 0),  # of the box that is its foot
    "left_toe": ("left_ankle", (0.13, -0.045, 0.0), 0),
    "head": ("neck", (0.0, 0.175, 0.0), 0),
}
_COLUMNS = 1 + 3 + sum(count for _, _, count in _NODES.values())  # duration, root position, rotations


def read(path: str | os.PathLike[str], quat: str = "auto") -> RawMotion:
    """Read a DeepMimic motion (`.txt` or `.json`).

    Args:
        path: of the file.
        quat: order of its quaternions; `auto` is w x y z.

    Raises:
        ClipError: it cannot be read, or is of another character.
    """
    path = Path(path)
    try:
        check_bytes(path.stat().st_size >> 2)
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = torch.tensor(content["Frames"], dtype=torch.float64)
    except ClipError as error:
        raise ClipError(f"{path} is refused: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ClipError(f"{path} cannot be read as a motion of DeepMimic (JSON with Frames): {brief(error)}") from error
    if rows.ndim != 2 or rows.shape[1] != _COLUMNS:
        raise ClipError(
            f"{path}: a frame has the shape {tuple(rows.shape[1:])}, and DeepMimic's humanoid ({_COLUMNS},)"
        )
    duration = float(rows[:-1, 0].median()) if len(rows) > 1 else 0.0
    names = list(_NODES)
    order = "xyzw" if quat == "xyzw" else "wxyz"
    return RawMotion(
        path.stem, "DeepMimic", tuple(names),
        tuple(names.index(parent) if parent else -1 for parent, _, _ in _NODES.values()),
        1.0 / duration if duration > 0.0 else 0.0,
        torch.tensor([pos for _, pos, _ in _NODES.values()], dtype=torch.float64),
        _rotations(rows, order), rows[:, 1:4], up="y", unit_m=1.0, quat_order=order,
    )  # fmt: skip


def _rotations(rows: Tensor, order: str) -> Tensor:
    """Rotations `(F, K, 4)` of the nodes."""
    axis = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(len(rows), 3)
    quats, column = [], 4
    for _, _, count in _NODES.values():
        if count == 4:
            quat = rows[:, column : column + 4]
            quats.append(quat.roll(1, dims=-1) if order == "xyzw" else quat)
        else:
            angle = rows[:, column] if count else torch.zeros(len(rows), dtype=torch.float64)
            quats.append(rotations.from_axis_angle(axis, angle))
        column += count
    return torch.stack(quats, dim=1)
