"""The two-level learner: stored segments, batches, updates, and exact continuation."""

import pytest
import torch
from torch.testing import assert_close

from isaachrl import config
from isaachrl.errors import ConfigError, DivergenceError
from isaachrl.learn.goals import GoalsCfg
from isaachrl.learn.goals.exports import exports
from isaachrl.learn.goals.policy import GoalPolicy
from isaachrl.learn.goals.updates.trainer import Schedule
from isaachrl.run.loop.guard import Guard
from tests.envs.test_no_sync import HostWaits
from tests.learn.goals.plane import (
    SAC,
    SMALL,
    SOFT,
    STEP_M,
    Plane,
    collect,
    equal,
    goes_on_alike,
    make_learner,
    segments,
    weights,
)


def test_segments_never_cross_episodes_whatever_their_lengths():
    learner = make_learner(Plane(num_envs=4, lengths=(3, 5, 8, 12)))
    collect(learner, 40)
    found = segments(learner)
    for one in found:
        length = int(one["length"])
        steps = one["states"][: length + 1, :2].diff(dim=0).abs()
        assert (steps <= STEP_M + 1e-4).all(), "a jump: the start of another episode is inside"
        assert_close(steps, STEP_M * one["actions"][:length].abs(), rtol=1e-3, atol=1e-4)
        assert_close(one["states"][:length, 2].diff(), torch.full((length - 1,), 0.1), rtol=1e-3, atol=1e-4)
    lengths = sorted({int(one["length"]) for one in found})
    assert lengths == [1, 3, 4], "episodes of 3, 5, 8 and 12 steps give segments of 3, 4 + 1, 4 and 4"


def test_environments_keep_phases_of_their_own_and_get_a_goal_at_once():
    learner = make_learner(Plane(num_envs=2, lengths=(3, 12)))
    first = learner.collector.segments[0].goal.clone()
    phases, changed = [], []
    for _ in range(5):
        state, goal = learner.collector.obs["state"][:, :2], learner.collector.segments[0].goal
        learner.collector.step()
        phases.append(learner.collector.segments[0].phase.tolist())
        kept = (learner.collector.obs["state"][:, :2] + learner.collector.segments[0].goal - state - goal).abs().amax(
            1
        ) < 1e-4
        changed.append((~kept).tolist())
    assert phases == [[1, 1], [2, 2], [0, 3], [1, 0], [2, 1]]
    assert changed == [[False, False], [False, False], [True, False], [False, True], [False, False]]
    assert first.abs().amax() > 0, "the first step of an episode already has the manager's goal"


def test_state_plus_goal_is_constant_within_every_stored_segment():
    learner = make_learner(Plane(num_envs=2, episode_steps=99))
    points = []
    for _ in range(8):
        points.append(learner.collector.obs["state"][:, :2] + learner.collector.segments[0].goal)
        learner.collector.step()
    found = segments(learner)
    assert len(found) == 4
    for number, one in enumerate(found):  # two segments of both environments, in turn
        period, env = divmod(number, 2)
        wanted = (one["states"][0, :2] + one["goal"]).expand(4, 2)
        assert_close(torch.stack(points[4 * period : 4 * period + 4])[:, env], wanted)
    assert not torch.allclose(points[3], points[4], atol=1e-3), "another goal in the next period"


def test_exploration_is_redrawn_where_an_episode_ends_on_both_levels():
    level = {"exploration": {"low": 0.01, "high": 1.0}, "hiro_details": False}
    learner = make_learner(Plane(num_envs=4, lengths=(3, 4, 5, 12)), worker=level, manager=level)
    for _ in range(8):
        before = [noise.std.clone() for noise in learner.collector.explorations]
        learner.collector.step()
        ended = learner.env.time == 0
        for noise, old in zip(learner.collector.explorations, before, strict=True):
            assert torch.equal((noise.std != old).all(1), ended) and torch.equal((noise.std != old).any(1), ended)


def worker_batch(learner, rows=4000):
    learner.cfg.worker.batch = rows
    return learner.trainers[0].update.batch()


