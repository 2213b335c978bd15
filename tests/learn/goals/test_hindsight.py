"""Hindsight: its definitions by hand, what each level learns from, and that tested workers act without noise."""

import pytest
import torch
from torch.testing import assert_close

from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.goals import GoalsCfg
from isaachrl.learn.goals.hindsight import hindsight_action, later_step, reached
from tests.envs.test_no_sync import HostWaits
from tests.learn.goals.plane import SMALL, Plane, collect, equal, goes_on_alike, make_learner, weights

LIMITS = torch.tensor([10.0, 0.5])
HINDSIGHT = {"correction": "none", "hindsight": True}


def make(env=None, **changes):
    return make_learner(env, **HINDSIGHT | changes)


def collected(learner, steps):
    collect(learner, steps)
    return learner


def test_goals_are_reached_when_every_entry_is_close():
    goal = torch.tensor([4.0, 0.2])
    changes = torch.tensor([[4.9, 0.24], [5.1, 0.2], [4.0, 0.26], [3.1, 0.16]])
    # a tenth of the half ranges: within 1 and within 0.05
    assert reached(goal, changes, LIMITS, 0.1).tolist() == [True, False, False, True]


def test_a_missed_goal_gives_way_to_the_change_within_the_goals_range():
    goal = torch.tensor([[4.0, 0.2], [4.0, 0.2], [4.0, 0.2]])
    change = torch.tensor([[4.5, 0.2], [-2.0, 0.1], [14.0, -0.7]])
    expected = torch.tensor([[4.0, 0.2], [-2.0, 0.1], [10.0, -0.5]])
    assert_close(hindsight_action(goal, change, LIMITS, 0.1), expected)


def test_later_steps_are_even_and_never_past_the_end():
    begin, length = torch.tensor([0, 0, 2, 3, 5]), torch.tensor([4, 4, 4, 4, 4])
    assert later_step(begin, length, torch.tensor([0.0, 0.99, 0.5, 0.99, 0.5])).tolist() == [1, 4, 4, 4, 4]
    drawn = later_step(torch.ones(6000).long(), torch.full((6000,), 4), torch.rand(6000))
    assert_close(drawn.bincount().float() / 6000, torch.tensor([0.0, 0.0, 1 / 3, 1 / 3, 1 / 3]), atol=0.03, rtol=0)


