"""Noise on actions, to see more than the present policy does."""

import math

import torch
from torch import Tensor

from isaachrl.learn.goals.config import Algorithm, LevelCfg


class Exploration:
    """Noise on the actions of N environments, of another size in each.

    The standard deviation is log-uniform in [noise_low, noise_high] and drawn anew for each episode, as is (with even
    odds) whether the noise is correlated in time. Levels draw independently of each other, so that every pairing of a
    quiet worker with a bold manager is tried.

    Args:
        cfg: of the level.
        limits: `(A,)` half ranges of the actions in their own units.
        num_envs: N.
        generator: of the draws.

    Attributes:
        scale: `(N, A)` standard deviations, as shares of the half range.
        correlation: `(N, 1)` of successive draws.
        state: `(N, A)` the noise in force, in standard deviations.
    """

    STATE = ("scale", "correlation", "state")

    def __init__(self, cfg: LevelCfg, limits: Tensor, num_envs: int, generator: torch.Generator) -> None:
        self.cfg, self.generator, device = cfg, generator, limits.device
        self._low, self._width = math.log(cfg.noise_low), math.log(cfg.noise_high / cfg.noise_low)
        unit = 1.0 / limits if cfg.noise_raw else torch.ones_like(limits)
        # a policy that is random by itself gets no noise
        self._unit = torch.zeros_like(limits) if cfg.algorithm is Algorithm.sac else unit
        self.scale = torch.zeros(num_envs, len(limits), device=device)
        self.correlation = torch.zeros(num_envs, 1, device=device)
        self.state = torch.zeros_like(self.scale)
        self.restart(torch.ones(num_envs, dtype=torch.bool, device=device))

    def restart(self, where: Tensor) -> None:
        """Draw size and correlation anew in the environments of `where (N,)`, whose episode begins."""
        draws = torch.rand(len(where), 2, generator=self.generator, device=where.device)
        size, coin = draws.split(1, dim=1)
        scale = (self._low + self._width * size).exp() * self._unit
        correlation = torch.where(coin < 0.5, self.cfg.noise_correlation, 0.0)
        self.scale = torch.where(where.unsqueeze(1), scale, self.scale)
        self.correlation = torch.where(where.unsqueeze(1), correlation, self.correlation)

    def __call__(self, action: Tensor, where: Tensor) -> Tensor:
        """Noisy actions `(N, A)` in [-1, 1]; correlated noise moves on in the environments of `where (N,)`."""
        shape, device = action.shape, action.device
        fresh = torch.randn(shape, generator=self.generator, device=device)
        drawn = self.correlation * self.state + (1.0 - self.correlation.square()).sqrt() * fresh
        self.state = torch.where(where.unsqueeze(1), drawn, self.state)
        noisy = (action + self.scale * self.state).clamp(-1.0, 1.0)
        if self.cfg.uniform_share == 0:
            return noisy
        chance = torch.rand(shape[0], 1, generator=self.generator, device=device)
        return torch.where(chance < self.cfg.uniform_share, self.uniform(), noisy)

    def uniform(self) -> Tensor:
        """Uniformly random actions `(N, A)` in [-1, 1]."""
        return 2.0 * torch.rand(self.state.shape, generator=self.generator, device=self.state.device) - 1.0

    def state_dict(self) -> dict[str, Tensor]:
        """Sizes, correlations and the noise in force."""
        return {name: getattr(self, name).clone() for name in self.STATE}

    def load_state_dict(self, state: dict[str, Tensor] | Tensor) -> None:
        """Continue from `state_dict`.

        Raises:
            TypeError: it is the noise alone, as older versions kept it.
        """
        if isinstance(state, Tensor):
            raise TypeError("of the exploration's noise the sizes are missing")
        for name in self.STATE:
            setattr(self, name, state[name].to(self.scale.device, copy=True))
