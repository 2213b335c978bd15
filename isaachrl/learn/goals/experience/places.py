"""Places that environments reached, step by step: where targets of hindsight experience replay come from."""

from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.learn.state import Stateful


class EpisodePlaces(Stateful):
    """A ring buffer of the last T steps of N environments.

    Args:
        steps: T.
        num_envs: N.
        size: P, entries of a place, the first ones of the state.
        horizon: longest episode.
        device: of the tensors.

    Attributes:
        places: `(T, N, P)` after each step, before resets.
        ages: `(T, N)` steps since the episode began, 1 after its first step.
        age: `(N,)` of the present episodes.
        written: steps so far.
    """

    STATE: ClassVar = ("places", "ages", "age", "written")

    def __init__(self, steps: int, num_envs: int, size: int, horizon: int, device: torch.device) -> None:
        self.horizon = horizon
        self.places = torch.zeros(steps, num_envs, size, device=device)
        self.ages = torch.zeros(steps, num_envs, dtype=torch.long, device=device)
        self.age = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.written = torch.zeros((), dtype=torch.long, device=device)

    def add(self, state: Tensor, ended: Tensor) -> None:
        """Add a step of all environments: states `(N, S)` before resets, and whose episode it ended `(N,)`."""
        at = (self.written % len(self.places)).unsqueeze(0)
        self.age = self.age + 1
        self.places.index_copy_(0, at, state[:, : self.places.shape[2]].unsqueeze(0))
        self.ages.index_copy_(0, at, self.age.unsqueeze(0))
        self.age = self.age.masked_fill(ended, 0)
        self.written = self.written + 1

    def later(self, env: Tensor, step: Tensor, generator: torch.Generator) -> Tensor:
        """Places `(B, P)` that environments `(B,)` reached at step `(B,)`, counted from 0, or later in that episode.

        Uniform over the rest of an episode that lasts as long as it may, or up to the present. Where it was cut short
        before the drawn step, the place at the given step counts.
        """
        age = self._at(self.ages, step, env)
        left = torch.minimum(self.horizon - age, self.written - 1 - step)
        share = torch.rand(len(env), generator=generator, device=env.device, dtype=torch.float64)
        drawn = step + (share * (left + 1)).long()
        same = self._at(self.ages, drawn, env) - age == drawn - step
        return self._at(self.places, torch.where(same, drawn, step), env)

    def _at(self, values: Tensor, step: Tensor, env: Tensor) -> Tensor:
        """Entries `(B, …)` of a buffer `(T, N, …)`."""
        return values.flatten(0, 1).index_select(0, step % values.shape[0] * values.shape[1] + env)
