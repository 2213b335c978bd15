"""Import of Isaac Gym AMP motions: `.npy` files that hold a pickled poselib SkeletonMotion.

The file is a 0-d object array around an ordered dictionary: `rotation.arr (F, J, 4)` in x y z w, relative to the
parent or to the world (`is_local`), `root_translation.arr (F, 3)` in metres, `skeleton_tree` with `node_names` and
`parent_indices.arr (J,)`, and `fps`. Only arrays and dictionaries are ever built from it; no other code is imported.
"""

import os
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from isaachrl.errors import ClipError
from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.clip import Clip
from isaachrl.sim.robot import Robot

GROUND_QUANTILE = 0.05  # the lowest sole corner is under the floor in this share of the frames

_RECONSTRUCT = np.empty(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
}


@dataclass(frozen=True)
class _Skeleton:
    """A motion of the file: F frames of J nodes, rotations relative to the parent in w x y z."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    local_quat: Tensor
    root_pos_w: Tensor
    fps: float


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that knows arrays and ordered dictionaries by a table and imports nothing."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Look a name up in the table of what is allowed; refuse it before anything is imported or called."""
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise ClipError(f"it holds pickled code: it wants to import {module_name}.{global_name}") from None


def load(path: str | os.PathLike[str], robot: Robot, soles: Mapping[str, Tensor]) -> Clip:
    """Read a motion made for a skeleton with the robot's body names.

    Bodies are matched by name; a joint is known by the body it moves, welded bodies are dropped, and a rotation
    is reduced to its part about the axis where the robot has a hinge. The whole motion is lifted or lowered so
    that the lowest corner of the soles is at height zero at its 5th percentile over the frames.

    Args:
        path: the `.npy` file.
        robot: whose clip it becomes.
        soles: `(K, 3)` corner offsets in metres by body name, in that body's frame.

    Raises:
        ClipError: the file cannot be read, holds pickled code, or its skeleton does not fit the robot.
    """
    path = Path(path)
    if not robot.has_plain_frames:
        raise ClipError(
            f"{path} is of a skeleton whose frames are parallel at rest; those of robot {robot.name!r} are not, or its"
            " joints sit beside their bodies' origins: write the motion as a clip (.npz) instead"
        )
    skeleton = _skeleton(_read(path), path)
    _check_tree(skeleton, robot, path)
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


def _read(path: Path) -> Mapping[str, Any]:
    """The dictionary in the file, built from arrays and dictionaries only."""
    try:
        with open(path, "rb") as file:
            _read_header(file)
            content = _ArraysOnly(file).load()
        content = content.item() if isinstance(content, np.ndarray) else content
    except ClipError as error:
        raise ClipError(f"{path} is refused: {error}") from None
    except Exception as error:
        raise ClipError(f"{path} cannot be read as an Isaac Gym motion (.npy): {error}") from error
    if not isinstance(content, Mapping):
        raise ClipError(f"{path} is no Isaac Gym motion: it holds a {type(content).__name__}, not a dictionary")
    return content


def _read_header(file: BinaryIO) -> None:
    """Read the `.npy` header; only an array of objects is followed by a pickle."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read(file)
    if not dtype.hasobject:
        raise ClipError(f"it is an array of {dtype}, not a pickled SkeletonMotion")


def _skeleton(content: Mapping[str, Any], path: Path) -> _Skeleton:
    """Take the fields out of the dictionary, and bring rotations to w x y z, relative to the parent."""
    try:
        tree = content["skeleton_tree"]
        names = tuple(str(name) for name in tree["node_names"])
        parents = tuple(int(parent) for parent in _array(tree["parent_indices"]))
        xyzw = torch.from_numpy(_array(content["rotation"]).astype(np.float64))
        pos = torch.from_numpy(_array(content["root_translation"]).astype(np.float64))
        fps, is_local = float(content["fps"]), bool(content.get("is_local", True))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ClipError(f"{path} is no SkeletonMotion of poselib: {type(error).__name__} {error}") from error
    frames, nodes = pos.shape[0] if pos.ndim else 0, len(names)
    if xyzw.shape != (frames, nodes, 4) or pos.shape != (frames, 3) or len(parents) != nodes:
        raise ClipError(
            f"{path}: rotations {tuple(xyzw.shape)}, root positions {tuple(pos.shape)} and {len(parents)} parents "
            f"do not fit each other for {nodes} nodes; expected (F, nodes, 4), (F, 3) and one parent for each node"
        )
    if any(not -1 <= parent < node for node, parent in enumerate(parents)):
        raise ClipError(f"{path}: the parents {parents} are no tree with parents before children")
    quat = rotations.normalize(xyzw.roll(1, dims=-1))
    if not is_local:
        inverse = rotations.conjugate(quat[:, [max(parent, 0) for parent in parents]])
        roots = torch.tensor([parent < 0 for parent in parents])[:, None]
        quat = torch.where(roots, quat, rotations.multiply(inverse, quat))
    return _Skeleton(names, parents, quat, pos, fps)


def _array(entry: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """The array of poselib's `{"arr": …, "context": …}` pair; it must hold plain numbers."""
    array = np.asarray(entry["arr"])
    if array.dtype.kind not in "fiu":
        raise ValueError(f"expected an array of numbers, got {array.dtype}")
    return array


def _check_tree(skeleton: _Skeleton, robot: Robot, path: Path) -> None:
    """Refuse a skeleton whose nodes, or whose parents, are not the robot's."""
    theirs = {
        name: skeleton.names[parent] if parent >= 0 else ""
        for name, parent in zip(skeleton.names, skeleton.parents, strict=True)
    }
    ours = {
        name: robot.body_names[parent] if parent >= 0 else ""
        for name, parent in zip(robot.body_names, robot.parents, strict=True)
    }
    if sorted(skeleton.names) != sorted(ours):
        raise ClipError(
            f"{path} does not fit {robot.name!r}: the file moves the bodies {', '.join(theirs)}; "
            f"{robot.name!r} has {', '.join(ours)}"
        )
    wrong = [name for name in ours if theirs[name] != ours[name]]
    if wrong:
        hangs = ", ".join(f"{name} on {theirs[name] or 'nothing'} (ours: {ours[name] or 'nothing'})" for name in wrong)
        raise ClipError(f"{path} does not fit {robot.name!r}: in the file hang {hangs}")


def _onto_hinges(joint_quat: Tensor, robot: Robot) -> Tensor:
    """Replace rotations `(F, J, 4)` of hinge joints by their twist about the axis (swing-twist split)."""
    axes = joint_quat.new_tensor([joint.axis for joint in robot.joints])
    balls = torch.tensor([joint.ball for joint in robot.joints])[:, None]
    along = (joint_quat[..., 1:] * axes).sum(-1, keepdim=True)
    twist = torch.cat((joint_quat[..., :1], along * axes), dim=-1)
    undefined = twist.norm(dim=-1, keepdim=True) < 1e-6  # a half turn about an axis across the hinge: no twist
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
