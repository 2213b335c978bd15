"""The learner of tabular task graphs: N call stacks and one algorithm."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.envs.env import Obs
from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.envs.tabular import TabularEnv
from isaachrl.learn.learner import Exported, Learner, Policy
from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.tabular.algorithm import TabularAlgorithm
from isaachrl.learn.task_graph.tabular.config import TabularCfg
from isaachrl.learn.task_graph.tabular.exports import ends_export, table_exports
from isaachrl.learn.task_graph.tabular.stack import CallStack, Chooser, Tick
from isaachrl.learn.task_graph.tabular.tables import GraphTables
from isaachrl.maths.seeds import Stream, sub_seed
from isaachrl.maths.shapes import stack_steps

MAX_EVALUATION_STEPS = 10_000


class TabularLearner(Stateful, Learner):
    """HPG, MAXQ-Q or flat Q-learning on N environments.

    An iteration is a rollout of `horizon` primitive steps under a constant policy, then one update.

    Args:
        env: the environment.
        tables: its task graph.
        algorithm: the parameters and their update.
        cfg: see `TabularCfg`.
        seed: of the exploration.
    """

    HEADLINE: ClassVar[tuple[str, ...]] = ("episode/return", "episode/length", "episode/success_rate", "reward/total")
    WEIGHTS: ClassVar = ("algorithm", "iteration", "samples")
    STATE: ClassVar = ("stack", "statistics", "generator")

    def __init__(
        self, env: TabularEnv, tables: GraphTables, algorithm: TabularAlgorithm, cfg: TabularCfg, seed: int
    ) -> None:
        self.env = self._env = env
        self.cfg, self.tables, self.algorithm = cfg, tables, algorithm
        self.max_iterations = cfg.max_iterations
        self.iteration = self.samples = 0
        self.stack = CallStack(tables, env.num_envs)
        self.statistics = EpisodeStatistics(env)
        self.generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.learner))
        env.reset()

    @property
    def samples_per_iteration(self) -> int:
        """See `Learner.samples_per_iteration`."""
        return self.cfg.horizon * self.env.num_envs

    def iterate(self) -> dict[str, float]:
        """See `Learner.iterate`."""
        choose = Chooser(self.algorithm.row, self.algorithm.probabilities(self.iteration))
        ticks = stack_steps([self._tick(choose) for _ in range(self.cfg.horizon)])
        signals = self.algorithm.learn(ticks, self.iteration)
        self.iteration += 1
        self.samples += self.samples_per_iteration
        return self.statistics.read() | signals

    def _tick(self, choose: Chooser) -> Tick:
        """One primitive step of every environment."""
        env, stack = self._env, self.stack
        state = env.index()
        action, decided = stack.descend(state, choose, self.generator)
        result = env.advance(action)
        self.statistics.add(result)
        next_state = env.index()
        returned, ended = stack.ascend(result.reward, next_state, result.done)
        tick = Tick(
            decided=decided,
            returned=returned,
            ended=ended,
            state=state,
            action=action,
            step_reward=result.reward,
            next_state=next_state,
            terminated=result.terminated,
            **stack.levels(),
        )
        env.reset_where(result.done)
        stack.restart(result.done)
        return tick

    def policy(self) -> Policy:
        """See `Learner.policy`: the greedy policy."""
        return CallStackPolicy(self._env, self.tables, Chooser(self.algorithm.row, self.algorithm.best()))

    def exports(self) -> list[Exported]:
        """See `Learner.exports`: one table per subtask, from the observation to one score per child, and `ends`."""
        mdp, graph = self.tables.mdp, self.tables.graph
        exported = table_exports(mdp, graph, self.algorithm.row, self.algorithm.best())
        return exported if len(graph.subtasks) == 1 else [*exported, ends_export(mdp, self.tables)]

    def evaluate(self) -> dict[str, Any]:
        """Mean return and length of the greedy policy, one episode from each start."""
        mean_return, mean_length = greedy_means(self)
        return {"all_starts": {"mean_return": mean_return, "mean_length": mean_length}}


class CallStackPolicy:
    """A policy with a call stack. It reads the state from the environment; the observation encodes the same.

    Args:
        env: the environment.
        tables: the task graph.
        choose: the policy of the subtasks.
    """

    def __init__(self, env: TabularEnv, tables: GraphTables, choose: Chooser) -> None:
        self.env, self._choose = env, choose
        self._stack = CallStack(tables, env.num_envs)
        self._generator = torch.Generator(device=env.device).manual_seed(0)
        self._new_episode = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        state = self.env.index()
        self._stack.ascend(torch.zeros(len(state), device=state.device), state, self._new_episode)
        self._stack.restart(self._new_episode)
        self._new_episode = torch.zeros_like(self._new_episode)
        return self._stack.descend(state, self._choose, self._generator)[0]

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._new_episode = self._new_episode | mask


@torch.no_grad()
def greedy_means(learner: TabularLearner) -> tuple[float, float]:
    """Mean return and length of the greedy policy, one episode from each start, with the environment's time limit."""
    env, tables = learner.env, learner.tables
    mdp, state = tables.mdp, tables.mdp.starts
    choose = Chooser(learner.algorithm.row, learner.algorithm.best())
    stack = CallStack(tables, len(state))
    generator = torch.Generator(device=env.device).manual_seed(0)
    running = torch.ones(len(state), dtype=torch.bool, device=env.device)
    total, length = torch.zeros(len(state), device=env.device), torch.zeros(len(state), device=env.device)
    for tick in range(min(env.episode_steps, MAX_EVALUATION_STEPS)):
        action, _ = stack.descend(state, choose, generator)
        reward, terminated = mdp.reward[state, action], mdp.terminated[state, action]
        total, length = total + reward * running, length + running
        state = mdp.next_state[state, action]
        stack.ascend(reward, state, terminated)
        stack.restart(terminated)
        running = running & ~terminated
        if tick % 16 == 15 and not bool(running.any()):
            break
    return float(total.mean()), float(length.mean())
