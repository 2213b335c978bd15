import mujoco
import numpy as np
import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim import Control, Scene, compile_scene, describe_robot

ARM = """<mujoco><compiler angle="radian"/><worldbody><body name="root"><freejoint/><geom size=".1"/>
  <body name="upper" pos="0 .2 0"><joint name="shoulder" axis="0 1 0" {shoulder}/><geom size=".1" pos=".2 0 0"/>
  <body name="lower" pos=".4 0 0"><site name="grip"/>
  <joint name="elbow" axis="0 1 0" {elbow}/><geom size=".1" pos=".2 0 0"/></body></body>
</body></worldbody><actuator>{motors}</actuator></mujoco>"""
POSITIONS = '<position name="a" joint="shoulder" kp="40" kv="2"/><position name="b" joint="elbow" kp="30" kv="1"/>'
TORQUES = '<motor joint="shoulder" ctrlrange="-20 20"/><motor joint="elbow" ctrlrange="-10 10"/>'


@pytest.fixture
def arm(tmp_path):
    def compiled(motors="", yaml="", control=Control.position, shoulder="", elbow=""):
        (tmp_path / "arm.xml").write_text(ARM.format(motors=motors, shoulder=shoulder, elbow=elbow))
        (tmp_path / "given.yaml").write_text(f"model: arm.xml\nmotors: {yaml or '{}'}\n")
        return compile_scene(Scene(str(tmp_path / "given.yaml"), control=control))

    return compiled


def numbers(model):
    """Stiffness, damping and largest torque of each motor, which must have gear 1 and any input."""
    assert (model.actuator_gear[:, 0] == 1).all() and not model.actuator_ctrllimited.any()
    effort = np.where(model.actuator_forcelimited, model.actuator_forcerange[:, 1], np.inf)
    return np.stack([model.actuator_gainprm[:, 0], -model.actuator_biasprm[:, 2], effort])


def test_position_motors_stay_as_they_are_whatever_their_names(arm):
    model = arm(POSITIONS)
    np.testing.assert_allclose(numbers(model), [[40, 30], [2, 1], [np.inf, np.inf]])
    assert [model.actuator(a).name for a in range(2)] == ["a", "b"]


def test_motors_are_put_into_the_order_of_what_they_turn(arm):
    model = arm('<position joint="elbow" kp="30" kv="1"/><position joint="shoulder" kp="40" kv="2"/>')
    np.testing.assert_allclose(numbers(model)[:2], [[40, 30], [2, 1]])
    assert [model.actuator(a).name for a in range(2)] == ["shoulder", "elbow"]


def test_gears_are_multiplied_in(arm):
    # the motor's angle is three times the joint's, and its torque arrives threefold
    model = arm(POSITIONS.replace('kp="40" kv="2"', 'kp="40" kv="2" gear="3" forcerange="-5 5"'))
    np.testing.assert_allclose(numbers(model), [[360, 30], [18, 1], [15, np.inf]])


def test_a_position_motor_may_be_sent_beyond_its_range_of_inputs(arm):
    model = arm(POSITIONS.replace('kv="2"', 'kv="2" ctrlrange="-1 1"'))
    np.testing.assert_allclose(numbers(model)[:2], [[40, 30], [2, 1]])


def test_a_damping_ratio_is_resolved(arm):
    ratio = POSITIONS.replace('kv="2"', 'dampratio="1"')
    plain = mujoco.MjModel.from_xml_string(ARM.format(motors=ratio, shoulder="", elbow=""))
    assert plain.actuator_biasprm[0, 2] < -1.0
    np.testing.assert_allclose(numbers(arm(ratio))[1], -plain.actuator_biasprm[:, 2])
    torque = numbers(arm(ratio, control=Control.torque))
    np.testing.assert_allclose(torque[:2], [[1, 1], -0.1 * plain.actuator_biasprm[:, 2]])


def test_torque_motors_become_position_motors_from_their_largest_torque(arm):
    np.testing.assert_allclose(numbers(arm(TORQUES)), [[60, 30], [6, 3], [20, 10]])


