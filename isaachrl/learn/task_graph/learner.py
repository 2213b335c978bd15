"""The learner of tabular task graphs: thousands of call stacks under one algorithm."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs.env import Obs
from isaachrl.envs.statistics import Statistics
from isaachrl.envs.tabular import TabularEnv
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.task_graph.algorithms import Algorithm
from isaachrl.learn.task_graph.config import GraphCfg
from isaachrl.learn.task_graph.exports import ends_export, table_exports
from isaachrl.learn.task_graph.stack import CallStack, Chooser, Tick, stack_ticks
from isaachrl.learn.task_graph.tables import GraphTables
from isaachrl.maths.seeds import Stream, sub_seed

MOST_TICKS = 10_000


class GraphLearner(Learner):
    """One of HPG, MAXQ-Q and flat Q on N environments.

    An iteration is `horizon` primitive steps of every environment under one policy, then one update.

    Attributes:
        world: the environment, as the tabular one that it is.

    Args:
        env: the environment.
        tables: its task graph.
        algorithm: what learns.
        cfg: see `GraphCfg`.
        seed: of the exploration.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = ("episode/return", "episode/length", "episode/success_rate", "reward/total")

    def __init__(self, env: TabularEnv, tables: GraphTables, algorithm: Algorithm, cfg: GraphCfg, seed: int) -> None:
        self.env = self.world = env
        self.cfg, self.tables, self.algorithm = cfg, tables, algorithm
        self.max_iterations = cfg.max_iterations
        self.iteration = self.samples = 0
        self.stack = CallStack(tables, env.num_envs)
        self.statistics = Statistics(env)
        self._generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
        env.reset()

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.horizon * self.env.num_envs

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        choose = Chooser(self.algorithm.row, self.algorithm.probabilities(self.iteration))
        ticks = stack_ticks([self._tick(choose) for _ in range(self.cfg.horizon)])
        signals = self.algorithm.learn(ticks, self.iteration)
        self.iteration += 1
        self.samples += self.samples_per_iteration
        return self.statistics.read() | signals

    def _tick(self, choose: Chooser) -> Tick:
        """One primitive step of every environment."""
        env, stack = self.world, self.stack
        at = env.index()
        action, decided = stack.descend(at, choose, self._generator)
        result = env.advance(action)
        self.statistics.add(result)
        after, done = env.index(), result.done
        # copies: what stays in a log must not be changed in place by the next tick
        kept = (stack.task, stack.entry, stack.child, stack.before, stack.start)
        task, entry, child, before, start = (tensor.clone() for tensor in kept)
        returned, ended = stack.ascend(result.reward, after, done)
        tick = Tick(
            decided, returned, ended, task, entry, child, stack.reward, stack.steps.clone(), before,
            stack.total.clone(), start, after, result.terminated, action, result.reward, at,
        )  # fmt: skip
        tick.reward = stack.reward.clone()
        env.reset_where(done)
        stack.restart(done)
        return tick

    def policy(self) -> Policy:
        """See `Learner.policy`: the best child everywhere."""
        return StackPolicy(self.world, self.tables, Chooser(self.algorithm.row, self.algorithm.best()))

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: one table a subtask, from what is seen to one score a child, and where calls end."""
        mdp, graph = self.world.mdp, self.tables.graph
        found = table_exports(mdp, graph, self.algorithm.row, self.algorithm.best())
        return found if len(graph.subtasks) == 1 else [*found, ends_export(mdp, self.tables)]

    def evaluate(self) -> dict[str, Any]:
        """The greedy policy's means over every start, each played once."""
        mean_return, mean_length = greedy_means(self)
        return {"all_starts": {"mean_return": mean_return, "mean_length": mean_length}}

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`."""
        return {
            "algorithm": self.algorithm.state_dict(),
            "stack": self.stack.state_dict(),
            "statistics": self.statistics.state_dict(),
            "generator": self._generator.get_state(),
            "counters": [self.iteration, self.samples],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Learner.load_state_dict`."""
        self.algorithm.load_state_dict(state["algorithm"])
        self.stack.load_state_dict(state["stack"])
        self.statistics.load_state_dict(state["statistics"])
        self._generator.set_state(state["generator"].cpu())
        self.iteration, self.samples = state["counters"]

    def weights(self) -> dict[str, Any]:
        """See `Learner.weights`."""
        return {"algorithm": self.algorithm.weights(), "counters": [self.iteration, self.samples]}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Learner.load_weights`."""
        self.algorithm.load_weights(state["algorithm"])
        self.iteration, self.samples = state["counters"]


class StackPolicy:
    """A controller with a call stack; it reads the number of the state, which the observation encodes in full.

    Args:
        env: what it acts in.
        tables: the graph.
        choose: its choices.
    """

    def __init__(self, env: TabularEnv, tables: GraphTables, choose: Chooser) -> None:
        self.env, self._choose = env, choose
        self._stack = CallStack(tables, env.num_envs)
        self._generator = torch.Generator(device=env.device).manual_seed(0)
        self._began = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        index = self.env.index()
        self._stack.ascend(torch.zeros(len(index), device=index.device), index, self._began)
        self._stack.restart(self._began)
        self._began = torch.zeros_like(self._began)
        return self._stack.descend(index, self._choose, self._generator)[0]

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._began = self._began | mask


@torch.no_grad()
def greedy_means(learner: GraphLearner) -> tuple[float, float]:
    """Mean return and length of the greedy policy over all starts, each played once, to the time limit."""
    env, mdp = learner.env, learner.world.mdp
    choose = Chooser(learner.algorithm.row, learner.algorithm.best())
    index = mdp.starts
    stack = CallStack(learner.tables, len(index))
    generator = torch.Generator(device=env.device).manual_seed(0)
    alive = torch.ones(len(index), dtype=torch.bool, device=env.device)
    total, length = torch.zeros(len(index), device=env.device), torch.zeros(len(index), device=env.device)
    for tick in range(min(env.episode_steps, MOST_TICKS)):
        action, _ = stack.descend(index, choose, generator)
        reward, over = mdp.reward[index, action], mdp.terminated[index, action]
        total, length = total + reward * alive, length + alive
        index = mdp.next_state[index, action]
        stack.ascend(reward, index, over)
        stack.restart(over)
        alive = alive & ~over
        if tick % 16 == 15 and not bool(alive.any()):
            break
    return float(total.mean()), float(length.mean())
