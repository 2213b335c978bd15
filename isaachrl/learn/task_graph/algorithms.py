"""What the algorithms on task graphs have in common: from what happened on the call stacks to better tables.

Each holds its parameters as tables, says with which probability a subtask calls which child, and learns from the
ticks of one iteration, during which its parameters stand still.
"""

from typing import Any, Protocol

import torch
from torch import Tensor

from isaachrl.learn.task_graph.stack import Tick


class Algorithm(Protocol):
    """What an algorithm offers its learner.

    Attributes:
        row: `(G, S)` the row of its choices that belongs to a subtask in a state.
    """

    row: Tensor

    def probabilities(self, iteration: int) -> Tensor:
        """With which probability each child is called in training `(rows, C)`."""
        ...

    def best(self) -> Tensor:
        """Position `(rows, C)`, one-hot, of the child that it holds to be the best."""
        ...

    def learn(self, ticks: Tick, iteration: int) -> dict[str, float]:
        """Learn from the ticks of an iteration, each tensor with the time as first axis; signals by name."""
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


def one_hot_best(values: Tensor, allowed: Tensor) -> Tensor:
    """One-hot `(n, C)` of the greatest of the allowed values `(n, C)`, the first of equals."""
    best = values.masked_fill(~allowed, -torch.inf).argmax(-1)
    return torch.nn.functional.one_hot(best, values.shape[-1]).float()


def epsilon_greedy(values: Tensor, allowed: Tensor, epsilon: Tensor | float) -> Tensor:
    """Probabilities `(n, C)`: the best with 1 - epsilon, and epsilon shared evenly by all that are allowed.

    Args:
        values: `(n, C)`.
        allowed: `(n, C)` bool.
        epsilon: one number, or `(n, 1)`.
    """
    even = allowed.float() / allowed.sum(-1, keepdim=True)
    return (1.0 - epsilon) * one_hot_best(values, allowed) + epsilon * even


def mean_step(table: Tensor, where: Tensor, targets: Tensor, weight: Tensor, rate: float) -> Tensor:
    """`table` moved towards targets: an entry hit n times goes as far as n steps towards their mean would take it.

    Args:
        table: `(K,)`.
        where: `(M,)` long, the entries.
        targets: `(M,)`.
        weight: `(M,)` 1 for those that count, 0 for the others, anything between for parts of a step.
        rate: size of one step.
    """
    count = torch.zeros_like(table).index_add(0, where, weight)
    total = torch.zeros_like(table).index_add(0, where, targets * weight)
    far = 1.0 - (1.0 - rate) ** count
    return table + far * (total / count.clamp_min(1e-9) - table)


def like(ours: Tensor, theirs: Tensor, name: str) -> Tensor:
    """A copy of a stored tensor, if it has the size of ours.

    Raises:
        ValueError: it has not.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"{name} has the shape {tuple(theirs.shape)}, and {tuple(ours.shape)} was expected")
    return theirs.to(ours.device, copy=True)
