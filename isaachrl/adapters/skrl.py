"""skrl: `env = SkrlEnv(isaachrl.make(…))` stands where `wrap_env(…)` does.

skrl has no place for the observation before a reset: with `time_limit_bootstrap=True` it bootstraps a truncated episode
with the value of the *next* episode's first observation, with False advantages of its PPO flow over the reset. Nor has
it one for the shorter discount of a high-level step during which the episode ended. `env.bootstrap_from(agent)`, for
PPO and A2C, folds the value of the last observation, times `gamma ** discount_steps`, into the reward (also of logged
returns), and such an episode counts as terminated, too.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from isaachrl.adapters.shared import action_tensor, imports, last_values, spaces
from isaachrl.envs.env import Env, StepResult
from isaachrl.errors import ConfigError

with imports("skrl"):
    import gymnasium
    from skrl.envs.wrappers.torch import Wrapper  # pyright: ignore[reportMissingImports]


class SkrlEnv(Wrapper):
    """An `Env` as skrl's `Wrapper`; all tensors stay on the device. The observation is `Env.policy_input`.

    Args:
        env: the environment.
        on_step: called with the result of each step.
    """

    def __init__(self, env: Env, on_step: Callable[[StepResult], None] | None = None) -> None:
        super().__init__(env)
        self.env, self._spaces, self._on_step = env, spaces(env), on_step
        self._agent: Any = None

    def bootstrap_from(self, agent: Any) -> None:
        """Bootstrap from the last observation with the value function, preprocessors and discount of an agent.

        Raises:
            ConfigError: the agent is another one, bootstraps by itself, or scales rewards.
        """
        if getattr(agent.cfg, "time_limit_bootstrap", True) or agent.cfg.rewards_shaper is not None:
            raise ConfigError(
                "expected PPO or A2C that leave rewards alone: type time_limit_bootstrap=False, rewards_shaper=None"
            )
        self._agent = agent

    @property
    def observation_space(self) -> gymnasium.Space:
        """Of one environment."""
        return self._spaces[0]

    @property
    def action_space(self) -> gymnasium.Space:
        """Of one environment."""
        return self._spaces[1]

    def reset(self) -> tuple[Tensor, dict[str, Any]]:
        """Start new episodes in all environments."""
        return self.env.policy_input(self.env.reset()), {}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
        """Observations `(N, ·)`; rewards, terminations and truncations `(N, 1)`; no info."""
        result = self.env.step(action_tensor(self.env, actions))
        if self._on_step is not None:
            self._on_step(result)
        reward, terminated = result.reward, result.terminated
        if self._agent is not None:
            last = last_values(self.env, result, self._value)
            reward, terminated = reward + last * self._agent.cfg.discount_factor**result.discount_steps, result.done
        obs = self.env.policy_input(result.obs)
        return obs, reward.view(-1, 1), terminated.view(-1, 1), result.truncated.view(-1, 1), {}

    def _value(self, policy_input: Tensor) -> Tensor:
        inputs = {"observations": self._agent._observation_preprocessor(policy_input), "states": None}
        values, _ = self._agent.value.act(inputs, role="value")
        return self._agent._value_preprocessor(values, inverse=True)

    def state(self) -> None:
        """There is no state beyond the observation."""

    def render(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is rendered."""

    def close(self) -> None:
        """Nothing to close."""
