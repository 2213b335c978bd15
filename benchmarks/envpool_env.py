"""An environment of EnvPool behind the interface of this project, to train on both with the same learner."""

import importlib
from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.env import Env, Obs, StepResult


class EnvPoolEnv(Env):
    """N worlds of EnvPool on the CPU.

    EnvPool starts a new episode in the step after the one that ended it, and ignores the action of that step; this
    class leaves it so, since only the speed of a training is measured on it.

    Args:
        task: a name of EnvPool's, of a task with continuous actions.
        num_envs: N.

    Raises:
        ImportError: EnvPool is not installed.
    """

    def __init__(self, task: str, num_envs: int) -> None:
        self.pool: Any = importlib.import_module("envpool").make_gymnasium(task, num_envs=num_envs)
        self.name, self.num_envs, self.device = task, num_envs, torch.device("cpu")
        self.obs_sizes, self.policy_groups = {"state": self.pool.observation_space.shape[0]}, ("state",)
        self.action_size, self.episode_steps = self.pool.action_space.shape[0], self.pool.spec.config.max_episode_steps
        self.generator = torch.Generator().manual_seed(0)
        low, high = (torch.as_tensor(bound) for bound in (self.pool.action_space.low, self.pool.action_space.high))
        self._middle, self._half = (low + high) / 2, (high - low) / 2
        self._obs = self.reset()

    def reset(self) -> Obs:
        """See `Env.reset`."""
        self._obs = {"state": torch.as_tensor(self.pool.reset()[0]).float()}
        return self._obs

    def advance(self, action: Tensor) -> StepResult:
        """See `Env.advance`."""
        scaled = self._middle + self._half * action.clamp(-1.0, 1.0)
        obs, reward, terminated, truncated, _ = self.pool.step(scaled.numpy())
        self._obs = {"state": torch.as_tensor(obs).float()}
        ends = torch.as_tensor(terminated)
        late = torch.as_tensor(truncated) & ~ends
        return StepResult(self._obs, torch.as_tensor(reward).float(), ends, late, self._obs)

    def reset_where(self, mask: Tensor) -> Obs:
        """The present observation: EnvPool itself resets."""
        return self._obs

    def observe(self) -> Obs:
        """See `Env.observe`."""
        return {"state": self._obs["state"].clone()}

    def state_dict(self) -> dict[str, Any]:
        """Nothing: EnvPool cannot save its worlds."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing, see `state_dict`."""
