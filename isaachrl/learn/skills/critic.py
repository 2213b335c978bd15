"""The critic of a skill's training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from isaachrl.nn import mlp


class Critic(nn.Module):
    """Normalised value of a normalised observation and a latent."""

    def __init__(self, obs_size: int, latent_size: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.body = mlp(obs_size + latent_size, hidden, 1)

    def forward(self, obs: Tensor, latent: Tensor) -> Tensor:
        """Value `(n,)`."""
        if self.latent_size:
            obs = torch.cat((obs, latent), dim=-1)
        return self.body(obs).squeeze(-1)
