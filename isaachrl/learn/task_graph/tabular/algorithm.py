"""The interface of the tabular algorithms on a task graph, and the functions on tables that they share."""

from typing import Protocol

import torch
from torch import Tensor

from isaachrl.learn.task_graph.tabular.stack import Tick


class TabularAlgorithm(Protocol):
    """Tables of parameters: a stochastic policy for each subtask, and an update from one rollout.

    The parameters are constant during a rollout. Implementations are `Stateful`.

    Attributes:
        row: `(G, S)` row of the policy's table for each subtask and state.
    """

    row: Tensor

    def probabilities(self, iteration: int) -> Tensor:
        """Training policy: probability of each child `(rows, C)`."""
        ...

    def best(self) -> Tensor:
        """Greedy policy `(rows, C)`, one-hot."""
        ...

    def learn(self, ticks: Tick, iteration: int) -> dict[str, float]:
        """Update from a rollout, whose tensors have the time as first axis; returns signals by name."""
        ...


def one_hot_best(values: Tensor, allowed: Tensor) -> Tensor:
    """One-hot `(n, C)` of the greatest allowed value in each row `(n, C)`; the first one of several equal ones."""
    best = values.masked_fill(~allowed, -torch.inf).argmax(-1)
    return torch.nn.functional.one_hot(best, values.shape[-1]).float()


def epsilon_greedy(values: Tensor, allowed: Tensor, epsilon: Tensor | float) -> Tensor:
    """Epsilon-greedy probabilities `(n, C)` over the allowed entries.

    Args:
        values: `(n, C)`.
        allowed: `(n, C)` bool.
        epsilon: one number, or `(n, 1)`.
    """
    uniform = allowed.float() / allowed.sum(-1, keepdim=True)
    return (1.0 - epsilon) * one_hot_best(values, allowed) + epsilon * uniform


def mean_step(table: Tensor, index: Tensor, targets: Tensor, weight: Tensor, rate: float) -> Tensor:
    """`table` after a batch of updates: an entry with n targets moves as n steps towards their mean would move it.

    Args:
        table: `(K,)`.
        index: `(M,)` long, entry of each target.
        targets: `(M,)`.
        weight: `(M,)` weight of each target; 0 leaves it out, and a fraction is that part of a step.
        rate: step size of a single update.
    """
    count = torch.zeros_like(table).index_add(0, index, weight)
    total = torch.zeros_like(table).index_add(0, index, targets * weight)
    share = 1.0 - (1.0 - rate) ** count
    return table + share * (total / count.clamp_min(1e-9) - table)