def four_segments(learner):
    """Whole segments: reached, missed and tested, missed untested, and a tested one cut short; all moved by (1, 2)."""
    data = learner.replay.data
    data["states"][:4] = 0.0
    data["states"][:4, 1:, :2] = torch.tensor([1.0, 2.0])
    data["goal"][:4] = torch.tensor([[1.2, 2.0], [-1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    data["tested"][:4] = torch.tensor([True, True, False, True])
    data["length"][:4] = torch.tensor([4, 4, 4, 3])
    data["rewards"][:4], data["terminal"][:4] = -1.0, False


def manager_batch(learner, row, count=400):
    rows = torch.full((count,), row)
    goal, context = learner.replay.take(rows, "goal", "context")
    return learner.manager_update.batch(rows, goal, context)


def test_managers_learn_what_came_about_and_are_fined_for_missed_tests():
    learner = collected(make(subgoal_penalty=5.0, inputs="raw"), 8)
    four_segments(learner)
    asked = lambda batch: batch.action * learner.levels.limits  # noqa: E731
    batches = [manager_batch(learner, row) for row in range(4)]
    assert_close(asked(batches[0]), torch.tensor([[1.2, 2.0]]).expand(400, 2))  # within 0.3 of (1, 2): kept
    assert_close(asked(batches[2]), torch.tensor([[1.0, 2.0]]).expand(400, 2))
    assert_close(asked(batches[3]), torch.tensor([[1.0, 2.0]]).expand(400, 2))
    for number, steps in ((0, 4), (2, 4), (3, 3)):
        assert_close(batches[number].reward, torch.full((400,), -0.1 * steps))
        assert (batches[number].weight == 1).all()
    tested = batches[1]
    fined = asked(tested)[:, 0] < 0
    assert fined.float().mean().item() == pytest.approx(0.5, abs=0.08)
    assert_close(asked(tested)[fined].unique(dim=0), torch.tensor([[-1.0, 0.0]]))
    assert_close(asked(tested)[~fined].unique(dim=0), torch.tensor([[1.0, 2.0]]))
    # five for each of four steps, times a tenth
    assert_close(tested.reward, torch.where(fined, -2.4, -0.4))
    assert (tested.weight == 2).all() and (tested.discount > 0).all()
    shares = learner.manager_update.tally.read()
    assert shares["manager/missed_tests"] == pytest.approx(0.5), "one of two that were tests"


def test_managers_of_absolute_goals_learn_places_within_their_range():
    learner = collected(make(absolute_goals=True), 8)
    data, limits = learner.replay.data, learner.levels.limits
    data["states"][:2, :, :2] = torch.tensor([2.5, 0.0])
    data["states"][:2, 1:, :2] += torch.tensor([[[1.0, 2.0]], [[-2.0, -1.0]]])
    data["goal"][:2], data["tested"][:2], data["length"][:2] = torch.tensor([-4.0, 0.0]), False, 4
    # from (2.5, 0) to (3.5, 2), which is out of the range of 3, and to (0.5, -1), which is not
    for row, place in enumerate(([3.0, 2.0], [0.5, -1.0])):
        assert_close(manager_batch(learner, row, 1).action * limits, torch.tensor([place]))


def test_fines_do_not_move_the_running_mean():
    means = []
    for penalty in (0.0, 50.0):
        learner = collected(make(subgoal_penalty=penalty, centre_reward=True), 8)
        four_segments(learner)
        manager_batch(learner, 1)
        means.append(learner.manager_update.mean_reward.item())
    assert means == pytest.approx([-0.4, -0.4])


def test_three_of_four_worker_goals_are_places_that_it_got_to():
    learner = collected(make(Plane(num_envs=1, episode_steps=4), inputs="raw", hide_position=False), 4)
    learner.cfg.worker.batch = 2000
    places = learner.replay.data["states"][0, 1:, :2]
    batch = learner.worker_update.batch()
    wanted = batch.features[:, :2] + batch.features[:, 4:]
    step = (10 * batch.features[:, 2]).round().long()
    gap = (wanted.unsqueeze(1) - places).norm(dim=-1)
    hit = gap < 1e-4
    assert hit.any(1).float().mean().item() == pytest.approx(0.75, abs=0.01)
    later = torch.arange(1, 5) > step.unsqueeze(1)
    assert not (hit & ~later).any(), "places of the past are not wished for"
    assert (hit[step == 0].float().mean(0) > 0.1).all(), "all that lie ahead are"
    # the reward is that of the goal in its place, and so is the next goal, at the border too
    following = batch.features[:, :2] + batch.features[:, 4:] - batch.next_features[:, :2]
    replaced = hit.any(1)
    assert_close(batch.reward[replaced], -following[replaced].norm(dim=-1), rtol=1e-3, atol=1e-4)
    assert_close(batch.next_features[replaced, 4:], following[replaced], rtol=1e-3, atol=1e-4)


def test_goals_drawn_anew_stay_and_the_rest_is_split():
    learner = collected(make(goal_resampling=0.5, inputs="raw", hide_position=False), 8)
    learner.cfg.worker.batch = 1000
    update = learner.worker_update
    rows = learner.replay.draw_rows(1000)
    state, begin = learner.replay.data["states"][rows, 0], torch.zeros(1000, dtype=torch.long)
    goal, renewed = update._renewed(torch.full((1000, 2), 99.0))
    found, which = update._in_hindsight(goal, renewed, rows, state, begin)
    assert torch.equal(found[:500], goal[:500]) and which[:500].all()
    assert (found[500:] == 99.0).all(1).sum() == 125 and which[500:].sum() == 375


@pytest.mark.parametrize("algorithm", ["td3", "sac"])
def test_tested_workers_act_without_noise_until_the_goal_is_over(algorithm):
    level = {"algorithm": algorithm, "noise_raw": False, "noise_low": 0.3, "noise_high": 0.3}
    learner = make(Plane(num_envs=64, episode_steps=99), worker=level, subgoal_testing_rate=0.5)
    collector = learner.collector
    for step in range(8):
        tested, state, goal = collector.tested, collector.obs["state"], collector.segments[0].goal
        quiet = learner.levels.act(state, goal)
        collector.step()
        acted = collector.segments[0].actions[:, step % 4]
        assert torch.equal((acted == quiet).all(1), tested)
        if step % 4 < 3:
            assert torch.equal(collector.tested, tested)
    assert 0.2 < tested.float().mean() < 0.8
    assert not torch.equal(tested, collector.tested), "drawn anew with every goal"
    stored = learner.replay.data["tested"][: int(learner.replay.written)]
    assert stored[64:].equal(tested)


def test_nothing_is_tested_while_actions_are_uniform_or_without_hindsight():
    for learner in (make(warmup_uniform=True, subgoal_testing_rate=1.0), make(hindsight=False)):
        collected(learner, 8)
        assert not learner.replay.data["tested"].any()


def test_a_stored_learner_continues_bit_for_bit():
    straight, other = make(seed=1), make(seed=1)
    goes_on_alike(straight, other)
    assert equal(weights(straight), weights(other))


def test_nothing_waits_for_the_device():
    learner = make(pool_sets=2, goal_resampling=0.2)
    learner.iterate()
    learner.manager_update.refresh()
    with HostWaits() as waits:
        for _ in range(5):
            learner.collector.step()
            learner.worker_update.step()
            learner.manager_update.refresh()
            learner.manager_update.step()
    assert waits.found == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"correction": "hiro"}, "train=hrl train.hindsight=true"),
        ({"correction": "fun"}, "correction=none"),
        ({"meta_period": [2, 2]}, r"meta_period, not with none and \[2, 2\]"),
        ({"subgoal_testing_rate": 1.2}, "subgoal_testing_rate=1.2"),
        ({"subgoal_penalty": -1.0}, "subgoal_penalty=-1.0"),
        ({"subgoal_tolerance": -0.1}, "subgoal_tolerance=-0.1"),
        ({"hindsight": "maybe"}, "hindsight"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        config.build(GoalsCfg, SMALL | HINDSIGHT | changes)
