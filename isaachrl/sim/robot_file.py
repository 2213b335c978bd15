"""Where a robot comes from: a shipped name, a MJCF, a URDF, or a YAML file that says more about one of them."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from isaachrl.errors import ConfigError, brief, nearest
from isaachrl.shipped import ASSETS, ROOT, require_assets

AUTO = "auto"
SUFFIXES = (".xml", ".mjcf", ".urdf", ".yaml", ".yml")
_KEYS = ("model", "stand", "roles", "motors", "roots")
_MOTOR_KEYS = ("stiffness", "damping", "effort")
_LARGEST_BYTES = 1_000_000  # of a YAML file

FROM_EFFORT = "from_effort"
Number = float | dict[str, float] | str  # for all joints, by pattern, or the word


@dataclass(frozen=True)
class RobotFile:
    """A robot's model and what its YAML file adds.

    Args:
        name: of the robot: the file's name without its ending.
        given: what was typed to find it.
        model: the MJCF or URDF.
        stand: keyframe, or joint angles in rad by joint name; empty for the keyframe `stand` or `home`, or else the
            pose in which the model is written.
        roles: bodies by role, see `sim.roles`.
        motors: `stiffness` (N m/rad), `damping` (N m s/rad) and `effort` (N m) of the motors: a number for all, or
            numbers by pattern of the joints' names (`*_knee: 200`). What is left out, or `auto`, is the model's. The
            stiffness may be `from_effort`, as of the shipped robots, see `sim.motors`; the damping follows then.
        roots: folders in which the packages of a URDF are looked up, besides those above it.
        written_ns: when the model was written.
    """

    name: str
    given: str
    model: Path
    stand: str | dict[str, float] = ""
    roles: dict[str, str] = field(default_factory=dict)
    motors: dict[str, Number] = field(default_factory=dict)
    roots: tuple[Path, ...] = ()
    written_ns: int = 0

    def __hash__(self) -> int:
        """Of the model and its time; a robot's file is a key of caches."""
        return hash((self.model, self.written_ns))


def shipped_robots() -> dict[str, Path]:
    """Files of the shipped robots by name."""
    found = {path.stem: path for path in sorted(ASSETS.glob("*/*.xml")) if path.stem == path.parent.name}
    return found | {path.stem: path for path in sorted(ASSETS.glob("*/*.yaml")) if path.stem == path.parent.name}


def find_robot(given: str) -> RobotFile:
    """The robot of a shipped name, or of a file relative to the working folder or the repository's root.

    Raises:
        ConfigError: there is none, or its YAML file is not valid.
    """
    path = _path(given)
    try:
        file = _read(given, path, path.stat().st_mtime_ns)
        return replace(file, written_ns=file.model.stat().st_mtime_ns)
    except OSError as error:
        raise ConfigError(f"robot={given}: {brief(error)}") from error


def _path(given: str) -> Path:
    """The file of a robot."""
    shipped = shipped_robots()
    if given in shipped:
        return shipped[given]
    for path in (Path(given).expanduser(), ROOT / given):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            return path.resolve()
    require_assets()
    if Path(given).suffix.lower() in SUFFIXES:
        raise ConfigError(f"robot={given}: there is no such file")
    raise ConfigError(
        f"no robot {given!r} is shipped{nearest(given, shipped)}; for one of your own, type robot=FILE, a MJCF (.xml),"
        " URDF or YAML file"
    )


@functools.lru_cache(32)
def _read(given: str, path: Path, _written_ns: int) -> RobotFile:
    """Read the YAML file, if it is one."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        return RobotFile(path.stem, given, path)
    if path.stat().st_size > _LARGEST_BYTES:
        raise ConfigError(f"robot={given}: the file has more than {_LARGEST_BYTES} bytes")
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"robot={given}: no valid YAML: {brief(error)}") from error
    if not isinstance(values, dict) or not isinstance(values.get("model"), str):
        raise ConfigError(f"robot={given}: expected the line 'model: FILE', a MJCF (.xml) or URDF beside this file")
    for key in values:
        if key not in _KEYS:
            raise ConfigError(f"robot={given}: unknown key {key}{nearest(str(key), _KEYS)}")
    model = path.parent / Path(values["model"]).expanduser()
    if not model.is_file():
        raise ConfigError(f"robot={given}: model: {values['model']}: there is no such file {model}")
    stand = values.get("stand") or ""
    roles, roots = _mapping(given, values, "roles"), values.get("roots") or []
    if not isinstance(roots, list):
        raise ConfigError(f"robot={given}: roots: expected a list of folders, such as [..]")
    return RobotFile(
        path.stem, given, model.resolve(),
        stand if isinstance(stand, str) else {str(k): _number(given, f"stand.{k}", v) for k, v in _items(given, stand)},
        {str(role): str(body or "") for role, body in roles.items()},
        _motors(given, _mapping(given, values, "motors")),
        tuple((path.parent / Path(str(root)).expanduser()).resolve() for root in roots),
    )  # fmt: skip


def _items(given: str, stand: Any) -> list[tuple[Any, Any]]:
    if not isinstance(stand, dict):
        raise ConfigError(f"robot={given}: stand: expected the name of a keyframe, or {{joint: rad}}")
    return list(stand.items())


def _mapping(given: str, values: Mapping[str, Any], key: str) -> dict[str, Any]:
    part = values.get(key) or {}
    if not isinstance(part, dict):
        raise ConfigError(f"robot={given}: {key}: expected keys with values")
    return part


def _motors(given: str, values: dict[str, Any]) -> dict[str, Number]:
    """The motors' numbers, `auto` left out."""
    result: dict[str, Number] = {}
    for key, value in values.items():
        where = f"motors.{key}"
        if key not in _MOTOR_KEYS:
            raise ConfigError(f"robot={given}: unknown key {where}{nearest(str(key), _MOTOR_KEYS)}")
        if isinstance(value, dict):
            result[key] = {str(joint): _number(given, f"{where}.{joint}", one, 0.0) for joint, one in value.items()}
        elif key == "stiffness" and value == FROM_EFFORT:
            result[key] = value
        elif value not in (None, AUTO):
            words = f", {AUTO} or {FROM_EFFORT}" if key == "stiffness" else f" or {AUTO}"
            result[key] = _number(given, where, value, 0.0, words)
    return result


def _number(given: str, where: str, value: Any, low: float = -math.inf, words: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (low <= value < math.inf):
        raise ConfigError(
            f"robot={given}: {where}={value!r}: expected a number" + (" of 0 or more" if low == 0 else "") + words
        )
    return float(value)
