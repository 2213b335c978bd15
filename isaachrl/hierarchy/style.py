"""What a window of motion is worth, by the opinion of a discriminator."""

from enum import Enum

import torch
from torch import Tensor

_MIN_PROBABILITY = 1e-4


class Judgement(Enum):
    """How a discriminator is taught, and how its output pays.

    `cross_entropy`: its output is the logit of being real; pay is `2 * -log(max(1 - sigmoid, 1e-4))`, 0 to 18.4
    (the published code). Even what is clearly no demonstration pays a little, so that merely staying up pays.
    `least_squares`: its output is 1 for real and -1 for imitated windows; pay is `max(0, 1 - 0.25 (output - 1)^2)`,
    0 to 1 (Peng et al. 2021, Eq. 7 and 8). What is clearly no demonstration pays nothing.
    """

    cross_entropy = "cross_entropy"
    least_squares = "least_squares"


def style_reward(output: Tensor, judgement: Judgement) -> Tensor:
    """Pay for a discriminator's output, elementwise; see `Judgement`."""
    if judgement is Judgement.least_squares:
        return (1.0 - 0.25 * (output - 1.0).square()).clamp_min(0.0)
    return -2.0 * torch.log(torch.sigmoid(-output).clamp_min(_MIN_PROBABILITY))
