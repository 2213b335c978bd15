"""Tasks of a humanoid with robots other than the shipped humanoid."""

import dataclasses

import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.clip import Clip
from isaachrl.motion.library import MotionState
from isaachrl.sim import Control, load_robot
from tasks.common import humanoid
from tasks.humanoid_amp import HumanoidAMPCfg

assert tasks


def make(task="HumanoidLocation", robot="g1", n=2, **cfg):
    given = {"robot": robot} | ({"skill": "none"} if task != "HumanoidAMP" else {}) | cfg
    return isaachrl.make(task, n, sim="mujoco", device="cpu", cfg={"task": given})


def lowest_sole(env):
    """Height `(N,)` of the lowest point of the soles."""
    robot, sim = env.sim.robot, env.sim
    points = [
        sim.body_pos_w[:, [b]]
        + rotations.rotate(sim.body_quat_w[:, [b]].expand(-1, len(own), -1), own.expand(2, -1, -1))
        for b, own in ((robot.body_names.index(name), own) for name, own in robot.soles.items())
    ]
    return torch.cat(points, dim=1)[..., 2].amin(1)


@pytest.mark.parametrize("task", ["HumanoidLocation", "HumanoidDodge", "HumanoidReach", "HumanoidHRLMaze"])
@pytest.mark.parametrize("robot", ["g1", "t1"])
def test_a_robot_starts_on_its_soles_in_its_standing_pose_and_is_observed(robot, task):
    env = make(task, robot)
    obs, sim = env.reset(), env.sim
    torch.testing.assert_close(lowest_sole(env), torch.zeros(2), atol=1e-5, rtol=0)
    assert (sim.joint_pos - sim.robot.stand_qpos[7:]).abs().max() < 0.2
    assert obs["proprioception"].shape == (2, 15 * sim.robot.num_bodies - 2)
    for _ in range(3):
        obs = env.step(torch.zeros(2, sim.robot.num_dofs)).obs
    assert all(group.isfinite().all() for group in obs.values()) and not env.task.is_low().any()


def test_heights_of_falls_are_of_the_robots_own_size_or_typed():
    robot = load_robot("g1")
    assert robot.stand_pos_m[0, 2] == pytest.approx(0.759, abs=1e-3)
    assert HumanoidAMPCfg(robot="g1").min_height_m == {"pelvis": 0.43, "torso_link": 0.51}
    typed = humanoid.fall_heights(robot, {"pelvis": 0.5, "head": 0.85, "torso": 0.3, "left_knee_link": 0.1})
    assert typed == {"pelvis": 0.43, "torso_link": 0.3, "left_knee_link": 0.1}
    # stored values are read back as they are
    assert humanoid.fall_heights(robot, {"head": 0.85} | typed) == typed


def test_the_rules_for_other_robots_give_the_humanoids_own_numbers(tmp_path):
    assert HumanoidAMPCfg().min_height_m == humanoid.MIN_HEIGHT_M
    assert humanoid.fall_heights(load_robot("assets/humanoid/humanoid.xml"), {}) == {"pelvis": 0.5, "head": 0.85}
    robot = load_robot("humanoid")
    assert [humanoid.sized_m(robot, share) for share in (0.092, 0.184, 0.1226)] == [0.15, 0.3, 0.2]
    assert humanoid.key_bodies(robot) == ("right_hand", "left_hand", "right_foot", "left_foot")


def test_actions_are_targets_around_the_standing_pose():
    robot = load_robot("g1")
    actions_of = Control.position, torch.device("cpu")
    actions = humanoid.ActionMap(robot, *actions_of)
    stand = kinematics.dof_pos(robot, kinematics.joint_quat_from_qpos(robot, robot.stand_qpos[7:]))
    torch.testing.assert_close(actions(torch.zeros(1, 29))[0], stand)
    scale = dict(zip(robot.dof_names, actions.scale.tolist(), strict=True))
    assert scale["waist_roll_joint"] == pytest.approx(50 / 150), "the full torque"
    assert scale["left_elbow_joint"] == pytest.approx(0.25 * 3.1416, abs=1e-4), "at least a quarter of the range"
    knee = robot.dof_names.index("left_knee_joint")
    straight = robot.stand_qpos.clone()
    straight[7 + knee] = 0.05
    scale = humanoid.ActionMap(dataclasses.replace(robot, stand_qpos=straight), *actions_of).scale
    assert scale[knee] == pytest.approx(1.25 - 0.05, abs=1e-3), "as far as a walk bends knees"
    soft = dataclasses.replace(robot, stiffness=0.1 * robot.stiffness)
    scale = dict(zip(robot.dof_names, humanoid.ActionMap(soft, *actions_of).scale.tolist(), strict=True))
    assert scale["left_ankle_roll_joint"] == pytest.approx(0.7 * 0.5236), "at most 0.7 of the range"


