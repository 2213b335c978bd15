"""Loads the clips of the setting `motion=…`, with their weights."""

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from isaachrl.errors import ClipError, brief, nearest
from isaachrl.motion import clip as own_format
from isaachrl.motion.clip import Clip
from isaachrl.motion.formats import isaac_gym_amp
from isaachrl.motion.library import fit_to_robot, how_to_import
from isaachrl.shipped import ASSETS, ROOT, require_assets
from isaachrl.sim.robot import Robot
from isaachrl.sim.soles import robot_soles

log = logging.getLogger(__name__)

BUILTIN = "builtin"
BUILTIN_FOLDER = ASSETS / "motions"
CLIP_SUFFIXES = (".npz", ".npy")
FOLDER_LIST = "motions.yaml"  # in a folder of clips: the list to take instead of all clips
LIST_SUFFIXES = (".yaml", ".yml")
_SUFFIXES = CLIP_SUFFIXES + LIST_SUFFIXES

MAX_LIST_BYTES = 1_000_000  # more than ten thousand clips
MAX_LIST_DEPTH = 3  # clips: [{file: …}]
MAX_TEXT = 1000  # characters of a path or number
MAX_WEIGHT = 1e9


@dataclass(frozen=True)
class Entry:
    """A clip of a list: the file, its weight, and the part of the clip from `start_s` until `end_s`.

    With `command` false it only leads from one motion to another, see `Clip.command`.
    """

    file: Path
    weight: float = 1.0
    start_s: float = 0.0
    end_s: float = math.inf
    command: bool = True


_KEYS = {field.name for field in fields(Entry)}


class _ListLoader(yaml.SafeLoader):
    """YAML without aliases, deep nesting or long scalars."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """See `yaml.composer.Composer`; called for every node before it is constructed."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError("a motion list holds no aliases (*name); write it out")
        if self.depth > MAX_LIST_DEPTH:
            raise ValueError("it nests deeper than  clips: [{file: walk.npz, weight: 2.0}]")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(node, yaml.ScalarNode) and len(node.value) > MAX_TEXT:
            raise ValueError(f"it holds a string of more than {MAX_TEXT} characters")
        if isinstance(node, yaml.MappingNode) and len({key.value for key, _ in node.value}) < len(node.value):
            raise ValueError("a key occurs twice in one mapping")
        return node


def load_motion(
    spec: str | Path, robot: Robot, soles: Mapping[str, Tensor] | None = None
) -> tuple[list[Clip], list[float]]:
    """Read clips and their weights, with the joints in the robot's order.

    Args:
        spec: `builtin`, all shipped clips; the name of a shipped clip (`walk`) or list (`locomotion`), unless a folder
            of that name has clips; a clip (`.npz`, or Isaac Gym AMP `.npy`); a folder of clips, of equal weights unless
            it holds a `motions.yaml`; or a YAML with `clips: [{file: walk.npz, weight: 2.0}, …]` or simply
            `walk.npz: 2.0`, paths relative to the YAML; `start_s` and `end_s` in an entry take a part of the clip, and
            `command: false` makes it a way from one motion to another.
        robot: the clips' robot.
        soles: sole corners by body name for the vertical shift of `.npy` clips; by default those of the robot's asset.

    Raises:
        ClipError: a file is missing, damaged, of an unknown format, contains code, or does not fit the robot; or two
            clips have the same name.
    """
    try:
        entries = motion_entries(str(spec))
        _check_names([entry.file for entry in entries], spec)
        hint = how_to_import(str(spec), robot)
        clips = [_part(_load_clip(entry.file, robot, soles, hint), entry) for entry in entries]
        return clips, [entry.weight for entry in entries]
    except OSError as error:
        raise ClipError(f"motion {brief(spec)} cannot be read: {error.strerror or error}") from error


def motion_entries(spec: str) -> list[Entry]:
    """What `load_motion` reads for a `spec`.

    Raises:
        ClipError: there are none.
    """
    if not spec:
        raise ClipError(f"no motion is named: type motion={BUILTIN}, or motion= and a name, a file or a folder")
    builtin = spec == BUILTIN
    path = BUILTIN_FOLDER if builtin else _shipped(spec) or Path(os.path.expanduser(spec))
    if not path.exists() and (ROOT / path).exists():
        path = ROOT / path
    if builtin and not path.is_dir():
        raise ClipError(f"the built-in motions are missing: there is no folder {path}")
    if path.is_dir():
        listed = path / FOLDER_LIST
        return _read_list(listed) if listed.is_file() else [Entry(file) for file in _clips_in(path)]
    if path.name == spec and not path.suffix and not path.exists():  # probably the name of a shipped motion
        require_assets()
        shipped = [BUILTIN, *sorted(file.stem for file in BUILTIN_FOLDER.iterdir() if file.suffix in _SUFFIXES)]
        raise ClipError(f"there is no motion {spec!r}, shipped or as a file{nearest(spec, shipped)}")
    _check_exists(path)
    return _read_list(path) if path.suffix in LIST_SUFFIXES else [Entry(path)]


def _check_names(files: list[Path], spec: str | Path) -> None:
    """Raise ClipError if two clips have the same name."""
    by_name: dict[str, Path] = {}
    for file in files:
        if file.stem in by_name:
            raise ClipError(
                f"{spec} has two clips called {file.stem!r}, {by_name[file.stem]} and {file}; rename one of them,"
                " or name it once with a greater weight"
            )
        by_name[file.stem] = file


