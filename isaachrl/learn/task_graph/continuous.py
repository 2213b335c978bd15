"""The learner of tasks with continuous states: N environments under one method."""

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from isaachrl.envs.env import Env, StepResult
from isaachrl.envs.statistics import Statistics
from isaachrl.envs.task_graph import TaskGraph
from isaachrl.errors import ConfigError
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.maths.seeds import Stream, sub_seed


class Method(Protocol):
    """What a method offers its learner."""

    def act(self, state: Tensor, generator: torch.Generator) -> Tensor:
        """Action `(N, 1)` at states `(N, F)`, with exploration."""
        ...

    def observe(self, before: Tensor, after: Tensor, result: StepResult, statistics: Statistics) -> None:
        """Note a step; `after` is the state before any reset."""
        ...

    def learn(self, iteration: int) -> dict[str, float]:
        """Learn from what was noted; signals by name."""
        ...

    def policy(self, env: Env) -> Policy:
        """The deterministic controller."""
        ...

    def exports(self) -> list[Exported]:
        """Its networks."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Parameters, and what a continuation needs beside them."""
        ...

    def weights(self) -> dict[str, Any]:
        """What `load_weights` needs."""
        ...

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take the parameters alone."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        ...


class ContinuousLearner(Learner):
    """A method on N environments; an iteration is `horizon` steps of each, then one update.

    Args:
        env: has `state (N, F)` and a task graph.
        method: what learns.
        horizon: steps of every environment in an iteration.
        max_iterations: iterations.
        seed: of the exploration.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = (
        "episode/success_rate",
        "episode/length",
        "episode/calls",
        "episode/out_rate",
    )

    def __init__(self, env: Env, method: Method, horizon: int, max_iterations: int, seed: int) -> None:
        self.env, self.method, self.horizon, self.max_iterations = env, method, horizon, max_iterations
        self.iteration = self.samples = 0
        self.statistics = Statistics(env)
        self._generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
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
            before = env.state.clone()
            result = env.advance(self.method.act(before, self._generator))
            self.statistics.add(result)
            self.method.observe(before, env.state.clone(), result, self.statistics)
            env.reset_where(result.done)
        signals = self.method.learn(self.iteration)
        self.iteration += 1
        self.samples += self.samples_per_iteration
        return self.statistics.read() | signals

    def policy(self) -> Policy:
        """See `Learner.policy`."""
        return self.method.policy(self.env)

    def exports(self) -> list[Exported]:
        """See `Learner.exports`."""
        return self.method.exports()

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        return {
            "method": self.method.state_dict(),
            "statistics": self.statistics.state_dict(),
            "generator": self._generator.get_state(),
            "counters": [self.iteration, self.samples],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`."""
        self.method.load_state_dict(state["method"])
        self.statistics.load_state_dict(state["statistics"])
        self._generator.set_state(state["generator"].cpu())
        self.iteration, self.samples = state["counters"]

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`."""
        return {"method": self.method.weights(), "counters": [self.iteration, self.samples]}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        self.method.load_weights(state["method"])
        self.iteration, self.samples = state["counters"]


def continuous_graph(env: Env, learner: str) -> TaskGraph:
    """The task graph of an environment whose states are continuous.

    Raises:
        ConfigError: it has none, or one that does not say between what values its state lies.
    """
    graph = getattr(env, "task_graph", None)
    if not isinstance(graph, TaskGraph) or not graph.root.extent or not hasattr(env, "action_extent"):
        raise ConfigError(f"train={learner} needs a task with a continuous state and action, such as ShipSteering")
    return graph
