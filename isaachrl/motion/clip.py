"""A motion clip: the path of a root and of the joints' rotations at a fixed rate, without pickles."""

import io
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isaachrl.errors import ClipError
from isaachrl.files import write_atomically

Floats = NDArray[np.float32]

_FIELDS = ("fps", "joint_names", "body_names", "root_pos_w", "root_quat_w", "joint_quat", "loop")


@dataclass(frozen=True)
class Clip:
    """One motion of a robot, F frames long.

    Args:
        name: shown in tables and used as the file's stem.
        fps: frames per second.
        joint_names: the J joints of `joint_quat`, in order; ball joints and hinges alike.
        body_names: the bodies of the robot the clip was made for, in order; a check, not data.
        root_pos_w: `(F, 3)` metres, z up.
        root_quat_w: `(F, 4)` rotation of the root body, w x y z.
        joint_quat: `(F, J, 4)` rotation of each joint's body relative to its parent body, w x y z.
        loop: the last frame is the first one again, carried along by a planar move (shift and yaw):
            playing on continues from the first frame, moved by that much.
    """

    name: str
    fps: float
    joint_names: tuple[str, ...]
    body_names: tuple[str, ...]
    root_pos_w: Floats
    root_quat_w: Floats
    joint_quat: Floats
    loop: bool = False

    def __post_init__(self) -> None:
        """Check shapes and finiteness, and put every quaternion on one continuous sign."""
        frames, joints = len(self.root_pos_w), len(self.joint_names)
        expected = {"root_pos_w": (frames, 3), "root_quat_w": (frames, 4), "joint_quat": (frames, joints, 4)}
        for field, shape in expected.items():
            array = np.asarray(getattr(self, field), np.float32)
            if array.shape != shape:
                raise ClipError(f"clip {self.name!r}: {field} has shape {array.shape}, expected {shape} (frames, …)")
            if not np.isfinite(array).all():
                raise ClipError(f"clip {self.name!r}: {field} holds values that are not finite")
            if field.endswith("quat") or "quat" in field:
                array = _continuous(array)
            object.__setattr__(self, field, array)
        if frames < 2 or not self.fps > 0:
            raise ClipError(
                f"clip {self.name!r}: needs at least 2 frames at a positive fps, got {frames} at {self.fps}"
            )

    @property
    def num_frames(self) -> int:
        """Number of frames F."""
        return len(self.root_pos_w)

    @property
    def duration_s(self) -> float:
        """Length in seconds: (F - 1) / fps."""
        return (self.num_frames - 1) / self.fps

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the clip as a compressed `.npz`, atomically."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            fps=np.float64(self.fps),
            joint_names=np.array(self.joint_names),
            body_names=np.array(self.body_names),
            root_pos_w=self.root_pos_w,
            root_quat_w=self.root_quat_w,
            joint_quat=self.joint_quat,
            loop=np.bool_(self.loop),
        )
        write_atomically(Path(path), buffer.getbuffer())

    def renamed(self, name: str) -> "Clip":
        """The same clip under another name."""
        return replace(self, name=name)


def load(path: str | os.PathLike[str]) -> Clip:
    """Read a clip written by `Clip.save`.

    Raises:
        ClipError: the file is missing, is no clip of this format, or holds pickled objects.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as data:
            missing = [field for field in _FIELDS if field not in data]
            if missing:
                raise ClipError(f"{path} is not a motion clip: it lacks {', '.join(missing)}")
            values = {field: data[field] for field in _FIELDS}
    except ClipError:
        raise
    except Exception as error:
        raise ClipError(f"{path} cannot be read as a motion clip (.npz without pickled objects): {error}") from error
    return Clip(
        name=path.stem,
        fps=float(values["fps"]),
        joint_names=tuple(str(name) for name in values["joint_names"]),
        body_names=tuple(str(name) for name in values["body_names"]),
        root_pos_w=values["root_pos_w"],
        root_quat_w=values["root_quat_w"],
        joint_quat=values["joint_quat"],
        loop=bool(values["loop"]),
    )


def _continuous(q: Floats) -> Floats:
    """Unit length, and the sign that keeps each frame within 90 degrees (in 4-space) of the one before."""
    q = q / np.maximum(np.linalg.norm(q, axis=-1, keepdims=True), 1e-8)
    flips = np.where((q[1:] * q[:-1]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    q[1:] *= np.cumprod(flips, axis=0)
    return q.astype(np.float32)
