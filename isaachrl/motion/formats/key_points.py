"""Key points, positions of named points of a body: `.npz`, `.csv`, and keyframes of MuJoCo (`.xml`)."""

import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isaachrl.errors import ClipError, brief
from isaachrl.motion.clip import check_bytes, checked_names
from isaachrl.motion.formats.arrays import read_csv
from isaachrl.motion.source.skeleton import RawMotion

NPZ = ("positions", "names")
# the points of mujoco_mpc's humanoid tracking task, whose keyframes name none; at 30 frames per second
MPC_POINTS = (
    "pelvis", "head", "left_toe", "right_toe", "left_heel", "right_heel", "left_knee", "right_knee", "left_hand",
    "right_hand", "left_elbow", "right_elbow", "left_shoulder", "right_shoulder", "left_hip", "right_hip",
)  # fmt: skip
MPC_FPS = 30.0


def from_npz(arrays: dict[str, NDArray[Any]], path: str | os.PathLike[str], fps: float | None = None) -> RawMotion:
    """Key points of an `.npz` with `positions (F, K, 3)`, `names (K,)` and `fps`.

    Raises:
        ClipError: an array is missing or their shapes do not fit each other.
    """
    path = Path(path)
    names, points = checked_names(arrays["names"], f"{path}: names"), arrays["positions"]
    if points.ndim != 3 or points.shape[1:] != (len(names), 3) or points.dtype.kind not in "fiu":
        raise ClipError(
            f"{path}: positions {points.shape} do not fit {len(names)} names; expected (F, {len(names)}, 3)"
        )
    rate = float(arrays["fps"]) if "fps" in arrays and arrays["fps"].size == 1 else fps
    return _motion(path, names, points.astype(np.float64), rate)


def from_csv(path: str | os.PathLike[str], fps: float | None = None) -> RawMotion:
    """Key points of a table whose columns are named `POINT_x`, `POINT_y`, `POINT_z`; a column `time` is in seconds.

    Raises:
        ClipError: it cannot be read, or has no such columns.
    """
    path = Path(path)
    columns, values = read_csv(path)
    at = {name.lower(): i for i, name in enumerate(columns)}
    names = [name[:-2] for name in columns if re.search(r"[ ._]x$", name, re.IGNORECASE)]
    axes = [
        [next((at[key] for sep in "_. " if (key := f"{n}{sep}{a}".lower()) in at), -1) for a in "xyz"] for n in names
    ]
    if not names or min(min(row) for row in axes) < 0:
        raise ClipError(f"{path} has no columns POINT_x, POINT_y, POINT_z in its first row")
    if fps is None and "time" in at and len(values) > 1:
        step = float(np.median(np.diff(values[:, at["time"]])))
        fps = 1.0 / step if step > 0.0 else None
    return _motion(path, tuple(names), values[:, np.array(axes)], fps)


def from_keyframes(path: str | os.PathLike[str], fps: float | None = None) -> RawMotion:
    """The keyframes of an MJCF, whose `mpos` are the 16 points of mujoco_mpc.

    Raises:
        ClipError: it cannot be read, or has other keyframes.
    """
    path = Path(path)
    try:
        check_bytes(path.stat().st_size >> 2)
        text = path.read_text(encoding="utf-8")
        if "<!" in text.replace("<!--", ""):  # entities can take any room
            raise ClipError("it has a document type")
        rows = [key.get("mpos", "").split() for key in ElementTree.fromstring(text).iter("key")]
        values = np.array([[float(word) for word in row] for row in rows])
    except ClipError as error:
        raise ClipError(f"{path} is refused: {error}") from None
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise ClipError(f"{path} cannot be read as keyframes of an MJCF: {brief(error)}") from error
    if values.ndim != 2 or values.shape[1] != 3 * len(MPC_POINTS):
        raise ClipError(f"{path} has no keyframes with the {len(MPC_POINTS)} points of mujoco_mpc")
    return _motion(path, MPC_POINTS, values.reshape(len(values), -1, 3), fps or MPC_FPS)


def _motion(path: Path, names: tuple[str, ...], points: NDArray[Any], fps: float | None) -> RawMotion:
    """A motion without rotations; every point hangs on the first one."""
    if fps is None:
        raise ClipError(f"{path} has no frame rate; type source.fps=30")
    pos = torch.from_numpy(points)
    offset = (pos[0] - pos[0, :1]) if len(pos) else torch.zeros(len(names), 3, dtype=torch.float64)
    parents = (-1, *(0 for _ in names[1:]))
    return RawMotion(path.stem, "key points", names, parents, fps, offset, None, None, points=pos)
