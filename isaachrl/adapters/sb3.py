"""Stable-Baselines3: `env = Sb3VecEnv(isaachrl.make(…))`, then `model = PPO("MlpPolicy", VecMonitor(env))`.

Stable-Baselines3 bootstraps an episode that ran out of time (`TimeLimit.truncated`) with `gamma * value(last
observation)`. It has no place for the discount of a step: a high-level step during which the episode ended is shorter
than the others. After `env.bootstrap_from(model)` the difference to `gamma ** discount_steps` is folded into the reward
(without `VecNormalize(norm_reward=True)`, which would scale it). Off-policy models have no value function of states;
with them choose `task.episode_steps` as a multiple of `task.hierarchy.steps`, so that truncated steps are full ones.
"""

from typing import Any

import numpy as np

from isaachrl.adapters.shared import action_tensor, array, imports, last_values, spaces
from isaachrl.envs.env import Env

with imports("sb3"):
    from stable_baselines3.common.vec_env import VecEnv  # pyright: ignore[reportMissingImports]


class Sb3VecEnv(VecEnv):
    """An `Env` as a `VecEnv`. Observations are `Env.policy_input`; arrays are NumPy's, so they leave the device.

    Where an episode ends, the info has `terminal_observation` and the metrics of the episode.
    """

    def __init__(self, env: Env) -> None:
        self.env, self.render_mode = env, None
        self._model: Any = None
        super().__init__(env.num_envs, *spaces(env))

    def bootstrap_from(self, model: Any) -> None:
        """Fold the discounts of shorter steps, with the value function and discount of an on-policy model."""
        self._model = model

    def reset(self) -> np.ndarray:
        """Start new episodes in all environments; the first of the seeds of `seed` seeds their common generator."""
        if self._seeds[0] is not None:
            self.env.generator.manual_seed(self._seeds[0])
        self._reset_seeds()
        return array(self.env.policy_input(self.env.reset()))

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self._action = action_tensor(self.env, actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Take the step."""
        result, reward = self.env.step(self._action), 0.0
        if self._model is not None:
            gamma, value = self._model.gamma, self._model.policy.predict_values
            reward = last_values(self.env, result, value) * (gamma**result.discount_steps - gamma)
        done, truncated = array(result.done), array(result.truncated)
        infos: list[dict[str, Any]] = [{} for _ in done]
        if done.any():
            last = array(self.env.policy_input(result.terminal_obs))
            metrics = {name: array(values) for name, values in result.metrics.items()}
            for row in done.nonzero()[0]:
                infos[row] = {name: values[row].item() for name, values in metrics.items()}
                infos[row] |= {"terminal_observation": last[row], "TimeLimit.truncated": bool(truncated[row])}
        return array(self.env.policy_input(result.obs)), array(result.reward + reward), done, infos

    def close(self) -> None:
        """Close nothing."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of this object, which the environments share, once for each of them."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of this object."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list:
        """Call a method of the environment."""
        return [getattr(self.env, method_name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """No environment is wrapped."""
        return [False] * self.num_envs
