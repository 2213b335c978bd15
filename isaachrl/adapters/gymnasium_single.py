"""One environment as a `gymnasium.Env`, for `gymnasium.make` and tools that do not know vector environments."""

from typing import Any

import gymnasium
import numpy as np

from isaachrl.adapters.gymnasium import GymnasiumVectorEnv


class GymnasiumEnv(gymnasium.Env):
    """A `GymnasiumVectorEnv` of one, which its user resets. The arguments are those of `isaachrl.make`."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        self.vector = GymnasiumVectorEnv(name, 1, **kwargs)
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space
        self._first: np.ndarray | None = None  # observation of an episode that has begun by itself

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Start a new episode; `seed` seeds the environment's generator."""
        super().reset(seed=seed)
        first, self._first = self._first, None
        return (self.vector.reset(seed=seed)[0][0] if first is None or seed is not None else first), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Take a step; the info has `discount_steps`, and after the last one the metrics of the episode."""
        first, reward, terminated, truncated, info = self.vector.step(np.asarray([action]))
        self._first, obs = first[0] if "final_obs" in info else None, info.get("final_obs", first)[0]
        found = {"discount_steps": info["discount_steps"]} | info.get("final_info", {})
        info = {name: values.item() for name, values in found.items() if not name.startswith("_")}
        return obs, reward.item(), terminated.item(), truncated.item(), info