def test_key_bodies_are_forearms_where_there_are_no_hands():
    assert humanoid.key_bodies(load_robot("t1"))[:2] == ("right_hand_link", "left_hand_link")
    assert humanoid.top_body(load_robot("t1")) == "H2" and humanoid.top_body(load_robot("g1")) == "torso_link"


def test_a_robot_without_the_roles_of_a_humanoid_is_refused_with_the_lines_to_write():
    with pytest.raises(
        ConfigError, match="robot 'ant': which body is its pelvis and which its torso and which its right_foot"
    ):
        make(robot="ant")
    with pytest.raises(ConfigError, match="no robot 'g2' is shipped; did you mean g1"):
        make(robot="g2")


def test_a_skill_of_another_robot_is_refused():
    with pytest.raises(isaachrl.errors.SkillError, match="robot"):
        make(skill="assets/skills/agile.pt")


def test_imitation_of_a_clip_of_the_robot(tmp_path):
    robot, frames = load_robot("t1"), 40
    sway = 0.2 * torch.sin(torch.linspace(0, 6.28, frames))
    qpos = robot.stand_qpos.repeat(frames, 1)
    qpos[:, 7 + robot.dof_names.index("Left_Shoulder_Pitch")] += sway
    qpos[:, 2] = robot.stand_pos_m[0, 2]
    clip = Clip(
        name="sway", fps=30.0, loop=False, root_pos_w=qpos[:, :3].numpy(), root_quat_w=qpos[:, 3:7].numpy(),
        joint_quat=kinematics.joint_quat_from_qpos(robot, qpos[:, 7:]).numpy(), joint_names=robot.joint_names,
        body_names=robot.body_names,
    )  # fmt: skip
    clip.save(tmp_path / "sway.npz")
    env = make("HumanoidAMP", "t1", motion=str(tmp_path / "sway.npz"), style_frames=2)
    env.reset()
    result = env.step(env.task.mean_action().expand(2, -1))
    assert result.obs["style"].shape == (2, 2 * humanoid.style_size(robot))
    assert not result.terminated.any()


def test_the_style_leaves_wrists_out():
    """Retargeted wrists are still, so any movement of them would be told from a recorded motion."""
    robot = load_robot("g1")
    assert [joint.name for joint in robot.wrists] == [
        f"{side}_wrist_{axis}_joint" for side in ("left", "right") for axis in ("yaw", "pitch", "roll")
    ]
    assert load_robot("humanoid").wrists == () and len(humanoid.styled_joints(robot)) == len(robot.joints) - 6
    layout, style = kinematics.JointLayout(robot, torch.device("cpu")), humanoid.StyleFrame(robot, torch.device("cpu"))
    still = torch.zeros(1, 3)

    def frame(pose: dict[str, float]) -> torch.Tensor:
        angles, speeds = torch.zeros(1, robot.num_dofs), torch.zeros(1, robot.num_dofs)
        for name, value in pose.items():
            angles[0, robot.dof_names.index(name)] = speeds[0, robot.dof_names.index(name)] = value
        joint_quat = kinematics.joint_quat_from_qpos(layout, angles)
        root = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
        pos, _ = kinematics.forward(layout, still, root, joint_quat)
        return style(MotionState(still, root, still, still, joint_quat, speeds, pos))

    parts = dict(zip((name for name, _, _ in humanoid.style_layout(robot)), frame({}).split(
        [size for _, size, _ in humanoid.style_layout(robot)], dim=1), strict=True))  # fmt: skip
    assert parts["dof_vel"].shape == (1, 23) and parts["joint_rotations"].shape == (1, 6 * 23)
    hands = slice(-parts["key_body_pos_h"].shape[1], None)
    moved = frame({"left_wrist_pitch_joint": 0.5})
    assert torch.equal(moved[:, : hands.start], frame({})[:, : hands.start])
    assert not torch.equal(frame({"left_elbow_joint": 0.5})[:, : hands.start], frame({})[:, : hands.start])
