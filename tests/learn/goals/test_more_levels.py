"""More than two levels: periods, each manager's own goals and segments, what middle levels learn from."""

import pytest
import torch
from torch.testing import assert_close

from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.goals import GoalsCfg
from isaachrl.learn.goals.exports import exports
from isaachrl.learn.goals.goals import goal_transition
from isaachrl.learn.goals.policy import GoalPolicy
from tests.learn.goals.plane import SMALL, STEP_M, Plane, collect, equal, goes_on_alike, make_learner, weights

THREE = {"meta_periods": [2, 3], "correction": "none"}


def make(env=None, **changes):
    return make_learner(env, **THREE | changes)


def collected(learner, steps):
    collect(learner, steps)
    return learner


@pytest.mark.parametrize(("typed", "periods"), [([], []), ([10], [10]), ([10, 5], [10, 50]), ([2, 3, 4], [2, 6, 24])])
def test_periods_multiply_from_the_lowest_manager_up(typed, periods):
    cfg = config.build(GoalsCfg, {"meta_periods": typed, "correction": "none"})
    assert cfg.periods == periods
    assert len(cfg.level_cfgs()) == len(periods) + 1


def test_middle_managers_are_as_the_manager_and_paid_as_the_worker():
    learner = make(worker={"reward_scale": 3.0}, manager={"hidden": [24]})
    worker, middle, manager = (level.cfg for level in learner.levels.all)
    assert learner.levels.names == ["worker", "middle_1", "manager"]
    assert (worker.reward_scale, middle.reward_scale, manager.reward_scale) == (3.0, 3.0, 0.1)
    assert (worker.hidden, middle.hidden, manager.hidden) == ([16, 16], [24], [24])


def test_each_goal_stays_a_point_until_its_own_period_is_over():
    learner = make(Plane(num_envs=2, episode_steps=99))
    kept = []
    for _ in range(12):
        state, goals = learner.collector.obs["state"], [one.goal for one in learner.collector.segments]
        learner.collector.step()
        after = learner.collector.obs["state"]
        carried = [goal_transition(state, goal, after) for goal in goals]
        now = [one.goal for one in learner.collector.segments]
        kept.append([torch.allclose(a, b, atol=1e-5) for a, b in zip(carried, now, strict=True)])
    lowest, top = zip(*kept, strict=True)
    assert list(lowest) == [True, False] * 6
    assert list(top) == [True] * 5 + [False] + [True] * 5 + [False]


def segments(replay):
    count = min(int(replay.written), replay.capacity)
    return [{name: values[i] for name, values in replay.data.items()} for i in range(count)]


def test_segments_of_no_level_cross_episodes():
    learner = collected(make(Plane(num_envs=4, lengths=(3, 5, 8, 12))), 48)
    found = [segments(replay) for replay in learner.replays]
    for one in (*found[0], *found[1]):
        length = int(one["length"])
        assert (one["states"][: length + 1, :2].diff(dim=0).abs() <= STEP_M + 1e-4).all(), "a jump into a new episode"
        assert_close(one["states"][:length, 2].diff(), torch.full((length - 1,), 0.1), rtol=1e-3, atol=1e-4)
    assert sorted({int(one["length"]) for one in found[0]}) == [1, 2]
    # episodes of 3, 5, 8 and 12 steps under a period of 6
    assert sorted({int(one["length"]) for one in found[1]}) == [2, 3, 5, 6]


def test_a_higher_segment_holds_the_goals_that_the_lower_manager_set():
    learner = collected(make(Plane(num_envs=1, episode_steps=99)), 6)
    lower, (higher,) = segments(learner.replays[0]), segments(learner.replays[1])
    assert len(lower) == 3 and higher["actions"].shape == (3, 2)
    assert_close(higher["actions"] * learner.levels.goal_limits, torch.stack([one["goal"] for one in lower]))
    assert_close(higher["states"][::2], torch.stack([*[one["states"][0] for one in lower], lower[-1]["states"][-1]]))
    assert_close(higher["rewards"], torch.cat([one["rewards"] for one in lower]))


def middle_batch(learner, rows=600):
    learner.levels.all[1].cfg.batch = rows
    return learner.trainers[1].update.batch()


