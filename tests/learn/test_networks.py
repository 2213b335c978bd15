"""Networks that are exported."""

import torch
from torch import nn

from isaachrl.learn.networks import LatentPolicy


def test_a_latent_is_that_of_the_clamped_action():
    """As the environment does it: (3, 0.75, 0) acts as (1, 0.75, 0), of length 1.25."""
    latent = LatentPolicy(nn.Identity())(torch.tensor([[3.0, 0.75, 0.0]]))
    torch.testing.assert_close(latent, torch.tensor([[0.8, 0.6, 0.0]]))
