"""Acclaim motions: an AMC file with angles, and the ASF file of its skeleton beside it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from isaachrl.errors import ClipError, brief
from isaachrl.maths import rotations
from isaachrl.motion.clip import check_bytes
from isaachrl.motion.source.skeleton import MAX_FRAMES, RawMotion

CMU_FPS = 120.0  # an AMC says nothing about time
ROOT = "root"


@dataclass
class _Bone:
    """A bone: its direction and length at rest, the axes of its angles, and their names (`rx`, …)."""

    name: str
    end: Tensor
    axis: Tensor
    dofs: tuple[str, ...]


def read(path: str | os.PathLike[str]) -> RawMotion:
    """Read an AMC file with the ASF of its subject (`02.asf` or `02_01.asf` for `02_01.amc`), in the same folder.

    A node is where a bone begins; the ends of the last bones are nodes, too, `…_end`.

    Raises:
        ClipError: either cannot be read, or the AMC ends too early.
    """
    path = Path(path)
    skeleton = _skeleton_of(path)
    try:
        check_bytes(path.stat().st_size >> 2)
        bones, parent_of, radians, order = _read_asf(skeleton)
        frames = _read_amc(path, bones)
        return _assemble(path.stem, bones, parent_of, frames, 1.0 if radians else torch.pi / 180.0, order)
    except ClipError as error:
        raise ClipError(f"{path} is refused: {error}") from None
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ClipError(f"{path} with {skeleton.name} cannot be read as AMC and ASF: {brief(error)}") from error


def _skeleton_of(path: Path) -> Path:
    """The ASF of an AMC."""
    candidates = [
        path.with_suffix(".asf"),
        path.with_name(f"{path.stem.split('_')[0]}.asf"),
        *path.parent.glob("*.asf"),
    ]
    found = [one for one in candidates if one.is_file()]
    if not found:
        raise ClipError(f"{path} needs its skeleton: put the file {path.stem.split('_')[0]}.asf beside it")
    return found[0]


def _sections(path: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """The `:sections` of an ASF with the words of their lines."""
    name, rows = "", []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split("#")[0].split()
        if words and words[0].startswith(":"):
            yield name, rows
            name, rows = words[0][1:].lower(), [words[1:]]
        elif words:
            rows.append(words)
    yield name, rows


def _read_asf(path: Path) -> tuple[dict[str, _Bone], dict[str, str], bool, list[str]]:
    """Bones and parents by name, whether angles are in radians, and the order of the root's channels."""
    bones: dict[str, _Bone] = {}
    parent_of: dict[str, str] = {}
    radians, order = False, ["TX", "TY", "TZ", "RX", "RY", "RZ"]
    for name, rows in _sections(path):
        if name == "units":
            radians = any(row[:2] == ["angle", "rad"] for row in rows)
        elif name == "root":
            order = next((row[1:] for row in rows if row and row[0].lower() == "order"), order)
        elif name == "bonedata":
            bones |= {bone.name: bone for bone in _bones(rows, radians)}
        elif name == "hierarchy":
            parent_of |= {child: row[0] for row in rows for child in row[1:] if row[0] not in ("begin", "end")}
    if not bones or set(parent_of) != set(bones):
        raise ClipError(f"{path.name} has {len(bones)} bones and a hierarchy of {len(parent_of)}")
    return bones, parent_of, radians, [word.upper() for word in order]


def _bones(rows: list[list[str]], radians: bool) -> Iterator[_Bone]:
    """The bones of the section `bonedata`."""
    values: dict[str, list[str]] = {}
    for row in rows:
        if row == ["begin"]:
            values = {}
        elif row == ["end"]:
            direction = torch.tensor([float(word) for word in values["direction"][:3]], dtype=torch.float64)
            angles = torch.tensor([float(word) for word in values["axis"][:3]], dtype=torch.float64)
            axis = _euler(angles * (1.0 if radians else torch.pi / 180.0), values["axis"][3].upper())
            dofs = tuple(word.lower() for word in values.get("dof", []))
            yield _Bone(values["name"][0], direction * float(values["length"][0]), axis, dofs)
        elif row:
            values[row[0].lower()] = row[1:]


