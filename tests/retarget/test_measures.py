"""The verdict on clips: a captured walk is imitable, and every planted fault is caught by its measure."""

import dataclasses
import math
import re

import numpy as np
import pytest
import torch

from isaachrl.maths import rotations
from isaachrl.motion import clip as own_format
from isaachrl.motion import kinematics
from isaachrl.retarget.body import robot_body
from isaachrl.retarget.measures import DOUBTFUL, IMITABLE, LIMITS, REFUSED, measure
from isaachrl.shipped import ASSETS
from isaachrl.sim import load_robot

CMU = sorted((ASSETS / "motions" / "cmu").glob("*.npz"))


@pytest.fixture(scope="module")
def body():
    return robot_body(load_robot("humanoid"))


@pytest.fixture(scope="module")
def walk():
    return own_format.load(ASSETS / "motions" / "cmu" / "cmu_walk.npz")


@pytest.mark.parametrize("path", CMU, ids=lambda path: path.stem)
def test_the_captured_motions_are_what_their_table_says(path, body):
    clip = own_format.load(path)
    measures = measure(clip, body)
    page = (ASSETS / "motions" / "cmu" / "README.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{clip.name}`")).split(" | ")
    assert f"{measures.seconds:.1f}" == row[2] and row[3].startswith(measures.verdict()[0])
    assert 100 * measures.slip_m == pytest.approx(float(row[4]), abs=0.06)
    assert 100 * measures.penetration_m == pytest.approx(float(row[5]), abs=0.06)
    assert math.degrees(measures.margin_rad) == pytest.approx(float(row[6]), abs=0.06)
    assert measures.peak_speed_rad_s == pytest.approx(float(row[7]), abs=0.06)


def moved(clip, **values):
    """A clip whose root is moved along the axes by numbers or by one for each frame."""
    pos = clip.root_pos_w.copy()
    for axis, value in values.items():
        pos[:, "xyz".index(axis)] += value
    return dataclasses.replace(clip, root_pos_w=pos)


def fault(name, clip):
    """A clip with a planted fault."""
    frames, elbow = clip.num_frames, clip.joint_names.index("left_elbow")
    if name == "float":
        return moved(clip, z=0.1)
    if name == "sunk":
        return moved(clip, z=-0.12)
    if name == "skate":
        return moved(clip, x=-0.9 * (clip.root_pos_w[:, 0] - clip.root_pos_w[0, 0]))
    if name == "hangs":
        return moved(clip, z=np.where((np.arange(frames) > 20) & (np.arange(frames) < 60), 0.3, 0.0))
    if name == "backward":
        parts = {key: getattr(clip, key)[::-1].copy() for key in ("root_pos_w", "root_quat_w", "joint_quat")}
        return dataclasses.replace(clip, **parts)
    if name == "edges":
        quat = torch.from_numpy(clip.joint_quat.copy())
        for side, angle in (("left", 0.3), ("right", -0.3)):
            ankle = clip.joint_names.index(f"{side}_ankle")
            roll = rotations.from_rotvec(torch.tensor([angle, 0.0, 0.0])).expand(frames, 4)
            quat[:, ankle] = rotations.multiply(quat[:, ankle], roll)
        return dataclasses.replace(moved(clip, z=0.02), joint_quat=quat.numpy())
    quat, angle = clip.joint_quat.copy(), {"range": 0.8, "fast": -1.2}[name]
    quat[40, elbow] = [math.cos(angle / 2), 0.0, math.sin(angle / 2), 0.0]
    if name == "range":
        quat[:, elbow] = quat[40, elbow]
    else:
        quat[41, elbow] = [math.cos(1.2), 0.0, math.sin(-1.2), 0.0]
        quat[39, elbow] = [1.0, 0.0, 0.0, 0.0]
    return dataclasses.replace(clip, joint_quat=quat)


@pytest.mark.parametrize(
    ("name", "measured", "verdict", "at_frame"),
    [
        ("float", "float_m", REFUSED, None), ("sunk", "penetration_m", REFUSED, ...), ("skate", "slip_m", REFUSED, ...),
        ("hangs", "air_s", REFUSED, 21), ("range", "beyond_range_rad", REFUSED, ...),
        ("edges", "foot_roll_rad", DOUBTFUL, None),
        ("fast", "peak_speed_rad_s", DOUBTFUL, 40), ("backward", "backward_share", DOUBTFUL, None),
    ],
)  # fmt: skip
def test_a_planted_fault_is_caught_by_its_measure(name, measured, verdict, at_frame, walk, body):
    assert measure(walk, body).verdict() == (IMITABLE, "")
    word, reason = measure(fault(name, walk), body).verdict()
    assert word in (verdict, REFUSED)
    found = re.search(rf"{measured} \S+ > \S+( at (\S+) s)?", reason)
    assert found and (found[1] is None) is (at_frame is None), reason
    if at_frame is not ... and at_frame:
        assert float(found[2]) == pytest.approx(at_frame / walk.fps, abs=1.1 / walk.fps)


def test_bodies_in_each_other_are_measured(walk, body):
    quat = walk.joint_quat.copy()
    for side, sign in (("left", -1.0), ("right", 1.0)):  # legs crossed
        hip = walk.joint_names.index(f"{side}_hip")
        quat[:, hip] = [math.cos(0.1), sign * math.sin(0.1), 0.0, 0.0]
    word, reason = measure(dataclasses.replace(walk, joint_quat=quat), body).verdict()
    assert word == REFUSED and "self_collision_m" in reason


