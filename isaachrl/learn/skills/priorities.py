"""How often each motion is practised, by how little it earns."""

from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.learn import collectives
from isaachrl.learn.state import Stateful

DECAY = 0.98  # of an iteration's sums, each iteration
FALL_STEPS = 30.0  # a fall counts as so many steps without reward
EXACT = 0.999  # cosine above which a latent is a prototype


class Priorities(Stateful):
    """Weights of motions: those given, times `1 + factor (1 - earned / most)`.

    `earned` is a motion's mean reward under its prototype, falls included, and `most` that of the best motion.

    Args:
        weights: `(S,)` of the motions when all earn the same.
        prototypes: `(S, d)`.
        factor: 0 leaves the weights as they are.
    """

    STATE: ClassVar = ("earned", "steps")

    def __init__(self, weights: Tensor, prototypes: Tensor, factor: float) -> None:
        self._given, self._prototypes, self._factor = weights, prototypes, factor
        self.earned, self.steps = torch.zeros_like(weights), torch.zeros_like(weights)

    def update(self, latent: Tensor, reward: Tensor, fell: Tensor, counted: Tensor) -> None:
        """Add a rollout: latents `(n, d)`, and rewards, ends by a fall and which rows count, each `(n,)`."""
        cosine, segment = (latent @ self._prototypes.T).max(-1)
        own = (counted & (cosine > EXACT)).float()
        for total, values in ((self.earned, reward), (self.steps, 1.0 + FALL_STEPS * fell)):
            new = torch.zeros_like(total).index_add_(0, segment, own * values)
            total.mul_(DECAY).add_(collectives.mean(new))

    def means(self) -> Tensor:
        """Mean reward `(S,)` of each motion."""
        return self.earned / self.steps.clamp_min(1.0)

    def shares(self) -> Tensor:
        """`(S,)`, summing to one."""
        mean = self.means()
        lack = (1.0 - mean / mean.max().clamp_min(1e-6)).clamp(0.0, 1.0)
        weights = self._given * (1.0 + self._factor * lack)
        return weights / weights.sum()