def test_every_step_of_a_period_is_drawn_the_last_one_too():
    learner = make_learner(Plane(num_envs=1, episode_steps=4), inputs="raw", hide_position=False)
    collect(learner, 4)
    batch = worker_batch(learner)
    assert batch.weight.min() == 1
    steps = (10 * batch.features[:, 2]).round().long().bincount(minlength=4)
    assert len(steps) == 4 and (steps.float() / 4000 - 0.25).abs().max() < 0.04


def test_padded_steps_have_no_weight():
    learner = make_learner(Plane(num_envs=2, lengths=(3, 12)), inputs="raw", hide_position=False)
    collect(learner, 3)
    learner.collector.step()  # the second environment's first segment is full only now
    batch = worker_batch(learner)
    short = 3 / 4 * 0.5 + 0.5
    assert batch.weight.mean().item() == pytest.approx(short, abs=0.05)


def test_both_levels_go_on_past_a_time_limit_and_stop_at_a_real_end():
    learner = make_learner(Plane(num_envs=2, episode_steps=4))
    collect(learner, 4)
    rows = torch.tensor([0, 1])
    learner.replays[0].data["terminal"][1] = True
    (goal,) = learner.replays[0].take(rows, "goal")
    (context,) = learner.replays[0].take(rows, "context")
    manager = learner.top_update.batch(rows, goal, context)
    assert manager.discount.tolist() == pytest.approx([0.99, 0.0])
    worker = worker_batch(learner)
    ends = (worker.discount == 0).float().mean().item()
    assert ends == pytest.approx(0.5 * 0.25, abs=0.03), "the last step of the segment that terminated, nothing else"


def test_a_segment_cut_short_counts_part_of_a_step_in_the_managers_discount():
    learner = make_learner(Plane(num_envs=1, lengths=(3, 99)))
    collect(learner, 3)
    rows = torch.tensor([0])
    goal, context, rewards = learner.replays[0].take(rows, "goal", "context", "rewards")
    batch = learner.top_update.batch(rows, goal, context)
    assert batch.discount.item() == pytest.approx(0.99 ** (3 / 4))
    assert batch.reward.item() == pytest.approx(0.1 * rewards[0, :3].sum().item(), rel=1e-5)


