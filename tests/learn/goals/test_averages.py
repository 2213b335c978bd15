"""Averaged actors and falling learning rates: by hand, where they count, and that a training continues exactly."""

import pytest
import torch
from torch.testing import assert_close

from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.goals import FlatCfg, FlatLearner, GoalsCfg
from isaachrl.learn.goals.config import LevelCfg
from isaachrl.learn.goals.policy import GoalPolicy, exports
from isaachrl.learn.goals.tally import Tally
from tests.learn.goals.plane import SMALL, SMALL_LEVEL, Plane, goes_on_alike, make_learner
from tests.learn.goals.test_sac import make as make_sac
from tests.learn.goals.test_td3 import batch, make

AVERAGED = {"average_rate": 0.1, "learning_rate_end": 0.2}


def averaged_learner(**changes):
    level = AVERAGED | changes.pop("level", {})
    return make_learner(seed=1, max_iterations=5, worker=level, manager=level, **changes)


def copies(parameters):
    return [parameter.detach().clone() for parameter in parameters]


@pytest.mark.parametrize("kind", [make, make_sac])
def test_the_average_moves_by_its_share_with_each_update_of_the_actor(kind):
    level = kind(average_rate=0.25, policy_delay=2)
    expected = copies(level.averaged.parameters())
    for update in range(1, 7):
        level.update(batch(), Tally())
        if update % 2 == 0:
            pairs = zip(expected, level.actor.parameters(), strict=True)
            expected = [0.75 * old + 0.25 * new.detach() for old, new in pairs]
        for value, wanted in zip(level.averaged.parameters(), expected, strict=True):
            assert_close(value, wanted)
    assert not torch.equal(level.averaged.last.weight, level.actor.last.weight)


def test_without_a_rate_there_is_no_second_actor():
    level = make()
    assert level.averaged is level.actor


def moved_actors(learner):
    """Actors that answer something else than their averages."""
    for level in learner.levels.all:
        torch.nn.init.normal_(level.averaged.last.weight)
    return learner


def test_who_is_checked_and_exported_is_the_average_and_who_is_trained_is_not():
    learner = moved_actors(averaged_learner())
    levels, obs = learner.levels, learner.env.observe()
    state, context = obs["state"], obs["context"]
    played = GoalPolicy(learner.env, learner.cfg, levels).act(obs)
    high, low = exports(learner.env, learner.cfg, levels)
    with torch.no_grad():
        goal = levels.manager.averaged(levels.views.manager(state, context)) * levels.limits
        assert_close(played, levels.worker.averaged(levels.views.worker(state, goal)))
        assert_close(high.module(state, context), goal)
        assert_close(low.module(state, goal), played)
        for answer in (levels.act(state, goal), levels.draw(0, state, goal, learner.generator)):
            assert_close(answer, levels.worker.actor(levels.views.worker(state, goal)))
            assert not torch.allclose(answer, played)


def test_the_flat_baseline_is_judged_by_its_average():
    policy = SMALL_LEVEL | AVERAGED
    learner = FlatLearner(Plane(), config.build(FlatCfg, {"policy": policy, "replay_steps": 400, "check_every": 0}), 0)
    torch.nn.init.normal_(learner.level.averaged.last.weight)
    obs = learner.env.observe()
    seen = learner.views.manager(obs["state"], obs["context"])
    with torch.no_grad():
        assert_close(learner.policy().act(obs), learner.level.averaged(seen))
        assert_close(learner.exports()[0].module(obs["state"], obs["context"]), learner.level.averaged(seen))
        assert not torch.allclose(learner.level.averaged(seen), learner.level.actor(seen))


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0, 1.5])
def test_learning_rates_fall_in_a_straight_line(progress):
    level = make(actor_learning_rate=1e-3, critic_learning_rate=2e-3, learning_rate_end=0.2)
    level.slow_down(progress)
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
        assert torch.equal(one.averaged.last.weight, two.averaged.last.weight)
        assert not torch.equal(one.averaged.last.weight, one.actor.last.weight)


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_checkpoints_from_before_there_were_averages_begin_with_the_actor(rate):
    learner = make_learner()
    learner.iterate(), learner.iterate()
    state = learner.state_dict()
    for level in state["levels"].values():
        del level["averaged"]
    other = make_learner(seed=7, worker={"average_rate": rate}, manager={"average_rate": rate})
    other.load_state_dict(state)
    for one, two in zip(learner.levels.all, other.levels.all, strict=True):
        assert torch.equal(two.actor.last.weight, one.actor.last.weight)
        assert torch.equal(two.averaged.last.weight, one.actor.last.weight)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"average_rate": 1.0}, "average_rate=1.0"), ({"learning_rate_end": 1.5}, "learning_rate_end=1.5")],
)
def test_settings_that_cannot_work_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        config.build(GoalsCfg, SMALL | {"worker": values})
    assert (LevelCfg().average_rate, LevelCfg().learning_rate_end) == (0.0, 1.0), "as published"
