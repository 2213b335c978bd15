"""A foreign walk on robots: it is imitable, faces ahead, and keeps within ranges and speeds."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from isaachrl.errors import ClipError, ConfigError
from isaachrl.maths import rotations
from isaachrl.motion.source.read import read_source
from isaachrl.motion.source.settle import SourceCfg, settle
from isaachrl.retarget import convert
from isaachrl.retarget.body import robot_body
from isaachrl.retarget.measures import IMITABLE
from isaachrl.shipped import ASSETS
from isaachrl.sim import load_robot
from tests.motion.foreign import walk, write_bvh


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A walk of a Mixamo skeleton in centimetres, turned and away from the origin."""
    raw = walk(90)
    turn = rotations.from_yaw(torch.tensor(2.0, dtype=torch.float64)).expand(90, 4)
    quat = raw.quat.clone()
    quat[:, 0] = rotations.multiply(turn, quat[:, 0])
    root = rotations.rotate(turn, raw.root_pos) + torch.tensor([7.0, -4.0, 0.3], dtype=torch.float64)
    raw = dataclasses.replace(raw, quat=quat, root_pos=root)
    return read_source(write_bvh(tmp_path_factory.mktemp("bvh") / "mine.bvh", raw))


@pytest.mark.parametrize("name", ["humanoid", "g1"])
def test_a_walk_in_a_foreign_file_becomes_a_clip(name, source):
    pytest.importorskip("mink", reason='mink is not installed: pip install -e ".[motions]"')
    body = robot_body(load_robot(name))
    made = convert.retarget(source, body, fps=30.0)
    measures, clip = made.measures, made.clip
    assert (made.verdict, made.reason) == (IMITABLE, ""), measures
    assert clip.fps == 30.0 and clip.num_frames == 45 and clip.name == "mine"
    assert measures.slip_m < 0.01 and measures.key_body_error_m < 0.03 and measures.margin_rad > -0.01
    way = clip.root_pos_w[-1] - clip.root_pos_w[0]
    theirs = (walk(90).root_pos[88] - walk(90).root_pos[0]).norm() * body.leg_m / 0.8314
    assert way[0] == pytest.approx(float(theirs), rel=0.05) and abs(way[1]) < 0.15 * way[0], "ahead is x"
    assert np.abs(clip.root_pos_w[0, :2]).max() < 0.1, "it begins at the origin"
    assert abs(float(rotations.heading(torch.from_numpy(clip.root_quat_w[0])))) < 0.1
    assert made.targets.shift_m == pytest.approx(-0.3 * body.leg_m / 0.8314, abs=0.1), "one shift takes 0.3 m out"


def test_arms_do_not_twist_where_their_targets_leave_them_free():
    pytest.importorskip("mink", reason='mink is not installed: pip install -e ".[motions]"')
    from isaachrl.retarget.solver import SPEED_CAP_RAD_S

    clip = ASSETS / "motions" / "cmu" / "cmu_walk.npz"
    source = read_source(clip, SourceCfg(end_s=1.0), lambda: load_robot("humanoid"))
    measures = convert.retarget(source, robot_body(load_robot("g1"))).measures
    # a walk turns no joint faster than 11 rad/s; without the cost of changes, shoulders are at the cap
    assert measures.peak_speed_rad_s < 0.6 * SPEED_CAP_RAD_S, measures.peak_speed_dof
    assert measures.key_body_error_m < 0.03


@pytest.mark.parametrize("axis", [0, 1])
def test_feet_that_are_splayed_in_the_rest_pose_stand_flat(axis):
    """Rolled or pitched by the same angle all the time, as with CMU's skeletons, whose legs are splayed at rest."""
    pytest.importorskip("mink", reason='mink is not installed: pip install -e ".[motions]"')
    raw = walk(60)
    quat = raw.quat.clone()
    for side, angle in (("left", 0.35), ("right", -0.35)):
        about = torch.zeros(3, dtype=torch.float64)
        about[axis] = angle
        foot = raw.names.index(f"{side}_foot")
        quat[:, foot] = rotations.multiply(quat[:, foot], rotations.from_rotvec(about).expand(60, 4))
    feet = [
        convert.retarget(settle(motion, SourceCfg()), robot_body(load_robot("humanoid")), fps=30.0).clip.joint_quat
        for motion in (raw, dataclasses.replace(raw, quat=quat))
    ]
    assert np.abs(feet[0] - feet[1]).max() < 0.02


def feet_apart_m(made, body):
    """Median distance of the feet's targets to the side, and that of the standing pose."""
    apart = made.targets.pos_w_m["left_foot"] - made.targets.pos_w_m["right_foot"]
    return float(np.median(apart[:, 1])), float(body.pos["left_foot"][1] - body.pos["right_foot"][1])


def test_legs_that_hang_beside_their_axes_stand_upright(tmp_path):
    """As of Unitree's H1, whose hips spread about axes 12 cm further inside than its legs."""
    text = (ASSETS / "humanoid" / "humanoid.xml").read_text()
    for side, inside in (("left", -0.06), ("right", 0.06)):
        joint = f'class="hip" name="{side}_hip"'
        assert joint in text
        text = text.replace(joint, f'{joint} pos="0 {inside} 0"')
    (tmp_path / "wide.xml").write_text(text)
    pytest.importorskip("mink", reason='mink is not installed: pip install -e ".[motions]"')
    for robot in (str(tmp_path / "wide.xml"), "humanoid", "g1"):
        body = robot_body(load_robot(robot))
        steps, stand = feet_apart_m(convert.retarget(settle(walk(60), SourceCfg()), body, fps=30.0), body)
        assert steps == pytest.approx(stand, rel=0.15), robot


