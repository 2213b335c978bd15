"""The exported motors give the torques of the engine's own motors."""

import importlib.util
import json
import math

import pytest
import torch
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl.hierarchy.motor_torques import MotorTorques, motor_contract
from isaachrl.learn.learner import Exported
from isaachrl.run.commands.export import export_network, motor_networks
from isaachrl.sim import Control, Scene, load_robot, make_sim

assert tasks
CPU = torch.device("cpu")
ENGINES = ["mujoco", "mujoco_warp"]


def moving(engine, robot="humanoid", worlds=6, seed=0):
    """Worlds in the air in random poses, with velocities, and with targets that need more than the largest torque."""
    if engine == "mujoco_warp":
        pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    sim = make_sim(Scene(robot=robot), worlds, engine, CPU)
    generator = torch.Generator().manual_seed(seed)
    qpos = sim.robot.qpos0.expand(worlds, -1).clone()
    qpos[:, 2] = 3.0
    for joint in sim.robot.joints:
        columns = slice(7 + joint.qpos.start, 7 + joint.qpos.stop)
        noise = torch.randn(worlds, joint.qpos.stop - joint.qpos.start, generator=generator)
        qpos[:, columns] = (
            torch.nn.functional.normalize(qpos[:, columns] + 0.3 * noise, dim=-1) if joint.ball else noise
        )
    qvel = torch.randn(sim.qvel.shape, generator=generator)
    sim.reset(torch.ones(worlds, dtype=torch.bool), qpos, qvel)
    sim.ctrl.copy_(0.8 * torch.randn(sim.ctrl.shape, generator=generator))
    return sim


@pytest.mark.parametrize("engine", ENGINES)
def test_torques_are_those_of_the_engine_at_every_physics_step(engine):
    sim = moving(engine, worlds=6 if engine == "mujoco" else 4)
    module, seen = MotorTorques(sim.robot), []
    sim.motor_torque  # noqa: B018  from now on the CPU engine copies it out
    for _ in range(2):
        expected = module(sim.ctrl, sim.joint_pos, sim.joint_vel)
        sim.step(1)
        assert_close(sim.motor_torque, expected, atol=2e-3, rtol=1e-4)
        seen.append(expected)
    at_limit = torch.stack(seen).abs() >= sim.robot.effort_limit - 1e-3
    assert 0.05 < at_limit.float().mean() < 0.95, "both motors at their limit and below it are compared"


def test_a_robot_of_hinges_has_its_angles_as_they_are():
    sim = moving("mujoco", robot="g1", worlds=2)
    module = MotorTorques(sim.robot)
    sim.motor_torque  # noqa: B018
    expected = module(sim.ctrl, sim.joint_pos, sim.joint_vel)
    sim.step(1)
    assert_close(sim.motor_torque, expected, atol=2e-3, rtol=1e-4)


def test_torques_by_hand():
    robot = load_robot("humanoid")
    joint_pos = robot.qpos0[7:].unsqueeze(0).clone()
    targets, velocity = torch.zeros(1, 28), torch.zeros(1, 28)
    knee, abdomen = robot.dof_names.index("right_knee"), robot.dof_names.index("abdomen_x")
    targets[0, knee], velocity[0, knee] = 0.2, 0.5  # 300 * 0.2 - 30 * 0.5
    ball = next(joint for joint in robot.joints if joint.name == "abdomen")
    angle = 0.1
    joint_pos[0, ball.qpos] = -torch.tensor([math.cos(angle / 2), math.sin(angle / 2), 0.0, 0.0])  # either sign
    torque = MotorTorques(robot)(targets, joint_pos, velocity)[0]
    expected = torch.zeros(28)
    expected[knee], expected[abdomen] = 45.0, -60.0
    assert_close(torque, expected, atol=1e-3, rtol=0)
    targets[0, abdomen] = 0.1 - 4.0  # the shorter way round is the other one
    turned = MotorTorques(robot)(targets, joint_pos, velocity)[0, abdomen]
    assert turned == 125.0, "600 N m/rad * 2.28 rad are more than the largest torque"
    targets[0, knee] = -3.0
    assert MotorTorques(robot)(targets, joint_pos, velocity)[0, knee] == -100.0


def test_the_contract_says_what_goes_in_and_how_to_use_it():
    contract = json.loads(json.dumps(motor_contract(load_robot("humanoid"), 1 / 120)))
    assert [part["size"] for part in contract["joint_pos"][:3]] == [4, 4, 4]
    assert sum(part["size"] for part in contract["joint_pos"]) == 8 * 4 + 4
    knee = contract["dof_names"].index("left_knee")
    assert (contract["stiffness"][knee], contract["damping"][knee]) == (300.0, 30.0)
    assert contract["effort_range"][knee] == [-100.0, 100.0] and "implicitly" in contract["use"]


@pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="needs the extra export")
def test_the_exported_file_has_the_engines_torques(tmp_path):
    import onnxruntime

    sim = moving("mujoco", worlds=3)
    inputs = {"joint_targets": sim.ctrl, "joint_pos": sim.joint_pos, "joint_vel": sim.joint_vel}
    example = {name: values[:1].clone() for name, values in inputs.items()}
    exported = Exported("motor_torques", MotorTorques(sim.robot), example, "torques", {})
    assert max(export_network(exported, tmp_path).values()) < 1e-5
    session = onnxruntime.InferenceSession(str(tmp_path / "motor_torques.onnx"))
    (torques,) = session.run(None, {name: values.numpy().copy() for name, values in inputs.items()})
    sim.motor_torque  # noqa: B018
    sim.step(1)
    assert_close(sim.motor_torque, torch.from_numpy(torques), atol=2e-3, rtol=1e-4)


def test_only_position_motors_are_exported():
    cfg = {"task": {"motion": "walk"}}
    (exported,) = motor_networks(isaachrl.make("HumanoidAMP", 2, cfg=cfg))
    sizes = {name: tuple(values.shape) for name, values in exported.inputs.items()}
    assert sizes == {"joint_targets": (1, 28), "joint_pos": (1, 36), "joint_vel": (1, 28)}
    cfg["task"]["control"] = Control.torque.value
    assert motor_networks(isaachrl.make("HumanoidAMP", 2, cfg=cfg)) == []
