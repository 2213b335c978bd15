"""Stable-Baselines3: `env = Sb3VecEnv(isaachrl.make(…))`, then `model = PPO("MlpPolicy", VecMonitor(env))`.

The library bootstraps truncated episodes with `gamma * value(last observation)`, and has no place for the shorter
discount of a high-level step during which the episode ended. `env.bootstrap_from(model)` folds the difference into the
reward, for PPO and A2C. For others, let all steps be full: `task.episode_steps` a multiple of `task.hierarchy.steps`.
"""

from typing import Any, cast

import numpy as np
from torch import Tensor, as_tensor

from isaachrl.adapters.shared import action_tensor, array, imports, last_values, spaces
from isaachrl.envs.env import Env
from isaachrl.errors import ConfigError

with imports("sb3"):
    from stable_baselines3.common.vec_env import VecEnv  # pyright: ignore[reportMissingImports]


class Sb3VecEnv(VecEnv):
    """An `Env` as a `VecEnv` of arrays, which leave the device. Infos of the last step have the episode's metrics."""

    def __init__(self, env: Env) -> None:
        self.env, self.render_mode, self._model = env, None, cast(Any, None)
        super().__init__(env.num_envs, *spaces(env))

    def bootstrap_from(self, model: Any) -> None:
        """Fold the discounts of shorter steps, with the values of PPO or A2C; others raise a `ConfigError`."""
        if not hasattr(model.policy, "predict_values") or getattr(model.get_vec_normalize_env(), "norm_reward", False):
            raise ConfigError("expected PPO or A2C with rewards as they are: type VecNormalize(…, norm_reward=False)")
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
        result, model, folded = self.env.step(self._action), self._model, 0.0
        if model is not None:
            folded = last_values(self.env, result, self._value) * (model.gamma**result.discount_steps - model.gamma)
        done, infos = array(result.done), [{} for _ in range(self.num_envs)]
        last = self.env.policy_input(result.terminal_obs)
        for row in done.nonzero()[0]:
            ends = {"terminal_observation": array(last[row]), "TimeLimit.truncated": bool(result.truncated[row])}
            infos[row] = ends | {name: values[row].item() for name, values in result.metrics.items()}
        return array(self.env.policy_input(result.obs)), array(result.reward + folded), done, infos

    def _value(self, policy_input: Tensor) -> Tensor:
        normalizer = self._model.get_vec_normalize_env()
        obs = array(policy_input) if normalizer is None else normalizer.normalize_obs(array(policy_input))
        return self._model.policy.predict_values(as_tensor(obs, device=self._model.device)).to(self.env.device)

    def close(self) -> None:
        """Close nothing."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of this object, which the environments share, once for each of them."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of this object."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list:
        """The result of a method of the environment."""
        return [getattr(self.env, method_name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """No environment is wrapped."""
        return [False] * len(list(self._get_indices(indices)))
