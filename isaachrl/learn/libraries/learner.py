"""A learner that is an agent of another library."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from isaachrl.adapters.agents.agent import Agent, LibraryRandom, OnStep
from isaachrl.adapters.agents.config import LibraryPpoCfg
from isaachrl.envs.env import Env
from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.errors import ConfigError
from isaachrl.learn import distributed
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.networks import ModulePolicy, exports
from isaachrl.learn.state import Stateful
from isaachrl.maths.seeds import Stream, sub_seed

AgentType = Callable[[Env, Any, OnStep], Agent]


def agent_type(name: str) -> AgentType:
    """The agent of a library.

    Raises:
        ConfigError: the library is not installed, or several processes train, which these learners do not.
    """
    if distributed.size() > 1:  # the libraries would look for the other processes themselves
        raise ConfigError(f"the learner {name} trains in one process; type train=ppo to use several")
    if name == "rsl_rl":
        from isaachrl.adapters.agents.rsl_rl import RslRlAgent

        return RslRlAgent
    from isaachrl.adapters.agents.skrl import SkrlAgent

    return SkrlAgent


class LibraryLearner(Stateful, Learner):
    """PPO of another library on any `Env`. All its random numbers come from one seeded state, see `LibraryRandom`.

    Args:
        env: the environment.
        cfg: of the library's PPO.
        seed: of weights and exploration.
        make_agent: the library's agent.
    """

    HEADLINE: ClassVar = ("episode/success_rate", "episode/return", "episode/length", "reward/total")
    WEIGHTS: ClassVar = ("networks", "iteration", "samples")
    STATE: ClassVar = ("optimizer", "agent", "statistics", "random")

    def __init__(self, env: Env, cfg: LibraryPpoCfg, seed: int, make_agent: AgentType) -> None:
        self.env, self.cfg, self.max_iterations = env, cfg, cfg.max_iterations
        self.iteration = self.samples = 0
        self.statistics = EpisodeStatistics(env)
        self.random = LibraryRandom(sub_seed(seed, Stream.learner), env.device)
        with self.random.active():
            self.agent = make_agent(env, cfg, self.statistics.add)
        self.networks, self.optimizer = self.agent.networks, self.agent.optimizer
        if cfg.stagger:
            env.stagger(torch.Generator(env.device).manual_seed(sub_seed(seed, Stream.weights)))

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.horizon * self.env.num_envs

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        with self.random.active():
            signals = self.agent.learn()
        self.iteration += 1
        self.samples += self.samples_per_iteration
        rate = {"policy/learning_rate": float(self.optimizer.param_groups[0]["lr"])}
        return self.statistics.read() | signals | rate

    def policy(self) -> Policy:
        """See `Learner.policy`: a copy of the present policy's mean."""
        return ModulePolicy(self.agent.mean().requires_grad_(False), self.env)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: the policy, or the levels of a hierarchy and their fusion."""
        return exports(self.agent.mean().requires_grad_(False).cpu(), self.env)
