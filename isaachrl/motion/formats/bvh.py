"""BVH files: a tree of joints with offsets, and Euler angles in any order of channels."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isaachrl.errors import ClipError, brief
from isaachrl.maths import rotations
from isaachrl.motion.clip import MAX_NAMES, check_bytes
from isaachrl.motion.source.skeleton import MAX_FRAMES, RawMotion

MAX_TEXT_BYTES = 1 << 30
_AXIS = {"X": 0, "Y": 1, "Z": 2}


class _Tree:
    """The joints of a HIERARCHY in the order of the file; end sites are nodes named after their joint, `…_end`."""

    def __init__(self, lines: list[str]) -> None:
        self.names: list[str] = []
        self.parents: list[int] = []
        self.offset: list[list[float]] = []
        self.channels: list[list[tuple[str, int]]] = []  # of each node: kind (`position`, `rotation`) and axis
        self._open: list[int] = []
        for line in lines:
            words = line.split()
            if words:
                self._take(words)
        if self._open or not self.names:
            raise ClipError("its HIERARCHY ends before every bracket is closed")

    def _take(self, words: list[str]) -> None:
        kind = words[0].upper()
        if kind in ("ROOT", "JOINT") and len(words) > 1:
            self._add(" ".join(words[1:]))
        elif kind == "END":
            self._add(f"{self.names[self._open[-1]]}_end")
        elif kind == "OFFSET":
            self.offset[-1] = [float(word) for word in words[1:4]]
        elif kind == "CHANNELS":
            self.channels[-1] = [(word[1:].lower(), _AXIS[word[0].upper()]) for word in words[2 : 2 + int(words[1])]]
        elif kind == "}":
            self._open.pop()
        elif kind not in ("{", "HIERARCHY"):
            raise ClipError(f"its HIERARCHY has a line {brief(' '.join(words), 60)!r}")

    def _add(self, name: str) -> None:
        if len(self.names) >= MAX_NAMES:
            raise ClipError(f"it has more than {MAX_NAMES} joints")
        self.parents.append(self._open[-1] if self._open else -1)
        self._open.append(len(self.names))
        self.names.append(name)
        self.offset.append([0.0, 0.0, 0.0])
        self.channels.append([])


def read(path: str | os.PathLike[str]) -> RawMotion:
    """Read a BVH file.

    Position channels of joints other than the root replace their offsets where they are near them, else they are added.

    Raises:
        ClipError: it cannot be read, or ends too early.
    """
    path = Path(path)
    try:
        check_bytes(path.stat().st_size >> 2)  # four characters of text for a byte of numbers
        head, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("MOTION")
        tree = _Tree(head.splitlines())
        frames, frame_s, values = _motion(rest, sum(map(len, tree.channels)))
        quat, root_pos, offset = _coordinates(tree, values)
    except ClipError as error:
        raise ClipError(f"{path} is refused: {error}") from None
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ClipError(f"{path} cannot be read as BVH: {brief(error)}") from error
    if len(values) < frames:
        raise ClipError(
            f"{path} is cut off: it says {frames} frames and has {len(values)}; correct the line Frames: if that is all"
        )
    return RawMotion(
        path.stem, "BVH", tuple(tree.names), tuple(tree.parents), 1.0 / frame_s, offset, quat, root_pos
    )  # fmt: skip


def _motion(text: str, channels: int) -> tuple[int, float, np.ndarray]:
    """Number of frames as the file says, seconds of one, and the values `(F, channels)`."""
    lines = text.split("\n")
    head = {}
    while lines and len(head) < 2:
        key, _, value = lines.pop(0).partition(":")
        if value:
            head["".join(key.lower().split())] = value
    if set(head) != {"frames", "frametime"}:
        raise ClipError("it ends before its motion: there are no lines Frames: and Frame Time: after MOTION")
    frames, frame_s = int(head["frames"]), float(head["frametime"])
    if frames > MAX_FRAMES:
        raise ClipError(f"it has {frames} frames, at most {MAX_FRAMES} are imported; cut it into several files")
    if not frame_s > 0.0:
        raise ClipError(f"a frame takes {frame_s:g} s")
    rows = [line for line in lines if line.strip()]
    if rows and len(rows[-1].split()) < channels:
        raise ClipError(
            f"it is cut off: frame {len(rows) - 1} of {frames} has {len(rows[-1].split())} of {channels} numbers"
        )
    values = np.loadtxt(rows, ndmin=2) if rows else np.zeros((0, channels))
    if rows and values.shape[1] != channels:
        raise ClipError(f"its frames have {values.shape[1]} numbers, and its joints {channels} channels")
    return frames, frame_s, values


def _coordinates(tree: _Tree, values: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations `(F, K, 4)`, root positions `(F, 3)` and offsets `(K, 3)`."""
    numbers, offset = torch.from_numpy(values), torch.tensor(tree.offset, dtype=torch.float64)
    identity = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).repeat(len(values), 1)
    axes = torch.eye(3, dtype=torch.float64)
    root_pos, quats, column = offset[0].repeat(len(values), 1), [], 0
    for node, channels in enumerate(tree.channels):
        quat = identity
        for kind, axis in channels:
            value = numbers[:, column]
            if kind == "rotation":
                turn = rotations.from_axis_angle(axes[axis].expand(len(values), 3), torch.deg2rad(value))
                quat = rotations.multiply(quat, turn)
            elif node == 0:
                root_pos[:, axis] = value
            else:
                offset[node, axis] = _offset(float(offset[node, axis]), value)
            column += 1
        quats.append(quat)
    return torch.stack(quats, dim=1), root_pos, offset


def _offset(offset: float, value: Tensor) -> float:
    """The offset of a joint with a position channel; a bone that stretches is given its mean length."""
    mean = float(value.mean()) if len(value) else offset
    return mean if abs(mean - offset) <= abs(mean) else offset + mean
