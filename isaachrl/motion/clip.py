"""Motion clips: root poses and joint rotations at a fixed frame rate."""

import io
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isaachrl.errors import ClipError, brief
from isaachrl.files import write_atomically

Floats = NDArray[np.float32]

MIN_FPS, MAX_FPS = 1.0, 10_000.0  # captured motion has 24 to 480
MAX_BYTES = 1 << 28  # an hour of 30 joints at 120 frames per second in float32
MAX_NAMES, MAX_NAME = 1000, 100
MAX_POSITION_M = 10_000.0  # beyond, float32 does not resolve millimetres
MAX_SPEED_M_S = 1000.0  # a faster root jumps or is not in metres
MIN_LENGTH, MAX_LENGTH = 1e-3, 1e3  # of quaternions before normalisation

_FIELDS = ("fps", "joint_names", "body_names", "root_pos_w", "root_quat_w", "joint_quat", "loop")


@dataclass(frozen=True)
class Clip:
    """One motion of a robot, F frames long.

    Args:
        name: also the stem of the clip's file.
        fps: frames per second.
        joint_names: the J joints of `joint_quat`, in order; ball joints and hinges.
        body_names: the robot's bodies, in order; for checks only.
        root_pos_w: `(F, 3)` metres, z up.
        root_quat_w: `(F, 4)` rotation of the root body, w x y z.
        joint_quat: `(F, J, 4)` rotation of each joint's body relative to its parent body, w x y z.
        loop: the last frame equals the first up to a translation on the floor and a rotation about z, which is applied
            to each further lap.
        command: it is a motion that can be asked for, not only a way from one to another. Lists say so, files do not.

    Raises:
        ClipError: a field has a wrong type or shape, or values beyond the limits of this module.
    """

    name: str
    fps: float
    joint_names: tuple[str, ...]
    body_names: tuple[str, ...]
    root_pos_w: Floats
    root_quat_w: Floats
    joint_quat: Floats
    loop: bool = False
    command: bool = True

    def __post_init__(self) -> None:
        """Validate all fields, normalise quaternions and make their signs continuous."""
        if not isinstance(self.name, str):
            raise ClipError(f"a clip's name must be a string, got a {type(self.name).__name__}")
        where = f"clip {self.name!r}: "
        names = checked_names(self.joint_names, where + "joint_names")
        pos = _array(self.root_pos_w, where + "root_pos_w")
        frames = len(pos) if pos.ndim else 0
        check_frames(frames, len(names), where + "root_pos_w ")
        checked: dict[str, Any] = {
            "fps": _fps(self.fps, where),
            "joint_names": names,
            "body_names": checked_names(self.body_names, where + "body_names"),
            "root_pos_w": _numbers(pos, (frames, 3), where + "root_pos_w"),
            "root_quat_w": _rotations(self.root_quat_w, (frames, 4), where + "root_quat_w"),
            "joint_quat": _rotations(self.joint_quat, (frames, len(names), 4), where + "joint_quat"),
            "loop": _flag(self.loop, where),
        }
        _check_path(checked["root_pos_w"], checked["fps"], where)
        for field, value in checked.items():
            object.__setattr__(self, field, value)

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
        values = _read(path)
    except ClipError as error:
        raise ClipError(f"{path} is refused: {error}") from None
    except Exception as error:
        raise ClipError(
            f"{path} cannot be read as a motion clip (.npz without pickled objects): {brief(error)}"
        ) from error
    return Clip(name=path.stem, **values)


def check_bytes(size: int) -> None:
    """Raise ClipError if a file's content takes more than `MAX_BYTES`."""
    if size > MAX_BYTES:
        raise ClipError(f"it is too large for one motion: {size >> 20} MiB, at most {MAX_BYTES >> 20}; split it")


def check_frames(frames: int, joints: int, where: str) -> None:
    """Raise ClipError if a motion has fewer than 2 frames or takes more than `MAX_BYTES` in float32."""
    most = MAX_BYTES // (4 * (7 + 4 * joints))
    if not 2 <= frames <= most:
        raise ClipError(f"{where}needs at least 2 frames, and with {joints} joints at most {most}; got {frames}")