def test_middle_managers_learn_from_their_own_decisions():
    learner = collected(make(Plane(num_envs=1, episode_steps=99), inputs="raw", boundary="carried"), 6)
    (segment,) = segments(learner.replays[1])
    batch = middle_batch(learner)
    times = (10 * batch.features[:, 2]).round().long()
    assert times.unique().tolist() == [0, 2, 4]
    for time in (0, 2, 4):
        row = int((times == time).nonzero()[0])
        state, after = segment["states"][time], segment["states"][time + 2]
        goal = segment["states"][0, :2] + segment["goal"] - state[:2]
        # unlike the worker, it sees where it is
        assert_close(batch.features[row], torch.cat((state, goal)), rtol=1e-4, atol=1e-4)
        following = state[:2] + goal - after[:2]
        assert_close(batch.next_features[row], torch.cat((after, following)), rtol=1e-4, atol=1e-4)
        assert batch.reward[row].item() == pytest.approx(-following.norm().item(), rel=1e-4)
        assert_close(batch.action[row], segment["actions"][time // 2])
    assert_close(batch.discount, torch.full((600,), 0.99))


def test_a_decision_cut_short_counts_part_of_a_step_and_ends_where_the_episode_did():
    learner = collected(make(Plane(num_envs=1, lengths=(3, 99)), inputs="raw"), 3)
    batch = middle_batch(learner)
    times = (10 * batch.features[:, 2]).round().long()
    happened = batch.weight == 1
    assert times[happened].unique().tolist() == [0, 2]
    # of the second decision one step of two came about; the third never began
    assert_close(batch.discount[happened & (times == 2)].unique(), torch.tensor([0.99**0.5]))
    assert (10 * batch.next_features[happened & (times == 2), 2]).round().unique().tolist() == [3]
    assert happened.float().mean().item() == pytest.approx(2 / 3, abs=0.07)


def test_the_top_manager_discounts_by_its_own_period():
    learner = collected(make(Plane(num_envs=1, lengths=(3, 99))), 3)
    rows = torch.tensor([0])
    goal, context, rewards = learner.replays[1].take(rows, "goal", "context", "rewards")
    batch = learner.top_update.batch(rows, goal, context)
    assert batch.discount.item() == pytest.approx(0.99 ** (3 / 6))
    assert batch.reward.item() == pytest.approx(0.1 * rewards[0, :3].sum().item(), rel=1e-5)


def test_flips_are_the_workers_business():
    learner = collected(make(Plane(num_envs=2, flip_above=-1e9), flips={"penalty": 5.0}, worker_reward="progress"), 8)
    learner.cfg.worker.batch = 50
    assert (learner.trainers[0].update.batch().discount == 0).all()
    assert (middle_batch(learner).discount > 0).all()


def test_updates_come_once_a_period_of_each_manager():
    learner = make(manager={"updates_per_step": 2}, steps_per_iteration=12)
    learner.iterate()
    before = [level.updates for level in learner.levels.all]
    learner.iterate()
    assert [level.updates - b for level, b in zip(learner.levels.all, before, strict=True)] == [12, 12, 4]


@pytest.mark.parametrize("algorithm", ["td3", "sac"])
def test_a_stored_learner_continues_bit_for_bit(algorithm):
    level = {"algorithm": algorithm}
    straight, other = (make(seed=1, worker=level, manager=level, stagger=True) for _ in range(2))
    goes_on_alike(straight, other)
    assert equal(weights(straight), weights(other))


def test_the_policy_sets_each_goal_by_its_own_phase():
    learner = make(Plane(num_envs=1, episode_steps=99))
    policy, env = GoalPolicy(learner.env, learner.cfg, learner.levels), learner.env
    points = []
    for _ in range(8):
        policy.act(env.observe())
        points.append([point.clone() for point in policy._points])
        env.advance(torch.ones(1, 2))
    changes = [
        [int(not torch.equal(a, b)) for a, b in zip(one, other, strict=True)]
        for one, other in zip(points, points[1:], strict=False)
    ]
    assert changes == [[0, 0], [1, 0], [0, 0], [1, 0], [0, 0], [1, 1], [0, 0]]


def test_exported_networks_act_as_the_policy():
    learner = make(inputs="scaled")
    high, middle, low = exports(learner.env, learner.cfg, learner.levels)
    assert (high.name, middle.name, low.name) == ("high_level", "middle_level_1", "low_level")
    assert all(one.output not in one.inputs for one in (high, middle, low)), "ONNX refuses one name for two things"
    levels, obs = learner.levels, learner.env.observe()
    state, context = obs["state"], obs["context"]
    with torch.no_grad():
        top = levels.mean_action(2, state, context) * levels.goal_limits
        assert_close(high.module(state, context), top)
        goal = levels.mean_action(1, state, top) * levels.goal_limits
        assert_close(middle.module(state, top), goal)
        assert_close(low.module(state, goal), levels.mean_action(0, state, goal))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meta_periods": [2, 0]}, r"meta_periods=0"),
        ({"meta_periods": "often"}, "meta_periods=often: expected a list"),
        ({"meta_periods": [2.5]}, "meta_periods"),
        ({"meta_periods": [2, 2], "correction": "hiro"}, "train=hrl"),
        ({"meta_periods": [], "correction": "hiro"}, "correction=hiro"),
        ({"meta_periods": [], "correction": "none", "flips": {"penalty": 1.0}}, "flips.penalty=1.0"),
        ({"meta_periods": [2, 2], "connection": {"mode": "paper"}, "correction": "none"}, "connection.mode=paper"),
        ({"meta_periods": [4, 50], "correction": "none"}, r"200 steps"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        config.build(GoalsCfg, SMALL | changes)
