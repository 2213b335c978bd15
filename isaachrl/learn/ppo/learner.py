"""PPO as a learner: one iteration is one call of rl_games' `train_epoch`."""

import copy
import logging
from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs.env import Env
from isaachrl.errors import CheckpointError
from isaachrl.learn import collectives, distributed
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.networks import ModulePolicy, exports
from isaachrl.learn.ppo.adapter import EnvAdapter
from isaachrl.learn.ppo.agent import make_agent, pool_normalizers, state_value
from isaachrl.learn.ppo.config import PpoCfg
from isaachrl.maths.seeds import Stream, sub_seed
from isaachrl.nn.policy_mean import PolicyMean
from isaachrl.schema import state_mismatch

log = logging.getLogger(__name__)

CRITIC = ("a2c_network.critic_mlp.", "a2c_network.value.", "value_mean_std.")  # prefixes of rl_games' names


class PpoLearner(Learner):
    """rl_games' PPO on any `Env`: a task, or the high level of a hierarchy.

    Weights are initialised by PyTorch's global generator, exploration has its own; both are seeded with `seed`.
    rl_games copies dones to the host in every step; the environment and this module do not.

    Args:
        env: the environment.
        cfg: see `PpoCfg`.
        seed: of weights and exploration.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = (
        "episode/success_rate",
        "episode/score",
        "episode/fall_rate",
        "episode/return",
        "episode/length",
        "reward/total",
    )
    DISTRIBUTED: ClassVar[bool] = True

    def __init__(self, env: Env, cfg: PpoCfg, seed: int) -> None:
        torch.manual_seed(sub_seed(seed, Stream.weights))
        self.env, self.cfg = env, cfg
        self.adapter = EnvAdapter(env, cfg.gamma)
        self.generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
        distributed.decorrelate_seed(self.generator)
        self.agent = make_agent(env, self.adapter, cfg, self.generator)
        self.adapter.value = self._value
        self.max_iterations = cfg.max_iterations
        self.iteration = self.samples = 0
        self._critic_is_new = False  # although the policy is not

    def _value(self, policy_input: Tensor) -> Tensor:
        """Value `(N,)` of observations `(N, ·)`."""
        return state_value(self.agent, policy_input)

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.horizon * self.env.num_envs * distributed.size()

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`: one turn of rl_games' training loop, without its files."""
        if self._critic_is_new:
            log.warning("the initial weights are a policy without a critic: the critic starts untrained")
            self._critic_is_new = False
        agent = self.agent
        self._anneal()
        agent.update_epoch()
        _, _, _, _, policy_losses, value_losses, mean_losses, entropies, kls, _, _ = agent.train_epoch()
        pool_normalizers(agent)
        agent.dataset.update_values_dict(None)
        agent.frame += agent.curr_frames
        self.iteration += 1
        self.samples += self.samples_per_iteration
        named = {
            "loss/policy": policy_losses,
            "loss/value": value_losses,
            "loss/mean": mean_losses,
            "policy/entropy": entropies,
            "policy/kl": kls,
            "policy/std": [agent.model.a2c_network.sigma.detach().exp().mean()],
        }
        values = torch.stack([torch.stack(list(rows)).mean() for rows in named.values()]).tolist()
        signals = dict(zip(named, values, strict=True)) | {"policy/learning_rate": float(agent.last_lr)}
        return collectives.mean_signals(self.adapter.statistics.read() | signals)

    def _anneal(self) -> None:
        """Set the standard deviation of this iteration, if `log_std_end` is set."""
        cfg = self.cfg
        if cfg.log_std_end is not None:
            share = (self.iteration / cfg.max_iterations - cfg.anneal_from) / (1.0 - cfg.anneal_from)
            log_std = cfg.log_std + (cfg.log_std_end - cfg.log_std) * min(max(share, 0.0), 1.0)
            self.agent.model.a2c_network.sigma.data.fill_(log_std)

    def policy(self) -> Policy:
        """See `Learner.policy`: a copy of the present policy's mean."""
        return ModulePolicy(PolicyMean(self.agent.model.state_dict()).to(self.env.device), self.env)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: the policy, or the levels of a hierarchy and their fusion."""
        return exports(PolicyMean(self.agent.model.state_dict()).cpu(), self.env)

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        agent, statistics = self.agent, self.adapter.statistics
        state = {
            "agent": agent.get_full_state_weights(),
            "learning_rate": float(agent.last_lr),
            "obs": agent.obs["obs"],
            "dones": agent.dones,
            "returns": statistics.returns,
            "lengths": statistics.lengths,
            "generator": self.generator.get_state(),
            "iteration": self.iteration,
            "samples": self.samples,
        }
        return _plain(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`."""
        _check_shapes(self.agent.model.state_dict(), state["agent"]["model"])
        agent, statistics = self.agent, self.adapter.statistics
        agent.set_full_state_weights(copy.deepcopy(state["agent"]))
        agent.last_lr = state["learning_rate"]
        agent.obs = {"obs": state["obs"].to(self.env.device, copy=True)}
        agent.dones = state["dones"].to(self.env.device, copy=True)
        statistics.returns = state["returns"].to(self.env.device, copy=True)
        statistics.lengths = state["lengths"].to(self.env.device, copy=True)
        if "generator" in state:  # checkpoints of earlier versions have none
            self.generator.set_state(state["generator"].cpu())
        self.iteration, self.samples = state["iteration"], state["samples"]

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`: the networks and their normalisers."""
        model = self.agent.model.state_dict()
        return _plain({"agent": {"model": model}, "iteration": self.iteration, "samples": self.samples})

    def policy_weights(self) -> dict[str, Any]:
        """See `Learner.policy_weights`: in float32, without the critic and the normaliser of values."""
        state = self.weights()
        model = {key: value.float() for key, value in state["agent"]["model"].items() if not key.startswith(CRITIC)}
        return state | {"agent": {"model": model}}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        own, stored = self.agent.model.state_dict(), state["agent"]["model"]
        self._critic_is_new = not any(name.startswith(CRITIC) for name in stored)
        if self._critic_is_new:
            stored = stored | {name: value for name, value in own.items() if name.startswith(CRITIC)}
        _check_shapes(own, stored)
        self.agent.model.load_state_dict(stored)
        self.iteration, self.samples = state["iteration"], state["samples"]


def _plain(value: Any) -> Any:
    """A copy with plain dicts and cloned tensors, so that it loads without pickled code."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(entry) for entry in value)
    return value


def _check_shapes(own: dict[str, Tensor], stored: dict[str, Tensor]) -> None:
    """Raise a `CheckpointError` unless stored weights have the names and shapes of the networks."""
    if mismatch := state_mismatch(own, stored, "the model", same_keys=True):
        raise CheckpointError(f"{mismatch}; use the task and network sizes it was trained with (train.hidden)")
