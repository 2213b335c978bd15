"""Trainings that begin with a skill of other motions."""

import pytest
import torch
from torch import Tensor

from isaachrl.errors import SkillError
from isaachrl.learn.skills import SkillsLearner
from tests.small_learner import make_learner


def outputs(learner: SkillsLearner, motion: str) -> tuple[Tensor, Tensor, Tensor]:
    """What actor, discriminator and critic make of a motion's prototype."""
    skill, latent = learner.skill, learner.skill.prototype_of(motion)[None]
    assert skill.actor.style is not None
    window, proprioception = torch.zeros(1, skill.contract.window_size), torch.zeros(1, 223)
    value = learner.critic(proprioception, torch.zeros(1, 0), latent)
    return skill.actor.style(latent), skill.discriminator.logit(window, latent), value


def test_motions_that_both_know_are_done_as_before() -> None:
    old = make_learner("motion", latent={"size": 6})
    new = make_learner("motion", latent={"size": 12, "kernel_width": 0.5})
    new.start_from(old.weights())
    for motion in ("stand", "jog", "turn_left"):
        for ours, theirs in zip(outputs(new, motion), outputs(old, motion), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-3)
    assert not torch.allclose(outputs(new, "stand")[0], outputs(new, "jog")[0], atol=0.05)


def test_new_motions_begin_like_those_that_they_resemble() -> None:
    old, new = make_learner("motion", motion="walks"), make_learner("motion", motion="gaits", latent={"size": 14})
    new.start_from(old.weights())
    assert len(new.demos.names) == 15 and new.skill.contract.motions == list(new.demos.names)
    for side, other in (("left", "right"), ("right", "left")):
        turn, own, opposite = (
            outputs(new, f"turn_{side}")[0],
            outputs(old, f"tight_{side}")[0],
            outputs(old, f"tight_{other}")[0],
        )
        assert (turn - own).norm() < (turn - opposite).norm()
    new.iterate()


def test_a_trained_policy_is_changed_in_small_steps_at_first() -> None:
    old = make_learner("motion")
    for target_kl, expected in ((0.02, 3e-5), (0.0, 3e-4)):
        new = make_learner("motion", target_kl=target_kl, learning_rate=3e-4)
        new.start_from(old.weights())
        assert new.policy_update.learning_rate == expected


def test_an_exact_continuation_needs_the_same_motions() -> None:
    with pytest.raises(SkillError, match="its list of motions is"):
        make_learner("motion", motion="walks").load_state_dict(make_learner("motion").state_dict())


def test_weights_of_a_critic_that_knows_nothing_load() -> None:
    learner = make_learner("ase")
    assert not any("known" in name for name in learner.weights()["critic"])


def test_a_critic_that_knows_more_or_less_begins_with_the_same_values() -> None:
    plain, following = (
        make_learner("motion"),
        make_learner("motion", tracks=True, reward={"following": 1.0}),
    )
    for start, other in ((plain, following), (following, plain)):
        other.start_from(start.weights())
        latent, proprioception = start.source.draw(3), torch.randn(3, 223)
        values = [
            learner.critic(proprioception, torch.zeros(3, learner._known_size), latent) for learner in (start, other)
        ]
        assert torch.allclose(*values, atol=1e-6)
