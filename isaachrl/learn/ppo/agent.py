"""The rl_games agent, built from `PpoCfg`, without rl_games' files, prints and command line.

Properties of rl_games 1.6.5 that explain this module:
- Its bootstrap for time limits uses the value of the state *before* the last step. It stays off; the adapter
  bootstraps from the last observation.
- The output of its model `…_logstd` is the one that its agent expects. A "fixed" sigma is a trained parameter that does
  not depend on the state.
- It writes a TensorBoard folder on construction. Here that folder is temporary.
- It draws actions from PyTorch's global generator, and uses the same blocks of environments in every epoch. Here the
  learner's generator draws both.
- With `multi_gpu` it averages gradients and KL divergences over the ranks. If set on construction, it starts the
  process group itself, on NCCL only, and only rank 0 adapts its learning rate, so that the ranks diverge. So it is set
  after construction. It does not share normalisers: `pool_normalizers` does.
"""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isaachrl.envs.env import Env
from isaachrl.learn import collectives, distributed
from isaachrl.learn.ppo.adapter import EnvAdapter
from isaachrl.learn.ppo.config import PpoCfg
from isaachrl.learn.ppo.minibatches import Minibatches
from isaachrl.learn.ppo.version import checked_import


def _no_compile(model: Any = None, **_: Any) -> Any:
    """Replaces `torch.compile`, called with a model or as a decorator with or without options."""
    return _no_compile if model is None else model


@contextlib.contextmanager
def _compile_disabled() -> Iterator[None]:
    """Context in which `torch.compile` does nothing: loading the compiler takes longer than the rest of the import."""
    compiler, torch.compile = torch.compile, _no_compile
    try:
        yield
    finally:
        torch.compile = compiler


with checked_import(), warnings.catch_warnings(), _compile_disabled():  # rl_games compiles a test network on import
    warnings.simplefilter("ignore")  # deprecations inside rl_games
    from rl_games.algos_torch.a2c_continuous import A2CAgent
    from rl_games.common.algo_observer import AlgoObserver
    from rl_games.common.gym_compat import gym


class _Agent(A2CAgent):
    """A2CAgent that draws actions from its own generator."""

    generator: torch.Generator

    def get_action_values(self, obs: dict[str, Tensor]) -> dict[str, Tensor | None]:
        """The entries of a step in rl_games' rollout: actions `(N, A)`, their distribution and values `(N, 1)`."""
        self.model.eval()
        with torch.no_grad():
            policy_input = self.model.norm_obs(obs["obs"])
            mean, log_std, value, _ = self.model.a2c_network({"obs": policy_input})
            std = log_std.exp()
            action = mean + std * torch.randn(mean.shape, generator=self.generator, device=mean.device)
            return {
                "actions": action, "neglogpacs": self.model.neglogp(action, mean, std, log_std), "mus": mean,
                "sigmas": std, "values": self.model.denorm_value(value), "rnn_states": None,
            }  # fmt: skip

    def get_values(self, obs: dict[str, Tensor]) -> Tensor:
        """Values `(N, 1)` of observations; rl_games would also sample actions for them."""
        self.model.eval()
        return state_value(self, obs["obs"]).unsqueeze(-1)