def test_torque_motors_take_torques_with_their_gears(arm):
    np.testing.assert_array_equal(arm(TORQUES, control=Control.torque).actuator_ctrlrange[:, 1], [20, 10])
    geared = TORQUES.replace('ctrlrange="-20 20"', 'ctrlrange="-1 1" gear="20"')
    model = arm(geared, control=Control.torque)
    np.testing.assert_allclose(numbers(model), [[1, 1], [0.6, 0.3], [20, 10]])


def test_the_least_of_all_limits_counts(arm):
    limited = arm(TORQUES, shoulder='actuatorfrcrange="-15 15"', elbow='actuatorfrcrange="-50 50"')
    np.testing.assert_allclose(numbers(limited)[2], [15, 10])
    robot = describe_robot(arm(POSITIONS, shoulder='actuatorfrcrange="-15 15"'), "arm")
    torch.testing.assert_close(robot.effort_limit, torch.tensor([15.0, torch.inf]))


def test_a_model_without_motors_gets_them_with_their_armature(arm):
    model = arm(shoulder='actuatorfrcrange="-20 20"', elbow='actuatorfrcrange="-10 10"')
    np.testing.assert_allclose(numbers(model), [[60, 30], [6, 3], [20, 10]])
    np.testing.assert_allclose(model.dof_armature[6:], np.array([60, 30]) / (2 * np.pi * 10) ** 2)
    model = arm(shoulder='actuatorfrcrange="-20 20" armature=".3"', elbow='actuatorfrcrange="-10 10"')
    np.testing.assert_allclose(model.dof_armature[6:], [0.3, 0.0])


def test_the_yaml_file_overrules_the_model_by_pattern_of_joints(arm):
    yaml = "{stiffness: {'*': 100, elb*: 50}, damping: 4, effort: auto}"
    np.testing.assert_allclose(numbers(arm(POSITIONS, yaml)), [[100, 50], [4, 4], [np.inf, np.inf]])
    np.testing.assert_allclose(numbers(arm(yaml="{effort: {shoulder: 20, elbow: 10}}")), [[60, 30], [6, 3], [20, 10]])
    yaml = "{stiffness: from_effort, effort: {shoulder: 20, elbow: 10}}"  # of position motors, in place of their own
    np.testing.assert_allclose(numbers(arm(POSITIONS, yaml)), [[60, 30], [6, 3], [20, 10]])


@pytest.mark.parametrize(
    ("motors", "yaml", "message"),
    [
        (POSITIONS + '<motor joint="elbow"/>', "", "joint 'elbow' has two motors; write one <position"),
        (TORQUES.split("/>")[0] + "/>", "", 'no motor turns elbow; write <motor joint="elbow"'),
        (TORQUES + '<motor name="pull" site="grip"/>', "", "motor 'pull' must turn one joint about one axis"),
        (POSITIONS.replace("position", "velocity").replace('kp="40"', "").replace('kp="30"', ""), "",
         "the motor of 'shoulder' is neither a torque nor a position motor; write <motor"),
        ("", "", 'joint \'shoulder\' has no largest torque.*write actuatorfrcrange="-N N" on it, or in a YAML'),
        (POSITIONS, "{stiffness: from_effort}", "joint 'shoulder' has no largest torque"),
        (POSITIONS, "{effort: {knee: 1}}", r"motors\.effort\.knee fits no joint \(they are: elbow, shoulder\)"),
    ],
)  # fmt: skip
def test_motors_that_a_robot_cannot_hold_are_refused(arm, motors, yaml, message):
    with pytest.raises(ConfigError, match=message):
        arm(motors, yaml, shoulder='frictionloss="0"')


def test_a_controlled_arm_goes_where_it_is_sent(arm):
    model = arm(TORQUES)
    model.opt.gravity[:] = 0.0
    data = mujoco.MjData(model)
    data.ctrl[:] = [0.5, -0.4]
    for _ in range(600):
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(data.qpos[7:], [0.5, -0.4], atol=0.01)
