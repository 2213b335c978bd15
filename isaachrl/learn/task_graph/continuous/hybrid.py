"""The hierarchical hybrid (Ghavamzadeh and Mahadevan 2003): Q(lambda) at the root, policy gradients below."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from isaachrl.config import bounded
from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.envs.statistics import EpisodeStatistics
from isaachrl.learn.learner import Exported, Policy
from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.continuous.exports import (
    USE,
    CellScores,
    TiledMean,
    action_export,
    call_exports,
    state_contract,
)
from isaachrl.learn.task_graph.continuous.flat_pg import outcome_reward
from isaachrl.learn.task_graph.continuous.frames import SubtaskFrames
from isaachrl.learn.task_graph.continuous.gaussian import GaussianCfg, GaussianTiles, Step
from isaachrl.learn.task_graph.continuous.learner import action_extent, continuous_graph
from isaachrl.learn.task_graph.continuous.tiles import TileCoder
from isaachrl.learn.task_graph.continuous.traces import Traces
from isaachrl.learn.task_graph.tabular.algorithm import mean_step

TRACE_LENGTH = 16  # calls; 0.9 ** 16 is 0.19, and few episodes have more calls


@dataclass
class HybridCfg:
    """Q(lambda) on a coarse grid over the state; its actions are calls of subtasks.

    Args:
        max_iterations: iterations; with 1024 ships the default makes the 50,000 episodes of the paper.
        horizon: steps of every environment per iteration.
        root_tiles: cells of the grid along each column of the state. The paper's cells are places of 50 m; with
            headings, too, there is more to explore.
        learning_rate: step size of Q.
        lam: lambda of its replacing traces.
        gamma: discount of a call.
        epsilon: initial share of random calls. It is above the 0.1 of the paper because calls that were tried with
            untrained subtasks must be tried again.
        epsilon_decay: divisor of epsilon per 50 episodes, once the subtasks succeed.
        epsilon_from: share of successful calls above which epsilon decays.
        epsilon_end: lower bound of epsilon.
        goal_reward: for success, in addition to the environment's reward.
        failure_reward: for an episode that terminates without success. With the 0 of the paper, leaving the sea at once
            has the greater return from most starts.
        call_steps: time limit of a call.
        policy: of the subtasks, see `GaussianCfg`.
    """

    RENAMED: ClassVar[dict[str, str]] = {"trace": "", "cells": "root_tiles"}

    max_iterations: int = bounded(450, 1)
    horizon: int = bounded(32, 1, 10_000)
    root_tiles: list[int] = bounded([20, 20, 1, 1], 1, 1000)
    learning_rate: float = bounded(0.1, 0.0, 1.0)
    lam: float = bounded(0.9, 0.0, 1.0)
    gamma: float = bounded(1.0, 0.0, 1.0)
    epsilon: float = bounded(1.0, 0.0, 1.0)
    epsilon_decay: float = bounded(1.01, 1.0)
    epsilon_from: float = bounded(0.9, 0.0, 1.0)
    epsilon_end: float = bounded(0.01, 0.0, 1.0)
    goal_reward: float = 100.0
    failure_reward: float = -500.0
    call_steps: int = bounded(200, 1)
    policy: GaussianCfg = field(default_factory=lambda: GaussianCfg(learning_rate=1.5, decay_iterations=80))


class Acted(NamedTuple):
    """What `act` knows of a step: kinds `(N,)` and views `(N, F)` of the subtasks, tiles, and noise `(N,)`."""

    kind: Tensor
    view: Tensor
    tiles: Tensor
    noise: Tensor


class Hybrid(Stateful):
    """The root learns which subtask to call in each cell, the subtasks, by kind, learn to steer.

    The root learns from the environment's reward alone; internal rewards stay within the subtasks.

    Attributes:
        q: `(K * T,)` values of calls in the K cells.
        task: `(N,)` subtask of the open call.
        entry: `(N, F)` state in which it was called.
        q_entry: `(N,)` entry of `q` of the open call.
        steps: `(N,)` steps since then.
        call_reward: `(N,)` sum of rewards since then.
        ended: `(N,)` bool, the call ended with the last step.
        calls: `(N,)` calls of the present episode.

    Args:
        env: the environment.
        cfg: see `HybridCfg`.
    """

    WEIGHTS: ClassVar = ("actor", "q", "epsilon")
    STATE: ClassVar = ("task", "entry", "q_entry", "steps", "call_reward", "ended", "calls", "traces")

    def __init__(self, env: Env, cfg: HybridCfg) -> None:
        graph = continuous_graph(env, "hybrid")
        n, device = env.num_envs, env.device
        self.cfg, self.frames = cfg, SubtaskFrames(graph, device)
        self.grid = TileCoder(graph.root.extent, cfg.root_tiles, 1, graph.root.wraps, device)
        self.coder = TileCoder(self.frames.extent, cfg.policy.tiles, cfg.policy.tilings, self.frames.wraps, device)
        self.actor = GaussianTiles(self.coder.size * len(self.frames.kinds), action_extent(env), cfg.policy, device)
        self._contract = state_contract(env)
        self._middle = torch.tensor(graph.root.extent).mean(-1).unsqueeze(0)
        self.num_tasks = len(self.frames.subtasks)
        self.q = torch.zeros(self.grid.size * self.num_tasks, device=device)
        self.epsilon = torch.full((), cfg.epsilon, device=device)
        self.traces = Traces(n, TRACE_LENGTH, device)
        self.task, self.steps, self.q_entry, self.calls = (
            torch.zeros(n, dtype=torch.long, device=device) for _ in range(4)
        )
        self.entry = torch.zeros(n, len(graph.root.extent), device=device)
        self.call_reward = torch.zeros(n, device=device)
        self.ended = torch.ones(n, dtype=torch.bool, device=device)
        self._counts = torch.zeros(3, device=device)  # episodes, finished calls and successful calls of this iteration

    def tiles(self, kind: Tensor, view: Tensor) -> Tensor:
        """Tiles `(n, tilings)` of views `(n, F)`; every kind `(n,)` has tiles of its own."""
        return self.coder(view) + (kind * self.coder.size).unsqueeze(-1)

    def cell(self, state: Tensor) -> Tensor:
        """Cells `(n,)` of the root's grid at states `(n, F)`; beyond the edge, the cell at the edge."""
        return self.grid(state).squeeze(-1)

    def call_values(self, state: Tensor) -> Tensor:
        """Values `(n, T)` of calling each subtask at states `(n, F)`."""
        return self.q.view(-1, self.num_tasks)[self.cell(state)]

    def act(self, state: Tensor, generator: torch.Generator) -> tuple[Tensor, Acted]:
        """See `ContinuousAlgorithm.act`."""
        self._call(state, generator)
        kind = self.frames.kind[self.task]
        view = self.frames(self.task, self.entry, state)
        tiles = self.tiles(kind, view)
        action, noise = self.actor.sample(tiles, generator)
        return action.unsqueeze(-1), Acted(kind, view, tiles, noise)

    def _call(self, state: Tensor, generator: torch.Generator) -> None:
        """Call a subtask, epsilon-greedily, in the environments whose last call has ended."""
        uniform = torch.rand(2, len(state), generator=generator, device=state.device)
        best = self.call_values(state).argmax(-1)
        random = (uniform[1] * self.num_tasks).long().clamp_max(self.num_tasks - 1)
        task = torch.where(uniform[0] < self.epsilon, random, best)
        q_entry = self.cell(state) * self.num_tasks + task
        # Watkins's Q(lambda): a call that is not greedy cuts the traces of the earlier ones
        self.traces.add(self.ended, q_entry, self.cfg.gamma * self.cfg.lam * (task == best))
        self.task = torch.where(self.ended, task, self.task)
        self.q_entry = torch.where(self.ended, q_entry, self.q_entry)
        self.entry = torch.where(self.ended.unsqueeze(-1), state, self.entry)
        self.call_reward, self.steps = (
            self.call_reward.masked_fill(self.ended, 0.0),
            self.steps.masked_fill(self.ended, 0),
        )
        self.calls = self.calls + self.ended

    def observe(self, acted: Acted, next_state: Tensor, result: StepResult, statistics: EpisodeStatistics) -> None:
        """See `ContinuousAlgorithm.observe`."""
        cfg, kind = self.cfg, acted.kind
        next_view = self.frames(self.task, self.entry, next_state)
        subtask_done, succeeded = self.frames.ends(kind, next_view)
        self.steps = self.steps + 1
        self.ended = subtask_done | result.done | (self.steps >= cfg.call_steps)
        step = Step(
            tiles=acted.tiles,
            next_tiles=self.tiles(kind, next_view),
            noise=acted.noise,
            reward=result.terms["step"] + self.frames.internal_reward(kind, acted.view, next_view),
            done=self.ended,
            final=subtask_done | result.terminated,
        )
        self.actor.steps.append(step)
        self.call_reward = self.call_reward + result.reward
        self.call_reward = self.call_reward + outcome_reward(result, cfg.goal_reward, cfg.failure_reward)
        self._learn_calls(next_state, result.terminated)
        self._count(kind, subtask_done & ~result.done, succeeded, result, statistics)
        self.traces.clear(result.done)
        self.calls = self.calls.masked_fill(result.done, 0)

    def _learn_calls(self, next_state: Tensor, terminated: Tensor) -> None:
        """Q(lambda) update in the environments whose call has ended."""
        value = self.call_values(next_state).amax(-1)
        error = self.call_reward + self.cfg.gamma * value.masked_fill(terminated, 0.0) - self.q[self.q_entry]
        entry, weight = self.traces.entry, self.traces.weight * self.ended.unsqueeze(-1)
        target = self.q[entry] + error.unsqueeze(-1)
        self.q = mean_step(self.q, entry.flatten(), target.flatten(), weight.flatten(), self.cfg.learning_rate)

    def _count(
        self, kind: Tensor, finished: Tensor, succeeded: Tensor, result: StepResult, statistics: EpisodeStatistics
    ) -> None:
        """Count calls and their success; `finished (N,)` leaves out calls that the end of the episode cut off."""
        for number, name in enumerate(self.frames.kinds):
            statistics.count(f"subtask/{name}", succeeded.float(), finished & (kind == number))
        statistics.count("subtask/steps", self.steps.float(), self.ended)
        statistics.count("episode/calls", self.calls.float(), result.done)
        statistics.count("episode/steps_to_goal", statistics.finished_lengths, result.metrics["success_rate"] > 0)
        self._counts = self._counts + torch.stack((result.done.sum(), finished.sum(), (finished & succeeded).sum()))

    def learn(self, iteration: int) -> dict[str, float]:
        """See `ContinuousAlgorithm.learn`."""
        episodes, finished, succeeded = self._counts.unbind()
        decays = succeeded >= self.cfg.epsilon_from * finished.clamp_min(1.0)
        lower = (self.epsilon * self.cfg.epsilon_decay ** (-episodes / 50.0)).clamp_min(self.cfg.epsilon_end)
        self.epsilon = torch.where(decays, lower, self.epsilon)
        self._counts = torch.zeros_like(self._counts)
        return self.actor.learn(iteration) | {"policy/epsilon": float(self.epsilon)}

    def policy(self, env: Env) -> Policy:
        """See `ContinuousAlgorithm.policy`."""
        return HybridPolicy(env, self)

    def exports(self) -> list[Exported]:
        """See `ContinuousAlgorithm.exports`: the root's networks, and one per kind of subtask."""
        size, extent = self.coder.size, self.actor.extent
        contract = self._contract | {"call_steps": self.cfg.call_steps, "use": USE}
        root = CellScores(self.grid, self.q.view(-1, self.num_tasks)).cpu()
        exported = call_exports(self.frames, root, (self._middle, self.coder.middle().cpu()), contract)
        for number, kind in enumerate(self.frames.kinds):
            module = TiledMean(self.coder, self.actor.mean[number * size : (number + 1) * size], extent).cpu()
            exported.append(action_export(kind, module, "view", contract))
        return exported


