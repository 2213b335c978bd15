"""PPO of skrl: an iteration is as many steps of its `StepTrainer` as a rollout has, without files and prints."""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from isaachrl.adapters.agents.agent import OnStep
from isaachrl.adapters.agents.config import SkrlCfg
from isaachrl.adapters.shared import imports
from isaachrl.adapters.skrl import SkrlEnv
from isaachrl.envs.env import Env
from isaachrl.nn.mlp import mlp

with imports("skrl"):
    from gymnasium.spaces import Box
    from skrl.agents.torch.ppo import PPO, PPO_CFG  # pyright: ignore[reportMissingImports]
    from skrl.memories.torch import RandomMemory  # pyright: ignore[reportMissingImports]
    from skrl.models.torch import DeterministicMixin, GaussianMixin, Model  # pyright: ignore[reportMissingImports]
    from skrl.resources.preprocessors.torch import RunningStandardScaler  # pyright: ignore[reportMissingImports]
    from skrl.resources.schedulers.torch import KLAdaptiveLR  # pyright: ignore[reportMissingImports]
    from skrl.trainers.torch import StepTrainer  # pyright: ignore[reportMissingImports]

_SIGNALS = {
    "loss/policy": "Loss / Policy loss", "loss/value": "Loss / Value loss", "policy/std": "Policy / Standard deviation",
}  # fmt: skip


class _Gaussian(GaussianMixin, Model):
    """Policy: a network for the mean, and a standard deviation that does not depend on the state."""

    def __init__(self, cfg: SkrlCfg, **spaces: Any) -> None:
        Model.__init__(self, **spaces)
        GaussianMixin.__init__(self)
        self.net = mlp(self.num_observations, cfg.hidden, self.num_actions)
        self.log_std = nn.Parameter(torch.full((self.num_actions,), cfg.log_std), requires_grad=cfg.learn_std)

    def compute(self, inputs: dict[str, Any], role: str = "") -> tuple[Tensor, dict[str, Any]]:
        """Mean, and the logarithm of the standard deviation."""
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class _Value(DeterministicMixin, Model):
    """Value network."""

    def __init__(self, cfg: SkrlCfg, **spaces: Any) -> None:
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.net = mlp(self.num_observations, cfg.hidden, 1)

    def compute(self, inputs: dict[str, Any], role: str = "") -> tuple[Tensor, dict[str, Any]]:
        """Value."""
        return self.net(inputs["observations"]), {}


class SkrlAgent:
    """See `Agent`. Actions are continuous also where the environment has discrete ones: scores."""

    def __init__(self, env: Env, cfg: SkrlCfg, on_step: OnStep) -> None:
        adapter, self._horizon = SkrlEnv(env, on_step), cfg.horizon
        action = Box(-1.0, 1.0, (env.action_size,), np.float32)
        spaces: dict[str, Any] = {"observation_space": adapter.observation_space, "action_space": action}
        spaces["device"] = env.device
        models: dict[str, Any] = {"policy": _Gaussian(cfg, **spaces), "value": _Value(cfg, **spaces)}
        memory = RandomMemory(memory_size=cfg.horizon, num_envs=env.num_envs, device=env.device)
        self._ppo: Any = PPO(models=models, memory=memory, cfg=_settings(env, cfg), **spaces)
        adapter.bootstrap_from(self._ppo)
        run = {"timesteps": cfg.horizon, "headless": True, "disable_progressbar": True}
        self._trainer: Any = StepTrainer(env=adapter, agents=self._ppo, cfg=run | {"close_environment_at_exit": False})
        self._trainer.observations, _ = adapter.reset()
        parts = {name: part for name, part in self._ppo.checkpoint_modules.items() if isinstance(part, nn.Module)}
        self.networks, self.optimizer = nn.ModuleDict(parts), self._ppo.optimizer

    def learn(self) -> dict[str, float]:
        """See `Agent.learn`."""
        for step in range(self._horizon):
            self._trainer.train(timestep=step, timesteps=self._horizon)
        signals = {name: self._ppo.tracking_data[key][-1] for name, key in _SIGNALS.items()}
        self._ppo.tracking_data.clear()
        return signals

    def mean(self) -> nn.Module:
        """See `Agent.mean`."""
        parts = [self.networks["observation_preprocessor"]] if "observation_preprocessor" in self.networks else []
        return copy.deepcopy(nn.Sequential(*parts, self._ppo.policy.net))

    def state_dict(self) -> dict[str, Any]:
        """See `Agent.state_dict`."""
        return {"policy_input": self._trainer.observations}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Agent.load_state_dict`."""
        self._trainer.observations = state["policy_input"].to(self._ppo.device)


def _settings(env: Env, cfg: SkrlCfg) -> Any:
    """The agent's configuration."""
    settings = PPO_CFG(
        rollouts=cfg.horizon, learning_epochs=cfg.epochs, mini_batches=cfg.minibatches(env.num_envs),
        discount_factor=cfg.gamma, gae_lambda=cfg.lam, learning_rate=cfg.learning_rate, ratio_clip=cfg.clip,
        value_clip=cfg.clip, entropy_loss_scale=cfg.entropy_weight, value_loss_scale=cfg.value_weight,
        grad_norm_clip=cfg.max_grad_norm,
    )  # fmt: skip
    if cfg.kl_target > 0:
        settings.learning_rate_scheduler = KLAdaptiveLR
        settings.learning_rate_scheduler_kwargs = {"kl_threshold": cfg.kl_target, "max_lr": cfg.max_learning_rate}
    if cfg.normalize_obs:
        settings.observation_preprocessor = RunningStandardScaler
        settings.observation_preprocessor_kwargs = {"size": env.policy_input_size, "device": env.device}
    if cfg.normalize_value:
        settings.value_preprocessor = RunningStandardScaler
        settings.value_preprocessor_kwargs = {"size": 1, "device": env.device}
    settings.experiment.write_interval = settings.experiment.checkpoint_interval = 0
    return settings
