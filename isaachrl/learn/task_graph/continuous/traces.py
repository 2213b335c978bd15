"""Replacing eligibility traces over the most recent calls."""

from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.learn.state import Stateful


class Traces(Stateful):
    """The last L calls of every environment with their eligibilities (replacing traces, Singh and Sutton 1996).

    Attributes:
        entry: `(N, L)` entry of the value table for each call, the most recent first.
        weight: `(N, L)` its eligibility; 0 where there is no call.

    Args:
        num_envs: N.
        length: L.
        device: of the tensors.
    """

    STATE: ClassVar = ("entry", "weight")

    def __init__(self, num_envs: int, length: int, device: torch.device) -> None:
        self.entry = torch.zeros(num_envs, length, dtype=torch.long, device=device)
        self.weight = torch.zeros(num_envs, length, device=device)

    def add(self, mask: Tensor, entry: Tensor, decay: Tensor) -> None:
        """Add a call with eligibility 1; an older call of the same entry is removed.

        Args:
            mask: `(N,)` bool, the environments with a new call.
            entry: `(N,)` its entry of the value table.
            decay: `(N,)` factor on the older eligibilities; 0 clears them.
        """
        older = self.weight * decay.unsqueeze(-1) * (self.entry != entry.unsqueeze(-1))
        entries = torch.cat((entry.unsqueeze(-1), self.entry[:, :-1]), dim=-1)
        weights = torch.cat((torch.ones_like(older[:, :1]), older[:, :-1]), dim=-1)
        self.entry = torch.where(mask.unsqueeze(-1), entries, self.entry)
        self.weight = torch.where(mask.unsqueeze(-1), weights, self.weight)

    def clear(self, mask: Tensor) -> None:
        """Remove all calls of the environments of `mask (N,)`."""
        self.weight = self.weight.masked_fill(mask.unsqueeze(-1), 0.0)