def test_a_clip_of_the_robot_is_read_by_its_own_roles(tmp_path):
    pytest.importorskip("mink", reason='mink is not installed: pip install -e ".[motions]"')
    g1 = load_robot("g1")
    body = robot_body(g1)
    clip = convert.retarget(settle(walk(60), SourceCfg()), body).clip
    clip.save(tmp_path / "again.npz")
    source = read_source(tmp_path / "again.npz", robot=lambda: g1)
    assert {role: source.names[node] for role, node in source.roles.items()} == dict(g1.roles)
    again = convert.retarget(source, body).clip
    way, before = (float(c.root_pos_w[-1, 0] - c.root_pos_w[0, 0]) for c in (again, clip))
    assert way == pytest.approx(before, rel=0.05), "legs of the same length"
    for joint in ("left_hip_pitch_joint", "left_knee_joint", "right_knee_joint", "left_shoulder_roll_joint"):
        at = g1.joint_names.index(joint)
        a, b = (torch.from_numpy(c.joint_quat[:, at]) for c in (again, clip))
        angle = rotations.to_rotvec(rotations.multiply(rotations.conjugate(a), b)).norm(dim=-1)
        assert float(angle.mean()) < math.radians(6.0), joint


def test_forearms_of_a_skeleton_without_hands_stay_at_rest():
    pytest.importorskip("mink", reason='mink is not installed: pip install -e ".[motions]"')
    raw = walk(30)
    names = tuple(name.replace("hand", "end") for name in raw.names)
    roles = {role: name for role, name in raw.roles.items() if not role.endswith("hand")}
    source = settle(dataclasses.replace(raw, names=names, roles=roles), SourceCfg())
    assert (
        source.notes[1] == "no node was found for left_hand, so the forearm stays at rest (source.roles.left_hand=NODE)"
    )
    made = convert.retarget(source, robot_body(load_robot("humanoid")), fps=30.0)
    assert made.verdict == IMITABLE and "left_hand" not in made.targets.pos_w_m
    elbow = load_robot("humanoid").joint_names.index("left_elbow")
    assert np.abs(made.clip.joint_quat[:, elbow, 1:]).max() < 0.05


def test_too_few_frames_and_impossible_motions_are_refused():
    body = robot_body(load_robot("humanoid"))
    with pytest.raises(ClipError, match="walk has 4 frames, expected at least 5: that is no motion"):
        convert.retarget(dataclasses.replace(settle(walk(4), SourceCfg()), name="walk"), body)
    upside = settle(walk(30), SourceCfg(up="x"))
    with pytest.raises(ClipError, match="is refused: .*the upward axis.*up is x, typed"):
        convert.retarget(upside, body)


def test_without_mink_a_message_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "mink", None)
    monkeypatch.delitem(sys.modules, "isaachrl.retarget.solver", raising=False)
    monkeypatch.delattr("isaachrl.retarget.solver", raising=False)
    with pytest.raises(ConfigError, match=r"retargeting needs mink.*pip install"):
        convert.load_solver()


def test_ranges_and_speeds_bound_every_step():
    solver = pytest.importorskip("isaachrl.retarget.solver", reason="mink is not installed", exc_type=ImportError)
    robot = load_robot("humanoid")
    body = robot_body(robot)
    limit = solver.RangeAndSpeed(robot, body.model, 0.1)
    qpos = body.model.qpos0.copy()
    knee = robot.dof_names.index("left_knee")
    qpos[7 + robot.joints[robot.joint_names.index("left_knee")].qpos.start] = 1.0
    limit.begin(qpos, is_free=False)

    class Now:
        q = qpos

    bound = limit.compute_qp_inequalities(Now(), 1.0)
    about = bound.G[:, 6 + knee] != 0.0
    assert about.sum() == 4, "two bounds of its range, two of its speed"
    step = np.zeros(body.model.nv)
    for size, fits in ((0.09, True), (0.11, False), (-0.09, True), (-0.11, False)):
        step[6 + knee] = size
        assert bool((bound.G @ step <= bound.h + 1e-9)[about].all()) is fits


def test_the_change_of_a_rotation_vector():
    solver = pytest.importorskip("isaachrl.retarget.solver", reason="mink is not installed", exc_type=ImportError)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        quat = rotations.normalize(torch.randn(4, dtype=torch.float64, generator=generator))
        small = 1e-5 * torch.randn(3, dtype=torch.float64, generator=generator)
        vector, jacobian = solver._ball(quat.numpy())
        after = rotations.to_rotvec(rotations.multiply(quat, rotations.from_rotvec(small))).numpy()
        assert vector == pytest.approx(rotations.to_rotvec(quat).numpy(), abs=1e-9)
        assert after - vector == pytest.approx(jacobian @ small.numpy(), abs=1e-8)
