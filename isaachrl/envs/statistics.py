"""Means of rewards, episodes and other signals, summed on the device."""

import torch
from torch import Tensor

from isaachrl.envs.env import Env, StepResult


class Means:
    """Means of named signals since the last `read`, which copies one small tensor to the host.

    Args:
        prefix: put before every name.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, **values: Tensor) -> None:
        """Add one value, a scalar tensor, to each signal."""
        for name, value in values.items():
            self.count(name, value.detach(), torch.ones_like(value, dtype=torch.bool))

    def count(self, name: str, values: Tensor, where: Tensor) -> None:
        """Add the values of `where`, a mask of the same shape, to a signal."""
        total, number = torch.where(where, values, 0.0).sum(), where.sum()
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._counts[name] = self._counts[name] + number if name in self._counts else number

    def read(self) -> dict[str, float]:
        """Means by name; signals without values are left out."""
        names = list(self._sums)
        if not names:
            return {}
        table = torch.stack([torch.stack([self._sums[name], self._counts[name].float()]) for name in names]).tolist()
        self._sums, self._counts = {}, {}
        means = zip(names, table, strict=True)
        return {f"{self.prefix}{name}": total / number for name, (total, number) in means if number > 0}


class EpisodeStatistics:
    """Means of rewards a step, and of returns, lengths and metrics of the episodes that ended.

    Attributes:
        returns, lengths: `(N,)` of the present episodes so far.
        finished_lengths: `(N,)` lengths in the last step, before the reset of ended episodes.
    """

    def __init__(self, env: Env) -> None:
        self.returns = torch.zeros(env.num_envs, device=env.device)
        self.lengths = torch.zeros(env.num_envs, device=env.device)
        self.finished_lengths = self.lengths
        self._means = Means()

    def add(self, result: StepResult, ended: Tensor | None = None) -> None:
        """Add one step of all environments; `ended (N,)` marks the ended episodes, by default `result.done`."""
        done = result.done if ended is None else ended
        self.returns = self.returns + result.reward
        self.lengths = self.lengths + 1
        all_envs = torch.ones_like(done)
        for name, term in ({"total": result.reward} | result.terms).items():
            self.count(f"reward/{name}", term, all_envs)
        for name, values in ({"return": self.returns, "length": self.lengths} | result.metrics).items():
            self.count(f"episode/{name}", values, done & ~values.isnan())
        self.finished_lengths = self.lengths
        self.returns = self.returns.masked_fill(done, 0.0)
        self.lengths = self.lengths.masked_fill(done, 0.0)

    def count(self, name: str, values: Tensor, where: Tensor) -> None:
        """Add the values `(N,)` of some environments `(N,)` to a signal."""
        self._means.count(name, values, where)

    def read(self) -> dict[str, float]:
        """See `Means.read`."""
        return self._means.read()

    def state_dict(self) -> dict[str, Tensor]:
        """The present episodes, for an exact continuation."""
        return {"returns": self.returns.clone(), "lengths": self.lengths.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict`."""
        self.returns = state["returns"].to(self.returns.device, copy=True)
        self.lengths = state["lengths"].to(self.lengths.device, copy=True)
