"""Learning from what came about instead of what was wished for (Levy et al. 2019, Learning Multi-Level Hierarchies
with Hindsight), as pure functions of tensors.

A manager's transition depends on how good its worker is at present. Three kinds of transitions take that out.
*Hindsight actions* pretend that the manager asked for the state that its worker got to, as if the worker did whatever
it is told. *Hindsight goals* pretend that the worker was asked for a state that it got to later. Goals that are
*tested*, the worker acting without noise, cost the manager a fine where they are missed, so that it stops asking for
what cannot be reached.
"""

import torch
from torch import Tensor

GOALS_PER_STEP = 3  # hindsight goals for each one that was really set, as in the released code


def reached(goal: Tensor, change: Tensor, limits: Tensor, tolerance: float) -> Tensor:
    """`(…)` bool: every entry of the change `(…, d)` is within `tolerance` half ranges `limits (d,)` of the goal's."""
    return ((goal - change).abs() <= tolerance * limits).all(-1)


def hindsight_action(goal: Tensor, change: Tensor, limits: Tensor, tolerance: float) -> Tensor:
    """What a manager is taken to have asked for, `(…, d)`: its goal where that was reached, else the change itself.

    Args:
        goal: `(…, d)` at the beginning of the segment.
        change: `(…, d)` of the state over the segment; kept within the goal's range.
        limits: `(d,)` half ranges of the goal.
        tolerance: see `reached`.
    """
    kept = torch.maximum(torch.minimum(change, limits), -limits)
    return torch.where(reached(goal, change, limits, tolerance).unsqueeze(-1), goal, kept)


def later_step(begin: Tensor, length: Tensor, share: Tensor) -> Tensor:
    """Steps `(B,)` after `begin (B,)` and up to `length (B,)`, even if `share (B,)` is so in [0, 1).

    Where nothing comes after `begin`, it is `length`.
    """
    ahead = (length - begin).clamp_min(0)
    return torch.minimum(begin + 1 + (share * ahead).long(), length)
