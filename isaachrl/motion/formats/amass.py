"""AMASS and SMPL-X motions (`.npz`): their rotations, on a skeleton of average proportions of our own.

The licensed body models are not needed, since retargeting takes directions of limbs only.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isaachrl.errors import ClipError
from isaachrl.maths import rotations
from isaachrl.motion.source.skeleton import RawMotion

# the 22 body joints: parent, position in its frame in cm for a person of 1.7 m in a T-pose, y up, left is x
_JOINTS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "pelvis": ("", (0.0, 0.0, 0.0)),
    "left_hip": ("pelvis", (8.5, -8.0, 0.0)),
    "right_hip": ("pelvis", (-8.5, -8.0, 0.0)),
    "spine1": ("pelvis", (0.0, 11.0, -2.0)),
    "left_knee": ("left_hip", (1.0, -39.0, 0.0)),
    "right_knee": ("right_hip", (-1.0, -39.0, 0.0)),
    "spine2": ("spine1", (0.0, 13.0, 0.0)),
    "left_ankle": ("left_knee", (0.0, -40.0, -3.0)),
    "right_ankle": ("right_knee", (0.0, -40.0, -3.0)),
    "spine3": ("spine2", (0.0, 6.0, 1.0)),
    "left_foot": ("left_ankle", (2.0, -5.5, 12.0)),
    "right_foot": ("right_ankle", (-2.0, -5.5, 12.0)),
    "neck": ("spine3", (0.0, 21.0, -2.0)),
    "left_collar": ("spine3", (7.0, 12.0, -1.0)),
    "right_collar": ("spine3", (-7.0, 12.0, -1.0)),
    "head": ("neck", (0.0, 9.0, 4.0)),
    "left_shoulder": ("left_collar", (11.0, 3.0, -1.0)),
    "right_shoulder": ("right_collar", (-11.0, 3.0, -1.0)),
    "left_elbow": ("left_shoulder", (26.0, 0.0, -1.0)),
    "right_elbow": ("right_shoulder", (-26.0, 0.0, -1.0)),
    "left_wrist": ("left_elbow", (25.0, 0.0, 0.0)),
    "right_wrist": ("right_elbow", (-25.0, 0.0, 0.0)),
}
RATES = ("mocap_framerate", "mocap_frame_rate", "fps")


def is_amass(arrays: dict[str, NDArray[Any]]) -> bool:
    """Whether an `.npz` has what an AMASS motion has: `poses` or `root_orient` and `pose_body`, and `trans`."""
    return "trans" in arrays and ("poses" in arrays or {"root_orient", "pose_body"} <= arrays.keys())


def read(arrays: dict[str, NDArray[Any]], path: str | os.PathLike[str], fps: float | None = None) -> RawMotion:
    """Read the arrays of an AMASS motion.

    Args:
        arrays: of the file.
        path: of the file, for its name.
        fps: frames per second; None takes the file's.

    Raises:
        ClipError: their shapes do not fit each other, or the frame rate is missing.
    """
    path = Path(path)
    poses = arrays.get("poses")
    if poses is None:
        poses = np.concatenate((arrays["root_orient"], arrays["pose_body"]), axis=-1)
    trans, count = arrays["trans"], len(_JOINTS)
    if poses.ndim != 2 or poses.shape[1] < 3 * count or trans.shape != (len(poses), 3) or poses.dtype.kind != "f":
        raise ClipError(
            f"{path}: poses {poses.shape} and trans {trans.shape} are no AMASS motion; expected (F, {3 * count} or"
            " more) and (F, 3)"
        )
    rate = next((float(arrays[key]) for key in RATES if key in arrays and arrays[key].size == 1), fps)
    if rate is None:
        raise ClipError(f"{path} has no frame rate (its arrays: {', '.join(sorted(arrays))}); type source.fps=120")
    names, offset = list(_JOINTS), torch.tensor([pos for _, pos in _JOINTS.values()], dtype=torch.float64) / 100.0
    turns = torch.from_numpy(poses[:, : 3 * count].astype(np.float64)).unflatten(-1, (count, 3))
    return RawMotion(
        path.stem, "AMASS", tuple(names), tuple(names.index(of) if of else -1 for of, _ in _JOINTS.values()), rate,
        offset, rotations.from_rotvec(turns), torch.from_numpy(trans.astype(np.float64)), unit_m=1.0,
    )  # fmt: skip
