"""Import of Isaac Gym AMP motions: `.npy` files with a pickled poselib SkeletonMotion.

The file is a 0-d object array with an ordered dictionary: `rotation.arr (F, J, 4)` in x y z w, relative to the parent
or the world (`is_local`), `root_translation.arr (F, 3)` in metres, `skeleton_tree` with `node_names` and
`parent_indices.arr (J,)`, and `fps`. The pickle is parsed without calling anything (see `pickled`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.errors import ClipError, brief
from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.clip import Clip, check_bytes, check_frames, checked_names, lengths
from isaachrl.motion.formats import pickled
from isaachrl.motion.library import how_to_import
from isaachrl.motion.source.skeleton import RawMotion
from isaachrl.sim.robot import Robot

GROUND_QUANTILE = 0.05  # share of frames in which the lowest sole corner is below the floor


@dataclass(frozen=True)
class _Skeleton:
    """F frames of J nodes; rotations relative to the parent, w x y z."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    local_quat: Tensor
    root_pos_w: Tensor
    fps: float


def load(path: str | os.PathLike[str], robot: Robot, soles: Mapping[str, Tensor]) -> Clip:
    """Read a motion of a skeleton with the robot's body names.

    Joints are matched by the name of the body they move; welded bodies are dropped. Rotations of hinges are reduced to
    their twist about the axis. The motion is shifted vertically so that the 5th percentile, over the frames, of the
    lowest sole corner's height is zero.

    Args:
        path: the `.npy` file.
        robot: the clip's robot.
        soles: `(K, 3)` sole corners in metres by body name, in the body's frame.

    Raises:
        ClipError: the file cannot be read, contains code, or its skeleton does not fit the robot.
    """
    path = Path(path)
    if not robot.has_plain_frames:
        raise ClipError(
            f"{path} is of a skeleton whose frames are parallel at rest; those of robot {robot.name!r} are not, or its"
            f" joints are not at their bodies' origins{how_to_import(path, robot)}"
        )
    skeleton = _skeleton(_read(path), path)
    _check_tree(skeleton.names, skeleton.parents, robot, path)
    node = {name: i for i, name in enumerate(skeleton.names)}
    picked = skeleton.local_quat[:, [node[robot.body_names[joint.body]] for joint in robot.joints]]
    joint_quat = _onto_hinges(picked, robot)
    root_quat = skeleton.local_quat[:, node[robot.body_names[0]]]
    root_pos = skeleton.root_pos_w.clone()
    root_pos[:, 2] -= _floor_height(robot, root_pos, root_quat, joint_quat, soles)
    return Clip(
        name=path.stem,
        fps=skeleton.fps,
        joint_names=robot.joint_names,
        body_names=robot.body_names,
        root_pos_w=root_pos.float().numpy(),
        root_quat_w=root_quat.float().numpy(),
        joint_quat=joint_quat.float().numpy(),
    )


def read(path: str | os.PathLike[str]) -> RawMotion:
    """Read a motion of any skeleton, to be retargeted.

    Raises:
        ClipError: the file cannot be read, contains code, or is no motion.
    """
    path = Path(path)
    content = _read(path)
    skeleton = _skeleton(content, path)
    try:
        offset = torch.from_numpy(_array(content["skeleton_tree"]["local_translation"]).astype(np.float64))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ClipError(f"{path} has no local_translation in its skeleton_tree: {brief(error)}") from error
    if offset.shape != (len(skeleton.names), 3):
        raise ClipError(f"{path}: local_translation has the shape {tuple(offset.shape)}, expected a row for each node")
    return RawMotion(
        path.stem, "SkeletonMotion", skeleton.names, skeleton.parents, skeleton.fps, offset, skeleton.local_quat,
        skeleton.root_pos_w, up="z", unit_m=1.0,
    )  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    """The dictionary in the file, with arrays and NumPy scalars as `pickled.Call`."""
    try:
        check_bytes(path.stat().st_size)
        with open(path, "rb") as file:
            _read_header(file)
            content = pickled.only_item(pickled.load(file.read()))
    except (ClipError, pickled.PickleError) as error:
        raise ClipError(f"{path} is refused: {error}") from None
    except Exception as error:
        raise ClipError(f"{path} cannot be read as an Isaac Gym motion (.npy): {brief(error)}") from error
    if not isinstance(content, dict):
        raise ClipError(f"{path} is no Isaac Gym motion: it holds a {pickled.kind(content)}, not a dictionary")
    return content


