"""Getting up inside a skill that is commanded."""

from pathlib import Path

import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.learn.skills import SkillsLearner
from isaachrl.learn.skills.update import Signals
from tests.small_learner import make_learner
from tests.tiny_skill import make_tiny_skill


def make_rising(num_envs: int = 32, **rising: object) -> SkillsLearner:
    """A learner whose episodes begin in the clips of getting up, or in standing."""
    return make_learner("motion", num_envs=num_envs, motion="rising", rising={"separate": True, **rising})


def test_clips_of_getting_up_are_no_commands_but_starts() -> None:
    learner = make_rising()
    assert learner.demos.names == ("stand",) and learner.demos.weights.tolist() == [1.0]
    assert make_learner("motion", motion="rising").demos.names == ("rise_front", "rise_back", "stand")
    started = {learner.task.library.names[clip] for clip in learner.task.start_clip.tolist()}
    assert started == {"rise_front", "rise_back", "stand"}


def test_who_gets_up_is_compared_with_the_clips_of_getting_up() -> None:
    learner = make_rising()
    recovering = learner.task.recovering.clone()
    assert recovering.any() and not recovering.all()
    with torch.no_grad():
        learner._step(0)
    data = learner.rollout
    assert torch.equal(data["rising"][0], recovering)
    assert torch.equal(data["style_latent"][0].norm(dim=-1) < 0.5, recovering)
    assert torch.equal(data["style_latent"][0][~recovering], data["latent"][0][~recovering])
    demonstrations = learner.source.demonstrations(data["style_latent"][0])
    height = demonstrations[:, 0]  # of the root, the first number of the newest frame
    assert height[~recovering].min() > 0.8 and height[recovering].min() < 0.5


def test_rewards_while_getting_up() -> None:
    learner = make_rising(task_reward=2.0)
    with torch.no_grad():
        for step in range(4):
            learner._step(step)
        learner.rollout["task_reward"].fill_(0.25)
        learner.rollout["diverged"].fill_(False)
        reward = learner._reward(Signals.empty())
        style, _ = learner.discriminator.rewards(learner.rollout["window"], learner.rollout["style_latent"])
    rising = learner.rollout["rising"]
    assert torch.allclose(reward[rising], style[rising] + 0.5)  # no velocity reward
    assert (reward[~rising] < style[~rising] + 0.5).all()  # the velocity reward's weight


def test_the_policy_learns_to_get_up_as_its_teacher_does(tmp_path: Path) -> None:
    make_tiny_skill(latent_size=0).save(tmp_path / "teacher.pt")
    learner = make_rising(teacher=str(tmp_path / "teacher.pt"), teacher_weight=1.0)
    first, *_, last = (learner.iterate()["loss/teacher"] for _ in range(12))
    assert last < 0.8 * first


def test_teachers_take_no_latents_and_need_the_mode(tmp_path: Path) -> None:
    make_tiny_skill().save(tmp_path / "teacher.pt")
    with pytest.raises(ConfigError, match="expected a skill without latents"):
        make_rising(teacher=str(tmp_path / "teacher.pt"))
    with pytest.raises(ConfigError, match="train.rising.separate=true; add it"):
        make_learner("motion", rising={"teacher": "rising"})
    with pytest.raises(ConfigError, match="there is no motion to command: all clips lie on the floor"):
        make_learner("motion", motion="rise_front", rising={"separate": True})


def test_each_step_that_does_not_end_in_a_fall_pays_the_same() -> None:
    targets = []
    for alive in (0.0, 0.5):
        learner = make_learner("motion", num_envs=4, reward={"alive": alive})
        with torch.no_grad():
            for step in range(learner.cfg.horizon):
                learner._step(step)
            learner.rollout["terminated"].zero_()
            learner.rollout["truncated"].zero_()
            learner.rollout["terminated"][2, 0] = True
            learner._finish_rollout(Signals.empty())
            targets.append(learner.value_norm.restore(learner.rollout["target"].unsqueeze(-1)).squeeze(-1))
    paid, kept = targets[1] - targets[0], 0.99 * 0.95
    assert (learner.cfg.discount, learner.cfg.lam, learner.cfg.horizon) == (0.99, 0.95, 4)
    # before the fall and in it, and of an episode that goes on
    assert paid[:3, 0].tolist() == pytest.approx([0.5 + 0.5 * kept, 0.5, 0.0], abs=1e-4)
    assert paid[2:, 1].tolist() == pytest.approx([0.5 + 0.5 * kept, 0.5], abs=1e-4)
