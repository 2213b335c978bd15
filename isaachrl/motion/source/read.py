"""Reads a motion file of any format for retargeting."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from isaachrl.errors import ClipError, nearest
from isaachrl.motion import clip as own_format
from isaachrl.motion.formats import amass, arrays, asf_amc, bvh, deepmimic, isaac_gym_amp, key_points, positions
from isaachrl.motion.source.settle import SourceCfg, settle
from isaachrl.motion.source.skeleton import RawMotion, SourceMotion
from isaachrl.sim import load_robot
from isaachrl.sim.robot import Robot

CLIP = ("joint_quat", "root_quat_w", "joint_names")  # of a clip of this library
HUMANOID = "humanoid"  # whose clips these are, if nothing is typed
SUFFIXES = (".bvh", ".amc", ".npy", ".npz", ".csv", ".txt", ".json", ".xml")


def read_source(
    path: str | os.PathLike[str], cfg: SourceCfg | None = None, robot: Callable[[], Robot] | None = None
) -> SourceMotion:
    """Read a motion of a foreign skeleton.

    Args:
        path: of the file; its suffix and its content determine the format.
        cfg: what is known about it.
        robot: gives the robot of a file with generalised positions, and of a clip of its joints.

    Raises:
        ClipError: it is missing, damaged, of an unknown format or skeleton, or holds no motion.
    """
    cfg, path = cfg or SourceCfg(), Path(path)
    if not path.is_file():
        beside = [entry.name for entry in path.parent.glob("*") if entry.suffix.lower() in SUFFIXES]
        raise ClipError(f"motion {path} does not exist{nearest(path.name, beside) if beside else ''}")
    raw = _read(path, cfg, robot)
    if cfg.fps is not None:
        raw = replace(raw, fps=cfg.fps)
    return settle(raw, cfg)


def motion_files(path: str | os.PathLike[str]) -> list[Path]:
    """The file of a path, or the motions in a folder, by name; a text that is no JSON is no motion.

    Raises:
        ClipError: the folder has none.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return [path]
    found = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES and _may_be_motion(file)]
    if not found:
        raise ClipError(f"{path} holds no motions: expected files ending in {', '.join(SUFFIXES)}")
    return found


def _may_be_motion(file: Path) -> bool:
    if file.suffix.lower() == ".txt":
        with open(file, "rb") as text:
            return text.read(64).lstrip().startswith(b"{")
    return file.is_file()


def _read(path: Path, cfg: SourceCfg, robot: Callable[[], Robot] | None) -> RawMotion:
    """The file's content, by its suffix."""
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        return bvh.read(path)
    if suffix == ".amc":
        return asf_amc.read(path)
    if suffix == ".npy":
        return isaac_gym_amp.read(path)
    if suffix in (".txt", ".json"):
        return deepmimic.read(path, cfg.quat)
    if suffix == ".xml":
        return key_points.from_keyframes(path, cfg.fps)
    if suffix == ".npz":
        return _read_npz(path, cfg, robot)
    if suffix == ".csv":
        columns, rows = arrays.read_csv(path)
        if any(name.lower().endswith(("_x", ".x", " x")) for name in columns):
            return key_points.from_csv(path, cfg.fps)
        return positions.read(rows, path, _required(robot, path), cfg.fps, cfg.quat)
    known = ", ".join(SUFFIXES)
    raise ClipError(f"{path}: no motion format has the suffix {suffix!r} (known: {known}; convert FBX and C3D to BVH)")


def _read_npz(path: Path, cfg: SourceCfg, robot: Callable[[], Robot] | None) -> RawMotion:
    """An `.npz`, by the names of its arrays."""
    found = arrays.read_npz(path)
    if set(CLIP) <= found.keys():
        clip = own_format.load(path)
        return positions.from_clip(clip, _owner(clip, cfg, robot))
    if amass.is_amass(found):
        return amass.read(found, path, cfg.fps)
    if set(key_points.NPZ) <= found.keys():
        return key_points.from_npz(found, path, cfg.fps)
    if positions.has_positions(found):
        rows, fps = positions.stack(found, path)
        return positions.read(rows, path, _required(robot, path), fps or cfg.fps, cfg.quat)
    raise ClipError(
        f"{path} is no motion that is known: its arrays are {', '.join(sorted(found)) or 'none'}; expected poses and"
        " trans (AMASS), positions and names (key points), or qpos (generalised positions)"
    )


def _owner(clip: own_format.Clip, cfg: SourceCfg, robot: Callable[[], Robot] | None) -> Robot:
    """The robot of a clip: typed, else the one at hand if its joints have the clip's names, else the humanoid."""
    if cfg.robot is None and robot is not None and set(robot().joint_names) == set(clip.joint_names):
        return robot()
    return load_robot(cfg.robot or HUMANOID)


def _required(robot: Callable[[], Robot] | None, path: Path) -> Robot:
    if robot is None:
        raise ClipError(f"{path} has generalised positions of a robot: name it, type source.robot=NAME")
    return robot()
