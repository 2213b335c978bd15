"""Signals summed on the device and read once an iteration."""

import torch
from torch import Tensor

from isaachrl.envs.env import Env, StepResult


class Tally:
    """Means of named scalars.

    Args:
        prefix: put before every name.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, **values: Tensor) -> None:
        """Count one value of each signal."""
        for name, value in values.items():
            self.count(name, value.detach(), torch.ones_like(value, dtype=torch.bool))

    def count(self, name: str, values: Tensor, where: Tensor) -> None:
        """Count the values of `where`, which has the same shape."""
        total, number = torch.where(where, values, 0.0).sum(), where.sum()
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._counts[name] = self._counts[name] + number if name in self._counts else number

    def read(self) -> dict[str, float]:
        """Means since the last call; what never occurred is left out. One copy to the host."""
        if not self._sums:
            return {}
        table = torch.stack([torch.stack((self._sums[n], self._counts[n].float())) for n in self._sums]).tolist()
        self._sums, self._counts, sums = {}, {}, self._sums
        return {
            f"{self.prefix}{name}": total / number
            for name, (total, number) in zip(sums, table, strict=True)
            if number > 0
        }


class EpisodeTally:
    """Rewards a step, and returns, lengths and metrics of the episodes that ended.

    Attributes:
        returns, lengths: `(N,)` of the present episodes so far.
    """

    def __init__(self, env: Env) -> None:
        self.returns = torch.zeros(env.num_envs, device=env.device)
        self.lengths = torch.zeros(env.num_envs, device=env.device)
        self._tally = Tally()

    def add(self, result: StepResult, ended: Tensor) -> None:
        """Count one step; `ended (N,)` are the episodes that are over."""
        every = torch.ones_like(ended)
        self.returns, self.lengths = self.returns + result.reward, self.lengths + 1
        for name, term in result.terms.items():
            self._tally.count(f"reward/{name}", term, every)
        shown = {"return": self.returns, "length": self.lengths} | result.metrics
        for name, values in shown.items():
            self._tally.count(f"episode/{name}", values, ended & ~values.isnan())
        self.returns, self.lengths = self.returns.masked_fill(ended, 0.0), self.lengths.masked_fill(ended, 0.0)

    def read(self) -> dict[str, float]:
        """See `Tally.read`."""
        return self._tally.read()
