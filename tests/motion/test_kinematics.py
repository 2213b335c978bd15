import math

import mujoco
import numpy as np
import pytest
import torch

from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.kinematics import JointLayout
from isaachrl.sim import Scene, compile_scene, describe_robot

# a leg as other robots have it: frames turned at rest, joints beside their bodies' origins, two of them on one body,
# coordinates that are not zero at rest, a welded toe
LEG = """<mujoco><compiler angle="degree"/><worldbody>
  <body name="root" pos="0 0 1" quat="0.6 0 0.8 0"><freejoint/><geom size=".1"/>
    <body name="thigh" pos="0.1 -0.2 0.05" quat="0.5 0.5 -0.5 0.5">
      <joint name="hip" type="ball" pos="0.03 0.02 -0.01"/><geom size=".1"/>
      <body name="shin" pos="0 0.1 -0.4" euler="20 -30 70">
        <joint name="knee" axis="1 2 -1" pos="0.05 -0.04 0.1" range="-90 90"/><geom size=".1"/>
        <joint name="twist" axis="0 1 3" pos="-0.02 0.03 0.05" range="-90 90" ref="25"/>
        <body name="toe" pos="0.1 0 -0.3" euler="0 45 0"><geom size=".05"/></body>
      </body></body>
    <body name="tail" pos="-0.2 0 0"><joint name="tail" axis="0 0 1" range="-30 60"/><geom size=".05"/></body></body>
</worldbody><actuator>
  <motor name="hip_x" joint="hip" gear="1 0 0" user="-1 1"/><motor name="hip_y" joint="hip" gear="0 1 0" user="-1 1"/>
  <motor name="hip_z" joint="hip" gear="0 0 1" user="-1 1"/><motor name="knee" joint="knee" user="-1 1"/>
  <motor name="twist" joint="twist" user="-1 1"/><motor name="tail" joint="tail" user="-1 1"/>
</actuator></mujoco>"""


@pytest.fixture(scope="module")
def model():
    return compile_scene(Scene(robot="humanoid"))


def random_qpos(model, seed, count):
    """Coordinates with unit quaternions and hinge angles within (-pi, pi)."""
    rng = np.random.default_rng(seed)
    qpos = np.clip(rng.normal(size=(count, model.nq)), -3, 3)
    for row in qpos:
        mujoco.mj_normalizeQuat(model, row)
    return qpos


def test_forward_kinematics_is_mujocos(model, robot):
    data, layout = mujoco.MjData(model), JointLayout(robot)
    qpos = random_qpos(model, 0, 5)
    q = torch.tensor(qpos, dtype=torch.float32)
    pos, quat = kinematics.forward(layout, q[:, :3], q[:, 3:7], kinematics.joint_quat_from_qpos(layout, q[:, 7:]))
    assert pos.shape == (5, 15, 3) and quat.shape == (5, 15, 4)
    ids = [model.body(name).id for name in robot.body_names]
    for i in range(5):
        data.qpos[:] = qpos[i]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(pos[i], data.xpos[ids], atol=2e-6)
        same = np.abs((quat[i].numpy() * data.xquat[ids]).sum(-1))
        np.testing.assert_allclose(same, 1.0, atol=2e-6)


def test_forward_kinematics_is_mujocos_for_turned_frames_and_joints_beside_the_origin():
    model = mujoco.MjModel.from_xml_string(LEG)
    robot, data = describe_robot(model, "leg"), mujoco.MjData(model)
    assert not robot.has_plain_frames
    qpos = random_qpos(model, 7, 5)
    q = torch.tensor(qpos, dtype=torch.float32)
    pos, quat = kinematics.forward(robot, q[:, :3], q[:, 3:7], kinematics.joint_quat_from_qpos(robot, q[:, 7:]))
    ids = [model.body(name).id for name in robot.body_names]
    for i in range(5):
        data.qpos[:] = qpos[i]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(pos[i], data.xpos[ids], atol=1e-5)
        np.testing.assert_allclose(np.abs((quat[i].numpy() * data.xquat[ids]).sum(-1)), 1.0, atol=1e-5)


def test_coordinates_dofs_and_velocities_of_the_leg_are_mujocos():
    model = mujoco.MjModel.from_xml_string(LEG)
    robot, data = describe_robot(model, "leg"), mujoco.MjData(model)
    assert robot.joints[2].ref_rad == pytest.approx(math.radians(25))
    path = random_qpos(model, 8, 2)
    q = torch.tensor(path, dtype=torch.float64)[:, 7:]
    joint_quat = kinematics.joint_quat_from_qpos(robot, q)
    torch.testing.assert_close(kinematics.qpos_from_joint_quat(robot, joint_quat), q, atol=1e-6, rtol=0)
    data.qpos[:] = path[0]
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(kinematics.dof_pos(robot, joint_quat)[0], data.actuator_length, atol=1e-6)
    mujoco.mj_integratePos(model, path[0], velocity := np.random.default_rng(9).normal(size=model.nv), 0.02)
    q = torch.tensor(np.stack([data.qpos, path[0]]))[:, 7:]
    got = kinematics.dof_velocity(robot, kinematics.joint_quat_from_qpos(robot, q), 0.02)[0]
    np.testing.assert_allclose(got, velocity[6:], atol=1e-5)


