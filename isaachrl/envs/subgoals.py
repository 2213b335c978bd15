"""Subgoals that a task declares for a two-level learner."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Achieved = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Subgoals:
    """K subgoals.

    Args:
        names: of the subgoals.
        achieved: states `(n, F)` and numbers of subgoals `(n,)` -> `(n,)` bool, the subgoal is achieved.
    """

    names: tuple[str, ...]
    achieved: Achieved
