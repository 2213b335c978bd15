"""The readers of foreign motion files, on small files computed by hand, and on damaged ones."""

import json

import numpy as np
import pytest
import torch

from isaachrl.errors import ClipError
from isaachrl.maths import rotations
from isaachrl.motion import clip as own_format
from isaachrl.motion.formats import amass, arrays, asf_amc, bvh, deepmimic, key_points, positions
from isaachrl.motion.source.read import read_source
from isaachrl.motion.source.settle import SourceCfg
from isaachrl.motion.source.skeleton import forward
from isaachrl.shipped import ASSETS
from isaachrl.sim import load_robot
from tests.motion.foreign import walk, write_bvh

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 5 5 5
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Arm
  {
    OFFSET 1 0 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 2 0 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
0 1 0 0 0 0 0 0 0
0 2 0 90 0 0 90 0 0
"""


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_bvh_turns_in_the_order_of_its_channels(tmp_path):
    raw = bvh.read(written(tmp_path / "arm.bvh", BVH))
    assert raw.names == ("Hips", "Arm", "Arm_end") and raw.parents == (-1, 0, 1) and raw.fps == pytest.approx(25.0)
    pos, _ = forward(raw)
    assert pos[0].tolist() == [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [3.0, 1.0, 0.0]]
    # Z by 90 degrees turns x to y; then Y by 90, in the turned frame, turns the end from x to -z
    assert torch.allclose(
        pos[1], torch.tensor([[0.0, 2.0, 0.0], [0.0, 3.0, 0.0], [0.0, 3.0, -2.0]]).double(), atol=1e-9
    )


def test_a_position_channel_replaces_an_offset_that_it_repeats(tmp_path):
    text = BVH.replace("CHANNELS 3 Yrotation", "CHANNELS 4 Xposition Yrotation")
    text = text.replace(" 0 0 0 0 0 0\n", " 0 0 0 X 0 0 0\n").replace("90 0 0 90 0 0", "90 0 0 X 90 0 0")
    files = (
        written(tmp_path / f"{x}.bvh", text.replace("X 0 0 0\n", f"{x} 0 0 0\n").replace("X 90", f"{x} 90"))
        for x in (1.01, 0.1)
    )
    same, added = (bvh.read(file).offset[1, 0] for file in files)
    assert same == pytest.approx(1.01) and added == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BVH[:-6], "is cut off: frame 1 of 2 has 7 of 9 numbers"),
        (BVH.replace("0 2 0 90 0 0 90 0 0\n", ""), "is cut off: it says 2 frames and has 1"),
        (BVH[:120], "its HIERARCHY ends before every bracket is closed"),
        (BVH.replace("Frame Time: 0.04\n", ""), "there are no lines Frames: and Frame Time:"),
        (BVH.replace("0 2 0 90", "0 2 0 x"), "cannot be read as BVH"),
        (BVH.replace("Frames: 2", "Frames: 1000000"), "has 1000000 frames, at most 200000"),
        ("not a motion", "a line 'not a motion'"),
    ],
)
def test_a_damaged_bvh_is_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(ClipError, match=message) as caught:
        bvh.read(written(tmp_path / "arm.bvh", text))
    assert "\n" not in str(caught.value) and "arm.bvh" in str(caught.value)


def test_a_bvh_cut_in_the_middle_and_one_with_nan(tmp_path):
    path = write_bvh(tmp_path / "walk.bvh", walk(20))
    text = path.read_text()
    with pytest.raises(ClipError, match=r"is cut off: frame \d+ of 20 has \d+ of 54 numbers"):
        read_source(written(tmp_path / "cut.bvh", text[: len(text) * 3 // 4]))
    lines = text.splitlines()
    lines[-3] = "nan " + lines[-3].partition(" ")[2]
    with pytest.raises(ClipError, match="the root positions of frame 17 are not finite"):
        read_source(written(tmp_path / "nan.bvh", "\n".join(lines)))


ASF = """:units
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
:bonedata
  begin
    name upper
    direction 1 0 0
    length 2
    axis 0 0 0 XYZ
    dof ry rz
    limits (-1 1)
           (-1 1)
  end
  begin
    name lower
    direction 0 1 0
    length 1
    axis 0 0 90 XYZ
    dof rx
  end
:hierarchy
  begin
    root upper
    upper lower
  end
"""
AMC = (
    ":FULLY-SPECIFIED\n:DEGREES\n1\nroot 0 0 0 0 0 0\nupper 0 0\nlower 0\n2\nroot 1 2 3 0 0 90\nupper 90 0\nlower 90\n"
)


def test_amc_turns_bones_about_the_axes_of_its_skeleton(tmp_path):
    written(tmp_path / "07.asf", ASF)
    raw = asf_amc.read(written(tmp_path / "07_01.amc", AMC))
    assert raw.names == ("root", "upper", "lower", "lower_end") and raw.parents == (-1, 0, 1, 2) and raw.fps == 120.0
    pos, _ = forward(raw)
    assert pos[0].tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 1.0, 0.0]]
    # the root turns x to y; `upper` turns its x to -z; `lower` turns about its own x, which is y at rest: along itself
    assert torch.allclose(pos[1, 2], torch.tensor([1.0, 2.0, 1.0]).double(), atol=1e-9)
    assert (pos[1, 3] - pos[1, 2]).tolist() == pytest.approx([-1.0, 0.0, 0.0], abs=1e-9)


@pytest.mark.parametrize(
    ("amc", "message"),
    [
        (AMC.replace("lower 90\n", ""), "it is cut off: lower has 1 of 2 frames"),
        (AMC.replace("lower 90", "lower 90 1"), "frame 2 has a line 'lower 90 1' that fits no bone"),
        (AMC.replace("upper 0 0", "upper 0 x"), "cannot be read as AMC and ASF"),
    ],
)
def test_a_damaged_amc_is_refused(tmp_path, amc, message):
    path = written(tmp_path / "07_01.amc", amc)
    with pytest.raises(ClipError, match="put the file 07.asf beside it"):
        asf_amc.read(path)
    written(tmp_path / "07.asf", ASF)
    with pytest.raises(ClipError, match=message):
        asf_amc.read(path)


def test_deepmimic_bends_knees_backward_and_elbows_forward(tmp_path):
    frame = [1 / 30, 0.0, 0.9, 0.0] + [1.0, 0.0, 0.0, 0.0] * 3
    for bend in (-0.5, 0.8):  # a knee, and an elbow, of either side
        frame += [1.0, 0.0, 0.0, 0.0, bend] + [1.0, 0.0, 0.0, 0.0] * (bend < 0)
    frame = frame[:26] + frame[26:31] + frame[16:26] + frame[26:31]
    path = written(tmp_path / "a.txt", json.dumps({"Loop": "wrap", "Frames": [frame, frame]}))
    motion = read_source(path)
    ahead = {name: motion.pos_w_m[0, motion.names.index(name)] for name in motion.names}
    assert motion.fps == pytest.approx(30.0)
    assert ahead["left_hip"][1] == pytest.approx(0.084887), "left is left"
    assert ahead["right_ankle"][0] == pytest.approx(-0.40987 * np.sin(0.5)), "the shank is behind the knee"
    assert ahead["left_wrist"][0] == pytest.approx(0.258947 * np.sin(0.8) - 0.02405), "the forearm is ahead"
    with pytest.raises(ClipError, match=r"a frame has the shape \(10,\)"):
        deepmimic.read(written(path, json.dumps({"Frames": [[0.0] * 10] * 2})))
    with pytest.raises(ClipError, match="cannot be read as a motion of DeepMimic"):
        deepmimic.read(written(path, "[" * 5000))


def test_amass_needs_no_body_model(tmp_path):
    stands = rotations.to_rotvec(torch.tensor([0.5, 0.5, 0.5, 0.5])).numpy()  # y up and facing z, to z up and facing x
    poses = np.zeros((5, 156), np.float32)
    poses[:, :3] = stands
    path = tmp_path / "a.npz"
    np.savez(path, poses=poses, trans=np.tile([0.0, 0.0, 0.9], (5, 1)), mocap_framerate=120.0, gender="neutral")
    motion = read_source(path)
    pos = {name: motion.pos_w_m[0, motion.names.index(name)].tolist() for name in motion.names}
    assert motion.fps == 120.0 and len(motion.names) == 22
    assert pos["left_wrist"][1] > 0.6 and pos["left_foot"][0] > 0.05 and pos["left_ankle"][2] < 0.1
    with pytest.raises(ClipError, match=r"poses \(5, 10\) and trans \(5, 3\) are no AMASS motion"):
        amass.read({"poses": poses[:, :10], "trans": np.zeros((5, 3))}, path)
    with pytest.raises(ClipError, match="has no frame rate.*type source.fps=120"):
        amass.read({"poses": poses, "trans": np.zeros((5, 3))}, path)


def test_nothing_is_unpickled(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, poses=np.array([{"code": 1}], object), numbers=np.zeros(3))
    assert list(arrays.read_npz(path)) == ["numbers"]
    with pytest.raises(ClipError, match="is no motion that is known: its arrays are numbers"):
        read_source(path)
    with pytest.raises(ClipError, match="cannot be read as .npz"):
        read_source(written(path, "text"))


def test_key_points_of_npz_and_csv_are_the_same(tmp_path):
    raw = walk(20)
    points, _ = forward(raw)
    np.savez(tmp_path / "a.npz", positions=points.numpy(), names=np.array(raw.names), fps=60.0)
    head = ",".join(["time"] + [f"{name}_{axis}" for name in raw.names for axis in "xyz"])
    rows = np.column_stack((np.arange(20) / 60, points.numpy().reshape(20, -1)))
    np.savetxt(tmp_path / "a.csv", rows, delimiter=",", header=head, comments="")
    a, b = read_source(tmp_path / "a.npz"), read_source(tmp_path / "a.csv")
    assert a.quat_w is None and a.fps == 60.0 and b.fps == pytest.approx(60.0)
    assert torch.allclose(a.pos_w_m, points) and torch.allclose(b.pos_w_m, points)
    with pytest.raises(ClipError, match="has no columns POINT_x"):
        key_points.from_csv(written(tmp_path / "b.csv", "a_x,b\n1,2\n"))
    with pytest.raises(ClipError, match="cannot be read as a table"):
        read_source(written(tmp_path / "b.csv", "1,2\n1\n"))


def test_keyframes_of_mujoco_mpc(tmp_path):
    points = " ".join("0.5" for _ in range(48))
    text = f'<mujoco><keyframe><key mpos="{points}"/><key mpos="{points}"/></keyframe></mujoco>'
    raw = key_points.from_keyframes(written(tmp_path / "a.xml", text))
    assert raw.frames == 2 and raw.fps == 30.0 and raw.names[4] == "left_heel"
    with pytest.raises(ClipError, match="has no keyframes"):
        key_points.from_keyframes(written(tmp_path / "a.xml", "<mujoco/>"))
    with pytest.raises(ClipError, match="it has a document type"):
        key_points.from_keyframes(written(tmp_path / "a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'))


def test_joint_angles_need_their_robot(tmp_path):
    path = tmp_path / "a.csv"
    np.savetxt(path, np.zeros((3, 36)), delimiter=",")
    with pytest.raises(ClipError, match="name it, type source.robot=NAME"):
        read_source(path)
    with pytest.raises(ClipError, match="has 36 numbers a frame, and robot 'humanoid' 43"):
        read_source(path, robot=lambda: load_robot("humanoid"))
    np.savetxt(path, np.zeros((3, 43)), delimiter=",")
    with pytest.raises(ClipError, match="columns 4 to 7 are no quaternion, their length is 0.000"):
        read_source(path, robot=lambda: load_robot("humanoid"))


def test_arrays_of_root_and_joints_are_put_together():
    given = {
        "root_pos": np.zeros((4, 3)),
        "root_rot": np.ones((4, 4)),
        "joint_pos": np.ones((4, 2)),
        "fps": np.array(50),
    }
    assert positions.has_positions(given)
    rows, fps = positions.stack(given, "a.npz")
    assert rows.shape == (4, 9) and fps == 50.0
    with pytest.raises(ClipError, match="root and joints have different numbers of frames"):
        positions.stack(given | {"joint_pos": np.ones((3, 2))}, "a.npz")


def test_a_looping_clip_goes_on_for_some_laps():
    clip = own_format.load(ASSETS / "motions" / "walk.npz")
    raw = positions.from_clip(clip, load_robot("humanoid"))
    assert raw.frames == round(2 * clip.duration_s * 60) + 1
    assert float(raw.root_pos[-1, 0]) == pytest.approx(
        2 * float(clip.root_pos_w[-1, 0] - clip.root_pos_w[0, 0]), abs=0.05
    )
    with pytest.raises(ClipError, match="'walk' does not fit 'ant'.*that moves in it: type source.robot=NAME"):
        positions.from_clip(clip, load_robot("ant"))


def test_an_unknown_suffix(tmp_path):
    with pytest.raises(ClipError, match="no motion format has the suffix '.fbx'.*convert FBX and C3D to BVH"):
        read_source(written(tmp_path / "a.fbx", ""), SourceCfg())
