"""The learner of tasks with continuous states: N environments and one algorithm."""

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from isaachrl.envs.env import Env, StepResult
from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.envs.task_graph import TaskGraph
from isaachrl.errors import ConfigError
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.state import Stateful
from isaachrl.maths.seeds import Stream, sub_seed


class ContinuousAlgorithm(Protocol):
    """Acting, recording and learning; implementations are `Stateful`."""

    def act(self, state: Tensor, generator: torch.Generator) -> tuple[Tensor, Any]:
        """Action `(N, 1)` at states `(N, F)`, with exploration, and what `observe` needs to know about it."""
        ...

    def observe(self, acted: Any, next_state: Tensor, result: StepResult, statistics: EpisodeStatistics) -> None:
        """Record a step.

        Args:
            acted: the second return value of `act`.
            next_state: `(N, F)` state after the step, before any reset.
            result: of the step.
            statistics: to count signals in.
        """
        ...

    def learn(self, iteration: int) -> dict[str, float]:
        """Update from the recorded steps; returns signals by name."""
        ...

    def policy(self, env: Env) -> Policy:
        """The deterministic policy."""
        ...

    def exports(self) -> list[Exported]:
        """See `Learner.exports`."""
        ...


class ContinuousLearner(Stateful, Learner):
    """An algorithm on N environments; an iteration is `horizon` steps of each, then one update.

    Args:
        env: an environment with `state (N, F)` and a task graph.
        algorithm: the parameters and their update.
        horizon: steps of every environment per iteration.
        max_iterations: iterations.
        seed: of the exploration.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = (
        "episode/success_rate",
        "episode/length",
        "episode/calls",
        "episode/out_rate",
    )
    WEIGHTS: ClassVar = ("algorithm", "iteration", "samples")
    STATE: ClassVar = ("statistics", "generator")

    def __init__(self, env: Env, algorithm: ContinuousAlgorithm, horizon: int, max_iterations: int, seed: int) -> None:
        self.env, self.algorithm, self.horizon, self.max_iterations = env, algorithm, horizon, max_iterations
        self.iteration = self.samples = 0
        self.statistics = EpisodeStatistics(env)
        self.generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
        env.reset()

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.horizon * self.env.num_envs

    @torch.no_grad()
    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        env: Any = self.env
        for _ in range(self.horizon):
            action, acted = self.algorithm.act(env.state.clone(), self.generator)
            result = env.advance(action)
            self.statistics.add(result)
            self.algorithm.observe(acted, env.state.clone(), result, self.statistics)
            env.reset_where(result.done)
        signals = self.algorithm.learn(self.iteration)
        self.iteration += 1
        self.samples += self.samples_per_iteration
        return self.statistics.read() | signals

    def policy(self) -> Policy:
        """See `Learner.policy`."""
        return self.algorithm.policy(self.env)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`."""
        return self.algorithm.exports()


def continuous_graph(env: Env, learner: str) -> TaskGraph:
    """The task graph of an environment with continuous states and one continuous action.

    Raises:
        ConfigError: it has none, or the graph does not declare the extent of the state.
    """
    graph = getattr(env, "task_graph", None)
    if not isinstance(graph, TaskGraph) or not graph.root.extent or not hasattr(env, "action_extent"):
        raise ConfigError(f"train={learner} needs a task with a continuous state and action, such as ShipSteering")
    return graph


def action_extent(env: Env) -> tuple[float, float]:
    """Least and greatest action of an environment that has a `continuous_graph`."""
    task: Any = env
    return task.action_extent
