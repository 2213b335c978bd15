"""The rl_games agent, built from our configuration and without its files, prints and command line.

Facts of rl_games 1.6.5 that shape this module:
- Its own bootstrap for time limits adds the value of the state *before* the last step; it stays off, and the
  adapter adds the value of the last observation instead.
- Its model called `…_logstd` is the one whose output fits its agent, and a "fixed" sigma is a parameter that
  does not depend on the state but is trained.
- It writes a TensorBoard folder on construction. Here that folder is temporary.
- It draws actions from PyTorch's global generator, and hands out the same blocks of environments in every epoch. Here
  both come from a generator of the learner's own.
- With `multi_gpu` it averages gradients and divergences over the ranks. Switched on from the beginning, it insists on
  starting the process group itself, on NCCL alone, and lets no rank but the first adapt its step size, so that each
  soon trains with another. So it is switched on once the agent stands. Normalisers it leaves to each rank:
  `pool_normalizers` brings them together.
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
from isaachrl.learn import distributed
from isaachrl.learn.ppo.adapter import EnvAdapter
from isaachrl.learn.ppo.config import PpoCfg
from isaachrl.learn.ppo.minibatches import Minibatches


def _as_it_is(model: Any = None, **_: Any) -> Any:
    """Takes the place of `torch.compile`, called with a model or as a decorator with or without options."""
    return _as_it_is if model is None else model


@contextlib.contextmanager
def _nothing_compiled() -> Iterator[None]:
    """`torch.compile` leaves things as they are: what it would load takes longer than all else."""
    compiler, torch.compile = torch.compile, _as_it_is
    try:
        yield
    finally:
        torch.compile = compiler


with warnings.catch_warnings(), _nothing_compiled():  # rl_games compiles a network of its tests on import
    warnings.simplefilter("ignore")  # deprecations inside the package, of no use to our users
    from rl_games.algos_torch.a2c_continuous import A2CAgent
    from rl_games.common.algo_observer import AlgoObserver
    from rl_games.common.gym_compat import gym


class _Agent(A2CAgent):
    """The agent with a generator of its own."""

    generator: torch.Generator

    def get_action_values(self, obs: dict[str, Tensor]) -> dict[str, Tensor | None]:
        """What rl_games keeps of a step: the drawn actions `(N, A)`, their distribution and the values `(N, 1)`."""
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
        """Values `(N, 1)` of observations; rl_games would draw actions for them, too."""
        self.model.eval()
        return state_value(self, obs["obs"]).unsqueeze(-1)


def make_agent(env: Env, adapter: EnvAdapter, cfg: PpoCfg, generator: torch.Generator) -> Any:
    """An rl_games agent on the adapter, with its buffers made and its first observation taken.

    Args:
        env: what it acts on.
        adapter: the same as rl_games sees it.
        cfg: of the learner.
        generator: of the exploration and the order of rows.
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
        _join_ranks(agent)
    agent.init_tensors()
    agent.curr_frames = agent.batch_size_envs
    agent.obs = agent.env_reset()
    return agent


def _join_ranks(agent: Any) -> None:
    """Switch rl_games' training on several devices on, from the weights of rank 0."""
    agent.multi_gpu, agent.global_rank, agent.world_size = True, distributed.rank(), distributed.size()
    distributed.copy_from_first(agent.model)


def pool_normalizers(agent: Any) -> None:
    """Give the normalisers of every rank the moments of what all of them saw since the last call."""
    for name in ("running_mean_std", "value_mean_std"):
        norm = getattr(agent.model, name, None)
        if norm is not None:
            distributed.pool_moments(norm.running_mean, norm.running_var)


def _network(cfg: PpoCfg) -> dict[str, Any]:
    """Two networks, policy and value; the policy's mean passes through tanh."""
    none = {"name": "default"}
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
        "mlp": {"units": list(cfg.hidden), "activation": "relu", "initializer": none},
    }


def _config(env: Env, adapter: EnvAdapter, cfg: PpoCfg, folder: str) -> dict[str, Any]:
    """The configuration in rl_games' names."""
    batch = cfg.horizon * env.num_envs
    spaces = {
        "observation_space": gym.spaces.Box(-np.inf, np.inf, (env.policy_input_size,), np.float32),
        "action_space": gym.spaces.Box(-1.0, 1.0, (env.action_size,), np.float32),
    }
    return {
        "name": "ppo", "env_name": "isaachrl", "full_experiment_name": "run", "train_dir": folder,
        "env_info": spaces, "vec_env": adapter, "num_actors": env.num_envs, "device": str(env.device),
        "features": {"observer": AlgoObserver()}, "reward_shaper": _unchanged, "value_bootstrap": False,
        "print_stats": False, "seq_length": 1,
        "gamma": cfg.gamma, "tau": cfg.lam, "e_clip": cfg.clip, "clip_value": True, "clip_actions": True,
        "horizon_length": cfg.horizon, "mini_epochs": cfg.epochs,
        "minibatch_size": batch,  # `Minibatches` cuts it
        "learning_rate": cfg.learning_rate, "lr_schedule": "adaptive" if cfg.kl_target > 0 else None,
        "schedule_type": "standard", "kl_threshold": cfg.kl_target,
        # rl_games halves the value's weight; its squared-mean loss carries the name "regularisation"
        "entropy_coef": cfg.entropy_weight, "critic_coef": 2.0 * cfg.value_weight,
        "bounds_loss_coef": cfg.mean_weight, "bound_loss_type": "regularisation",
        "truncate_grads": True, "grad_norm": cfg.max_grad_norm,
        "normalize_input": cfg.normalize_obs, "normalize_value": cfg.normalize_value,
        "normalize_advantage": cfg.normalize_advantage,
    }  # fmt: skip


def _unchanged(reward: Tensor) -> Tensor:
    """A reward as it came."""
    return reward


def state_value(agent: Any, policy_input: Tensor) -> Tensor:
    """Value `(N,)` in units of reward, of observations `(N, ·)`; the policy is not evaluated and nothing is drawn."""
    net = agent.model.a2c_network
    with torch.no_grad():
        hidden = net.critic_mlp(agent.model.norm_obs(policy_input))
        return agent.model.denorm_value(net.value_act(net.value(hidden))).squeeze(-1)