def checked_names(names: Any, where: str) -> tuple[str, ...]:
    """Names of joints or bodies as a tuple; raises ClipError if they are too many, too long or not printable."""
    if isinstance(names, np.ndarray) and names.ndim == 1 and len(names) <= MAX_NAMES:
        names = names.tolist()
    if not isinstance(names, list | tuple) or len(names) > MAX_NAMES:
        raise ClipError(f"{where} must be a list of at most {MAX_NAMES} names")
    if not all(isinstance(name, str) and len(name) <= MAX_NAME and name.isprintable() for name in names):
        raise ClipError(f"{where} must be printable strings of at most {MAX_NAME} characters")
    return tuple(names)


def lengths(quat: NDArray[Any], where: str) -> NDArray[Any]:
    """Lengths `(…, 1)` of quaternions `(…, 4)`; raises ClipError if they cannot be normalised."""
    with np.errstate(over="ignore"):
        length = np.linalg.norm(quat, axis=-1, keepdims=True)
    if not ((length >= MIN_LENGTH) & (length <= MAX_LENGTH)).all():
        raise ClipError(f"{where} holds quaternions that are no rotations: their length must be about 1")
    return length


def _read(path: Path) -> dict[str, Any]:
    """The fields in a file, after a check of their uncompressed size."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        missing = [field for field in _FIELDS if field not in members]
        if missing:
            raise ClipError(f"it is no motion clip, it lacks {', '.join(missing)}")
        check_bytes(sum(members[field].file_size for field in _FIELDS))
        values = {}
        for field in _FIELDS:
            with archive.open(members[field]) as file:
                values[field] = np.lib.format.read_array(file, allow_pickle=False)[()]
                if file.read(1):  # the checksum is verified at the end of the file only
                    raise ClipError(f"it is damaged, there is more in {field} than its header says")
        return values


def _array(value: Any, where: str) -> NDArray[Any]:
    """An array of real numbers."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ClipError(f"{where} is no array: {brief(error)}") from error
    if array.dtype.kind not in "fiu":
        raise ClipError(f"{where} holds values of type {brief(array.dtype)}, expected real numbers")
    return array


def _numbers(value: Any, shape: tuple[int, ...], where: str) -> Floats:
    """Finite real numbers of a shape, as float32."""
    array = _array(value, where)
    if array.shape != shape:
        raise ClipError(f"{where} has shape {array.shape}, expected {shape} (frames, …)")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise ClipError(f"{where} holds values that are not finite")
    return array


def _rotations(value: Any, shape: tuple[int, ...], where: str) -> Floats:
    """Quaternions of a shape, with unit length and continuous signs along the first axis."""
    quat = _numbers(value, shape, where)
    quat = quat / lengths(quat, where)
    flips = np.where((quat[1:] * quat[:-1]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    quat[1:] *= np.cumprod(flips, axis=0)
    return quat.astype(np.float32)


def _fps(value: Any, where: str) -> float:
    """A valid frame rate."""
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not MIN_FPS <= value <= MAX_FPS:
        raise ClipError(f"{where}fps must be a number from {MIN_FPS:g} to {MAX_FPS:g}, got {brief(value)}")
    return float(value)


def _flag(value: Any, where: str) -> bool:
    """A bool, also from 0 or 1."""
    if not isinstance(value, int | np.bool_ | np.integer) or value not in (0, 1):
        raise ClipError(f"{where}loop must be true or false, got {brief(value)}")
    return bool(value)


def _check_path(pos: Floats, fps: float, where: str) -> None:
    """Check that root positions `(F, 3)` are near the origin and do not jump."""
    far, speed = np.abs(pos).max(), fps * np.abs(np.diff(pos, axis=0)).max()
    if far > MAX_POSITION_M or speed > MAX_SPEED_M_S:
        raise ClipError(
            f"{where}root_pos_w goes {far:g} m from the origin and up to {speed:g} m/s fast; at most "
            f"{MAX_POSITION_M:g} m and {MAX_SPEED_M_S:g} m/s are a motion in metres"
        )
