"""Our environments as rl_games sees them, and what is counted on the way, all on the device."""

from collections.abc import Callable

import torch
from rl_games.common.ivecenv import IVecEnv
from torch import Tensor

from isaachrl.envs.env import Env, StepResult


class EnvAdapter(IVecEnv):
    """An `Env` behind the interface of rl_games' vectorised environments.

    An episode cut off by time is over for rl_games, but its future is not worth nothing: the value of its last
    observation, discounted by the part of the step that was really taken, is added to the last reward.

    Attributes:
        statistics: counts of the present rollout.

    Args:
        env: the environment.
        gamma: discount of one step.
    """

    def __init__(self, env: Env, gamma: float) -> None:
        self.env, self.gamma = env, gamma
        self.statistics = Statistics(env)
        self.value: Callable[[Tensor], Tensor] | None = None

    def reset(self) -> Tensor:
        """First observations `(N, ·)` of new episodes everywhere."""
        return self.env.policy_input(self.env.reset())

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Observation `(N, ·)`, reward with what follows a time limit `(N,)`, end of episode `(N,)`, and no extras."""
        assert self.value is not None, "the adapter needs the agent's value function before its first step"
        result = self.env.step(actions)
        self.statistics.add(result)
        future = self.value(self.env.policy_input(result.terminal_obs)) * self.gamma**result.discount_steps
        reward = result.reward + torch.where(result.truncated, future, 0.0)
        return self.env.policy_input(result.obs), reward, result.done, {}


class Statistics:
    """Sums over a rollout: rewards a step, and returns, lengths and metrics of the episodes that ended in it.

    Everything stays on the device until `read`, which copies one small tensor.

    Attributes:
        returns, lengths: `(N,)` of the present episodes so far.
    """

    def __init__(self, env: Env) -> None:
        self.returns = torch.zeros(env.num_envs, device=env.device)
        self.lengths = torch.zeros(env.num_envs, device=env.device)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, result: StepResult) -> None:
        """Count one step of all environments."""
        done = result.done
        self.returns = self.returns + result.reward
        self.lengths = self.lengths + 1
        every = torch.ones_like(done)
        self._count("reward/total", result.reward, every)
        for name, term in result.terms.items():
            self._count(f"reward/{name}", term, every)
        self._count("episode/return", self.returns, done)
        self._count("episode/length", self.lengths, done)
        for name, metric in result.metrics.items():
            self._count(f"episode/{name}", metric, done & ~metric.isnan())
        self.returns = self.returns.masked_fill(done, 0.0)
        self.lengths = self.lengths.masked_fill(done, 0.0)

    def _count(self, name: str, values: Tensor, where: Tensor) -> None:
        """Add the values of some environments to a sum."""
        total, count = torch.where(where, values, 0.0).sum(), where.sum()
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._counts[name] = self._counts[name] + count if name in self._counts else count

    def read(self) -> dict[str, float]:
        """Means since the last call, by name; what never occurred is left out."""
        names = list(self._sums)
        table = torch.stack([torch.stack([self._sums[name], self._counts[name].float()]) for name in names]).tolist()
        self._sums, self._counts = {}, {}
        return {name: total / count for name, (total, count) in zip(names, table, strict=True) if count > 0}
