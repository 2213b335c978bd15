"""Averaged actors and annealed learning rates: by hand, where they count, and that a training continues exactly."""

import pytest
import torch
from torch.testing import assert_close

from isaachrl import config
from isaachrl.envs.statistics import Means
from isaachrl.errors import ConfigError
from isaachrl.learn.goals import GoalsCfg
from isaachrl.learn.goals.config import LevelCfg
from isaachrl.learn.goals.exports import exports
from isaachrl.learn.goals.policy import GoalPolicy
from tests.learn.goals.off_policy.test_sac import make as make_sac
from tests.learn.goals.off_policy.test_td3 import batch, make
from tests.learn.goals.plane import SMALL, flat_learner, goes_on_alike, make_learner

AVERAGED = {"ema_rate": 0.1, "learning_rate_end": 0.2}


def averaged_learner(**changes):
    level = AVERAGED | changes.pop("level", {})
    return make_learner(seed=1, max_iterations=5, worker=level, manager=level, **changes)


def copies(parameters):
    return [parameter.detach().clone() for parameter in parameters]


@pytest.mark.parametrize("kind", [make, make_sac])
def test_the_average_moves_by_its_share_with_each_update_of_the_actor(kind):
    level = kind(ema_rate=0.25, policy_delay=2)
    expected = copies(level.ema_actor.parameters())
    for update in range(1, 7):
        level.update(batch(), Means())
        if update % 2 == 0:
            pairs = zip(expected, level.actor.parameters(), strict=True)
            expected = [0.75 * old + 0.25 * new.detach() for old, new in pairs]
        for value, wanted in zip(level.ema_actor.parameters(), expected, strict=True):
            assert_close(value, wanted)
    assert not torch.equal(level.ema_actor.last.weight, level.actor.last.weight)


def test_without_a_rate_there_is_no_second_actor():
    level = make()
    assert level.ema_actor is level.actor


def moved_actors(learner):
    """Actors that answer something else than their averages."""
    for level in learner.levels.all:
        torch.nn.init.normal_(level.ema_actor.last.weight)
    return learner


def test_policy_and_exports_use_the_average_and_training_does_not():
    learner = moved_actors(averaged_learner())
    levels, obs = learner.levels, learner.env.observe()
    state, context = obs["state"], obs["context"]
    played = GoalPolicy(learner.env, learner.cfg, levels).act(obs)
    high, low = exports(learner.env, learner.cfg, levels)
    with torch.no_grad():
        goal = levels.top.ema_actor(levels.inputs.top(state, context)) * levels.goal_limits
        assert_close(played, levels.worker.ema_actor(levels.inputs.worker(state, goal)))
        assert_close(high.module(state, context), goal)
        assert_close(low.module(state, goal), played)
        for answer in (levels.mean_action(0, state, goal), levels.sample_action(0, state, goal, learner.generator)):
            assert_close(answer, levels.worker.actor(levels.inputs.worker(state, goal)))
            assert not torch.allclose(answer, played)


def test_the_policy_of_one_level_is_its_average():
    learner = flat_learner(worker=AVERAGED)
    level = learner.levels.top
    torch.nn.init.normal_(level.ema_actor.last.weight)
    obs = learner.env.observe()
    features = learner.levels.inputs.top(obs["state"], obs["context"])
    with torch.no_grad():
        assert_close(learner.policy().act(obs), level.ema_actor(features))
        assert_close(learner.exports()[0].module(obs["state"], obs["context"]), level.ema_actor(features))
        assert not torch.allclose(level.ema_actor(features), level.actor(features))


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0, 1.5])
def test_learning_rates_fall_in_a_straight_line(progress):
    level = make(actor_learning_rate=1e-3, critic_learning_rate=2e-3, learning_rate_end=0.2)
    level.anneal_learning_rates(progress)
    share = {0.0: 1.0, 0.25: 0.8, 1.0: 0.2, 1.5: 0.2}[progress]
    assert level.actor_optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * share)
    assert level.critic_optimizer.param_groups[0]["lr"] == pytest.approx(2e-3 * share)


def test_learning_rates_follow_the_iterations():
    learner, found = averaged_learner(), []
    for _ in range(5):
        learner.iterate()
        found.append([level.critic_optimizer.param_groups[0]["lr"] for level in learner.levels.all])
    assert_close(torch.tensor(found), 1e-3 * torch.tensor([[1.0], [0.84], [0.68], [0.52], [0.36]]).expand(5, 2))


@pytest.mark.parametrize("algorithm", ["td3", "sac"])
def test_a_stored_learner_continues_bit_for_bit(algorithm):
    straight, other = (averaged_learner(level={"algorithm": algorithm}) for _ in range(2))
    goes_on_alike(straight, other)
    for one, two in zip(straight.levels.all, other.levels.all, strict=True):
        assert torch.equal(one.ema_actor.last.weight, two.ema_actor.last.weight)
        assert not torch.equal(one.ema_actor.last.weight, one.actor.last.weight)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"ema_rate": 1.0}, "ema_rate=1.0"), ({"learning_rate_end": 1.5}, "learning_rate_end=1.5")],
)
def test_settings_that_cannot_work_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        config.build(GoalsCfg, SMALL | {"worker": values})
    assert (LevelCfg().ema_rate, LevelCfg().learning_rate_end) == (0.0, 1.0), "as published"