def make_agent(env: Env, adapter: EnvAdapter, cfg: PpoCfg, generator: torch.Generator) -> Any:
    """An rl_games agent with allocated buffers and its first observation.

    Args:
        env: the environment.
        adapter: of the environment.
        cfg: of the learner.
        generator: draws actions and the order of rows.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = {"model": {"name": "continuous_a2c_logstd"}, "network": _network(cfg)}
        agent: Any = _Agent("ppo", params | {"config": _config(env, adapter, cfg, folder)})
        agent.writer.close()
    agent.generator = generator
    agent.dataset = Minibatches(agent.batch_size, distributed.own_rows(cfg.minibatch), generator)
    if agent.is_adaptive_lr:
        agent.scheduler.max_lr = cfg.max_learning_rate
    agent.model.a2c_network.sigma.requires_grad_(cfg.learn_std)
    if distributed.size() > 1:
        _enable_multi_gpu(agent)
    agent.init_tensors()
    agent.curr_frames = agent.batch_size_envs
    agent.obs = agent.env_reset()
    if cfg.stagger:
        env.stagger(generator)
    return agent


def _enable_multi_gpu(agent: Any) -> None:
    """Let rl_games average gradients over the ranks, starting from the weights of rank 0."""
    agent.multi_gpu, agent.global_rank, agent.world_size = True, distributed.rank(), distributed.size()
    collectives.copy_from_first(agent.model)


def pool_normalizers(agent: Any) -> None:
    """Pool the moments of the ranks' normalisers."""
    for name in ("running_mean_std", "value_mean_std"):
        norm = getattr(agent.model, name, None)
        if norm is not None:
            collectives.pool_moments(norm.running_mean, norm.running_var)


def _network(cfg: PpoCfg) -> dict[str, Any]:
    """rl_games' `network` section: separate policy and value networks; tanh of the policy's mean."""
    return {
        "name": "actor_critic",
        "separate": True,
        "space": {
            "continuous": {
                "mu_activation": "tanh",
                "sigma_activation": "None",
                "mu_init": {"name": "random_uniform_initializer", "a": -0.01, "b": 0.01},
                "sigma_init": {"name": "const_initializer", "val": cfg.log_std},
                "fixed_sigma": True,
            }
        },
        "mlp": {"units": list(cfg.hidden), "activation": "relu", "initializer": {"name": "default"}},
    }


def _config(env: Env, adapter: EnvAdapter, cfg: PpoCfg, folder: str) -> dict[str, Any]:
    """rl_games' `config` section."""
    batch = cfg.horizon * env.num_envs
    spaces = {
        "observation_space": gym.spaces.Box(-np.inf, np.inf, (env.policy_input_size,), np.float32),
        "action_space": gym.spaces.Box(-1.0, 1.0, (env.action_size,), np.float32),
    }
    return {
        "name": "ppo", "env_name": "isaachrl", "full_experiment_name": "run", "train_dir": folder,
        "env_info": spaces, "vec_env": adapter, "num_actors": env.num_envs, "device": str(env.device),
        "features": {"observer": AlgoObserver()}, "reward_shaper": _identity, "value_bootstrap": False,
        "print_stats": False, "seq_length": 1,
        "gamma": cfg.gamma, "tau": cfg.lam, "e_clip": cfg.clip, "clip_value": True, "clip_actions": True,
        "horizon_length": cfg.horizon, "mini_epochs": cfg.epochs,
        "minibatch_size": batch,  # `Minibatches` splits it
        "learning_rate": cfg.learning_rate, "lr_schedule": "adaptive" if cfg.kl_target > 0 else None,
        "schedule_type": "standard", "kl_threshold": cfg.kl_target,
        # rl_games halves critic_coef, and calls the squared policy mean "regularisation"
        "entropy_coef": cfg.entropy_weight, "critic_coef": 2.0 * cfg.value_weight,
        "bounds_loss_coef": cfg.mean_weight, "bound_loss_type": "regularisation",
        "truncate_grads": True, "grad_norm": cfg.max_grad_norm,
        "normalize_input": cfg.normalize_obs, "normalize_value": cfg.normalize_value,
        "normalize_advantage": cfg.normalize_advantage,
    }  # fmt: skip


def _identity(reward: Tensor) -> Tensor:
    """No reward shaping."""
    return reward


def state_value(agent: Any, policy_input: Tensor) -> Tensor:
    """Value `(N,)` of observations `(N, ·)`, in units of reward, without evaluating the policy."""
    net = agent.model.a2c_network
    with torch.no_grad():
        hidden = net.critic_mlp(agent.model.norm_obs(policy_input))
        return agent.model.denorm_value(net.value_act(net.value(hidden))).squeeze(-1)
