"""Subgoals that a task offers to a learner of two levels."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Achieved = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Subgoals:
    """K things worth reaching on the way.

    Args:
        names: of the K subgoals.
        achieved: states `(n, F)` and numbers of subgoals `(n,)` -> `(n,)` bool: reached there.
    """

    names: tuple[str, ...]
    achieved: Achieved
