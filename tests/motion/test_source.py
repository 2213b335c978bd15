"""Files of other skeletons in metres, z up: what is detected, and what wrong guesses lead to."""

import dataclasses

import numpy as np
import pytest
import torch

from isaachrl.errors import ClipError, ConfigError
from isaachrl.maths import rotations
from isaachrl.motion.source.figure import figure
from isaachrl.motion.source.names import find_roles, split
from isaachrl.motion.source.plausible import problems
from isaachrl.motion.source.read import motion_files, read_source
from isaachrl.motion.source.settle import AXES, SourceCfg, from_matrix, settle, turn_to_z
from isaachrl.motion.source.skeleton import RawMotion, forward
from isaachrl.sim import load_robot
from tests.motion.foreign import mixamo_name, walk, write_bvh


def found(motion):
    """What is wrong with a motion."""
    return problems(motion, figure(motion))


def heights_and_spans(motion):
    """What a turn about z and a shift do not change: heights, and distances from the root."""
    pos = motion.pos_w_m
    return torch.cat((pos[..., 2], (pos - pos[:, :1]).norm(dim=-1)), dim=-1)


@pytest.mark.parametrize("order", ["ZXY", "ZYX", "XYZ", "YXZ"])
def test_a_bvh_in_any_order_of_channels_is_the_motion_that_was_written(tmp_path, order):
    raw = walk(30)
    motion = read_source(write_bvh(tmp_path / "walk.bvh", raw, order))
    expected = settle(raw, SourceCfg())
    nodes = [motion.names.index(mixamo_name(name)) for name in expected.names]
    there = dataclasses.replace(motion, pos_w_m=motion.pos_w_m[:, nodes])
    assert torch.allclose(heights_and_spans(there), heights_and_spans(expected), atol=1e-4)
    assert motion.fps == pytest.approx(60.0, rel=1e-4) and motion.num_frames == 30
    assert "a unit is 0.01 m" in motion.notes[1] and "up is y" in motion.notes[2]


def test_the_figure_of_a_file_is_that_of_its_motion(tmp_path):
    raw = walk(30)
    motions = settle(raw, SourceCfg()), read_source(write_bvh(tmp_path / "walk.bvh", raw))
    a, b = (figure(motion) for motion in motions)
    turn = rotations.multiply(b.quat_w["pelvis"], rotations.conjugate(a.quat_w["pelvis"]))
    assert a.from_rest and b.from_rest and a.leg_m == pytest.approx(b.leg_m, abs=1e-4)
    assert (turn[:, 1:3].abs() < 1e-5).all(), "they differ by a turn about z"
    for limb in a.limb_w:
        assert torch.allclose(rotations.rotate(turn, a.limb_w[limb]), b.limb_w[limb], atol=1e-4), limb
    assert found(motions[0]) == found(motions[1]) == []


def test_without_rotations_frames_are_made_of_points():
    motion = settle(walk(30), SourceCfg())
    points = figure(dataclasses.replace(motion, quat_w=None))
    shape = figure(motion)
    for role in ("pelvis", "torso", "left_foot"):
        between = rotations.multiply(rotations.conjugate(shape.quat_w[role]), points.quat_w[role])
        assert float(rotations.to_rotvec(between).norm(dim=-1).mean()) < 0.25, role
    assert not points.from_rest


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_is_turned_to_z_without_a_mirror(axis):
    turn = turn_to_z(axis)
    unit = torch.zeros(3, dtype=torch.float64)
    unit["xyz".index(axis[-1])] = -1.0 if axis.startswith("-") else 1.0
    assert torch.linalg.det(turn) == pytest.approx(1.0)
    assert (turn @ unit).tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-12)


