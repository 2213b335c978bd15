"""A task under a skill file: what is filled in, and what is refused."""

import pytest
import torch

import isaachrl
import tasks
from isaachrl.envs import TaskEnv
from isaachrl.errors import SkillError
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.hierarchy.skill import Skill
from tests.tiny_skill import LATENT_SIZE, make_tiny_skill

assert tasks


def make(**task):
    return isaachrl.make("HumanoidHRLMaze", 2, device="cpu", cfg={"task": {"start_motion": "stand"} | task})


@pytest.fixture
def skill_file(tmp_path):
    make_tiny_skill().save(tmp_path / "skill.pt")
    return str(tmp_path / "skill.pt")


def test_the_skill_sets_the_command_and_the_length_of_the_window(skill_file):
    env = make(skill=skill_file, hierarchy={"steps": 3})
    assert isinstance(env, HierarchicalEnv)
    assert (env.action_size, env.cfg.steps, env.inner.task.cfg.style_frames) == (LATENT_SIZE, 3, 2)
    assert env.obs_sizes["style"] == 2 * 125


def test_without_a_style_weight_no_window_is_kept(skill_file):
    assert "style" not in make(skill=skill_file, hierarchy={"style_weight": 0.0}).obs_sizes


def test_none_gives_the_bare_task():
    env = make(skill="none")
    assert isinstance(env, TaskEnv) and env.action_size == 28


def test_a_missing_skill_says_how_to_get_one():
    with pytest.raises(SkillError, match=r"no skill file nowhere.pt; pretrain one with .*task=HumanoidAMP.*skill=RUN"):
        make(skill="nowhere.pt")
    with pytest.raises(SkillError, match="cannot be read: File name too long"):
        make(skill="a" * 300)
    with pytest.raises(SkillError, match="cannot be read: File name too long"):
        Skill.load("a" * 300)
    with pytest.raises(SkillError, match="no skill file ~nobody-of-that-name/skill.pt"):
        make(skill="~nobody-of-that-name/skill.pt")


def test_a_skill_without_commands_has_nothing_to_be_told(tmp_path):
    make_tiny_skill(latent_size=0).save(tmp_path / "skill.pt")
    with pytest.raises(SkillError, match=r"takes no latents .*train.latents=motion"):
        make(skill=str(tmp_path / "skill.pt"))


def test_another_clock_is_refused(tmp_path):
    make_tiny_skill(step_s=1 / 60).save(tmp_path / "skill.pt")
    with pytest.raises(SkillError, match=r"control interval is 0.016667, the task's is 0.033333"):
        make(skill=str(tmp_path / "skill.pt"))


def test_another_window_is_refused(skill_file):
    with pytest.raises(SkillError, match="takes 250 numbers of style, not 375"):
        make(skill=skill_file, style_frames=3)


def test_a_command_moves_the_body(skill_file):
    env = make(skill=skill_file)
    before = env.inner.sim.qpos.clone()
    env.advance(torch.ones(2, LATENT_SIZE))
    assert not torch.equal(env.inner.sim.qpos, before)