def _shipped(name: str) -> Path | None:
    """The shipped list or clip of a name, unless a folder of that name has clips, which is then said."""
    files = (BUILTIN_FOLDER / f"{name}{suffix}" for suffix in LIST_SUFFIXES + CLIP_SUFFIXES)
    shipped = next((file for file in files if file.is_file()), None) if Path(name).name == name else None
    if shipped and Path(name).is_dir() and any(entry.suffix in CLIP_SUFFIXES for entry in Path(name).iterdir()):
        log.warning("motion=%s is the folder %s, not the shipped motion", name, Path(name).resolve())
        return None
    return shipped


def _clips_in(folder: Path) -> list[Path]:
    """The clips of a folder, sorted by name."""
    files = sorted(entry for entry in folder.iterdir() if entry.suffix in CLIP_SUFFIXES)
    if not files:
        raise ClipError(f"{folder} holds no clips: expected files ending in {' or '.join(CLIP_SUFFIXES)}")
    return files


def _check_exists(path: Path) -> None:
    """Raise ClipError if a file is missing; the message suggests others in its folder."""
    if path.is_file():
        return
    if not path.parent.is_dir():
        raise ClipError(
            f"motion {path} does not exist, nor does its folder; type motion={BUILTIN} for the shipped clips"
        )
    beside = [entry.name for entry in path.parent.iterdir() if entry.suffix in _SUFFIXES]
    hint = nearest(path.name, beside) if beside else "; its folder holds no clips"
    raise ClipError(f"motion {path} does not exist (motion={BUILTIN} takes the shipped clips){hint}")


def _load_clip(path: Path, robot: Robot, soles: Mapping[str, Tensor] | None, hint: str) -> Clip:
    """Read a clip; the suffix determines the format, and `hint` ends the message about one of another robot."""
    _check_exists(path)
    if path.suffix == ".npz":
        return fit_to_robot(own_format.load(path), robot, hint)
    if path.suffix == ".npy":
        return isaac_gym_amp.load(path, robot, robot_soles(robot) if soles is None else soles)
    known = f"(known: {', '.join(CLIP_SUFFIXES + LIST_SUFFIXES)}, or a folder of clips)"
    raise ClipError(f"{path}: no motion format has the suffix {path.suffix!r} {known}{hint}")


def _part(clip: Clip, entry: Entry) -> Clip:
    """The part of a clip that an entry asks for; a part does not loop."""
    clip = replace(clip, command=entry.command)
    if entry.start_s <= 0 and entry.end_s >= clip.duration_s:
        return clip
    part = slice(round(entry.start_s * clip.fps), round(min(entry.end_s, clip.duration_s) * clip.fps) + 1)
    arrays = {name: getattr(clip, name)[part] for name in ("root_pos_w", "root_quat_w", "joint_quat")}
    if len(arrays["root_pos_w"]) < 2:
        raise ClipError(
            f"{entry.file}: nothing is left from start_s={entry.start_s:g} until end_s={entry.end_s:g} of its"
            f" {clip.duration_s:.2f} s"
        )
    return replace(clip, loop=False, **arrays)


def _read_list(path: Path) -> list[Entry]:
    """The entries of a YAML, in order."""
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise ValueError(f"it is larger than {MAX_LIST_BYTES} bytes")
        content: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_ListLoader) or {}
    except Exception as error:
        raise ClipError(f"{path} cannot be read as YAML: {brief(error)}") from error
    clips = content.get("clips") if isinstance(content, dict) and set(content) == {"clips"} else content
    if isinstance(clips, dict):
        clips = [{"file": file, "weight": weight} for file, weight in clips.items()]
    entries = [_entry(entry, path) for entry in (clips if isinstance(clips, list) else [clips] if clips else [])]
    if not entries:
        raise ClipError(f"{path} names no clips; write  clips: [{{file: walk.npz, weight: 2.0}}]")
    return entries


def _entry(entry: Any, path: Path) -> Entry:
    """One entry of a list; the default weight is 1."""
    if not isinstance(entry, dict) or "file" not in entry or not set(entry) <= _KEYS:
        raise ClipError(
            f"{path}: {brief(repr(entry))} is no entry of a motion list; write  {{file: walk.npz, weight: 2.0}}"
        )
    file, command = entry["file"], entry.get("command", True)
    numbers = {name: value for name, value in entry.items() if name not in ("file", "command")}
    if not isinstance(file, str) or not file.isprintable():
        raise ClipError(f"{path}: {brief(repr(file))} is no name of a file")
    if not isinstance(command, bool):
        raise ClipError(f"{path}: the command of {file} must be true or false, got {brief(repr(command))}")
    values = {name: _number(value, name, file, path) for name, value in numbers.items()}
    return Entry(path.parent / file, command=command, **values)


def _number(value: Any, name: str, file: str, path: Path) -> float:
    """A weight or a time as a number."""
    try:
        number = float(value)  # YAML reads 1e-3 as a string
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not 0.0 <= number <= MAX_WEIGHT:
        raise ClipError(f"{path}: the {name} of {file} must be a number of at least 0, got {brief(repr(value))}")
    return number
