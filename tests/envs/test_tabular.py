"""Environments written out as tables: states, look-ups, resets, statistics."""

import pytest
import torch

from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.envs.tabular import Factor, TabularMdp, all_states, number_of_states, strides
from isaachrl.errors import ConfigError
from tests.small_mdp import LEFT, RIGHT, TAKE, corridor, corridor_mdp


def test_states_are_numbered_with_the_last_column_fastest():
    factors = (Factor("a", 1, 2), Factor("b", -1, 3))
    assert all_states(factors).tolist() == [[1, -1], [1, 0], [1, 1], [2, -1], [2, 0], [2, 1]]
    assert number_of_states(factors) == 6
    assert strides(factors).tolist() == [3, 1]


def test_a_state_and_its_number_belong_together():
    env = corridor(10)
    env.state = all_states(env.mdp.factors)
    assert env.index().tolist() == list(range(10))
    assert torch.equal(env.mdp.states[env.index()], env.state)


def test_tables_of_the_wrong_size_are_refused():
    mdp = corridor_mdp()
    with pytest.raises(ConfigError, match=r"next_state has the shape \(10, 2\); \(10, 3\) was expected"):
        TabularMdp(
            mdp.factors,
            mdp.actions,
            mdp.next_state[:, :2],
            mdp.terms,
            mdp.terminated,
            mdp.metrics,
            mdp.starts,
            mdp.obs,
        )


def test_rewards_are_the_sums_of_their_terms():
    env = corridor(3)
    env.state = torch.tensor([[3, 1], [3, 0], [0, 0]])
    result = env.advance(torch.tensor([RIGHT, RIGHT, TAKE]))
    assert result.reward.tolist() == [9.0, -1.0, -1.0]
    assert result.terms["win"].tolist() == [10.0, 0.0, 0.0]
    assert result.terms["step"].tolist() == [-1.0] * 3
    assert result.metrics["success_rate"].tolist() == [1.0, 0.0, 0.0]
    assert result.terminated.tolist() == [True, False, False]
    assert env.state.tolist() == [[4, 1], [4, 0], [0, 1]]


def test_time_cuts_an_episode_that_goes_on_and_no_other():
    env = corridor(2, episode_steps=2)
    env.state = torch.tensor([[2, 1], [2, 0]])
    assert not env.step(torch.tensor([RIGHT, RIGHT])).done.any()
    last = env.step(torch.tensor([RIGHT, RIGHT]))
    assert last.terminated.tolist() == [True, False]
    assert last.truncated.tolist() == [False, True]
    assert env.progress.tolist() == [0, 0]


def test_the_last_observation_is_that_before_the_reset():
    env = corridor(1)
    env.state = torch.tensor([[3, 1]])
    result = env.step(torch.tensor([RIGHT]))
    assert result.terminal_obs["state"].tolist() == [[0, 0, 0, 0, 1, 1]]
    assert result.obs["state"][0, 5].item() == 0.0, "a new episode has no key"


def test_starts_are_drawn_evenly():
    env = corridor(8000)
    counts = torch.bincount(env.state[:, 0], minlength=5)
    assert counts[4] == 0
    assert (counts[:4] - 2000).abs().max() < 200


def test_only_the_environments_of_the_mask_start_anew():
    env = corridor(3)
    env.state = torch.tensor([[4, 1], [4, 1], [4, 1]])
    env.reset_where(torch.tensor([False, True, False]))
    assert env.state[[0, 2]].tolist() == [[4, 1], [4, 1]]
    assert env.state[1, 1].item() == 0


def test_statistics_count_episodes_where_they_end():
    env = corridor(2)
    env.state = torch.tensor([[2, 1], [1, 0]])
    statistics = EpisodeStatistics(env)
    for actions in ([RIGHT, LEFT], [RIGHT, TAKE]):
        result = env.advance(torch.tensor(actions))
        statistics.add(result)
        env.reset_where(result.done)
    assert statistics.finished_lengths.tolist() == [2.0, 2.0]
    assert statistics.lengths.tolist() == [0.0, 2.0]
    found = statistics.read()
    assert found["episode/return"] == 8.0 and found["episode/length"] == 2.0
    assert found["episode/success_rate"] == 1.0
    assert found["reward/total"] == pytest.approx((8.0 - 2.0) / 4)
    assert found["reward/win"] == pytest.approx(10.0 / 4)


def test_statistics_omit_signals_without_values_and_reset_on_read():
    env = corridor(2)
    env.state = torch.tensor([[2, 0], [1, 0]])
    statistics = EpisodeStatistics(env)
    statistics.add(env.advance(torch.tensor([LEFT, LEFT])))
    first = statistics.read()
    assert "episode/return" not in first and first["reward/total"] == -1.0
    statistics.count("own/signal", torch.tensor([4.0, 100.0]), torch.tensor([True, False]))
    assert statistics.read() == {"own/signal": 4.0}


def test_statistics_go_on_from_where_they_stopped():
    env = corridor(2)
    one, other = EpisodeStatistics(env), EpisodeStatistics(env)
    one.add(env.advance(torch.tensor([LEFT, LEFT])))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.returns, other.returns) and torch.equal(one.lengths, other.lengths)
    one.add(env.advance(torch.tensor([LEFT, LEFT])))
    assert not torch.equal(one.returns, other.returns), "a copy, not the same tensor"


def test_actions_of_another_shape_are_refused():
    env = corridor(2)
    with pytest.raises(ConfigError, match=r"and shape \(3,\) on cpu; expected .* shape \(2,\)"):
        env.step(torch.zeros(3, dtype=torch.long))


@pytest.mark.parametrize("wrong", [[0, -1, 1], [0, 3, 1]])
def test_numbers_that_are_no_actions_are_refused(wrong):
    env = corridor(3)
    before = env.state.clone()
    with pytest.raises(ConfigError, match="expected numbers from 0 to 2"):
        env.step(torch.tensor(wrong))
    assert torch.equal(env.state, before)
