"""Gymnasium: importing this module registers every task as `isaachrl/<task>-v0`, also those registered later.

`gymnasium.make_vec("isaachrl/HumanoidHRLMaze-v0", num_envs=64, cfg={"task": {"layout": "umaze"}})` takes the arguments
of `isaachrl.make`. Observations are `Env.policy_input`; arrays are NumPy's, so they leave the device.

Gymnasium has no place for the discount of a step. A high-level step during which the episode ended is shorter than the
others: a learner bootstraps a truncated episode with `reward + gamma ** info["discount_steps"] * value(final_obs)`.
"""

from typing import Any

import numpy as np

from isaachrl.adapters.shared import action_tensor, array, imports, spaces
from isaachrl.envs import registry
from isaachrl.envs.discovery import discover

with imports("gymnasium"):
    import gymnasium
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space


class GymnasiumVectorEnv(VectorEnv):
    """N environments that reset in the step in which their episode ends, whose info then has `final_obs`, the last
    observation, and `final_info`, the metrics of the episode. The arguments are those of `isaachrl.make`.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, name: str, num_envs: int = 1, **kwargs: Any) -> None:
        self.env, self.num_envs = registry.make(name, num_envs, **kwargs), num_envs
        self.single_observation_space, self.single_action_space = spaces(self.env)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Start new episodes in all environments; `seed` seeds their common generator, and there are no options."""
        super().reset(seed=seed)
        if seed is not None:
            self.env.generator.manual_seed(seed)
        return array(self.env.policy_input(self.env.reset())), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """Take a step; for each `KEY` of the info, `_KEY` tells which environments have a value."""
        result = self.env.step(action_tensor(self.env, actions))
        reward, done, length = (
            result.reward.double(),
            array(result.done),
            result.discount_steps.expand_as(result.reward),
        )
        info: dict[str, Any] = {"discount_steps": array(length), "_discount_steps": np.ones_like(done)}
        if done.any():
            last, final_obs = array(self.env.policy_input(result.terminal_obs)), np.full(len(done), None)
            for row in done.nonzero()[0]:
                final_obs[row] = last[row]
            final = {name: np.where(done, array(values), 0.0) for name, values in result.metrics.items()}
            final |= {f"_{name}": done for name in final}
            info |= {"final_obs": final_obs, "_final_obs": done, "final_info": final, "_final_info": done}
        obs, terminated, truncated = self.env.policy_input(result.obs), result.terminated, result.truncated
        return array(obs), array(reward), array(terminated), array(truncated), info


def _register(task: str) -> None:
    if (name := f"isaachrl/{task}-v0") not in gymnasium.registry:
        one, many = "isaachrl.adapters.gymnasium_single:GymnasiumEnv", f"{__name__}:GymnasiumVectorEnv"
        gymnasium.register(name, one, vector_entry_point=many, kwargs={"name": task})


discover()
registry.listen(_register)
