"""The two-level policy gradient: its samples by hand, and a regression test for each flaw of the published code."""

import pytest
import torch
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl import config
from isaachrl.envs.subgoals import Subgoals
from isaachrl.errors import ConfigError
from isaachrl.learn.subgoals.config import SubgoalsCfg
from isaachrl.learn.subgoals.learner import SubgoalLearner, join, open_subgoals
from isaachrl.learn.subgoals.level import Level, standardize
from isaachrl.maths.returns import known_returns, semi_markov_advantages
from isaachrl.maths.shapes import stack_steps

assert tasks
ALL = ["basic", "baseline", "entropy", "baseline+entropy"]
SMALL = {"hidden": [16], "horizon": 8, "subgoal_steps": 3}


def make(num_envs=8, seed=0, intrinsic=None, task=None, **values):
    env = isaachrl.make("FourRooms", num_envs=num_envs, device="cpu", seed=seed, cfg={"task": task or {}})
    return SubgoalLearner(env, config.build(SubgoalsCfg, SMALL | values), seed, intrinsic)


def rollout(learner, steps):
    with torch.no_grad():
        return [learner._step() for _ in range(steps)]


def weights(level):
    return torch.cat([p.detach().flatten().clone() for p in level.policy.parameters()])


def values(level):
    return torch.cat([p.detach().flatten().clone() for p in level.baseline.parameters()])


def test_flaw_1_subgoals_are_one_hot_everywhere():
    learner = make(4)
    inputs = join(torch.zeros(4, 44), torch.tensor([0, 1, 4, 2]), 5)
    assert inputs.shape == (4, 49) and inputs[:, 44:].sum(-1).tolist() == [1.0] * 4 and inputs[2, 48] == 1.0
    assert learner.low.policy[0].in_features == 49
    learner.iterate()  # acting and learning take the same input


@pytest.mark.parametrize("variant", ALL)
def test_flaws_2_and_11_both_levels_and_their_baselines_learn(variant):
    learner = make(64, variant=variant, horizon=60, subgoal_steps=4, task={"episode_steps": 30})
    before = [weights(learner.high), weights(learner.low)]
    held = [values(level) for level in (learner.high, learner.low)] if "baseline" in variant else []
    for _ in range(6):
        learner.iterate()
    after = [weights(learner.high), weights(learner.low)]
    after_held = [values(level) for level in (learner.high, learner.low)] if held else []
    for old, new in zip(before + held, after + after_held, strict=True):
        assert not torch.equal(old, new)


def test_flaw_3_achieving_depends_on_the_subgoal_not_on_standing_still():
    learner = make(3)
    state = torch.tensor([[2, 5, 8, 8]] * 3)
    assert learner.subgoals.achieved(state, torch.tensor([0, 1, 4])).tolist() == [True, False, False]
    assert not learner.subgoals.achieved(torch.tensor([[0, 0, 8, 8]]), torch.tensor([0])).item()  # standing in a corner


def test_flaw_4_subgoals_and_timers_begin_with_the_episode():
    learner = make(16, subgoal_steps=50, task={"episode_steps": 5})
    learner.env.state = torch.tensor([[0, 0, 10, 10]] * 16)  # too far from every subgoal
    for step in range(12):
        transition = rollout(learner, 1)[0]
        assert torch.equal(learner.choosing, transition.ended)
        assert (learner.timer[~transition.ended] <= 5).all(), "no timer outlives its episode"
        if step == 4:
            assert transition.done.all()
        if step == 5:
            assert (learner.timer == 1).all()


def test_flaw_5_the_high_level_learns_from_the_state_of_its_decision():
    learner = make(1, subgoal_steps=4, task={"episode_steps": 50})
    learner.env.state = torch.tensor([[0, 0, 10, 10]])
    learner.obs = learner.env.policy_input(learner.env.observe())
    start = learner.obs.clone()
    last = rollout(learner, 4)[-1]
    assert last.ended.item() and torch.equal(last.start_obs, start)


