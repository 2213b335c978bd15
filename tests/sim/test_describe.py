import re

import mujoco
import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim import Scene, compile_scene, load_robot
from isaachrl.sim.describe import describe_robot

ARM = """<mujoco><worldbody>
  <body name="root" {root}><freejoint/><geom size=".1" {geom}/>
    <body name="arm" {body}>{joints}<geom size=".1" pos="1 0 0" mass="1"/>{extra}</body></body>
</worldbody><actuator>{motors}</actuator></mujoco>"""
ELBOW = '<joint name="elbow" axis="0 1 0" {}/>'
HINGE = ELBOW.format("")
BALL = '<joint name="elbow" type="ball"/>'
MOTOR = '<motor name="elbow" joint="elbow" forcerange="-1 1" user="0 1" {}/>'
ONE_MOTOR = MOTOR.format("")
BALL_MOTORS = "".join(
    f'<motor name="elbow_{a}" joint="elbow" gear="{g}" {{}}/>'
    for a, g in zip("xyz", ("1 0 0", "0 1 0", "0 0 1"), strict=True)
)

OF_ARM = "joint 'elbow' of body 'arm'"


def arm(joints=HINGE, motors=ONE_MOTOR, body="", root="", geom="", extra=""):
    xml = ARM.format(joints=joints, motors=motors, body=body, root=root, geom=geom, extra=extra)
    return describe_robot(mujoco.MjModel.from_xml_string(xml), "lamp")


def test_a_robot_without_a_free_root_is_refused():
    fixed = '<mujoco><worldbody><body><joint name="a"/><geom size=".1"/></body></worldbody></mujoco>'
    with pytest.raises(ConfigError, match="must be the free joint of its root"):
        describe_robot(mujoco.MjModel.from_xml_string(fixed), "lamp")


def test_a_motor_without_user_takes_its_hinges_range():
    motor = '<motor name="elbow" joint="elbow"/>'
    robot = arm(ELBOW.format('range="-90 30"'), motor)  # degrees, as MJCF counts by default
    torch.testing.assert_close(robot.dof_range_rad, torch.tensor([[-torch.pi / 2, torch.pi / 6]]))
    torch.testing.assert_close(robot.effort_limit, torch.tensor([torch.inf]))
    robot = arm(ELBOW.format('range="-90 30"'), MOTOR.format(""))
    torch.testing.assert_close(robot.dof_range_rad, torch.tensor([[0.0, 1.0]]))


def test_a_hinge_without_a_range_may_turn_once_and_a_balls_range_is_that_of_each_axis():
    robot = arm(ELBOW.format('ref="30"'), '<motor name="elbow" joint="elbow"/>')
    torch.testing.assert_close(robot.dof_range_rad, torch.tensor([[-torch.pi, torch.pi]]) + torch.pi / 6)
    robot = arm('<joint name="elbow" type="ball" range="0 90"/>', BALL_MOTORS.replace("{}", ""))
    torch.testing.assert_close(robot.dof_range_rad, torch.tensor([[-torch.pi / 2, torch.pi / 2]]).repeat(3, 1))


@pytest.mark.parametrize(
    ("joints", "motors", "message"),
    [
        (BALL, BALL_MOTORS.format("", "", ""), f"{OF_ARM} has no range about 'elbow_x'"),
        (BALL, BALL_MOTORS.format('user="-1 1"', 'user="1 -1"', ""), f"{OF_ARM} has no range about 'elbow_y'"),
        ('<joint name="elbow" type="slide"/>', MOTOR.format(""), f"{OF_ARM} slides; write type="),
    ],
)  # fmt: skip
def test_what_a_description_cannot_hold_is_refused_by_name(joints, motors, message):
    with pytest.raises(ConfigError, match=re.escape(f"robot 'lamp': {message}")):
        arm(joints, motors)


def test_a_loop_of_bodies_is_refused():
    xml = ARM.format(joints=HINGE, motors=ONE_MOTOR, body="", root="", geom="", extra="")
    loop = '<equality><connect name="rod" body1="arm" body2="root" anchor="0 0 0"/></equality></mujoco>'
    with pytest.raises(ConfigError, match="the constraint 'rod' closes a loop of bodies.*remove <connect>"):
        describe_robot(mujoco.MjModel.from_xml_string(xml.replace("</mujoco>", loop)), "lamp")


def test_the_robot_is_measured_in_its_standing_pose():
    robot = load_robot("humanoid")
    torch.testing.assert_close(robot.stand_pos_m[0], torch.tensor([0.0, 0.0, 0.8814]))
    assert robot.height_m == pytest.approx(0.8814 + 0.236 + 0.224 + 0.29)
    torch.testing.assert_close(robot.stand_qpos, robot.qpos0)
    torch.testing.assert_close(robot.stiffness[:4], torch.tensor([600.0, 600.0, 600.0, 50.0]))


@pytest.mark.parametrize(
    "change",
    [
        {"body": 'quat="0.8 0.6 0 0"'},
        {"joints": ELBOW.format('pos="0 0 0.1"')},
        {"joints": ELBOW.format('damping="0.1"')},
        {"joints": ELBOW.format('stiffness="1"')},
        {"joints": ELBOW.format('range="-90 90"')},
        {"joints": ELBOW.format('armature="0.01"')},
        {"joints": ELBOW.format('ref="10"')},
        {"joints": ELBOW.format('stiffness="0" springref="10"')},
        {
            "joints": HINGE + '<joint name="twist" axis="1 0 0"/>',
            "motors": ONE_MOTOR + ONE_MOTOR.replace("elbow", "twist"),
        },
        {"motors": MOTOR.format('ctrlrange="-1 1"')},
        {"motors": MOTOR.format("").replace('user="0 1"', 'user="0 1.1"')},
        {"geom": 'friction="0.5"'},
        {"geom": 'contype="2"'},
        {"extra": '<geom size=".01" pos="2 0 0" mass="0"/>'},
    ],
    ids=lambda change: " ".join(change.values()),
)
def test_the_hash_sees_whatever_changes_how_the_robot_moves(change):
    assert arm(**change).model_hash != arm().model_hash


def test_the_hash_sees_a_mass_that_is_spread_otherwise():
    light, heavy = (f'<inertial pos="1 0 0" mass="1" diaginertia="0.1 0.1 {z}"/>' for z in (0.1, 0.11))
    assert arm(extra=light).model_hash != arm(extra=heavy).model_hash
    # about a sphere's middle every axis is principal: a turned frame says the same
    turned = '<inertial pos="1 0 0" mass="1" diaginertia="0.1 0.1 0.1" quat="0.6 0.8 0 0"/>'
    assert arm(extra=light).model_hash == arm(extra=turned).model_hash


def test_the_hash_does_not_see_where_the_robot_stands_at_first_nor_noise():
    assert arm(root='pos="1 2 3"').model_hash == arm().model_hash
    noisy = arm(body='pos="0 0 1e-11"', joints=ELBOW.format('armature="0.0200000000001"'))
    assert noisy.model_hash == arm(joints=ELBOW.format('armature="0.02"')).model_hash


def test_the_hash_is_that_of_the_shipped_robot_alone_in_any_scene():
    bare = describe_robot(compile_scene(Scene("humanoid")), "humanoid")
    soft = describe_robot(compile_scene(Scene("humanoid", solimp=(0.8, 0.8, 0.01), rough_m=0.02)), "humanoid")
    assert bare.model_hash == soft.model_hash and bare.model_hash.startswith("2-")