def test_a_joint_beside_the_origin_carries_the_body_around_it():
    # the shin's joint is 0.1 m above its origin: a turn by 90 degrees about y swings the origin from below to behind
    xml = """<mujoco><worldbody><body name="root"><freejoint/><geom size=".1"/><body name="shin" pos="0 0 -0.5">
      <joint name="knee" axis="0 1 0" pos="0 0 0.1"/><geom size=".1"/></body></body></worldbody>
      <actuator><motor name="knee" joint="knee" user="-1 1"/></actuator></mujoco>"""
    robot = describe_robot(mujoco.MjModel.from_xml_string(xml), "leg")
    joint_quat = kinematics.joint_quat_from_qpos(robot, torch.tensor([math.pi / 2]))
    pos, _ = kinematics.forward(robot, torch.zeros(3), torch.tensor([1.0, 0.0, 0.0, 0.0]), joint_quat)
    torch.testing.assert_close(pos[1], torch.tensor([-0.1, 0.0, -0.4]))


def test_coordinates_survive_the_way_to_rotations_and_back(model, robot):
    q = torch.tensor(random_qpos(model, 1, 6)[:, 7:], dtype=torch.float32).reshape(2, 3, -1)
    joint_quat = kinematics.joint_quat_from_qpos(robot, q)
    assert joint_quat.shape == (2, 3, len(robot.joints), 4)
    torch.testing.assert_close(kinematics.qpos_from_joint_quat(robot, joint_quat), q, atol=2e-6, rtol=0)


def test_a_hinge_turns_about_its_axis_by_its_angle(robot):
    elbow = robot.joints[robot.joint_names.index("left_elbow")]
    q = robot.qpos0[7:].clone()
    q[elbow.qpos] = -0.6
    joint_quat = kinematics.joint_quat_from_qpos(robot, q)
    expected = torch.tensor([math.cos(0.3), 0.0, -math.sin(0.3), 0.0])
    torch.testing.assert_close(joint_quat[robot.joint_names.index("left_elbow")], expected)
    dofs = torch.zeros(robot.num_dofs)
    dofs[elbow.dof] = -0.6
    torch.testing.assert_close(kinematics.dof_pos(robot, joint_quat), dofs)


def test_dof_positions_are_the_motors_lengths(model, robot):
    data = mujoco.MjData(model)
    data.qpos[:] = random_qpos(model, 2, 1)[0]
    mujoco.mj_forward(model, data)
    q = torch.tensor(data.qpos[7:], dtype=torch.float32)
    positions = kinematics.dof_pos(robot, kinematics.joint_quat_from_qpos(robot, q))
    np.testing.assert_allclose(positions, data.actuator_length, atol=3e-6)


def test_dof_velocities_are_mujocos_differences(model, robot):
    dt = 0.02
    start = random_qpos(model, 3, 1)[0]
    path = [start]
    velocity = np.random.default_rng(4).normal(size=model.nv)
    for step in (1.0, 0.4):  # an uneven path, so that the one-sided ends differ from the middle
        path.append(path[-1].copy())
        mujoco.mj_integratePos(model, path[-1], velocity, step * dt)
    q = torch.tensor(np.array(path), dtype=torch.float64)
    got = kinematics.dof_velocity(robot, kinematics.joint_quat_from_qpos(robot, q[:, 7:]), dt)
    for row, (a, b, span) in enumerate([(0, 1, dt), (0, 2, 2 * dt), (1, 2, dt)]):
        expected = np.zeros(model.nv)
        mujoco.mj_differentiatePos(model, expected, span, path[a], path[b])
        np.testing.assert_allclose(got[row], expected[6:], atol=1e-5)


def test_a_balls_velocity_is_in_the_childs_own_frame(robot):
    # the thigh is turned by 90 degrees about z, then spins about the parent's x axis: its own -y axis
    hip = robot.joint_names.index("right_hip")
    still = rotations.from_yaw(torch.tensor(math.pi / 2, dtype=torch.float64))
    joint_quat = torch.zeros(2, len(robot.joints), 4, dtype=torch.float64)
    joint_quat[..., 0] = 1.0
    spin = rotations.from_rotvec(torch.tensor([0.1, 0.0, 0.0], dtype=torch.float64))
    joint_quat[0, hip], joint_quat[1, hip] = still, rotations.multiply(spin, still)
    velocity = kinematics.dof_velocity(robot, joint_quat, dt_s=0.1)[0, robot.joints[hip].dof]
    torch.testing.assert_close(velocity, torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64), atol=1e-6, rtol=0)