def test_flaw_6_discounts_are_those_of_a_semi_markov_problem():
    learner = make(1, subgoal_steps=3, gamma=0.5, task={"step_reward": -1.0, "episode_steps": 50})
    learner.env.state = torch.tensor([[0, 0, 10, 10]])
    last = rollout(learner, 3)[-1]
    assert last.ended.item()
    assert last.reward.item() == pytest.approx(-1 - 0.5 - 0.25) and last.discount.item() == pytest.approx(0.125)
    # two decisions of two and one steps, then the end: 3 + 0.25 * (7 + 0.5 * 0), less the values of 1 and 2
    column = lambda *entries: torch.tensor(entries).unsqueeze(-1)  # noqa: E731
    advantage = semi_markov_advantages(
        reward=column(0.0, 3.0, 7.0), discount=column(0.5, 0.25, 0.5), value=column(9.0, 1.0, 2.0),
        next_value=column(9.0, 2.0, 0.0), ended=column(False, True, True), done=column(False, False, True), lam=1.0,
    )  # fmt: skip
    assert_close(advantage, column(0.0, 3.0 + 0.25 * 7.0 - 1.0, 7.0 - 2.0))


def test_flaw_7_the_low_level_has_a_reward_for_its_subgoal():
    learner = make(2, achieved_reward=5.0, low_step_reward=-0.5)
    after = torch.tensor([[2, 5, 8, 8], [2, 5, 8, 8]])
    assert learner.intrinsic(after, after, torch.tensor([0, 1])).tolist() == [4.5, -0.5]
    closer = lambda before, after, subgoal: (after - before)[:, 0].float()  # noqa: E731
    assert make(2, intrinsic=closer).intrinsic is closer
    log = rollout(make(4, intrinsic=lambda before, after, subgoal: torch.full((4,), 3.0)), 1)[0]
    assert log.intrinsic.tolist() == [3.0] * 4


def test_no_sample_is_learned_from_twice():
    learner, noted, learned = make(4), [], {"high": [], "low": []}
    step = learner._step
    learner._step = lambda: noted.append(step()) or noted[-1]
    for part, kept in learned.items():
        learn = getattr(learner, part).learn
        getattr(learner, part).learn = lambda *rows, kept=kept, learn=learn: kept.append(rows) or learn(*rows)
    for _ in range(3):
        learner.iterate()
    for number in range(3):
        own = noted[number * 8 : (number + 1) * 8]
        assert torch.equal(learned["low"][number][0], torch.cat([m.inputs for m in own]))
        assert torch.equal(learned["low"][number][2], torch.cat([m.action for m in own]))
        assert torch.equal(learned["high"][number][0], torch.cat([m.start_obs for m in own]))
        assert torch.equal(learned["high"][number][5] > 0, torch.cat([m.ended for m in own])), "once, when it is over"
    assert [len(kept) for kept in learned.values()] == [3, 3]


def test_flaw_9_one_sample_gives_no_nan():
    assert standardize(torch.tensor([3.0]), torch.ones(1)).tolist() == [0.0]
    assert standardize(torch.tensor([3.0, 9.0]), torch.tensor([1.0, 0.0])).tolist() == [0.0, 0.0]
    assert standardize(torch.zeros(0), torch.zeros(0)).shape == (0,)
    assert_close(
        standardize(torch.tensor([1.0, 3.0, 50.0]), torch.tensor([1.0, 1.0, 0.0])), torch.tensor([-1.0, 1.0, 0.0])
    )
    learner = make(1, horizon=1)
    for _ in range(5):
        learner.iterate()
    assert weights(learner.high).isfinite().all() and weights(learner.low).isfinite().all()


