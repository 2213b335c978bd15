"""The style reward: a function of the discriminator's output on a motion window."""

from enum import Enum

import torch
from torch import Tensor

_MIN_PROBABILITY = 1e-4


class DiscriminatorLoss(Enum):
    """Loss of the discriminator, with its style reward.

    `cross_entropy`: the output is the logit of a demonstration; the reward is `-2 log(max(1 - sigmoid, 1e-4))`, 0 to
    18.4 (the code published with Peng et al. 2022). It is above 0 for all windows, so that staying upright is always
    rewarded.
    `least_squares`: the target is 1 for demonstrations and -1 for imitated windows; the reward is
    `max(0, 1 - 0.25 (output - 1)^2)`, 0 to 1 (Peng et al. 2021, Eq. 7 and 8); it is 0 for clearly imitated windows.
    """

    cross_entropy = "cross_entropy"
    least_squares = "least_squares"


def style_reward(output: Tensor, loss: DiscriminatorLoss) -> Tensor:
    """Reward for a discriminator's output, elementwise; see `DiscriminatorLoss`."""
    if loss is DiscriminatorLoss.least_squares:
        return (1.0 - 0.25 * (output - 1.0).square()).clamp_min(0.0)
    return -2.0 * torch.log(torch.sigmoid(-output).clamp_min(_MIN_PROBABILITY))