@pytest.mark.parametrize("boundary", ["manager", "carried"])
def test_the_goal_after_the_border_is_the_managers_next_or_the_old_one(boundary):
    learner = make_learner(Plane(num_envs=1, episode_steps=99), boundary=boundary, inputs="raw", hide_position=False)
    collect(learner, 4)
    batch = worker_batch(learner, 400)
    last = (10 * batch.features[:, 2]).round() == 3
    (following,) = batch.next_features[last, 4:].unique(dim=0)
    (one,) = segments(learner)
    carried = one["states"][0, :2] + one["goal"] - one["states"][4, :2]
    assert_close(following, carried if boundary == "carried" else one["next_goal"], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(carried, one["next_goal"])


def test_resampled_goals_have_their_own_reward():
    learner = make_learner(goal_resampling=1.0, inputs="raw", hide_position=False)
    collect(learner, 8)
    batch = worker_batch(learner, 500)
    goal, following = batch.features[:, 4:], batch.next_features[:, 4:]
    assert_close(batch.features[:, :2] + goal, batch.next_features[:, :2] + following, rtol=1e-4, atol=1e-4)
    assert_close(batch.reward, -following.norm(dim=-1), rtol=1e-4, atol=1e-4)
    assert goal.abs().amax() > 2.9, "they fill the goal's range"


def test_resampled_targets_have_their_own_reward():
    learner = make_learner(target_resampling=0.5, inputs="raw")
    collect(learner, 12)
    rows = torch.zeros(8, dtype=torch.long)
    context, drawn = learner.top_update._contexts(rows)
    goal, states, stored = learner.replays[0].take(rows, "goal", "states", "context")
    assert drawn == 4 and torch.equal(context[4:], stored[4:]) and not torch.equal(context[:4], stored[:4])
    batch = learner.top_update.batch(rows, goal, context, drawn)
    expected = -(states[:, 1:, :2] - context.unsqueeze(1)).norm(dim=-1).sum(1)
    assert_close(batch.reward, 0.1 * expected, rtol=1e-4, atol=1e-5)


def test_a_centred_reward_has_the_mean_zero_at_first_and_none_where_episodes_end_by_themselves():
    for fail_beyond in (1e9, 1e3):
        learner = make_learner(Plane(fail_beyond=fail_beyond), centre_reward=True)
        collect(learner, 12)
        rows = torch.arange(8)
        goal, context = learner.replays[0].take(rows, "goal", "context")
        reward = learner.top_update.batch(rows, goal, context).reward
        plain = 0.1 * (learner.replays[0].take(rows, "rewards")[0] * learner.replays[0].valid(rows)).sum(1)
        never_fails = fail_beyond > 1e6
        assert_close(reward, plain - plain.mean() if never_fails else plain)
        assert (learner.top_update.mean_reward != 0) == never_fails


def test_centring_subtracts_the_mean_in_proportion_to_the_length():
    learner = make_learner(centre_reward=True)
    collect(learner, 12)
    rows = torch.arange(8)
    learner.replays[0].data["rewards"].fill_(-2.0)
    learner.replays[0].data["length"][:4] = 1  # of 4 steps
    goal, context = learner.replays[0].take(rows, "goal", "context")
    assert_close(learner.top_update.batch(rows, goal, context).reward, torch.zeros(8))
    assert_close(learner.top_update.mean_reward, torch.tensor(0.1 * 4 * -2.0))


def test_correction_uses_the_present_worker_and_leaves_what_is_stored_alone():
    learner = make_learner(inputs="raw")
    collect(learner, 12)
    rows = torch.arange(8)
    before, draws = learner.replays[0].data["goal"].clone(), learner.generator.get_state()

    def corrected():
        learner.generator.set_state(draws)
        return learner.top_update.corrected(rows)

    first = corrected()
    assert torch.equal(first, corrected())
    assert torch.equal(learner.replays[0].data["goal"], before)
    assert (first.abs() <= learner.levels.goal_limits).all()
    torch.nn.init.normal_(learner.levels.worker.actor.last.weight)  # another worker
    assert not torch.equal(first, corrected())


def test_without_correction_goals_stay():
    learner = make_learner(correction="none")
    collect(learner, 12)
    rows = torch.arange(4)
    assert torch.equal(learner.top_update.corrected(rows), learner.replays[0].data["goal"][:4])


def test_flips_end_the_return_and_are_penalized():
    env = Plane(num_envs=2, flip_above=-1e9)  # always
    learner = make_learner(env, flips={"penalty": 5.0}, worker_reward="progress", inputs="raw")
    collect(learner, 8)
    batch = worker_batch(learner, 200)
    assert (batch.discount == 0).all()
    assert batch.reward.mean().item() < -4


@pytest.mark.parametrize("meta_periods", [[4], [4, 3]])
def test_progress_is_limited_by_the_step(meta_periods):
    """A level that decides every four steps may earn four times as much by a decision."""

    def rewards(limit):
        learner = make_learner(
            correction="none",
            meta_periods=meta_periods,
            worker_reward="progress",
            progress_limit=limit,
            warmup_steps=12,
        )
        collect(learner, 24)
        updates = [trainer.update for trainer in learner.trainers[:-1]]
        learner.generator.manual_seed(0)
        return [update.batch().reward / update.level.cfg.reward_scale for update in updates]

    for whole, limited, steps in zip(rewards(0.0), rewards(1e-3), [1, 4], strict=False):
        assert (whole > steps * 1e-3).any()
        torch.testing.assert_close(limited, whole.clamp_max(steps * 1e-3))


def test_bodies_on_their_back_are_reset_at_the_end_of_a_segment():
    learner = make_learner(Plane(num_envs=2, episode_steps=99, flip_above=-1e9), flips={"reset_steps": 6})
    times = []
    for _ in range(12):
        learner.collector.step()
        times.append(learner.env.time.tolist()[0])
    # six steps on the back are enough, and the segment is over after eight
    assert times == [1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4]


def test_bodies_on_their_back_are_not_reset_by_default():
    learner = make_learner(Plane(num_envs=2, episode_steps=30, flip_above=-1e9))
    collect(learner, 29)
    assert learner.env.time.tolist() == [29, 29]


def test_first_episodes_are_staggered_and_later_ones_whole():
    learner = make_learner(Plane(num_envs=16, episode_steps=12), stagger=True)
    starts = []
    for _ in range(24):
        learner.collector.step()
        starts.append((learner.env.time == 0).float())
    share = torch.stack(starts).sum(1) / 16
    assert share[11] < 1 and share[3] > 0 and share[7] > 0
    assert share[[0, 1, 2, 4, 5, 6]].sum() == 0, "only at multiples of the period"
    again = torch.stack(starts).sum(0)
    assert (again >= 2).all()


def test_actor_and_targets_wait_for_every_second_update_on_both_levels():
    for number in (0, 1):
        learner = make_learner()
        collect(learner, 12)
        td3, step = learner.levels.all[number], learner.trainers[number].update.step
        start = [p.detach().clone() for p in (*td3.actor.parameters(), *td3.targets.parameters())]
        critic = [p.detach().clone() for p in td3.critics.parameters()]
        step()
        assert equal(start, [*td3.actor.parameters(), *td3.targets.parameters()])
        assert not equal(critic, list(td3.critics.parameters()))
        step()
        assert not equal(start, [*td3.actor.parameters(), *td3.targets.parameters()])


def test_updates_come_at_the_configured_rates():
    learner = make_learner(worker={"updates_per_step": 0.5}, manager={"updates_per_step": 3})
    learner.iterate()  # warm-up
    assert (learner.levels.worker.updates, learner.levels.top.updates) == (0, 0) or learner.steps > 8
    first = learner.levels.worker.updates, learner.levels.top.updates
    learner.iterate()
    assert learner.levels.worker.updates - first[0] == 4
    assert learner.levels.top.updates - first[1] == 6
    rate = Schedule(0.3)
    assert sum(rate.updates() for _ in range(100)) == 30


NOISY = {"exploration": {"low": 0.1, "correlation": 0.9}}


@pytest.mark.parametrize(
    "changes",
    [
        {"worker": NOISY, "manager": NOISY, "centre_reward": True},
        {"pool_sets": 2, "connection": {"mode": "paper", "target": 0.0}},
        SOFT,
        {"manager": SAC},
    ],
)
def test_a_stored_learner_continues_bit_for_bit(changes):
    straight, other = make_learner(seed=1, **changes), make_learner(seed=1, **changes)
    goes_on_alike(straight, other)
    assert equal(weights(straight), weights(other))


def test_without_a_stored_replay_a_new_one_fills_up_first():
    learner, other = (make_learner(checkpoint_replay=False) for _ in range(2))
    for _ in range(3):
        learner.iterate()
    state = learner.state_dict()
    assert "replay" not in state
    other.load_state_dict(state)
    before = other.levels.worker.updates
    other.iterate()
    assert other.levels.worker.updates == before
    other.iterate()
    assert other.levels.worker.updates > before


def test_without_a_stored_replay_the_manager_keeps_its_mean_reward_and_its_multiplier():
    changes = {"checkpoint_replay": False, "centre_reward": True, "pool_sets": 2}
    learner, other = (make_learner(**changes, connection={"mode": "paper", "target": 0.0}) for _ in range(2))
    for _ in range(3):
        learner.iterate()
    learner.top_update.multiplier.log_weight.data.fill_(-2.0)
    other.load_state_dict(learner.state_dict())
    kept = other.top_update
    assert torch.equal(kept.mean_reward, learner.top_update.mean_reward) and kept.mean_reward != 0
    assert kept.multiplier.log_weight == -2.0 and kept.multiplier.updates == learner.top_update.multiplier.updates
    assert kept.pool.filled == 0, "its goals belong to segments that are gone"


def test_weights_alone_fit_any_number_of_environments():
    learner = make_learner()
    for _ in range(3):
        learner.iterate()
    other = make_learner(Plane(num_envs=7), seed=5)
    other.load_weights(learner.weights())
    assert equal(weights(learner), weights(other))


def test_the_mean_reward_comes_along_with_the_weights_that_were_learned_under_it():
    learner, other = make_learner(centre_reward=True), make_learner(Plane(num_envs=7), seed=5, centre_reward=True)
    for _ in range(3):
        learner.iterate()
    mean = learner.top_update.mean_reward.clone()
    other.load_weights(learner.weights())
    collect(other, 12)
    other.replays[0].data["rewards"].fill_(-100.0)  # of four steps, scaled by 0.1: -40
    other.top_update.step()
    assert mean > -10
    assert_close(other.top_update.mean_reward, 0.99 * mean + 0.01 * -40.0)


@pytest.mark.parametrize("load", ["load_weights", "load_state_dict"])
def test_states_of_older_versions_are_refused(load):
    learner = make_learner()
    state = learner.state_dict()
    state["manager_update"] = state.pop("top_update")
    with pytest.raises(ValueError, match="older version of this learner.*train again"):
        getattr(learner, load)(state)


def test_a_training_on_numbers_that_are_not_finite_ends():
    learner = make_learner()
    guard = Guard(learner, None)
    guard.iterate()
    learner.replays[0].data["states"].fill_(torch.nan)
    with pytest.raises(
        DivergenceError, match="after iteration 2, levels.worker.*not finite; signals .*reward.*iteration 2"
    ):
        guard.iterate()


@pytest.mark.parametrize("levels", [{}, SOFT])
def test_nothing_waits_for_the_device_in_steps_and_updates(levels):
    learner = make_learner(pool_sets=2, goal_resampling=0.5, target_resampling=0.5, centre_reward=True, stagger=True,
                           connection={"mode": "paper"}, flips={"penalty": 1.0, "reset_steps": 4},
                           **levels)  # fmt: skip
    learner.iterate()
    learner.top_update.prepare()
    with HostWaits() as waits:
        for _ in range(5):
            learner.collector.step()
            learner.trainers[0].update.step()
            learner.top_update.prepare()
            learner.top_update.step()
    assert waits.found == []


def test_the_policy_sets_goals_by_phase_and_keeps_them():
    learner = make_learner(Plane(num_envs=2, episode_steps=99))
    policy, env = GoalPolicy(learner.env, learner.cfg, learner.levels), learner.env
    points = []
    for step in range(8):
        policy.act(env.observe())
        points.append(policy._points[0].clone())
        env.advance(torch.ones(2, 2))
        if step == 1:
            policy.restart(torch.tensor([False, True]))
    same = [[bool((a[i] == b[i]).all()) for i in range(2)] for a, b in zip(points, points[1:], strict=False)]
    assert same == [[True, True], [True, False], [True, True], [False, True], [True, True], [True, False], [True, True]]


def test_exported_networks_act_as_the_policy():
    learner = make_learner(inputs="scaled", **SOFT)
    high, low = exports(learner.env, learner.cfg, learner.levels)
    obs = learner.env.observe()
    state, context = obs["state"], obs["context"]
    with torch.no_grad():
        goal = high.module(state, context)
        assert_close(goal, learner.levels.mean_action(1, state, context) * learner.levels.goal_limits)
        assert_close(low.module(state, goal), learner.levels.mean_action(0, state, goal))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meta_periods": [0]}, r"meta_periods=0"),
        ({"warmup_steps": 2}, "nothing to learn from"),
        ({"goal_resampling": 1.5}, "goal_resampling"),
        ({"worker": {"hidden": []}}, "hidden"),
        ({"worker": {"exploration": {"low": 0.0}}}, "exploration.low=0.0"),
        ({"correction": "magic"}, "correction"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        config.build(GoalsCfg, SMALL | changes)


def test_goals_about_more_than_the_state_are_refused():
    with pytest.raises(ConfigError, match="does not fit"):
        make_learner(goal_size=9)


def test_tasks_without_goals_are_refused():
    env = Plane()
    env.task = None
    with pytest.raises(ConfigError, match="task=AntMaze"):
        make_learner(env)


def test_sac_acts_at_random_and_its_policy_does_not():
    learner = make_learner(Plane(num_envs=2), **SOFT)
    state, goal = learner.collector.obs["state"], learner.collector.segments[0].goal
    drawn = [learner.levels.sample_action(0, state, goal, learner.generator) for _ in range(2)]
    assert not torch.equal(*drawn)
    policy = GoalPolicy(learner.env, learner.cfg, learner.levels)
    first = policy.act(learner.collector.obs)
    policy.restart(torch.ones(2, dtype=torch.bool))
    assert torch.equal(first, policy.act(learner.collector.obs))


def test_it_draws_neither_its_environments_numbers_nor_those_of_the_next_seed():
    seeds = {make_learner(Plane(num_envs=4), seed=seed).generator.initial_seed() for seed in (0, 1)}
    assert len(seeds) == 2 and not seeds & {0, 1, 2}