def test_flaw_10_a_truncated_episode_is_bootstrapped():
    column = lambda *entries: torch.tensor(entries).unsqueeze(-1)  # noqa: E731
    cut = column(False, True, False, True, False)
    final = column(False, False, False, True, False)
    # without a baseline: the first two belong to a return that was cut off, the last is still open
    assert known_returns(cut, final).flatten().tolist() == [False, False, True, True, False]
    learner = make(2, variant="baseline", task={"episode_steps": 2})
    learned = {}
    learner.high.learn = lambda *rows: learned.update(target=rows[4]) or {}
    learner.high.value = lambda obs: torch.full(obs.shape[:-1], 10.0)
    learner.env.state = torch.tensor([[0, 0, 10, 10]] * 2)
    log = stack_steps(rollout(learner, 2))
    learner._learn_high(log)
    assert log.done[1].all() and not log.terminated.any()
    assert learned["target"][2:].tolist() == [pytest.approx(0.99**2 * 10.0)] * 2, "bootstrapped from the value"


def test_a_subgoal_that_times_out_is_bootstrapped():
    """The low level does not observe the time left, so that running out of time is a truncation."""
    learner, learned = make(2, variant="baseline", subgoal_steps=2, lam=1.0), {}
    learner.low.learn = lambda *rows: learned.update(target=rows[4]) or {}
    learner.low.value = lambda obs: torch.full(obs.shape[:-1], 10.0)
    learner.env.state = torch.tensor([[0, 0, 10, 10]] * 2)  # too far from every subgoal
    log = stack_steps(rollout(learner, 2))
    assert log.timed_out[1].all() and not log.done.any()
    learner._learn_low(log)
    # twice the -0.01 of a step, then 10
    assert learned["target"].tolist() == pytest.approx([-0.01 - 0.99 * 0.01 + 0.99**2 * 10.0] * 2 + [-0.01 + 9.9] * 2)


