"""`mode=robot`: what is found, guessed, measured and advised, as a user sees it."""

import dataclasses
import json
import math

import imageio.v3 as iio
import pytest
import torch

import tasks
from isaachrl.errors import RenderError
from isaachrl.run.commands import robot as module
from isaachrl.run.commands.robot import advice, centre_of_mass_m, kinematics_error_m, stand_up
from isaachrl.run.config import settings
from isaachrl.sim import Scene, load_robot

assert tasks


def show(folder, robot):
    """The summary of a robot, as it was printed last and written."""
    values = {"mode": "robot", "device": "cpu", "run_dir": str(folder), "robot": robot}
    sections = {"task": {"name": "HumanoidAMP"}, "train": {"name": "greedy"}}
    return module.robot(settings.resolve(settings.merge(sections, values), values))


@pytest.fixture
def blind(monkeypatch):
    """No renderer works."""

    def fail(*_):
        raise RenderError("none")

    monkeypatch.setattr(module, "SceneRenderer", fail)


@pytest.mark.usefixtures("blind")
def test_a_shipped_robot_is_shown_with_all_that_was_found(tmp_path, capsys):
    summary = show(tmp_path, "t1")
    out = capsys.readouterr().out
    assert json.loads(out.splitlines()[-1]) == json.loads((tmp_path / "robot.json").read_text())
    assert summary["dofs"] == 23 and summary["refused"] is None and summary["picture"] is None
    assert summary["roles"]["pelvis"] == "Waist" and "left_hand" not in summary["roles"]
    assert summary["standing_height_m"] == pytest.approx(1.16, abs=0.01)
    assert summary["kinematics_error_m"] < 1e-5
    assert "Left_Knee_Pitch" in out and "left_foot_link" in out
    assert "left_hand, right_hand" in summary["advice"][0] and "left_hand: BODY" in summary["advice"][0]


@pytest.mark.parametrize("robot", ["humanoid", "ant", "g1", "t1"])
def test_kinematics_of_the_shipped_robots_are_the_engines(robot):
    assert kinematics_error_m(load_robot(robot)) < 1e-5


def test_a_refused_robot_is_a_result_with_the_reason(tmp_path, capsys):
    (tmp_path / "bolted.xml").write_text(
        '<mujoco><worldbody><body name="base"><geom size=".1"/></body></worldbody></mujoco>'
    )
    summary = show(tmp_path, str(tmp_path / "bolted.xml"))
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == summary
    assert "has no free joint" in summary["refused"] and summary["dofs"] is None


@pytest.mark.usefixtures("blind")
def test_a_robot_without_roles_is_shown_all_the_same(tmp_path):
    summary = show(tmp_path, "ant")
    assert summary["roles"] == {} and summary["dofs"] == 8 and summary["refused"] is None
    assert "no body was found as pelvis, torso" in summary["advice"][0]


def test_the_humanoid_stands_and_nothing_is_advised():
    robot = load_robot("humanoid")
    standing = stand_up(robot, Scene())
    assert standing.stood and standing.qpos.shape == (61, 43)
    assert not advice(robot, standing)
    com = centre_of_mass_m(robot)
    assert com[:2].abs().max() < 0.01 and 0.85 < com[2] < 1.0


LEG = """<body name="{s}1" pos="{lean} {y} 0"><joint name="{s}hip" axis="0 1 0" range="-90 90" actuatorfrcrange="-9 9"/>
  <geom type="capsule" size=".03" fromto="0 0 0 0 0 -.4"/><body name="{s}2" pos="0 0 -.4">
  <joint name="{s}knee" axis="0 1 0" range="-90 90" actuatorfrcrange="-9 9"/>
  <geom type="capsule" size=".03" fromto="0 0 0 0 0 -.4"/><body name="{s}3" pos="0 0 -.4">
  <joint name="{s}ankle" axis="0 1 0" range="-90 90" actuatorfrcrange="-9 9"/>
  <geom type="box" size=".1 .05 .02" pos="{toes} 0 0"/></body></body></body>"""


def biped(path, lean=0.0, toes=0.05):
    legs = "".join(LEG.format(s=s, y=y, lean=lean, toes=toes) for s, y in (("l", 0.1), ("r", -0.1)))
    body = f'<body name="box" pos="0 0 1"><freejoint/><geom type="box" size=".1 .1 .2" pos="0 0 .2"/>{legs}</body>'
    path.write_text(f"<mujoco><worldbody>{body}</worldbody></mujoco>")
    return load_robot(str(path))


def test_advice_tells_a_bad_pose_from_soft_ankles_and_a_robot_that_faces_backwards(tmp_path):
    fallen = module.Standing(torch.zeros(1, 13), 0.1, 90.0, diverged=False)
    *_, soft = advice(biped(tmp_path / "soft.xml"), fallen)
    robot = biped(tmp_path / "soft.xml")
    needed = 0.5 * robot.mass_kg * 9.81 * float(module.centre_of_mass_m(robot)[2])
    assert f"more than {needed:.0f} N m/rad each" in soft and "which is no error" in soft
    assert f"motors: {{stiffness: {{lankle: {1.2 * needed:.0f}, rankle: {1.2 * needed:.0f}}}}} in a YAML file" in soft
    assert f"with 9 N m each its ankles hold leans of {math.degrees(9 / needed):.0f} degrees at most" in soft
    strong = dataclasses.replace(
        robot, stiffness=10 * robot.stiffness, effort_limit=torch.full_like(robot.effort_limit, math.inf)
    )
    assert advice(strong, fallen)[-1] == "it falls, which is no error: no policy balances it here"
    *_, softer = advice(dataclasses.replace(robot, stiffness=0.1 * robot.stiffness), fallen)
    assert "motors: {stiffness: from_effort}" in softer
    *_, bad = advice(biped(tmp_path / "bad.xml", lean=-0.4), fallen)
    assert "centre of mass is 1" in bad and "cm outside of its soles; write a keyframe 'stand'" in bad
    lines = advice(biped(tmp_path / "back.xml", toes=-0.05), fallen)
    assert any("the sole of l3 is behind its ankle; the robot must face along x" in line for line in lines)
    assert (
        "the physics diverged"
        in advice(biped(tmp_path / "soft.xml"), module.Standing(fallen.qpos, 0.1, 90.0, True))[-1]
    )


def test_a_robot_without_feet_stands_on_its_lowest_point(tmp_path):
    arm = '<body pos="0 .5 0"><joint axis="1 0 0" actuatorfrcrange="-1 1"/><geom size=".05"/></body>'
    body = f'<body name="base"><freejoint/><geom size=".2"/>{arm}</body>'
    (tmp_path / "ball.xml").write_text(f"<mujoco><worldbody>{body}</worldbody></mujoco>")
    robot = load_robot(str(tmp_path / "ball.xml"))
    assert robot.stand_pos_m[0, 2] == pytest.approx(0.2) and robot.height_m == pytest.approx(0.4)
    assert stand_up(robot, Scene(robot.file)).height_share <= 1.0


def test_a_robot_is_drawn_from_two_sides(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STILL_SIZE", (60, 80))
    if show(tmp_path, "t1")["picture"] is None:
        pytest.skip("no renderer works here")
    assert iio.imread(tmp_path / "robot.png").shape == (2 * 80, 5 * 60, 3)
