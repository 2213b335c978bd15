"""PPO as a learner: one iteration is one epoch of rl_games' agent."""

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs.env import Env, Obs
from isaachrl.errors import CheckpointError
from isaachrl.learn import distributed
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.ppo.adapter import EnvAdapter
from isaachrl.learn.ppo.agent import make_agent, pool_normalizers, state_value
from isaachrl.learn.ppo.config import PpoCfg
from isaachrl.learn.ppo.networks import PolicyMean, exports
from isaachrl.maths.seeds import Stream, sub_seed


class PpoLearner(Learner):
    """rl_games' PPO on any `Env`: a task, or a hierarchy seen from its top.

    The weights start from `seed` through PyTorch's global generator; the exploration has a generator of its own.
    rl_games itself looks for ended episodes on the host once a step; the environment and this module never do.

    Args:
        env: what it acts on.
        cfg: see `PpoCfg`.
        seed: of weights and exploration.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = (
        "episode/success_rate",
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
        distributed.part_ways(self.generator)
        self.agent = make_agent(env, self.adapter, cfg, self.generator)
        self.adapter.value = self._value
        self.max_iterations = cfg.max_iterations
        self.iteration = self.samples = 0

    def _value(self, policy_input: Tensor) -> Tensor:
        """Value `(N,)` of observations `(N, ·)` by the present network."""
        return state_value(self.agent, policy_input)

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.horizon * self.env.num_envs * distributed.size()

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`: what one turn of rl_games' own training loop does, without its files."""
        agent = self.agent
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
        return distributed.mean_signals(self.adapter.statistics.read() | signals)

    def policy(self) -> Policy:
        """See `Learner.policy`: the mean of the policy as it is now."""
        return _MeanPolicy(PolicyMean(self.agent).to(self.env.device), self.env)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: the policy, and with a skill below both levels and their fusion."""
        return exports(PolicyMean(self.agent).cpu(), self.env)

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
        if "generator" in state:  # earlier versions drew from the global one
            self.generator.set_state(state["generator"].cpu())
        self.iteration, self.samples = state["iteration"], state["samples"]

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`: the networks and their normalisers."""
        model = self.agent.model.state_dict()
        return _plain({"agent": {"model": model}, "iteration": self.iteration, "samples": self.samples})

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        _check_shapes(self.agent.model.state_dict(), state["agent"]["model"])
        self.agent.model.load_state_dict(state["agent"]["model"])
        self.iteration, self.samples = state["iteration"], state["samples"]


class _MeanPolicy:
    """The deterministic controller; it remembers nothing between steps."""

    def __init__(self, module: PolicyMean, env: Env) -> None:
        self.module, self.env = module, env

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        return self.module(self.env.policy_input(obs))

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""


def _plain(value: Any) -> Any:
    """A copy in which every mapping is a dict and every tensor stands alone, so that it loads without pickled code."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(entry) for entry in value)
    return value


def _check_shapes(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Refuse weights of other networks, naming the first that differs.

    Raises:
        CheckpointError: a weight is missing, unknown, or of another shape.
    """
    for name in sorted({*ours, *theirs}):
        shapes = [tuple(table[name].shape) if name in table else "nothing" for table in (theirs, ours)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(
                f"the checkpoint has {shapes[0]} for {name}, this task and train.hidden give {shapes[1]};"
                " use the task and network sizes it was trained with"
            )
