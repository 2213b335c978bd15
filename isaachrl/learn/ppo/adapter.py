"""Our environments as rl_games sees them, all on the device."""

from collections.abc import Callable

import torch
from rl_games.common.ivecenv import IVecEnv
from torch import Tensor

from isaachrl.envs.env import Env
from isaachrl.envs.statistics import EpisodeStatistics


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
        self.statistics = EpisodeStatistics(env)
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
