"""rsl_rl: `env = RslRlVecEnv(isaachrl.make(…))`, then `runner = OnPolicyRunner(env, cfg, folder, env.device)`.

rsl_rl bootstraps an episode that ran out of time (`time_outs`) with the value of the observation *before* the last
step, and has no place for the discount of a step: a high-level step during which the episode ended is shorter than the
others. After `env.bootstrap_from(runner)` the value of the last observation, times `gamma ** discount_steps`, is folded
into the reward instead (also in logged returns), and `time_outs` are left out.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from isaachrl.adapters.shared import imports, last_values
from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.errors import ConfigError

with imports("rsl_rl"):
    from rsl_rl.env import VecEnv  # pyright: ignore[reportMissingImports]
    from tensordict import TensorDict  # pyright: ignore[reportMissingImports]


class RslRlVecEnv(VecEnv):
    """An `Env` as rsl_rl's `VecEnv`; all tensors stay on the device. Its observation groups are those of `Env`, and
    `policy`, which is `Env.policy_input`.

    Args:
        env: the environment.
        on_step: called with the result of each step.
    """

    def __init__(self, env: Env, on_step: Callable[[StepResult], None] | None = None) -> None:
        self.env, self.cfg, self.device = env, {"task": env.name}, env.device
        self.num_envs, self.num_actions, self.max_episode_length = env.num_envs, env.action_size, env.episode_steps
        self._lengths = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
        self._obs, self._runner, self._on_step = env.reset(), cast(Any, None), on_step

    @property
    def episode_length_buf(self) -> Tensor:
        """`(N,)` steps of the present episodes.

        Raises:
            ConfigError: when set, as by `learn(init_at_random_ep_len=True)`: every episode starts at its first step.
        """
        return self._lengths

    @episode_length_buf.setter
    def episode_length_buf(self, value: Tensor) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise ConfigError("episodes start at their first step; type learn(…, init_at_random_ep_len=False)")

    def bootstrap_from(self, runner: Any) -> None:
        """Bootstrap with the critic and discount of an `OnPolicyRunner`, from the last observation."""
        self._runner = runner

    def get_observations(self) -> TensorDict:
        """The present observations by group."""
        return self._groups(self._obs)

    def step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict[str, Any]]:
        """Observations, rewards `(N,)`, dones `(N,)`, and extras: `time_outs` and means of the reward terms."""
        # rsl_rl collects in inference mode, whose tensors could not be changed in place outside of it
        with torch.inference_mode(False), torch.no_grad():
            result = self.env.step(actions.clone())
            reward = result.reward
            extras: dict[str, Any] = {"log": {f"/reward/{name}": term for name, term in result.terms.items()}}
            if self._runner is None:
                extras["time_outs"] = result.truncated
            else:
                last = last_values(self.env, result, lambda _: self._value(result.terminal_obs))
                reward = reward + last * self._runner.alg.gamma**result.discount_steps
            self._lengths = (self._lengths + 1).masked_fill(result.done, 0)
            self._obs = result.obs
            if self._on_step is not None:
                self._on_step(result)
        return self._groups(result.obs), reward, result.done, extras

    def state_dict(self) -> dict[str, Any]:
        """The present observations and lengths of episodes, which are not part of `Env.state_dict`."""
        return {"obs": self._obs, "lengths": self._lengths}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._obs = {name: group.to(self.device) for name, group in state["obs"].items()}
        self._lengths = state["lengths"].to(self.device)

    def _value(self, obs: Obs) -> Tensor:
        critic = self._runner.alg.critic
        memory = critic.get_hidden_state()  # of a recurrent critic, which this look ahead must not move on
        value = critic(self._groups(obs))
        critic.reset(hidden_state=memory)
        return value

    def _groups(self, obs: Obs) -> TensorDict:
        return TensorDict(obs | {"policy": self.env.policy_input(obs)}, batch_size=[self.num_envs])
