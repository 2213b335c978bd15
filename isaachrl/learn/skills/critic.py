"""The critic of a skill's training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from isaachrl.nn import RunningNorm, mlp


class Critic(nn.Module):
    """Normalised value of a normalised observation, what only the critic knows, and a latent.

    Attributes:
        known_norm: of what only the critic knows; None where that is nothing.
    """

    def __init__(self, obs_size: int, known_size: int, latent_size: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.known_norm = RunningNorm(known_size) if known_size else None
        self.body = mlp(obs_size + known_size + latent_size, hidden, 1)

    def forward(self, obs: Tensor, known: Tensor, latent: Tensor) -> Tensor:
        """Value `(n,)`."""
        known = known if self.known_norm is None else self.known_norm(known)
        return self.body(torch.cat((obs, known, latent), dim=-1)).squeeze(-1)
