"""The losses of adversarial skill learning against numbers worked by hand."""

import math

import pytest
import torch
from torch.nn import functional

from isaachrl.learn.skills import losses
from isaachrl.nn.skill_networks import Discriminator
from isaachrl.nn.style import DiscriminatorLoss, style_reward


def test_style_reward_at_the_even_point_and_at_both_ends() -> None:
    reward = style_reward(torch.tensor([0.0, 50.0, -50.0]), DiscriminatorLoss.cross_entropy)
    assert reward[0].item() == pytest.approx(2 * math.log(2), rel=1e-5)
    assert reward[1].item() == pytest.approx(-2 * math.log(1e-4), rel=1e-5)  # 18.42, the published ceiling
    assert reward[2].item() == pytest.approx(0.0, abs=1e-6)


def test_discriminator_loss_is_half_of_each_cross_entropy() -> None:
    loss = losses.discriminator_loss(torch.tensor([0.0, 2.0]), torch.tensor([1.0]), DiscriminatorLoss.cross_entropy)
    agent = (math.log(2) + math.log(1 + math.exp(2))) / 2
    demo = math.log(1 + math.exp(-1))
    assert loss.item() == pytest.approx(0.5 * (agent + demo), rel=1e-5)


def test_least_squares_style_reward_is_zero_for_clearly_imitated_windows() -> None:
    reward = style_reward(torch.tensor([1.0, 0.0, -1.0, -3.0, 3.0]), DiscriminatorLoss.least_squares)
    assert reward.tolist() == pytest.approx([1.0, 0.75, 0.0, 0.0, 0.0])
    loss = losses.discriminator_loss(torch.tensor([0.0, -1.0]), torch.tensor([0.5]), DiscriminatorLoss.least_squares)
    assert loss.item() == pytest.approx(0.5 * (0.5 + 0.25))


def test_gradient_penalty_of_a_linear_discriminator_is_its_squared_weight() -> None:
    weight = torch.tensor([3.0, -4.0])
    inputs = torch.randn(7, 2, requires_grad=True)
    assert losses.gradient_penalty(inputs @ weight, inputs).item() == pytest.approx(25.0)


def test_gradient_penalty_matches_finite_differences() -> None:
    torch.manual_seed(0)
    net = Discriminator(5, 2, 0, [8]).double()
    window, latent = torch.randn(4, 5).double(), torch.randn(4, 2).double()
    inputs = window.clone().requires_grad_(True)
    penalty = losses.gradient_penalty(net.logit(inputs, latent), inputs)
    step, squared = 1e-6, torch.zeros(4).double()
    for i in range(5):
        shift = torch.zeros(5).double()
        shift[i] = step
        slope = (net.logit(window + shift, latent) - net.logit(window - shift, latent)) / (2 * step)
        squared += slope.square()
    assert penalty.item() == pytest.approx(squared.mean().item(), rel=1e-6)


def test_diversity_loss_is_zero_where_actions_are_as_far_apart_as_latents() -> None:
    here, there = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    # latents 0.5 apart in the loss's measure, so actions must differ by sqrt(0.5) in every entry
    action, other = torch.zeros(1, 3), torch.full((1, 3), math.sqrt(0.5))
    assert losses.diversity_loss(action, other, here, there).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.diversity_loss(action, action, here, there).item() == pytest.approx(1.0)


def test_encoder_loss_is_minus_the_cosine() -> None:
    encoding = functional.normalize(torch.tensor([[1.0, 1.0], [1.0, 0.0]]), dim=-1)
    latent = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert losses.encoder_loss(encoding, latent).item() == pytest.approx(-(math.sqrt(0.5) - 1) / 2, rel=1e-5)


def test_clipped_surrogate_stops_where_the_ratio_leaves_the_range() -> None:
    old = torch.zeros(4, dtype=torch.double)
    log_prob = torch.log(torch.tensor([1.5, 0.5, 1.5, 1.1], dtype=torch.double)).requires_grad_(True)
    advantage = torch.tensor([1.0, 1.0, -1.0, 2.0], dtype=torch.double)
    loss = losses.clipped_surrogate(log_prob, old, advantage, 0.2)
    assert loss.tolist() == pytest.approx([-1.2, -0.5, 1.5, -2.2])
    loss.sum().backward()
    assert log_prob.grad is not None
    # only the first row is clipped: a larger ratio would not be paid any more
    assert log_prob.grad.tolist() == pytest.approx([0.0, -0.5, 1.5, -2.2])


def test_bound_loss_counts_only_what_lies_outside() -> None:
    assert losses.bound_loss(torch.tensor([[0.9, -1.5, 2.0]])).tolist() == pytest.approx([0.25 + 1.0])


def test_gaussian_log_prob_differences_are_those_of_the_density() -> None:
    distribution = torch.distributions.Normal(0.3, math.exp(-1.0))
    actions = torch.tensor([[0.1], [0.7]])
    ours = losses.gaussian_log_prob(actions, torch.full((2, 1), 0.3), -1.0)
    theirs = distribution.log_prob(actions.squeeze(-1))
    assert (ours[0] - ours[1]).item() == pytest.approx((theirs[0] - theirs[1]).item(), rel=1e-5)


def test_masked_mean_ignores_the_rest_and_survives_an_empty_mask() -> None:
    values = torch.tensor([1.0, 5.0, 100.0])
    assert losses.masked_mean(values, torch.tensor([1.0, 1.0, 0.0])).item() == 3.0
    assert losses.masked_mean(values, torch.zeros(3)).item() == 0.0


def test_explore_probability_is_nearly_one_for_the_first_and_zero_for_the_last() -> None:
    share = losses.explore_probability(11, torch.device("cpu"))
    assert share[0].item() == pytest.approx(1 - math.exp(-10))
    assert share[9].item() == pytest.approx(1 - math.exp(-1))
    assert share[10].item() == 0.0


def test_discriminator_overfits_a_tiny_case() -> None:
    """Two windows under two latents, of which one pairing is real: only a conditional discriminator can tell."""
    torch.manual_seed(0)
    net = Discriminator(2, 2, 0, [32])
    windows, latents = torch.eye(2), torch.eye(2)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(300):
        outputs = net.logit(windows, latents.flip(0)), net.logit(windows, latents)
        loss = losses.discriminator_loss(*outputs, DiscriminatorLoss.cross_entropy)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (net.logit(windows, latents) > 2).all() and (net.logit(windows, latents.flip(0)) < -2).all()
