"""Adapter from `Env` to rl_games' vectorised environment; all tensors stay on the device."""

from collections.abc import Callable

from torch import Tensor

from isaachrl.adapters.shared import last_values
from isaachrl.envs.env import Env
from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.learn.ppo.version import checked_import

with checked_import():
    from rl_games.common.ivecenv import IVecEnv


class EnvAdapter(IVecEnv):
    """An `Env` with the interface of rl_games' vectorised environments.

    rl_games treats a truncated episode like a terminated one, so the adapter bootstraps: it adds the value of the last
    observation, discounted by the part of the step that was taken, to the last reward.

    Args:
        env: the environment.
        gamma: discount of one step.

    Attributes:
        statistics: of the episodes of the present rollout.
        value: the agent's value function; set before the first step.
    """

    def __init__(self, env: Env, gamma: float) -> None:
        self.env, self.gamma = env, gamma
        self.statistics = EpisodeStatistics(env)
        self.value: Callable[[Tensor], Tensor] | None = None

    def reset(self) -> Tensor:
        """Reset all environments; returns their first observations `(N, ·)`."""
        return self.env.policy_input(self.env.reset())

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Observations `(N, ·)`, rewards `(N,)` with the bootstrap of truncations, dones `(N,)`, and no extras."""
        assert self.value is not None, "the adapter needs the agent's value function before its first step"
        result = self.env.step(actions)
        self.statistics.add(result)
        last = last_values(self.env, result, self.value)
        reward = result.reward + last * self.gamma**result.discount_steps
        return self.env.policy_input(result.obs), reward, result.done, {}
