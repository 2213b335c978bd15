"""Getting up inside a skill that is commanded."""

from pathlib import Path

import pytest
import torch

import isaachrl
from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.skills import SkillsCfg, SkillsLearner
from isaachrl.learn.skills.update import Signals
from tests.small_learner import SMALL, make_learner
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
    with pytest.raises(ConfigError, match="leaves no motion to command"):
        make_learner("motion", motion="rise_front", rising={"separate": True})


def test_actions_become_those_that_lead_the_joints_along_the_clip() -> None:
    env = isaachrl.make("HumanoidAMP", num_envs=32, cfg={"task": {"motion": "wave", "reward": {"track": 1.0}}})
    values = SMALL | {"clip_imitation": 1.0, "imitation_iterations": 12, "latent": {"size": 4, "match_start": 1.0}}
    learner = SkillsLearner(env, config.build(SkillsCfg, values), 0)
    learner.skill.actor.initialize_output(torch.zeros(28))  # a body that does not wave
    first, *_, last = (learner.iterate()["loss/clip"] for _ in range(12))
    assert last < 0.95 * first
    with pytest.raises(ConfigError, match="type task.reward.track=1"):
        make_learner("motion", clip_imitation=1.0, imitation_iterations=1)
    with pytest.raises(ConfigError, match="type train.imitation_iterations=80"):
        make_learner("motion", clip_imitation=1.0)


def test_first_iterations_may_only_imitate() -> None:
    learner = make_learner(
        "motion", imitation_iterations=2, rising={"separate": True, "teacher": "rising"}, learning_rate=2e-4
    )
    update, rates, imitates = learner.policy_update, [], []
    for iteration in range(4):
        update.anneal(iteration)
        rates.append(update.learning_rate)
        imitates.append(update._imitates)
        update.adapt_learning_rate(0.0 if iteration < 3 else 0.02)  # would raise it
    assert rates == pytest.approx([1e-3, 1e-3, 2e-4, 2.4e-4]) and imitates == [1.0, 1.0, 0.0, 0.0]
    with torch.no_grad():
        for step in range(4):
            learner._step(step)
        rows, signals = learner._rows(), Signals.empty()
    rows["advantage"].normal_()
    rows["rising"].fill_(False)  # nothing to imitate
    before = [weight.clone() for weight in learner.skill.actor.parameters()]
    update._imitates = 1.0
    update.step(rows, signals)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.skill.actor.parameters(), strict=True))
    update._imitates = 0.0
    update.step(rows, signals)
    assert not all(torch.equal(a, b) for a, b in zip(before, learner.skill.actor.parameters(), strict=True))
    with pytest.raises(ConfigError, match="there is nothing to imitate"):
        make_learner("motion", imitation_iterations=2)
