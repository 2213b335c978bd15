"""Exploration noise on the actions of one level."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.learn.goals.config import Algorithm, LevelCfg
from isaachrl.learn.goals.off_policy.actor_critic import noise_unit
from isaachrl.learn.state import Stateful


class Exploration(Stateful):
    """Gaussian noise on the actions of N environments, with a standard deviation of its own in each.

    Each episode draws its standard deviation log-uniformly and, with even odds, whether the noise is correlated in
    time. Levels draw independently, so that all pairs of a quiet or noisy worker and manager occur.

    Args:
        cfg: of the level.
        limits: `(A,)` half ranges of the actions in their own units.
        num_envs: N.
        generator: of the noise.

    Attributes:
        std: `(N, A)` standard deviations, as shares of the half range.
        correlation: `(N, 1)` of successive draws.
        noise: `(N, A)` the last draw, in standard deviations.
    """

    STATE: ClassVar = ("std", "correlation", "noise")

    def __init__(self, cfg: LevelCfg, limits: Tensor, num_envs: int, generator: torch.Generator) -> None:
        self.cfg, self.generator, device = cfg.exploration, generator, limits.device
        self._log_low, self._log_ratio = math.log(self.cfg.low), math.log(self.cfg.high / self.cfg.low)
        # SAC's policy explores by itself
        self._unit = torch.zeros_like(limits) if cfg.algorithm is Algorithm.sac else noise_unit(cfg, limits)
        self.std = torch.zeros(num_envs, len(limits), device=device)
        self.correlation = torch.zeros(num_envs, 1, device=device)
        self.noise = torch.zeros_like(self.std)
        self.restart(torch.ones(num_envs, dtype=torch.bool, device=device))

    def restart(self, mask: Tensor) -> None:
        """Draw standard deviation and correlation for a new episode in the environments of `mask (N,)`."""
        draws = torch.rand(len(mask), 2, generator=self.generator, device=mask.device)
        size, coin = draws.split(1, dim=1)
        std = (self._log_low + self._log_ratio * size).exp() * self._unit
        correlation = torch.where(coin < 0.5, self.cfg.correlation, 0.0)
        self.std = torch.where(mask.unsqueeze(1), std, self.std)
        self.correlation = torch.where(mask.unsqueeze(1), correlation, self.correlation)

    def __call__(self, action: Tensor, mask: Tensor) -> Tensor:
        """Noisy actions `(N, A)` in [-1, 1]; correlated noise advances in the environments of `mask (N,)`."""
        shape, device = action.shape, action.device
        white = torch.randn(shape, generator=self.generator, device=device)
        noise = self.correlation * self.noise + (1.0 - self.correlation.square()).sqrt() * white
        self.noise = torch.where(mask.unsqueeze(1), noise, self.noise)
        noisy = (action + self.std * self.noise).clamp(-1.0, 1.0)
        if self.cfg.uniform_share == 0:
            return noisy
        chance = torch.rand(shape[0], 1, generator=self.generator, device=device)
        return torch.where(chance < self.cfg.uniform_share, self.uniform(), noisy)

    def uniform(self) -> Tensor:
        """Uniformly random actions `(N, A)` in [-1, 1]."""
        return 2.0 * torch.rand(self.noise.shape, generator=self.generator, device=self.noise.device) - 1.0
