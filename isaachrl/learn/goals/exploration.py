"""Noise on actions, to see more than the present policy does."""

import math

import torch
from torch import Tensor

from isaachrl.learn.goals.config import Algorithm, LevelCfg


class Exploration:
    """Noise on the actions of N environments, of another size in each.

    Args:
        cfg: of the level.
        limits: `(A,)` half ranges of the actions in their own units.
        num_envs: N.
        generator: of the draws.
    """

    def __init__(self, cfg: LevelCfg, limits: Tensor, num_envs: int, generator: torch.Generator) -> None:
        self.cfg, self.generator, device = cfg, generator, limits.device
        # a policy that is random by itself gets no noise
        size = 0.0 if cfg.algorithm is Algorithm.sac else 1.0
        spread = size * torch.linspace(math.log(cfg.noise_low), math.log(cfg.noise_high), num_envs, device=device).exp()
        unit = 1.0 / limits if cfg.noise_raw else torch.ones_like(limits)
        self.scale = spread.unsqueeze(1) * unit
        number = torch.arange(num_envs, device=device)
        self._memory = torch.where(number % 2 == 1, cfg.noise_correlation, 0.0).unsqueeze(1)
        self._fresh = (1.0 - self._memory.square()).sqrt()
        self.state = torch.zeros(num_envs, len(limits), device=device)

    def __call__(self, action: Tensor, where: Tensor) -> Tensor:
        """Noisy actions `(N, A)` in [-1, 1]; correlated noise moves on in the environments of `where (N,)`."""
        shape, device = action.shape, action.device
        fresh = torch.randn(shape, generator=self.generator, device=device)
        drawn = self._memory * self.state + self._fresh * fresh
        self.state = torch.where(where.unsqueeze(1), drawn, self.state)
        noisy = (action + self.scale * self.state).clamp(-1.0, 1.0)
        if self.cfg.uniform_share == 0:
            return noisy
        chance = torch.rand(shape[0], 1, generator=self.generator, device=device)
        return torch.where(chance < self.cfg.uniform_share, self.uniform(), noisy)

    def uniform(self) -> Tensor:
        """Uniformly random actions `(N, A)` in [-1, 1]."""
        return 2.0 * torch.rand(self.state.shape, generator=self.generator, device=self.state.device) - 1.0
