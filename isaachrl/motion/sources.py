"""Where motions come from: one word of the command line to clips and their weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor

from isaachrl.errors import ClipError, nearest
from isaachrl.motion import clip as own_format
from isaachrl.motion.clip import Clip
from isaachrl.motion.formats import isaac_gym_amp
from isaachrl.motion.library import fit_to_robot
from isaachrl.sim.robot import Robot
from isaachrl.sim.soles import robot_soles

BUILTIN = "builtin"
BUILTIN_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "motions"
CLIP_SUFFIXES = (".npz", ".npy")
LIST_SUFFIXES = (".yaml", ".yml")
_SUFFIXES = CLIP_SUFFIXES + LIST_SUFFIXES


def load_motion(
    spec: str | Path, robot: Robot, soles: Mapping[str, Tensor] | None = None
) -> tuple[list[Clip], list[float]]:
    """Read clips and their weights, with the joints in the robot's order.

    Args:
        spec: `builtin`, all shipped clips; the name of a shipped clip (`walk`) or list (`locomotion`), where there
            is no file of that name; a clip (`.npz` of ours, `.npy` of Isaac Gym AMP); a folder of clips, which
            weigh the same; or a YAML with `clips: [{file: walk.npz, weight: 2.0}, …]` or plainly `walk.npz: 2.0`,
            paths relative to the YAML.
        robot: whose motions they are.
        soles: sole corners by body name for the ground shift of `.npy` clips; by default those of the robot's asset.

    Raises:
        ClipError: a file is missing, unknown or broken, holds pickled code, or does not fit the robot; two clips have
            the same name.
    """
    builtin = str(spec) == BUILTIN
    path = BUILTIN_FOLDER if builtin else _shipped(str(spec)) or Path(spec).expanduser()
    if builtin and not path.is_dir():
        raise ClipError(f"the built-in motions are missing: there is no folder {path}")
    if path.is_dir():
        entries = [(entry, 1.0) for entry in _clips_in(path)]
    else:
        if path.name == str(spec) and not path.suffix and not path.exists():  # a bare name: one of ours was meant
            shipped = [BUILTIN, *sorted(file.stem for file in BUILTIN_FOLDER.iterdir() if file.suffix in _SUFFIXES)]
            raise ClipError(f"there is no motion {spec!r}, shipped or as a file{nearest(str(spec), shipped)}")
        _check_exists(path)
        entries = _read_list(path) if path.suffix in LIST_SUFFIXES else [(path, 1.0)]
    _refuse_twins([file for file, _ in entries], spec)
    return [_load_clip(file, robot, soles) for file, _ in entries], [weight for _, weight in entries]


def _refuse_twins(files: list[Path], spec: str | Path) -> None:
    """Motions are told apart by their files' names."""
    seen: dict[str, Path] = {}
    for file in files:
        if file.stem in seen:
            raise ClipError(
                f"{spec} has two clips called {file.stem!r}, {seen[file.stem]} and {file}; rename one of them,"
                " or name it once with a greater weight"
            )
        seen[file.stem] = file


def _shipped(name: str) -> Path | None:
    """The shipped list or clip of a bare name, unless a file or folder of that name is at hand."""
    if Path(name).exists() or Path(name).name != name:
        return None
    files = (BUILTIN_FOLDER / f"{name}{suffix}" for suffix in LIST_SUFFIXES + CLIP_SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def _clips_in(folder: Path) -> list[Path]:
    """The clips of a folder, in the order of their names."""
    files = sorted(entry for entry in folder.iterdir() if entry.suffix in CLIP_SUFFIXES)
    if not files:
        raise ClipError(f"{folder} holds no clips: expected files ending in {' or '.join(CLIP_SUFFIXES)}")
    return files


def _check_exists(path: Path) -> None:
    """Refuse a missing file, and name what its folder has instead."""
    if path.is_file():
        return
    if not path.parent.is_dir():
        raise ClipError(
            f"motion {path} does not exist, nor does its folder; type motion={BUILTIN} for the shipped clips"
        )
    beside = [entry.name for entry in path.parent.iterdir() if entry.suffix in _SUFFIXES]
    hint = nearest(path.name, beside) if beside else "; its folder holds no clips"
    raise ClipError(f"motion {path} does not exist (motion={BUILTIN} takes the shipped clips){hint}")


def _load_clip(path: Path, robot: Robot, soles: Mapping[str, Tensor] | None) -> Clip:
    """Read one clip by its suffix."""
    _check_exists(path)
    if path.suffix == ".npz":
        return fit_to_robot(own_format.load(path), robot)
    if path.suffix == ".npy":
        return isaac_gym_amp.load(path, robot, robot_soles(robot.name) if soles is None else soles)
    known = ", ".join(CLIP_SUFFIXES + LIST_SUFFIXES)
    raise ClipError(f"{path}: no motion format has the suffix {path.suffix!r} (known: {known}, or a folder of clips)")


def _read_list(path: Path) -> list[tuple[Path, float]]:
    """Files and weights of a YAML, in its order."""
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception as error:
        raise ClipError(f"{path} cannot be read as YAML: {error}") from error
    clips = content.get("clips") if isinstance(content, dict) and set(content) == {"clips"} else content
    pairs = [(file, weight) for file, weight in clips.items()] if isinstance(clips, dict) else _pairs(clips, path)
    if not pairs:
        raise ClipError(f"{path} names no clips; write  clips: [{{file: walk.npz, weight: 2.0}}]")
    return [(path.parent / str(file), _weight(weight, str(file), path)) for file, weight in pairs]


def _pairs(clips: Any, path: Path) -> list[tuple[Any, Any]]:
    """(file, weight) of the long form; a missing weight is 1."""
    for entry in clips if isinstance(clips, list) else [clips]:
        if not isinstance(entry, dict) or "file" not in entry or not set(entry) <= {"file", "weight"}:
            raise ClipError(f"{path}: {entry!r} is no entry of a motion list; write  {{file: walk.npz, weight: 2.0}}")
    return [(entry["file"], entry.get("weight", 1.0)) for entry in clips]


def _weight(value: Any, file: str, path: Path) -> float:
    """A weight as a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < float("inf"):
        raise ClipError(f"{path}: the weight of {file} must be a number of at least 0, got {value!r}")
    return float(value)
