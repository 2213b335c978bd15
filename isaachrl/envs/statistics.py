"""What is counted while a learner acts, all on the device."""

import torch
from torch import Tensor

from isaachrl.envs.env import Env, StepResult


class Statistics:
    """Sums over a rollout: rewards a step, and returns, lengths and metrics of the episodes that ended in it.

    Everything stays on the device until `read`, which copies one small tensor.

    Attributes:
        returns, lengths: `(N,)` of the present episodes so far.
        finished_lengths: `(N,)` lengths as of the last step, before those of ended episodes went back to 0.
    """

    def __init__(self, env: Env) -> None:
        self.returns = torch.zeros(env.num_envs, device=env.device)
        self.lengths = torch.zeros(env.num_envs, device=env.device)
        self.finished_lengths = self.lengths
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, result: StepResult) -> None:
        """Count one step of all environments."""
        done = result.done
        self.returns = self.returns + result.reward
        self.lengths = self.lengths + 1
        every = torch.ones_like(done)
        self.count("reward/total", result.reward, every)
        for name, term in result.terms.items():
            self.count(f"reward/{name}", term, every)
        self.count("episode/return", self.returns, done)
        self.count("episode/length", self.lengths, done)
        for name, metric in result.metrics.items():
            self.count(f"episode/{name}", metric, done & ~metric.isnan())
        self.finished_lengths = self.lengths
        self.returns = self.returns.masked_fill(done, 0.0)
        self.lengths = self.lengths.masked_fill(done, 0.0)

    def count(self, name: str, values: Tensor, where: Tensor) -> None:
        """Add the values `(N,)` of some environments `(N,)` to the sum of that name."""
        total, count = torch.where(where, values, 0.0).sum(), where.sum()
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._counts[name] = self._counts[name] + count if name in self._counts else count

    def read(self) -> dict[str, float]:
        """Means since the last call, by name; what never occurred is left out."""
        names = list(self._sums)
        table = torch.stack([torch.stack([self._sums[name], self._counts[name].float()]) for name in names]).tolist()
        self._sums, self._counts = {}, {}
        return {name: total / count for name, (total, count) in zip(names, table, strict=True) if count > 0}

    def state_dict(self) -> dict[str, Tensor]:
        """The present episodes, for an exact continuation."""
        return {"returns": self.returns.clone(), "lengths": self.lengths.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict`."""
        self.returns = state["returns"].to(self.returns.device, copy=True)
        self.lengths = state["lengths"].to(self.lengths.device, copy=True)
