import os
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from isaachrl.errors import ClipError
from isaachrl.maths import rotations
from isaachrl.motion import clip as clip_module
from isaachrl.motion import kinematics
from isaachrl.motion.formats import isaac_gym_amp
from isaachrl.motion.sources import load_motion
from isaachrl.sim.soles import robot_soles

STANDING_M = 0.4215 + 0.4099 + 0.05  # thigh, shin, and the sole under the ankle


def motion(robot, local_quat, root_pos, is_local=True):
    """The dictionary of a SkeletonMotion; rotations (F, B, 4) come in w x y z."""
    return OrderedDict(
        rotation=OrderedDict(arr=local_quat.roll(-1, dims=-1).numpy(), context={"dtype": "float64"}),
        root_translation=OrderedDict(arr=np.asarray(root_pos, np.float32), context={"dtype": "float32"}),
        skeleton_tree=OrderedDict(
            node_names=list(robot.body_names),
            parent_indices=OrderedDict(arr=np.array(robot.parents), context={"dtype": "int64"}),
            local_translation=OrderedDict(arr=robot.local_pos_m.numpy(), context={"dtype": "float32"}),
        ),
        is_local=is_local,
        fps=np.int64(60),
        __name__="SkeletonMotion",
    )


def write(path, content, names="numpy._core"):
    """A 0-d object array with a pickle of protocol 3, in which numpy's module has the given spelling."""
    array = np.empty((), dtype=object)
    array[()] = content
    pickled = pickle.dumps(array, protocol=3)
    for spelling in (b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"):
        pickled = pickled.replace(spelling, names.encode() + b".multiarray\n")
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(pickled)
    return path


def standing(robot, frames):
    quat = torch.zeros(frames, robot.num_bodies, 4, dtype=torch.float64)
    quat[..., 0] = 1.0
    return quat


def random_motion(robot, frames=4):
    """Random rotations of all ball joints and angles of all hinges, as `(F, B, 4)` and `(F, J, 4)`."""
    generator = torch.Generator().manual_seed(0)
    local = standing(robot, frames)
    local[:, 0] = rotations.normalize(torch.randn(frames, 4, generator=generator, dtype=torch.float64))
    for joint in robot.joints:
        vector = 0.6 * torch.randn(frames, 3, generator=generator, dtype=torch.float64)
        vector = vector if joint.ball else vector[:, :1] * torch.tensor(joint.axis, dtype=torch.float64)
        local[:, joint.body] = rotations.from_rotvec(vector)
    return local, local[:, [joint.body for joint in robot.joints]]


@pytest.mark.parametrize("spelling", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("is_local", [True, False])
def test_a_motion_comes_back(robot, tmp_path, spelling, is_local):
    local, joints = random_motion(robot)
    root_pos = torch.randn(4, 3)
    quat = local
    if not is_local:
        _, quat = kinematics.forward(robot, root_pos.double(), local[:, 0], joints)
    path = write(tmp_path / "dance.npy", motion(robot, quat, root_pos, is_local), spelling)
    clip = isaac_gym_amp.load(path, robot, robot_soles(robot))
    assert (clip.name, clip.fps, clip.loop) == ("dance", 60.0, False)
    assert clip.joint_names == robot.joint_names and clip.body_names == robot.body_names
    np.testing.assert_allclose(np.abs((clip.joint_quat * joints.numpy()).sum(-1)), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.abs((clip.root_quat_w * local[:, 0].numpy()).sum(-1)), 1.0, atol=1e-6)
    np.testing.assert_allclose(clip.root_pos_w[:, :2], root_pos[:, :2], atol=1e-6)
    np.testing.assert_allclose(np.diff(clip.root_pos_w[:, 2]), np.diff(root_pos[:, 2]), atol=1e-6)


def test_what_numpy_saves_itself_is_read(robot, tmp_path):
    content = motion(robot, standing(robot, 3), [[0, 0, 1]] * 3)
    np.save(tmp_path / "stand.npy", content, allow_pickle=True)
    assert isaac_gym_amp.load(tmp_path / "stand.npy", robot, robot_soles(robot)).num_frames == 3


def test_a_hinge_keeps_only_its_twist(robot, tmp_path):
    local = standing(robot, 2)
    shin = robot.body_names.index("left_shin")
    swing = rotations.from_rotvec(torch.tensor([0.3, 0.0, 0.2], dtype=torch.float64))
    twist = rotations.from_rotvec(torch.tensor([0.0, 0.9, 0.0], dtype=torch.float64))
    local[:, shin] = rotations.multiply(swing, twist)
    path = write(tmp_path / "bend.npy", motion(robot, local, [[0, 0, 1]] * 2))
    clip = isaac_gym_amp.load(path, robot, robot_soles(robot))
    knee = robot.joint_names.index("left_knee")
    np.testing.assert_allclose(clip.joint_quat[0, knee], twist.numpy(), atol=1e-6)


def test_the_soles_stand_on_the_floor_at_the_fifth_percentile(robot, tmp_path):
    height = np.linspace(3.0, 4.0, 101)
    pos = np.stack((0 * height, 0 * height, height), axis=-1)
    path = write(tmp_path / "rise.npy", motion(robot, standing(robot, 101), pos))
    clip = isaac_gym_amp.load(path, robot, robot_soles(robot))
    assert clip.root_pos_w[5, 2] == pytest.approx(STANDING_M, abs=1e-5)
    assert clip.root_pos_w[0, 2] == pytest.approx(STANDING_M - 0.05, abs=1e-5)


class _Call:
    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def test_pickled_code_is_refused_by_name_and_never_run(robot, tmp_path):
    marker = tmp_path / "ran"
    content = motion(robot, standing(robot, 2), [[0, 0, 1]] * 2)
    calls = {
        f"{os.system.__module__}.system": _Call(os.system, f"touch {marker}"),
        "builtins.eval": _Call(eval, f"open({str(marker)!r}, 'w')"),
        "builtins.getattr": _Call(getattr, "a text", "upper"),
        "pathlib": Path("/"),
    }
    for wanted, call in calls.items():
        content["fps"] = call
        path = write(tmp_path / "evil.npy", content)
        with pytest.raises(ClipError, match=f"evil.npy is refused: .*imports {wanted}"):
            isaac_gym_amp.load(path, robot, robot_soles(robot))
        assert not marker.exists()
    np.load(write(tmp_path / "evil.npy", _Call(os.system, f"touch {marker}")), allow_pickle=True)
    assert marker.exists(), "the trap itself works"


def test_other_bodies_and_other_trees_are_refused_with_both_sides(robot, tmp_path):
    content = motion(robot, standing(robot, 2), [[0, 0, 1]] * 2)
    content["skeleton_tree"]["node_names"][1] = "spine"
    with pytest.raises(ClipError, match="the file moves the bodies pelvis, spine, .*'humanoid' has pelvis, torso"):
        isaac_gym_amp.load(write(tmp_path / "a.npy", content), robot, robot_soles(robot))
    content = motion(robot, standing(robot, 2), [[0, 0, 1]] * 2)
    content["skeleton_tree"]["parent_indices"]["arr"][2] = 0
    with pytest.raises(ClipError, match=r"head of pelvis \(ours: torso\)"):
        isaac_gym_amp.load(write(tmp_path / "b.npy", content), robot, robot_soles(robot))


def test_broken_files_are_refused(robot, tmp_path):
    soles = robot_soles(robot)
    np.save(tmp_path / "numbers.npy", np.zeros((4, 3)))
    with pytest.raises(ClipError, match="array of float64, not a pickled SkeletonMotion"):
        isaac_gym_amp.load(tmp_path / "numbers.npy", robot, soles)
    (tmp_path / "text.npy").write_bytes(b"no motion at all")
    with pytest.raises(ClipError, match="cannot be read as an Isaac Gym motion"):
        isaac_gym_amp.load(tmp_path / "text.npy", robot, soles)
    with pytest.raises(ClipError, match="holds a list, not a dictionary"):
        isaac_gym_amp.load(write(tmp_path / "list.npy", [1, 2]), robot, soles)
    content = motion(robot, standing(robot, 2), [[0, 0, 1]] * 2)
    del content["root_translation"]
    with pytest.raises(ClipError, match="no SkeletonMotion of poselib: KeyError 'root_translation'"):
        isaac_gym_amp.load(write(tmp_path / "lacks.npy", content), robot, soles)
    content = motion(robot, standing(robot, 2), [[0, 0, 1]] * 3)
    with pytest.raises(ClipError, match=r"rotations \(2, 15, 4\), root positions \(3, 3\)"):
        isaac_gym_amp.load(write(tmp_path / "uneven.npy", content), robot, soles)


def test_numbers_that_no_motion_has_are_refused(robot, tmp_path):
    def changed(key, value):
        content = motion(robot, standing(robot, 2), [[0, 0, 1]] * 2)
        where, _, leaf = key.rpartition(".")
        (content[where] if where else content)[leaf] = value
        return write(tmp_path / "odd.npy", content)

    zeros = {"arr": np.zeros((2, 15, 4))}
    odd = {
        "fps": ("x", 10**400, np.inf, 1e-300, np.zeros(2), {}, None),
        "is_local": ("yes", {}),
        "rotation": (None, [], {"arr": [[1.0]]}, {"arr": np.zeros((2, 15, 4), complex)}, zeros),
        "root_translation": ({"arr": np.full((2, 3), 1e30)}, {"arr": np.full((2, 3), np.nan)}, {"arr": np.zeros(())}),
        "skeleton_tree": (5, []),
        "skeleton_tree.node_names": (5, ["a"], [{}] * 15, ["\x1b[2J"] * 15, ["n" * 1000] * 15, ["a"] * 10_000),
        "skeleton_tree.parent_indices": (5, {"arr": np.full(15, np.nan)}, {"arr": np.full(15, 3)}),
    }
    for key, values in odd.items():
        for value in values:
            with pytest.raises(ClipError, match="odd"):
                isaac_gym_amp.load(changed(key, value), robot, robot_soles(robot))


def test_long_and_large_files_are_refused_before_they_are_converted(robot, tmp_path, monkeypatch):
    path = write(tmp_path / "long.npy", motion(robot, standing(robot, 400).half(), [[0, 0, 1]] * 400))
    monkeypatch.setattr(clip_module, "MAX_BYTES", 100_000)
    monkeypatch.setattr(rotations, "normalize", None)
    with pytest.raises(ClipError, match=r"long\.npy: .* at most 373; got 400"):
        isaac_gym_amp.load(path, robot, robot_soles(robot))
    monkeypatch.setattr(clip_module, "MAX_BYTES", path.stat().st_size - 1)
    monkeypatch.setattr(isaac_gym_amp.pickled, "load", None)
    with pytest.raises(ClipError, match=r"long.npy is refused: it is too large for one motion"):
        isaac_gym_amp.load(path, robot, robot_soles(robot))


def mutated(data, rng):
    """Bytes changed, cut out, doubled, moved or cut off."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, size = (int(n) for n in rng.integers(0, (len(data), 16)))
        match int(rng.integers(6)):
            case 0:
                data[at : at + 1] = rng.bytes(1)
            case 1:
                data[at : at + size] = rng.bytes(size)
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size]
            case 4:
                start = int(rng.integers(len(data)))
                data[at : at + size] = data[start : start + size]
            case 5 if at > 64:
                del data[at + len(data) // 2 :]
    return bytes(data)


def test_damaged_files_load_or_are_refused(robot, tmp_path):
    path, soles, rng = tmp_path / "damaged.npy", robot_soles(robot), np.random.default_rng(0)
    whole = write(path, motion(robot, standing(robot, 2), [[0, 0, 1]] * 2)).read_bytes()
    refused = 0
    for _ in range(200):
        path.write_bytes(mutated(whole, rng))
        try:
            isaac_gym_amp.load(path, robot, soles)
        except ClipError:
            refused += 1
    assert refused > 60


@pytest.mark.skipif("ISAACHRL_MOTIONS" not in os.environ, reason="ISAACHRL_MOTIONS names no folder of real motions")
def test_real_motions_stand_on_the_floor(robot):
    clips, _ = load_motion(os.environ["ISAACHRL_MOTIONS"], robot)
    for clip in clips:
        assert 0.7 < clip.root_pos_w[:, 2].mean() < 1.0, clip.name


def test_a_robot_with_turned_frames_takes_no_such_file(robot, tmp_path):
    path = write(tmp_path / "walk.npy", motion(robot, standing(robot, 3), [[0.0, 0.0, STANDING_M]] * 3))
    turned = robot.local_quat.clone()
    turned[3] = torch.tensor([0.6, 0.8, 0.0, 0.0])
    with pytest.raises(
        ClipError, match="a skeleton whose frames are parallel at rest; those of robot 'humanoid' are not"
    ):
        isaac_gym_amp.load(path, replace(robot, local_quat=turned), robot_soles(robot))
