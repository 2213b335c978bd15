"""A skill file given where a checkpoint is expected."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import tasks
from isaachrl.errors import CheckpointError, ConfigError, SkillError
from isaachrl.hierarchy.skill import Skill
from isaachrl.retarget.body import robot_body
from isaachrl.retarget.convert import as_clip
from isaachrl.run import dispatch as commands
from isaachrl.run.config import settings
from isaachrl.run.storage.skill_file import load_checkpoint_or_skill
from isaachrl.sim import load_robot

assert tasks
SKILL = str(Path("assets/skills/humanoid.pt").resolve())


@pytest.fixture
def launch(tmp_path):
    def launch(**typed):
        base = {"task": {"name": typed.pop("name", "HumanoidAMP")}, "train": {"name": "skills"}}
        values = {"device": "cpu", "run_dir": str(tmp_path), **typed}
        return commands.dispatch(settings.resolve(settings.merge(base, values), values))

    return launch


@pytest.mark.parametrize("key", ["skill", "checkpoint"])
def test_the_shipped_skill_can_be_evaluated(key, launch, capsys):
    launch(mode="evaluate", episodes=2, num_envs=2, task={"episode_steps": 5}, **{key: SKILL})
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["episodes"] == 2 and line["clips"]["stand"]["fall_rate"] == 0.0


def test_a_skill_is_not_taken_for_the_checkpoint_of_a_task_that_commands_it(launch):
    with pytest.raises(CheckpointError, match=r"is a skill; for task=HumanoidHRLMaze to command it, type skill="):
        launch(mode="evaluate", task={"name": "HumanoidHRLMaze"}, checkpoint=SKILL)


def test_a_skill_file_says_what_it_was_made_of():
    loaded = load_checkpoint_or_skill(Path(SKILL))
    assert (loaded.task, loaded.learner) == ("HumanoidAMP", "skills")
    assert loaded.iteration > 0 and loaded.config["train"]["latents"] == "motion"


def test_the_export_of_a_skill_file_says_what_it_was_made_of(launch, tmp_path):
    launch(mode="export", skill=SKILL, num_envs=2)
    (path,) = tmp_path.rglob("low_level.json")
    assert json.loads(path.read_text())["training"] == Skill.load(SKILL).contract.training != {}


def test_a_skill_file_cannot_be_trained_further(launch):
    with pytest.raises(CheckpointError, match=r"is a skill file, without critic.*task=HumanoidHRLMaze skill="):
        launch(checkpoint=SKILL)


def test_a_skill_and_other_motions_do_not_go_together(launch):
    with pytest.raises(SkillError, match=r"its list of motions is \['stand', .*, the task's is \['walk"):
        launch(mode="evaluate", skill=SKILL, motion="walks", num_envs=2)


def test_a_skill_is_looked_at_with_its_own_clock(launch):
    with pytest.raises(SkillError, match=r"its control interval is 0.033333, the task's is 0.016667"):
        launch(mode="evaluate", skill=SKILL, num_envs=2, task={"substeps": 2})


def test_skill_means_the_commanded_one_where_a_task_commands_one():
    values = {"task": {"name": "HumanoidHRLMaze"}, "train": {"name": "ppo"}, "mode": "evaluate", "policy": "random"}
    found = settings.resolve(values | {"skill": SKILL}, {"skill": SKILL})
    assert found.loaded is None and found.task_cfg.skill == SKILL


def test_no_training_takes_a_skill_that_its_task_cannot_command(launch):
    with pytest.raises(ConfigError, match="the task HumanoidAMP has no key skill; leave skill= out .CONTRIBUTING"):
        launch(skill=SKILL)


def test_a_skill_that_gets_up_is_looked_at_under_its_own_task(launch, tmp_path, capsys):
    small = {"num_envs": 8, "max_iterations": 1, "video": False, "train": {"latents": "none", "minibatch": 16}}
    launch(name="HumanoidRise", **small)
    assert load_checkpoint_or_skill(tmp_path / "skill.pt").task == "HumanoidRise"
    capsys.readouterr()
    launch(
        name="HumanoidRise", mode="evaluate", episodes=4, num_envs=4, skill=str(tmp_path / "skill.pt"),
        task={"episode_steps": 5, "fallen": {"share": 1.0}},
    )  # fmt: skip
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["recovery_rate"] == 0.0


def test_a_skill_file_remembers_clock_and_pieces(launch, tmp_path, capsys):
    train = {"minibatch": 16, "latent": {"segment_s": 1.5}}
    launch(num_envs=8, max_iterations=1, motion="walks", train=train, task={"substeps": 2})
    capsys.readouterr()
    launch(mode="evaluate", episodes=2, num_envs=2, skill=str(tmp_path / "skill.pt"), task={"episode_steps": 5})
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["episodes"] == 2


def test_testing_a_skill_is_playing_it(launch):
    assert launch(test=True, video=False, episodes=1, skill=SKILL, task={"episode_steps": 5})["episodes"] == 1


def test_a_skill_file_says_which_robot_it_moves(launch, tmp_path, capsys):
    g1 = load_robot("g1")
    still = torch.from_numpy(np.tile(g1.stand_qpos.double().numpy(), (30, 1)))
    as_clip("still", robot_body(g1), still, 30.0).save(tmp_path / "still.npz")
    task = {"robot": "g1", "motion": str(tmp_path / "still.npz"), "episode_steps": 5}
    small = {"num_envs": 8, "max_iterations": 1, "video": False, "train": {"latents": "none", "minibatch": 16}}
    launch(task=task, **small)
    assert load_checkpoint_or_skill(tmp_path / "skill.pt").config["task"]["robot"] == "g1"
    capsys.readouterr()
    launch(mode="evaluate", episodes=4, num_envs=4, skill=str(tmp_path / "skill.pt"), task={"episode_steps": 5})
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["length_mean"] <= 5.0
