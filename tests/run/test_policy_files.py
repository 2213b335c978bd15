"""The small policy file that an export leaves: what it lacks, and which skills and tasks it refuses."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

import isaachrl
import isaachrl.learn.ppo
import tasks
from isaachrl.errors import CheckpointError
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.ppo.learner import CRITIC
from isaachrl.retarget.body import robot_body
from isaachrl.retarget.convert import as_clip
from isaachrl.run import dispatch
from isaachrl.run.build import trained_learner
from isaachrl.run.commands.export import weights_checkpoint
from isaachrl.run.config import settings
from isaachrl.run.storage.checkpoint import load_checkpoint, save_checkpoint
from isaachrl.shipped import ASSETS
from isaachrl.sim import load_robot
from tests.tiny_skill import make_tiny_skill

assert isaachrl.learn.ppo and tasks
PPO = {"name": "ppo", "hidden": [8], "horizon": 2, "max_iterations": 1, "minibatch": 4}


def resolve(**typed):
    values = settings.merge({"num_envs": 2, "device": "cpu"}, typed)
    return settings.resolve(values, values)


def run(**typed):
    return dispatch.dispatch(resolve(**typed))


def location(skill):
    return {"name": "HumanoidLocation", "skill": str(skill), "episode_steps": 10, "start_motion": "stand"}


@pytest.fixture
def policy(tmp_path, monkeypatch):
    """A policy file of HumanoidLocation, trained for an iteration on the skill `tiny.pt`; `other.pt` is another one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger("isaachrl"), "propagate", True)  # for caplog
    skill = make_tiny_skill()
    skill.save(tmp_path / "tiny.pt")
    skill.actor.body[-1].bias.data[0] += 1e-3
    skill.save(tmp_path / "other.pt")
    run(task=location("tiny.pt"), train=PPO, run_dir="run")
    exporting = resolve(mode="export", checkpoint="run")
    save_checkpoint(weights_checkpoint(exporting, trained_learner(exporting, 1, 0)), tmp_path / "policy.pt")
    return tmp_path / "policy.pt"


def test_a_policy_file_acts_like_its_run_and_has_no_critic_and_no_paths_of_the_call(policy):
    stored = load_checkpoint(policy)
    assert not any(name.startswith(CRITIC) for name in stored.learner_state["agent"]["model"])
    assert any(
        name.startswith(CRITIC) for name in load_checkpoint(policy.parent / "run").learner_state["agent"]["model"]
    )
    assert stored.config["task"]["skill"] == "tiny.pt" and not {"checkpoint", "run_dir", "mode"} & {*stored.config}
    means = [run(mode="evaluate", checkpoint=str(path), episodes=2) for path in (policy, "run")]
    assert means[0]["return_mean"] == means[1]["return_mean"] and means[0]["iteration"] == 1
    env, loaded = isaachrl.load(policy, device="cpu")
    assert loaded.act(env.reset()).shape == (1, make_tiny_skill().latent_size)


def test_a_training_from_a_policy_file_says_that_its_critic_is_new(policy, caplog):
    run(task=location("tiny.pt"), train=PPO, checkpoint=str(policy), run_dir="more")
    assert "the critic starts untrained" in caplog.text
    before, after = (load_checkpoint(path).learner_state["agent"]["model"] for path in (policy, policy.parent / "more"))
    assert after.keys() > before.keys()
    caplog.clear()
    run(task=location("tiny.pt"), train=PPO, checkpoint="run", run_dir="third")
    assert "critic" not in caplog.text


def test_a_policy_is_refused_over_another_skill_and_plays_over_a_copy_of_its_own(policy, caplog):
    copy = Skill.load("tiny.pt")
    copy.contract.training["note"] = "copied"
    copy.save("copy.pt")
    assert run(mode="evaluate", checkpoint=str(policy), episodes=2, task={"skill": "copy.pt"})["episodes"] == 2
    message = r"trained on another skill than task.skill=other.pt.*was then tiny.pt.*type skill=FILE"
    for mode in ("evaluate", "play"):
        with pytest.raises(CheckpointError, match=message):
            run(mode=mode, checkpoint=str(policy), episodes=2, video=False, task={"skill": "other.pt"})
    run(task=location("other.pt"), train=PPO, checkpoint=str(policy), run_dir="moved")
    assert "trained on another skill" in caplog.text


def test_a_run_is_not_continued_over_a_skill_that_was_replaced(policy):
    Skill.load("other.pt").save("tiny.pt")
    with pytest.raises(CheckpointError, match="trained on another skill than task.skill=tiny.pt"):
        run(resume="run", max_iterations=2)


def test_a_policy_for_another_standing_pose_is_told_from_its_own(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger("isaachrl"), "propagate", True)  # for caplog
    Path("g1.xml").write_bytes((ASSETS / "g1" / "g1.xml").read_bytes())
    Path("bent.yaml").write_text("model: g1.xml\nstand: {left_knee_joint: 0.9, right_knee_joint: 0.9}\n")
    g1 = load_robot("g1")
    still = np.tile(g1.stand_qpos.double().numpy(), (30, 1))
    as_clip("still", robot_body(g1), torch.from_numpy(still), 30.0).save("still.npz")
    task = {"name": "HumanoidAMP", "robot": "g1.xml", "motion": "still.npz", "episode_steps": 3}
    run(task=task, train=PPO, run_dir="run")
    assert load_checkpoint(Path("run")).actions["control"] == "position"
    run(mode="evaluate", checkpoint="run", episodes=2)
    assert "actions mean" not in caplog.text
    run(mode="evaluate", checkpoint="run", episodes=2, task={"robot": "bent.yaml"})
    assert (
        "actions mean other targets than in training (offset of left_hip_pitch_joint was -0.312 and is 0)"
        in caplog.text
    )


def test_a_policy_of_another_task_is_refused(policy):
    with pytest.raises(
        CheckpointError, match="of task=HumanoidLocation, not of task=HumanoidSteering; leave task= out"
    ):
        run(mode="evaluate", checkpoint=str(policy), task={"name": "HumanoidSteering"})


def test_files_without_the_digest_of_a_skill_are_played(policy):
    content = torch.load(policy, weights_only=True)
    del content["skill"]
    torch.save(content, policy)
    assert run(mode="evaluate", checkpoint=str(policy), episodes=2, task={"skill": "other.pt"})["episodes"] == 2
