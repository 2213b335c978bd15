"""Skill files: what is no skill, or one of another robot, is refused."""

import pytest
import torch

from isaachrl.errors import SkillError
from isaachrl.hierarchy.skill import Skill
from isaachrl.sim import load_robot
from tests.tiny_skill import make_tiny_skill


def test_a_file_of_another_kind_is_refused_without_foreign_advice(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# not a skill")
    with pytest.raises(SkillError, match=r"README\.md is damaged, or no file of isaachrl.*RUN/skill\.pt") as error:
        Skill.load(path)
    assert "weights_only" not in str(error.value)


def test_a_skill_with_the_hash_of_an_earlier_version_says_what_to_do(tmp_path):
    robot, path = load_robot("humanoid"), tmp_path / "skill.pt"
    make_tiny_skill().stamped("62bba74549fa4b3c").save(path)
    with pytest.raises(SkillError, match="made by an earlier version of isaachrl.*Skill.load.*stamped") as error:
        Skill.load(path).check(robot, 1 / 30, "position")
    assert robot.model_hash in str(error.value)
    Skill.load(path).stamped(robot.model_hash).save(path)
    Skill.load(path).check(robot, 1 / 30, "position")


def test_a_skill_of_a_robot_that_moves_otherwise_is_refused():
    with pytest.raises(SkillError, match="its model hash is 2-0123, the task's is 2-"):
        make_tiny_skill().stamped("2-0123").check(load_robot("humanoid"), 1 / 30, "position")


def test_a_command_of_zeros_is_a_point_of_the_sphere_as_all_are():
    skill = make_tiny_skill()
    command = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, -3.0, 4.0, 0.0]])
    latent = skill.project(command)
    torch.testing.assert_close(latent, torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, -0.6, 0.8, 0.0]]))
    proprioception = torch.randn(2, skill.contract.proprioception_size)
    exported = skill.controller_module()
    torch.testing.assert_close(exported(proprioception, command), exported(proprioception, latent))