def test_without_a_baseline_a_subgoal_that_times_out_is_a_complete_return():
    learner, learned = make(2, variant="basic", subgoal_steps=2, task={"episode_steps": 3}), {}
    learner.low.learn = lambda *rows: learned.update(advantage=rows[3], weight=rows[5]) or {}
    learner.env.state = torch.tensor([[0, 0, 10, 10]] * 2)
    log = stack_steps(rollout(learner, 4))
    assert log.timed_out[1].all() and log.done[2].all()
    learner._learn_low(log)
    # the first subgoal times out after two steps, the second is cut off after one, the third is open
    assert learned["weight"].view(4, 2)[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert learned["advantage"].view(4, 2)[:2, 0].tolist() == pytest.approx([-0.01 - 0.99 * 0.01, -0.01])


def test_flaw_11_shapes_hold_for_a_single_row():
    level = Level(5, 3, SubgoalsCfg(hidden=[4]), 1e-3, torch.device("cpu"))
    assert level.value(torch.zeros(1, 5)).shape == (1,) and level.value(torch.zeros(7, 1, 5)).shape == (7, 1)


@pytest.mark.parametrize("part", ["high", "low"])
def test_flaw_12_entropy_counts_at_both_levels(part):
    learner = make(4, variant="entropy", entropy_weight=1.0)
    level = getattr(learner, part)
    size = level.policy[0].in_features
    level.policy[-1].bias.data = torch.linspace(-2, 2, level.policy[-1].out_features)
    inputs, allowed = torch.zeros(6, size), torch.ones(6, level.policy[-1].out_features, dtype=torch.bool)
    zero = torch.zeros(6)
    first = level.learn(inputs, allowed, zero.long(), zero, zero, torch.ones(6))["entropy"]
    for _ in range(20):
        last = level.learn(inputs, allowed, zero.long(), zero, zero, torch.ones(6))["entropy"]
    assert last > first, "with no advantage at all, only the entropy moves the policy"


def test_flaw_13_a_network_is_called_once_a_step_for_all_environments():
    learner = make(32, horizon=4)
    calls = {"high": [], "low": []}
    for part, sizes in calls.items():
        draw = getattr(learner, part).sample
        getattr(learner, part).sample = lambda *args, sizes=sizes, draw=draw: sizes.append(len(args[0])) or draw(*args)
    learner.iterate()
    assert calls == {"high": [32] * 4, "low": [32] * 4}


def test_a_subgoal_that_is_achieved_already_is_not_chosen():
    learner = make(64)
    learner.env.state = torch.tensor([[2, 5, 8, 8]] * 64)
    learner.obs = learner.env.policy_input(learner.env.observe())
    assert open_subgoals(learner.subgoals, learner.env.state)[0].tolist() == [False, True, True, True, True]
    assert (rollout(learner, 1)[0].subgoal != 0).all()


@pytest.mark.parametrize("variant", ALL)
def test_a_stored_state_continues_bit_for_bit(variant):
    first, second = make(variant=variant), make(variant=variant, seed=1)
    for _ in range(3):
        first.iterate()
    env_state, state = first.env.state_dict(), first.state_dict()
    straight = [first.iterate() for _ in range(2)]
    second.env.load_state_dict(env_state)
    second.load_state_dict(state)
    assert straight == [second.iterate() for _ in range(2)]


def test_the_policy_keeps_its_subgoal_until_it_is_over():
    learner = make(4, subgoal_steps=3)
    best, there = torch.zeros(4, dtype=torch.long), torch.zeros(4, dtype=torch.bool)
    learner.high.best = lambda inputs, allowed: best
    learner.subgoals = Subgoals(
        learner.subgoals.names, lambda state, subgoal: there if len(subgoal) == 4 else torch.zeros(20, dtype=torch.bool)
    )
    policy, obs = learner.policy(), learner.env.reset()
    policy.restart(torch.ones(4, dtype=torch.bool))
    chosen = []
    for step in range(8):
        best = torch.full((4,), step % 5)  # what the high level would choose now
        there = torch.tensor([False, step == 2, False, False])  # the second one's subgoal is achieved before step 2
        if step == 4:
            policy.restart(torch.tensor([False, False, True, False]))
        policy.act(obs)
        chosen.append(policy.subgoal.tolist())
    first, second, third, fourth = zip(*chosen, strict=True)
    assert first == fourth == (0, 0, 0, 3, 3, 3, 1, 1), "three steps each"
    assert second == (0, 0, 2, 2, 2, 0, 0, 0) and third == (0, 0, 0, 3, 4, 4, 4, 2)


def test_two_levels_are_exported():
    learner = make(2)
    high, low, achieved = learner.exports()
    assert high.module(*high.inputs.values()).shape == (1, 5) and high.contract["subgoals"][-1] == "goal"
    assert low.module(*low.inputs.values()).shape == (1, 4)
    # hallways north (2, 5) and west (5, 1); the goal at (8, 8)
    states = torch.tensor([[2.0, 5.0, 8.0, 8.0], [5.0, 1.0, 8.0, 8.0], [8.0, 8.0, 8.0, 8.0], [0.0, 0.0, 8.0, 8.0]])
    found = [dict(zip(achieved.contract["subgoals"], row, strict=True)) for row in achieved.module(states).tolist()]
    assert [[name for name, there in row.items() if there] for row in found] == [["north"], ["west"], ["goal"], []]


@pytest.mark.parametrize(
    "values",
    [{"variant": "basline"}, {"gamma": 1.5}, {"learning_rate": 0.0}, {"subgoal_steps": 0}, {"hidden": []}],
)  # fmt: skip
def test_impossible_numbers_are_refused(values):
    with pytest.raises(ConfigError):
        config.build(SubgoalsCfg, values)


def test_a_task_without_subgoals_is_refused():
    with pytest.raises(ConfigError, match="declares subgoals"):
        SubgoalLearner(isaachrl.make("TaxiFuel", num_envs=1, device="cpu"), SubgoalsCfg(), 0)
