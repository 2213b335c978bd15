"""What a window of motion is worth."""

import torch
from torch import Tensor

_MIN_PROBABILITY = 1e-4


def style_reward(logit: Tensor) -> Tensor:
    """`2 * -log(max(1 - sigmoid(logit), 1e-4))` of a discriminator's logit, 0 to 18.4 (Peng et al. 2021)."""
    return -2.0 * torch.log(torch.sigmoid(-logit).clamp_min(_MIN_PROBABILITY))