def _read_header(file: BinaryIO) -> None:
    """Read the `.npy` header and check that it is of an object array, which is stored as a pickle."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read(file)
    if not dtype.hasobject:
        raise ClipError(f"it is an array of {dtype}, not a pickled SkeletonMotion")


def _skeleton(content: dict[str, Any], path: Path) -> _Skeleton:
    """The motion in the dictionary, with rotations converted to w x y z, relative to the parent."""
    try:
        tree = content["skeleton_tree"]
        parent_of = _array(tree["parent_indices"], kinds="iu")
        rotation, root_pos = _array(content["rotation"]), _array(content["root_translation"])
        fps, is_local = float(pickled.number(content["fps"])), bool(pickled.number(content.get("is_local", True)))
        names = checked_names(tree["node_names"], f"{path}: node_names")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ClipError(f"{path} is no SkeletonMotion of poselib: {type(error).__name__} {brief(error)}") from error
    frames, nodes = len(root_pos) if root_pos.ndim else 0, len(names)
    if rotation.shape != (frames, nodes, 4) or root_pos.shape != (frames, 3) or parent_of.shape != (nodes,):
        raise ClipError(
            f"{path}: rotations {rotation.shape}, root positions {root_pos.shape} and {parent_of.size} parents "
            f"do not fit each other for {nodes} nodes; expected (F, nodes, 4), (F, 3) and one parent for each node"
        )
    check_frames(frames, nodes, f"{path}: ")
    parents = tuple(int(parent) for parent in parent_of)
    if any(not -1 <= parent < node for node, parent in enumerate(parents)):
        raise ClipError(f"{path}: the parents {parents} are no tree with parents before children")
    lengths(rotation, f"{path}: rotation")
    quat = rotations.normalize(torch.from_numpy(rotation.astype(np.float64)).roll(1, dims=-1))
    if not is_local:
        inverse = rotations.conjugate(quat[:, [max(parent, 0) for parent in parents]])
        roots = torch.tensor([parent < 0 for parent in parents])[:, None]
        quat = torch.where(roots, quat, rotations.multiply(inverse, quat))
    return _Skeleton(names, parents, quat, torch.from_numpy(root_pos.astype(np.float64)), fps)


def _array(entry: Any, kinds: str = "fiu") -> NDArray[Any]:
    """The array in poselib's `{"arr": …, "context": …}`; its dtype must be one of these kinds."""
    array = pickled.array(entry["arr"])
    if array.dtype.kind not in kinds:
        raise ValueError(f"expected an array of numbers, got {array.dtype}")
    return array


def _check_tree(names: tuple[str, ...], parents: tuple[int, ...], robot: Robot, path: Path) -> None:
    """Check that nodes and parents of a skeleton are the robot's."""
    theirs = {name: names[parent] if parent >= 0 else "" for name, parent in zip(names, parents, strict=True)}
    ours = {
        name: robot.body_names[parent] if parent >= 0 else ""
        for name, parent in zip(robot.body_names, robot.parents, strict=True)
    }
    if sorted(names) != sorted(ours):
        raise ClipError(
            f"{path} does not fit {robot.name!r}: the file moves the bodies {', '.join(theirs)}; "
            f"{robot.name!r} has {', '.join(ours)}{how_to_import(path, robot)}"
        )
    wrong = [name for name in ours if theirs[name] != ours[name]]
    if wrong:
        pairs = ", ".join(f"{name} of {theirs[name] or 'none'} (ours: {ours[name] or 'none'})" for name in wrong)
        raise ClipError(f"{path} does not fit {robot.name!r}: bodies with other parents in the file: {pairs}")


def _onto_hinges(joint_quat: Tensor, robot: Robot) -> Tensor:
    """Replace rotations `(F, J, 4)` of hinges by their twist about the axis (swing-twist decomposition)."""
    axes = joint_quat.new_tensor([joint.axis for joint in robot.joints])
    balls = torch.tensor([joint.ball for joint in robot.joints])[:, None]
    along = (joint_quat[..., 1:] * axes).sum(-1, keepdim=True)
    twist = torch.cat((joint_quat[..., :1], along * axes), dim=-1)
    undefined = twist.norm(dim=-1, keepdim=True) < 1e-6  # a rotation by pi about an axis perpendicular to the hinge's
    identity = torch.zeros_like(twist)
    identity[..., 0] = 1.0
    return torch.where(balls, joint_quat, torch.where(undefined, identity, rotations.normalize(twist)))


def _floor_height(
    robot: Robot, root_pos_w: Tensor, root_quat_w: Tensor, joint_quat: Tensor, soles: Mapping[str, Tensor]
) -> float:
    """The 5th percentile over the frames of the lowest sole corner's height in metres."""
    path = (root_pos_w.float(), root_quat_w.float(), joint_quat.float())
    body_pos, body_quat = kinematics.forward(robot, *path)
    heights = []
    for name, corners in soles.items():
        b = int(robot.body_index(name))
        quat = body_quat[:, None, b].expand(-1, len(corners), 4)
        heights.append(body_pos[:, None, b, 2] + rotations.rotate(quat, corners.expand(len(quat), -1, 3))[..., 2])
    lowest = torch.cat(heights, dim=-1).amin(dim=-1)
    return float(lowest.quantile(GROUND_QUANTILE))
