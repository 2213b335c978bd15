"""MAXQ-Q (Dietterich 2000), and Q-learning without a hierarchy."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.tabular.algorithm import epsilon_greedy, mean_step, one_hot_best
from isaachrl.learn.task_graph.tabular.config import ValueCfg
from isaachrl.learn.task_graph.tabular.stack import Tick
from isaachrl.learn.task_graph.tabular.tables import GraphTables


class Maxq(Stateful):
    """MAXQ-Q: Q(i, s, a) = V(a, s) + C(i, s, a), the value of the child plus the completion function.

    V(a, s) is what the call of child a collects, C(i, s, a) what subtask i collects after it. C~ includes the internal
    rewards of i; a subtask chooses by V + C~, and V(i, s) is the value without internal rewards of the child chosen so.
    V of a primitive action is a running mean of its reward.

    Attributes:
        completion, inner_completion: `(rows * C,)` C and C~.
        primitive: `(S * A,)` V of the primitive actions.
        child_value: `(G, S, C)` V + C~.
        value: `(G, S)` V of the subtasks.

    Args:
        tables: the task graph.
        cfg: see `ValueCfg`.
    """

    WEIGHTS: ClassVar = ("completion", "inner_completion", "primitive")

    def __init__(self, tables: GraphTables, cfg: ValueCfg) -> None:
        self.tables, self.cfg = tables, cfg
        device, count = tables.device, tables.num_subtasks
        self.completion = torch.full((tables.rows * tables.width,), cfg.initial, device=device)
        self.inner_completion = self.completion.clone()
        self.primitive = torch.zeros(tables.mdp.next_state.numel(), device=device)
        self.row = torch.arange(count * tables.num_states, device=device).view(count, -1)
        self._internal = any(subtask.internal_reward is not None for subtask in tables.graph.subtasks)
        self._order = [tables.graph.subtasks.index(subtask) for subtask in tables.graph.bottom_up()]
        self._compute_values()

    def _compute_values(self) -> None:
        """Evaluate the decomposition bottom-up for all states."""
        tables = self.tables
        states, width = tables.num_states, tables.width
        nodes = torch.zeros(tables.num_subtasks + len(tables.graph.actions), states, device=tables.device)
        nodes[tables.num_subtasks :] = self.primitive.view(states, -1).T
        self.child_value = torch.zeros(tables.num_subtasks, states, width, device=tables.device)
        for g in self._order:
            child = nodes[tables.child[g].clamp_min(0)].T
            inner = child + self.inner_completion.view(-1, width)[tables.row[g]]
            self.child_value[g] = inner
            best = inner.masked_fill(~tables.allowed[g], -torch.inf).argmax(-1, keepdim=True)
            value = child + self.completion.view(-1, width)[tables.row[g]] if self._internal else inner
            nodes[g] = value.gather(1, best).squeeze(1)
        self.value = nodes[: tables.num_subtasks]

    def probabilities(self, iteration: int) -> Tensor:
        """See `TabularAlgorithm.probabilities`."""
        values, allowed = self.child_value.flatten(0, 1), self.tables.allowed.flatten(0, 1)
        epsilon = torch.tensor([self.cfg.epsilon_at(level, iteration) for level in self.tables.level])
        epsilon = epsilon.to(values.device).repeat_interleave(self.tables.num_states)
        return epsilon_greedy(values, allowed, epsilon.unsqueeze(-1))

    def best(self) -> Tensor:
        """See `TabularAlgorithm.best`."""
        return one_hot_best(self.child_value.flatten(0, 1), self.tables.allowed.flatten(0, 1))

    def learn(self, ticks: Tick, iteration: int) -> dict[str, float]:
        """See `TabularAlgorithm.learn`."""
        tables, rate = self.tables, self.cfg.learning_rate
        next_state = ticks.next_state.unsqueeze(1).expand_as(ticks.task)
        state = ticks.state.unsqueeze(1).expand_as(ticks.task)
        entry = (tables.row[ticks.task, state] * tables.width + ticks.child).flatten()
        # nothing is collected after the subtask's own end; after a time limit it would have gone on
        final = tables.done[ticks.task, next_state] | ticks.terminated.unsqueeze(1)
        target, weight = self._completion_targets(ticks, self.value[ticks.task, next_state].masked_fill(final, 0.0))
        old = self.completion
        self.completion = mean_step(old, entry, target.flatten(), weight.flatten(), rate)
        if self._internal:
            allowed = tables.allowed[ticks.task, next_state]
            future = self.child_value[ticks.task, next_state].masked_fill(~allowed, -torch.inf).amax(-1)
            internal = ticks.return_so_far - ticks.return_before - ticks.reward
            target, _ = self._completion_targets(ticks, internal + future.masked_fill(final, 0.0))
            self.inner_completion = mean_step(self.inner_completion, entry, target.flatten(), weight.flatten(), rate)
        else:
            self.inner_completion = self.completion
        taken, reward = (ticks.state * len(tables.graph.actions) + ticks.action).flatten(), ticks.step_reward.flatten()
        self.primitive = mean_step(self.primitive, taken, reward, torch.ones_like(reward), rate)
        self._compute_values()
        return value_signals(self.value[0, tables.mdp.starts], self.completion - old, self.cfg.epsilon_at(0, iteration))

    def _completion_targets(self, ticks: Tick, future: Tensor) -> tuple[Tensor, Tensor]:
        """Targets of the completion function for every state that a call passed through.

        A child acts in the same way wherever it is called, so every state on its way is a sample of a call from there
        (Dietterich 2000, Table 4: the sequence of visited states is returned to the caller). States before the first
        tick of the rollout are left out.

        Args:
            ticks: a rollout of T ticks.
            future: `(T, D, N)` value after the child's return at each tick.

        Returns:
            Targets `(T, D, N)`: the value after the child's next return, discounted to each tick; and their weight, 1
            where the child returned within the rollout and before a time limit, else 0.
        """
        returned, cut_off = ticks.returned, self._cut_off(ticks)
        target, weight = torch.zeros_like(future), torch.zeros_like(future)
        discounted, known = target[0], torch.zeros_like(returned[0])
        for t in range(len(future) - 1, -1, -1):
            discounted = self.cfg.gamma * torch.where(returned[t], future[t], discounted)
            known = torch.where(returned[t], ~cut_off[t], known)
            target[t], weight[t] = discounted, known
            known = known & ~ticks.decided[t]  # the ticks before belong to another call
        return target, weight

    def _cut_off(self, ticks: Tick) -> Tensor:
        """`(T, D, N)` bool: the level's child returned only because of a time limit."""
        next_state = ticks.next_state.unsqueeze(1).expand_as(ticks.task)
        done = self.tables.done[ticks.task, next_state] | ticks.terminated.unsqueeze(1)
        return torch.cat((ticks.ended[:, 1:] & ~done[:, 1:], torch.zeros_like(done[:, :1])), dim=1)

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Stateful.load_weights`."""
        super().load_weights(state)
        self._compute_values()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Stateful.load_state_dict`: there is no state but the weights."""
        self.load_weights(state)


class FlatQ(Stateful):
    """Tabular Q-learning on the primitive actions; the task graph is a root alone.

    Args:
        tables: of the flat graph.
        cfg: see `ValueCfg`.
    """

    WEIGHTS: ClassVar = ("q",)

    def __init__(self, tables: GraphTables, cfg: ValueCfg) -> None:
        self.tables, self.cfg, self.row = tables, cfg, tables.row
        self.q = torch.full((tables.rows, tables.width), cfg.initial, device=tables.device)

    def probabilities(self, iteration: int) -> Tensor:
        """See `TabularAlgorithm.probabilities`."""
        return epsilon_greedy(self.q, self.tables.row_allowed, self.cfg.epsilon_at(0, iteration))

    def best(self) -> Tensor:
        """See `TabularAlgorithm.best`."""
        return one_hot_best(self.q, self.tables.row_allowed)

    def learn(self, ticks: Tick, iteration: int) -> dict[str, float]:
        """See `TabularAlgorithm.learn`."""
        future = torch.where(ticks.terminated, 0.0, self.q.amax(-1)[ticks.next_state])
        target = (ticks.step_reward + self.cfg.gamma * future).flatten()
        entry = (ticks.state * self.tables.width + ticks.action).flatten()
        old = self.q
        self.q = mean_step(old.flatten(), entry, target, torch.ones_like(target), self.cfg.learning_rate).view_as(old)
        starts = self.q.amax(-1)[self.tables.mdp.starts]
        return value_signals(starts, self.q - old, self.cfg.epsilon_at(0, iteration))


def value_signals(starts: Tensor, change: Tensor, epsilon: float) -> dict[str, float]:
    """Signals of an update: mean value of the start states, mean change of the table, and the exploration."""
    return {
        "value/starts": float(starts.mean()),
        "value/change": float(change.abs().mean()),
        "policy/epsilon": epsilon,
    }
