"""Critics that are histograms, by hand."""

import pytest
import torch
from torch.testing import assert_close

from isaachrl.envs.statistics import Means
from isaachrl.learn.goals.config import CriticCfg
from isaachrl.learn.goals.off_policy.histogram import Histogram
from tests.learn.goals.off_policy.test_td3 import batch, make
from tests.learn.goals.plane import goes_on_alike, make_learner

FOUR = Histogram(4, 2.0)  # bins of width 1, a Gaussian of standard deviation 0.75


def test_a_value_becomes_the_gaussian_mass_of_each_bin():
    # the normal distribution function is 0.5 at 0, 0.90879 at 1 / 0.75, 0.99617 at 2 / 0.75
    inner, outer = 0.40879, 0.08738
    total = 2 * (inner + outer)
    expected = torch.tensor([outer, inner, inner, outer]) / total
    assert_close(FOUR.probabilities(torch.tensor(0.0)), expected, rtol=0, atol=2e-5)


def test_the_mean_of_a_histogram_is_its_value_and_large_ones_are_clipped():
    fine = Histogram(100, 10.0)
    value = torch.tensor([-7.0, 0.0, 0.13, 8.5])
    assert_close(fine.mean(fine.probabilities(value).log()), value, rtol=0, atol=1e-3)
    assert_close(FOUR.probabilities(torch.tensor([9.0, -1e30])), FOUR.probabilities(torch.tensor([1.5, -1.5])))
    assert FOUR.probabilities(torch.tensor([1.5, -1.5])).isfinite().all()


def test_the_loss_is_the_cross_entropy():
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
    p = FOUR.probabilities(torch.tensor([0.7]))[0].tolist()
    expected = -sum(p[i] * torch.tensor(q).log().item() for i, q in enumerate((0.1, 0.2, 0.3, 0.4)))
    assert FOUR.loss(logits, torch.tensor([0.7])).item() == pytest.approx(expected, rel=1e-5)


def test_a_critic_of_bins_settles_at_the_mean_of_rare_costs():
    # nine returns in ten are 0 and one is -8, as in the same test of huber and squared losses; the mean is -0.8
    reward = torch.zeros(10)
    reward[0] = -8.0
    td3 = make(critic=CriticCfg(bins=41, value_limit=10.0))
    settled = td3.critics.q1.histogram.probabilities(reward).mean(0).clamp_min(1e-12).log()
    for critic in (td3.critics.q1, td3.critics.q2):
        torch.nn.init.zeros_(critic.last.weight)
        critic.last.bias.data.copy_(settled)
    rows = batch(10, reward=reward, discount=torch.zeros(10))
    assert_close(td3.critics(rows.features, rows.action)[0], torch.full((10,), -0.8), rtol=0, atol=1e-3)
    td3.update(rows, Means())
    assert td3.critics.q1.last.bias.grad.abs().max() < 1e-6


def test_the_target_takes_the_smaller_mean_and_learners_continue_bit_for_bit():
    td3 = make(critic=CriticCfg(bins=4, value_limit=2.0))
    for critic, probabilities in ((td3.targets[1].q1, [0.0, 0.0, 0.5, 0.5]), (td3.targets[1].q2, [0.0, 1.0, 0.0, 0.0])):
        torch.nn.init.zeros_(critic.last.weight)
        critic.last.bias.copy_(torch.tensor(probabilities).clamp_min(1e-9).log())
    assert_close(td3.target(batch()), torch.arange(4.0) + 0.9 * -0.5)
    level = {"critic": {"bins": 11, "value_limit": 20.0}}
    straight, other = (make_learner(worker=level, manager=level, seed=seed) for seed in (0, 1))
    goes_on_alike(straight, other)
