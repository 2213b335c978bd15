"""The losses of adversarial skill learning, as pure functions of tensors."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.nn.style import DiscriminatorLoss


def discriminator_loss(agent: Tensor, demo: Tensor, loss: DiscriminatorLoss) -> Tensor:
    """Mean of the losses on agent rows and on demonstration rows, see `DiscriminatorLoss`.

    Cross entropy against 0 and 1, or squared distance from -1 and 1.
    """
    if loss is DiscriminatorLoss.least_squares:
        return 0.5 * ((agent + 1.0).square().mean() + (demo - 1.0).square().mean())
    return 0.5 * (functional.softplus(agent).mean() + functional.softplus(-demo).mean())


def gradient_penalty(logit: Tensor, inputs: Tensor) -> Tensor:
    """Mean squared norm of the gradient of each row's logit by its (normalised) inputs `(n, size)`."""
    (gradient,) = torch.autograd.grad(logit.sum(), inputs, create_graph=True)
    return gradient.square().sum(-1).mean()


def encoder_loss(encoding: Tensor, latent: Tensor) -> Tensor:
    """Minus the mean cosine of encodings and latents, unit vectors `(n, d)` (Peng et al. 2022, Eq. 11)."""
    return -(encoding * latent).sum(-1).mean()


def diversity_loss(action: Tensor, other_action: Tensor, latent: Tensor, other_latent: Tensor) -> Tensor:
    """Distance of the actions of two latents relative to the distance of the latents (Peng et al. 2022, Eq. 15).

    `(1 - mean((a - a')^2) / (0.5 - 0.5 z.z' + 1e-5))^2` per row `(n,)`.
    """
    distance = (action - other_action).square().mean(-1)
    latent_distance = 0.5 - 0.5 * (latent * other_latent).sum(-1)
    return (1.0 - distance / (latent_distance + 1e-5)).square()


def clipped_surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's policy loss per row `(n,)` (Schulman et al. 2017, Eq. 7, negated)."""
    ratio = (log_prob - old_log_prob).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)


def bound_loss(mean: Tensor) -> Tensor:
    """Squared excess of the policy's mean over [-1, 1], summed over actions: `(n,)`."""
    return (mean.abs() - 1.0).clamp_min(0.0).square().sum(-1)


def gaussian_log_prob(action: Tensor, mean: Tensor, log_std: float) -> Tensor:
    """Log density `(n,)` of a diagonal Gaussian with one fixed standard deviation; constants left out."""
    scaled = (action - mean) / math.exp(log_std)
    return -0.5 * scaled.square().sum(-1)


def masked_mean(values: Tensor, mask: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean of `values (n,)` over the rows of `mask (n,)` (0 or 1); 0 if there are none.

    `count` replaces the mask's sum: with the ranks' mean sum, the mean of the ranks' results is the mean over all rows.
    """
    return (values * mask).sum() / (mask.sum() if count is None else count).clamp_min(1.0)


def explore_probability(num_envs: int, device: torch.device) -> Tensor:
    """Probability `(N,)` with which each environment acts with noise: `1 - exp(10 (i / (N - 1) - 1))`."""
    position = torch.arange(num_envs, device=device) / max(num_envs - 1, 1)
    return 1.0 - torch.exp(10.0 * (position - 1.0))