def test_quaternions_of_matrices():
    quat = rotations.normalize(torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    same = (from_matrix(rotations.to_matrix(quat)) * quat).sum(-1).abs()
    assert torch.allclose(same, torch.ones_like(same))


# planted faults


def test_a_wrong_axis_is_caught(tmp_path):
    path = write_bvh(tmp_path / "walk.bvh", walk())
    for up in ("x", "z", "-y"):
        (problem, *_) = found(read_source(path, SourceCfg(up=up)))
        assert "the upward axis or the order of quaternions is wrong" in problem, up


def test_a_wrong_unit_is_caught(tmp_path):
    path = write_bvh(tmp_path / "walk.bvh", walk())
    (problem,) = found(read_source(path, SourceCfg(unit="m")))
    assert "the legs are 83.1 m long, expected 0.3 to 1.4: the unit is wrong, type source.unit=cm" in problem


def test_a_path_in_another_unit_than_the_skeleton_is_caught():
    raw = walk(264)
    slow, fast = (dataclasses.replace(raw, root_pos=raw.root_pos * factor) for factor in (0.01, 100.0))
    assert "the lower foot slides at" in found(settle(slow, SourceCfg()))[0]
    assert "the hips move at" in found(settle(fast, SourceCfg()))[0]
    jumps = walk(60)
    jumps.root_pos[31:, 0] += 3.0
    assert f"m/s after {30 / jumps.fps:.2f} s, expected" in " ".join(found(settle(jumps, SourceCfg())))


def test_a_mirrored_motion_is_caught(tmp_path):
    path = write_bvh(tmp_path / "walk.bvh", walk(), mirrored=True)
    assert "mirrored" in found(read_source(path))[0]


def test_the_order_of_quaternions_is_detected_and_a_wrong_one_is_caught(tmp_path):
    robot = load_robot("humanoid")
    raw = walk()
    rows = np.tile(robot.qpos0.double().numpy(), (raw.frames, 1))
    rows[:, :3] = raw.root_pos.numpy()
    aside = rotations.from_yaw(torch.tensor(0.8, dtype=torch.float64)).expand(raw.frames, 4)
    rows[:, 3:7] = rotations.normalize(rotations.multiply(aside, raw.quat[:, 0])).numpy()
    shifted = rows.copy()
    shifted[:, 3:7] = np.roll(rows[:, 3:7], -1, axis=1)
    for name, values in (("first", rows), ("last", shifted)):
        np.savetxt(tmp_path / f"{name}.csv", values, delimiter=",")
    first, last = (read_source(tmp_path / f"{name}.csv", robot=lambda: robot) for name in ("first", "last"))
    assert "quaternions are w x y z" in first.notes[-1] and "quaternions are x y z w" in last.notes[-1]
    assert torch.allclose(first.pos_w_m, last.pos_w_m, atol=1e-5)
    wrong = read_source(tmp_path / "last.csv", SourceCfg(quat="wxyz"), lambda: robot)
    assert "the order of quaternions or the upward axis is wrong" in found(wrong)[0]


# frames and parts


def test_a_t_pose_in_the_first_frame_is_left_out():
    raw = walk(20)
    quat = raw.quat.clone()
    quat[0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm = raw.names.index(f"{side}_upper_arm")
        quat[0, arm] = torch.tensor([0.5**0.5, sign * 0.5**0.5, 0.0, 0.0])
    posed = dataclasses.replace(raw, quat=quat)
    assert settle(raw, SourceCfg()).num_frames == 20
    assert settle(posed, SourceCfg()).num_frames == 19 and "T-pose" in settle(posed, SourceCfg()).notes[1]
    assert settle(posed, SourceCfg(t_pose="keep")).num_frames == 20


def test_a_part_of_a_file_and_another_frame_rate():
    motion = settle(walk(61), SourceCfg(start_s=0.5, end_s=1.0))
    assert motion.num_frames == 31
    slower = motion.resampled(30.0)
    assert slower.num_frames == 16 and torch.allclose(slower.pos_w_m[1], motion.pos_w_m[2])
    with pytest.raises(ClipError, match="leave 0 of 61 frames"):
        settle(walk(61), SourceCfg(start_s=5.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root_pos": torch.full((90, 3), torch.nan)}, "root positions of frame 0 are not finite"),
        ({"fps": 0.0}, "says 0 frames per second.*type source.fps=30"),
        ({"names": ("a",) * 17}, "two nodes called 'a'"),
        ({"parents": (-1, 2, *range(1, 16))}, "no tree with parents before children"),
    ],
)
def test_what_is_no_motion_is_refused(change, message):
    with pytest.raises(ClipError, match=message):
        settle(dataclasses.replace(walk(), **change), SourceCfg())


@pytest.mark.parametrize("frames", [1, 1_000_000])
def test_too_few_and_too_many_frames_are_refused(frames):
    points = torch.zeros(1, 2, 3, dtype=torch.float64).expand(frames, 2, 3)
    raw = RawMotion("long", "made", ("a", "b"), (-1, 0), 60.0, torch.zeros(2, 3), None, None, points)
    with pytest.raises(ClipError, match=f"has {frames} frames, expected 2 to 200000.*source.end_s"):
        settle(raw, SourceCfg())


def test_words_that_no_file_can_mean_are_refused():
    with pytest.raises(ConfigError, match="source.up=w is unknown"):
        SourceCfg(up="w")
    with pytest.raises(ConfigError, match="source.unit=feet is unknown"):
        SourceCfg(unit="feet")
    assert SourceCfg(unit="0.3048").unit == "0.3048"


# roles


@pytest.mark.parametrize(
    ("name", "side", "rest"),
    [
        ("mixamorig:LeftUpLeg", "left", "upleg"), ("lfemur", "left", "femur"), ("RightToeBase", "right", "toebase"),
        ("left_hip_roll_link", "left", "hiprolllink"), ("L_Ankle", "left", "ankle"), ("lowerback", "", "lowerback"),
        ("Character1:Hips", "", "hips"), ("rhumerus", "right", "humerus"), ("LeftFoot_end", "left", "footend"),
        ("rShldr", "right", "shldr"),
    ],
)  # fmt: skip
def test_names_are_split_into_side_and_part(name, side, rest):
    assert split(name) == (side, rest)


def test_the_ankle_is_the_foot_where_there_is_one():
    names = ["pelvis", "hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist"]
    smpl = [names[0], *(f"{side}_{part}" for side in ("left", "right") for part in names[1:])]
    roles = find_roles(smpl)
    assert smpl[roles["left_foot"]] == "left_ankle" and smpl[roles["left_toe"]] == "left_foot"


def test_an_unknown_skeleton_is_named_with_what_to_type():
    names = [mixamo_name(name) for name in walk(2).names if name != "left_shin"] + ["Bone07"]
    with pytest.raises(
        ClipError, match=r"no node was found for left_knee; name each, as in source.roles.left_knee=NODE"
    ):
        find_roles(names)
    assert names[find_roles(names, {"left_knee": "Bone07"})["left_knee"]] == "Bone07"
    with pytest.raises(ClipError, match="no such node; did you mean Bone07"):
        find_roles(names, {"left_knee": "Bone7"})
    with pytest.raises(ClipError, match="no such role; did you mean left_knee"):
        find_roles(names, {"left_kne": "Bone07"})


def test_motions_of_a_folder(tmp_path):
    for name in ("b.bvh", "a.npz", "LICENSE.txt", "picture.png"):
        (tmp_path / name).write_text("text")
    (tmp_path / "c.txt").write_text('{"Frames": []}')
    assert [file.name for file in motion_files(tmp_path)] == ["a.npz", "b.bvh", "c.txt"]
    with pytest.raises(ClipError, match="holds no motions"):
        motion_files(tmp_path.joinpath("empty").mkdir() or tmp_path / "empty")
    with pytest.raises(ClipError, match="does not exist; did you mean b.bvh"):
        read_source(tmp_path / "bb.bvh")


def test_forward_kinematics_of_a_bent_chain():
    quarter = torch.tensor([0.5**0.5, 0.0, 0.0, 0.5**0.5], dtype=torch.float64)
    quat = torch.stack((quarter, quarter))[None].expand(2, 2, 4)
    offset = torch.tensor([[9.0, 9.0, 9.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    raw = RawMotion("chain", "made", ("a", "b"), (-1, 0), 1.0, offset, quat, torch.ones(2, 3, dtype=torch.float64))
    pos, turn = forward(raw)
    assert pos[0].tolist() == [[1.0, 1.0, 1.0], pytest.approx([1.0, 2.0, 1.0])]
    assert turn[0, 1].tolist() == pytest.approx([0.0, 0.0, 0.0, 1.0])