def test_the_moment_of_a_fault_is_told(walk, body):
    """One frame is sunk, another turned so that the legs cross."""
    quat, pos = walk.joint_quat.copy(), walk.root_pos_w.copy()
    for side, sign in (("left", -1.0), ("right", 1.0)):
        quat[30, walk.joint_names.index(f"{side}_hip")] = [math.cos(0.1), sign * math.sin(0.1), 0.0, 0.0]
    pos[50, 2] -= 0.2
    measures = measure(dataclasses.replace(walk, joint_quat=quat, root_pos_w=pos), body)
    assert [round(measures.at_s[name] * walk.fps) for name in ("self_collision_m", "penetration_m")] == [30, 50]
    assert not {"key_body_error_m", "moved_m"} & set(measures.at_s)  # a mean over the clip, and of clips with targets
    moved_m = np.zeros(walk.num_frames)
    moved_m[7] = 0.5
    told = measure(walk, body, moved_m=moved_m)
    assert told.verdict() == (REFUSED, f"moved_m 0.5 > 0.4 at {7 / walk.fps:.2f} s")
    assert f"penetration_m {measures.penetration_m:.3g} > 0.1 at {50 / walk.fps:.2f} s" in measures.verdict()[1]


def test_the_distance_from_targets_is_measured(walk, body):
    head = np.tile(walk.root_pos_w.astype(np.float64), 1)
    assert measure(walk, body, {"pelvis": head}).key_body_error_m == pytest.approx(0.0, abs=1e-6)
    assert measure(walk, body, {"pelvis": head + [0.0, 0.3, 0.0]}).key_body_error_m == pytest.approx(0.3)


def test_lengths_are_allowed_to_grow_with_the_robot(walk, body):
    stand = own_format.load(ASSETS / "motions" / "stand.npz")
    sunk = measure(moved(dataclasses.replace(stand, loop=False), z=-0.05), body)
    assert sunk.verdict()[0] == DOUBTFUL and sunk.verdict(leg_m=3.0)[0] == IMITABLE
    assert measure(walk, body).verdict(leg_m=0.002)[0] == REFUSED
    assert set(LIMITS) < {field.name for field in dataclasses.fields(sunk)}


def test_the_pivots_of_limbs_are_where_their_axes_meet():
    ours, g1 = robot_body(load_robot("humanoid")), robot_body(load_robot("g1"))
    assert ours.start["left_hip"] == pytest.approx(ours.pos["left_hip"], abs=1e-9), "of a ball joint its anchor"
    assert ours.leg_m == pytest.approx(0.4215 + 0.4099) and g1.leg_m == pytest.approx(0.64, abs=0.01)
    assert np.linalg.norm(g1.start["left_hip"] - g1.pos["left_hip"]) > 0.05, "above the last of its three bodies"


LEG = """<body name="{s}thigh" pos="0 {y} -.1">
  <joint name="{s}hip" axis="0 1 0" range="-90 90" actuatorfrcrange="-9 9"/>
  <geom type="capsule" size=".03" fromto="0 0 0 0 0 -.35"/><body name="{s}shin" pos="0 0 -.4">
  <joint name="{s}knee" axis="0 1 0" range="-90 90" actuatorfrcrange="-9 9"/>
  <geom type="capsule" size=".03" fromto="0 0 0 0 0 -.35"/><body name="{s}sole" pos="0 0 -.4" euler="0 0 90">
  <joint name="{s}pitch" axis="1 0 0" range="-90 90" actuatorfrcrange="-9 9"/>
  <joint name="{s}roll" axis="0 1 0" range="-90 90" actuatorfrcrange="-9 9"/>
  <geom type="box" size=".04 .1 .02" pos="0 -.04 -.03"/></body></body></body>"""
YAML = "model: biped.xml\nroles: {pelvis: box, torso: box, ROLES}\n"


@pytest.mark.parametrize(("joint", "roll"), [("roll", 0.3), ("pitch", 0.0)])
def test_the_roll_of_feet_is_about_their_length_whatever_their_frames_are(joint, roll, tmp_path):
    """Frames of these feet have x to the left: their joint about y rolls the foot, that about x pitches it."""
    legs = "".join(LEG.format(s=s, y=y) for s, y in (("l", 0.1), ("r", -0.1)))
    box = f'<body name="box" pos="0 0 1"><freejoint/><geom type="box" size=".1 .1 .2" pos="0 0 .2"/>{legs}</body>'
    (tmp_path / "biped.xml").write_text(f"<mujoco><worldbody>{box}</worldbody></mujoco>")
    parts = {"hip": "thigh", "knee": "shin", "foot": "sole"}
    roles = ", ".join(f"{side}_{role}: {side[0]}{part}" for side in ("left", "right") for role, part in parts.items())
    (tmp_path / "biped.yaml").write_text(YAML.replace("ROLES", roles))
    robot = load_robot(str(tmp_path / "biped.yaml"))
    qpos = robot.stand_qpos.repeat(8, 1)
    qpos[:, 2] = robot.stand_pos_m[0, 2]
    for side in "lr":
        qpos[:, 7 + robot.dof_names.index(side + joint)] = 0.3
    clip = own_format.Clip(
        "tilted", 30.0, robot.joint_names, robot.body_names, qpos[:, :3].numpy(), qpos[:, 3:7].numpy(),
        kinematics.joint_quat_from_qpos(robot, qpos[:, 7:]).numpy(),
    )  # fmt: skip
    assert measure(clip, robot_body(robot)).foot_roll_rad == pytest.approx(roll, abs=1e-3)
