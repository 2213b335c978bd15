"""PPO of rsl_rl: an iteration is one of its `OnPolicyRunner`, without the runner's files and prints."""

import contextlib
import io
import math
from typing import Any

from torch import Tensor, nn

from isaachrl.adapters.agents.agent import OnStep
from isaachrl.adapters.agents.config import RslRlCfg
from isaachrl.adapters.rsl_rl import RslRlVecEnv
from isaachrl.adapters.shared import imports
from isaachrl.envs.env import Env

with imports("rsl_rl"):
    from rsl_rl.runners import OnPolicyRunner  # pyright: ignore[reportMissingImports]


class RslRlAgent:
    """See `Agent`."""

    def __init__(self, env: Env, cfg: RslRlCfg, on_step: OnStep) -> None:
        self._env = RslRlVecEnv(env, on_step)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its networks
            self._runner: Any = OnPolicyRunner(self._env, _settings(env, cfg), device=str(env.device))
        self._env.bootstrap_from(self._runner)
        self._runner.logger = self._log = _Log()
        algorithm = self._runner.alg
        self.networks = nn.ModuleDict({"actor": algorithm.actor, "critic": algorithm.critic})
        self.optimizer = algorithm.optimizer

    def learn(self) -> dict[str, float]:
        """See `Agent.learn`."""
        self._runner.alg.learning_rate = self.optimizer.param_groups[0]["lr"]  # a copy, which loading would not change
        self._runner.learn(1)
        return self._log.signals

    def mean(self) -> nn.Module:
        """See `Agent.mean`."""
        return self._runner.alg.get_policy().as_jit()

    def state_dict(self) -> dict[str, Any]:
        """See `Agent.state_dict`."""
        return self._env.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Agent.load_state_dict`."""
        self._env.load_state_dict(state)


class _Log:
    """Stands for the runner's logger: keeps the signals of the last iteration."""

    writer = None

    def __init__(self) -> None:
        self.signals: dict[str, float] = {}

    def init_logging_writer(self) -> None:
        """There is none."""

    def process_env_step(self, *step: Any) -> None:
        """The learner counts steps itself."""

    def log(self, loss_dict: dict[str, float], action_std: Tensor, **_: Any) -> None:
        """Keep the means of an update."""
        self.signals = {
            "loss/policy": loss_dict["surrogate"], "loss/value": loss_dict["value"],
            "policy/entropy": loss_dict["entropy"], "policy/std": action_std.mean().item(),
        }  # fmt: skip


def _settings(env: Env, cfg: RslRlCfg) -> dict[str, Any]:
    """The runner's configuration."""
    network = {
        "class_name": "MLPModel", "hidden_dims": list(cfg.hidden), "activation": "relu",
        "obs_normalization": cfg.normalize_obs,
    }  # fmt: skip
    std = {
        "class_name": "GaussianDistribution", "init_std": math.exp(cfg.log_std), "std_type": "log",
        "learn_std": cfg.learn_std,
    }  # fmt: skip
    algorithm = {
        "class_name": "PPO", "num_learning_epochs": cfg.epochs, "num_mini_batches": cfg.minibatches(env.num_envs),
        "gamma": cfg.gamma, "lam": cfg.lam, "clip_param": cfg.clip, "learning_rate": cfg.learning_rate,
        "schedule": "adaptive" if cfg.kl_target > 0 else "fixed", "desired_kl": cfg.kl_target,
        "entropy_coef": cfg.entropy_weight, "value_loss_coef": cfg.value_weight, "max_grad_norm": cfg.max_grad_norm,
    }  # fmt: skip
    return {
        "num_steps_per_env": cfg.horizon, "algorithm": algorithm, "critic": network,
        "actor": network | {"distribution_cfg": std}, "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
        "check_for_nan": False,  # the training loop does, and says more
    }  # fmt: skip
