"""Means of signals, and of the episodes that ended."""

import pytest
import torch

from isaachrl.envs.statistics import EpisodeStatistics, Means
from tests.learn.goals.plane import Plane


def test_means_are_over_the_counted_values_and_start_again_after_a_read():
    means = Means("group/")
    means.add(loss=torch.tensor(1.0))
    means.add(loss=torch.tensor(4.0))
    means.count("never", torch.ones(2), torch.zeros(2, dtype=torch.bool))
    means.count("some", torch.tensor([3.0, torch.inf]), torch.tensor([True, False]))
    assert means.read() == {"group/loss": 2.5, "group/some": 3.0}
    assert means.read() == {}


def test_episodes_are_counted_where_they_end_by_a_given_mask():
    env = Plane(num_envs=2)
    statistics = EpisodeStatistics(env)
    for ended in ([False, False], [True, False]):
        result = env.advance(torch.zeros(2, 2))
        statistics.add(result, torch.tensor(ended))
    found = statistics.read()
    assert found["episode/length"] == 2 and found["episode/return"] == pytest.approx(2 * result.reward[0].item())
    assert statistics.lengths.tolist() == [0, 2]