def _euler(angles: Tensor, order: str) -> Tensor:
    """Rotation `(…, 4)` by angles `(…, 3)` about fixed axes, one after the other in the order `XYZ`."""
    axes = torch.eye(3, dtype=torch.float64)
    turns = [
        rotations.from_axis_angle(axes["XYZ".index(axis)].expand(*angles.shape[:-1], 3), angles[..., i])
        for i, axis in enumerate(order)
    ]
    quat = turns[0]
    for turn in turns[1:]:
        quat = rotations.multiply(turn, quat)
    return quat


def _read_amc(path: Path, bones: dict[str, _Bone]) -> dict[str, Tensor]:
    """Values `(F, dofs)` by bone."""
    counts = {ROOT: 6} | {name: len(bone.dofs) for name, bone in bones.items() if bone.dofs}
    values: dict[str, list[list[float]]] = {name: [] for name in counts}
    frames = 0
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if not words or words[0].startswith(("#", ":")):
                continue
            if words[0].isdigit() and len(words) == 1:
                frames += 1
                if frames > MAX_FRAMES:
                    raise ClipError(f"it has more than {MAX_FRAMES} frames; cut it into several files")
            elif words[0] in counts and len(words) == 1 + counts[words[0]]:
                values[words[0]].append([float(word) for word in words[1:]])
            else:
                raise ClipError(f"frame {frames} has a line {brief(line, 60)!r} that fits no bone of the skeleton")
    short = [name for name, rows in values.items() if len(rows) != frames]
    if short:
        raise ClipError(f"it is cut off: {short[0]} has {len(values[short[0]])} of {frames} frames")
    return {name: torch.tensor(rows, dtype=torch.float64) for name, rows in values.items()}


def _assemble(
    name: str, bones: dict[str, _Bone], parent_of: dict[str, str], values: dict[str, Tensor], angle: float,
    order: list[str],
) -> RawMotion:  # fmt: skip
    """The motion of the nodes, parents first."""
    root = values[ROOT]
    frames = len(root)
    names, zero = [ROOT], torch.zeros(3, dtype=torch.float64)
    while len(names) <= len(bones):
        ready = [bone for bone in bones if bone not in names and parent_of[bone] in names]
        if not ready:
            raise ClipError("the hierarchy of its skeleton is no tree")
        names += ready
    column = {word: i for i, word in enumerate(order)}
    angles = root[:, [column[word] for word in order if word.startswith("R")]] * angle
    quats = [_euler(angles, "".join(word[1] for word in order if word.startswith("R")))]
    for bone in (bones[name] for name in names[1:]):
        local = torch.zeros(frames, 3, dtype=torch.float64)
        for i, dof in enumerate(bone.dofs):
            if dof[0] == "r":
                local[:, "xyz".index(dof[1])] = values[bone.name][:, i] * angle
        axis = bone.axis.expand(frames, 4)
        quats.append(rotations.multiply(rotations.multiply(axis, _euler(local, "XYZ")), rotations.conjugate(axis)))
    offsets = [zero] + [bones[parent_of[bone]].end if parent_of[bone] != ROOT else zero for bone in names[1:]]
    parents = [-1, *(names.index(parent_of[bone]) for bone in names[1:])]
    for bone in [bone for bone in names[1:] if bone not in parent_of.values()]:
        parents.append(names.index(bone))
        names.append(f"{bone}_end")
        offsets.append(bones[bone].end)
        quats.append(torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).repeat(frames, 1))
    return RawMotion(
        name, "AMC", tuple(names), tuple(parents), CMU_FPS, torch.stack(offsets), torch.stack(quats, dim=1),
        root[:, [column[word] for word in ("TX", "TY", "TZ")]],
    )  # fmt: skip
