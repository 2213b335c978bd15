"""The motion of a foreign skeleton, as a file has it and as retargeting takes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from isaachrl.errors import ClipError
from isaachrl.maths import rotations

MAX_FRAMES = 200_000  # 28 minutes at 120 frames per second


@dataclass(frozen=True)
class RawMotion:
    """F frames of K nodes in a file's own axes and unit; float64.

    Args:
        name: of the motion.
        kind: the file's format, for messages.
        names: of the nodes, root first.
        parents: index of each node's parent, before it; -1 for the root.
        fps: frames per second.
        offset: `(K, 3)` position of each node in its parent's frame.
        quat: `(F, K, 4)` rotation of each node relative to its parent, w x y z; None if there are points alone.
        root_pos: `(F, 3)` of the root.
        points: `(F, K, 3)` positions of a file without rotations.
        up: the axis that points up (`x`, `-y`, …), if the format fixes it.
        unit_m: length of a unit, if the format fixes it.
        quat_order: `wxyz` or `xyzw`, in which `quat` has been read, if the file could be in either; else empty.
        roles: nodes by role, as far as they are known, see `find_roles`.
    """

    name: str
    kind: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    fps: float
    offset: Tensor
    quat: Tensor | None
    root_pos: Tensor | None
    points: Tensor | None = None
    up: str = ""
    unit_m: float = 0.0
    quat_order: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)

    def cut(self, first: int, stop: int) -> "RawMotion":
        """Frames `first` to `stop - 1` alone."""
        parts = {key: getattr(self, key) for key in ("quat", "root_pos", "points")}
        return replace(self, **{key: None if value is None else value[first:stop] for key, value in parts.items()})

    @property
    def frames(self) -> int:
        """Number of frames F."""
        path = self.points if self.root_pos is None else self.root_pos
        return 0 if path is None else len(path)


@dataclass(frozen=True)
class SourceMotion:
    """The motion of a foreign skeleton in metres, z up; float64.

    Args:
        name: of the motion.
        names: of the K nodes, root first.
        parents: index of each node's parent, before it; -1 for the root.
        fps: frames per second.
        rest_offset_m: `(K, 3)` position of each node relative to its parent in the rest pose, in axes of the rest pose.
        pos_w_m: `(F, K, 3)`.
        quat_w: `(F, K, 4)` rotation from the axes of the rest pose; None if the file has positions alone.
        roles: index of a node by role.
        notes: what was detected about the file, a line each.
    """

    name: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    fps: float
    rest_offset_m: Tensor
    pos_w_m: Tensor
    quat_w: Tensor | None
    roles: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def num_frames(self) -> int:
        """Number of frames F."""
        return len(self.pos_w_m)

    @property
    def rest_pos_m(self) -> Tensor:
        """`(K, 3)` positions in the rest pose, relative to the root."""
        pos = torch.zeros_like(self.rest_offset_m)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                pos[node] = pos[parent] + self.rest_offset_m[node]
        return pos

    def resampled(self, fps: float) -> "SourceMotion":
        """The motion at another frame rate, by interpolation."""
        last = self.num_frames - 1
        at = torch.arange(0.0, last + 1e-9, self.fps / fps, dtype=torch.float64)
        low = at.floor().long().clamp(max=last - 1)
        part = (at - low)[:, None]
        pos = torch.lerp(self.pos_w_m[low], self.pos_w_m[low + 1], part[..., None])
        quat = self.quat_w
        if quat is not None:
            quat = rotations.slerp(quat[low], quat[low + 1], part.expand(-1, quat.shape[1]))
        return replace(self, fps=fps, pos_w_m=pos, quat_w=quat)


def check_raw(raw: RawMotion) -> None:
    """Check a motion as it was read.

    Raises:
        ClipError: no tree, numbers that are not finite, too few or too many frames, or no frame rate.
    """
    where = f"{raw.kind} motion {raw.name!r}"
    if any(not -1 <= parent < node for node, parent in enumerate(raw.parents)):
        raise ClipError(f"{where}: its nodes are no tree with parents before children")
    if len(set(raw.names)) < len(raw.names):
        twice = next(name for name in raw.names if raw.names.count(name) > 1)
        raise ClipError(f"{where} has two nodes called {twice!r}; rename one of them")
    if not 2 <= raw.frames <= MAX_FRAMES:
        raise ClipError(
            f"{where} has {raw.frames} frames, expected 2 to {MAX_FRAMES}; of a longer file import a part at a time:"
            " type source.start_s=0 source.end_s=600"
        )
    if not 1.0 <= raw.fps <= 1000.0:
        raise ClipError(f"{where} says {raw.fps:g} frames per second, expected 1 to 1000; type source.fps=30")
    for what, values in (("rotations", raw.quat), ("root positions", raw.root_pos), ("positions", raw.points)):
        if values is not None and not values.isfinite().all():
            bad = int((~values.isfinite()).flatten(1).any(1).nonzero()[0])
            raise ClipError(f"{where}: the {what} of frame {bad} are not finite; cut it out with source.start_s, end_s")


def forward(raw: RawMotion) -> tuple[Tensor, Tensor | None]:
    """Positions `(F, K, 3)` and rotations `(F, K, 4)` of the nodes in the file's own axes and unit."""
    if raw.points is not None:
        return raw.points, None
    assert raw.quat is not None and raw.root_pos is not None
    quat = rotations.normalize(raw.quat)
    pos_of, quat_of = [raw.root_pos], [quat[:, 0]]
    for node, parent in list(enumerate(raw.parents))[1:]:
        pos_of.append(pos_of[parent] + rotations.rotate(quat_of[parent], raw.offset[node].expand(raw.frames, 3)))
        quat_of.append(rotations.multiply(quat_of[parent], quat[:, node]))
    return torch.stack(pos_of, dim=1), torch.stack(quat_of, dim=1)