class HybridPolicy:
    """The greedy call in each cell and the mean action of the called subtask.

    Attributes:
        task: `(N,)` subtask of the open call.
        entry: `(N, F)` state in which it was called.
        steps: `(N,)` steps since then.
        calls: `(N,)` calls of the present episode.
    """

    def __init__(self, env: Env, hybrid: Hybrid) -> None:
        self.env: Any = env
        self._hybrid = hybrid
        self.task = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
        self.steps, self.calls = torch.zeros_like(self.task), torch.zeros_like(self.task)
        self.entry = self.env.state.clone()
        self._new_episode = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        hybrid, frames, state = self._hybrid, self._hybrid.frames, self.env.state
        done, _ = frames.ends(frames.kind[self.task], frames(self.task, self.entry, state))
        new_call = done | self._new_episode | (self.steps >= hybrid.cfg.call_steps)
        best = hybrid.call_values(state).argmax(-1)
        self.task = torch.where(new_call, best, self.task)
        self.entry = torch.where(new_call.unsqueeze(-1), state, self.entry)
        self.calls = self.calls.masked_fill(self._new_episode, 0) + new_call
        self.steps = self.steps.masked_fill(new_call, 0) + 1
        self._new_episode = torch.zeros_like(self._new_episode)
        tiles = hybrid.tiles(frames.kind[self.task], frames(self.task, self.entry, state))
        return hybrid.actor.mean_action(tiles).unsqueeze(-1)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._new_episode = self._new_episode | mask
