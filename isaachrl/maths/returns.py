"""Returns and advantages."""

import torch
from torch import Tensor


def generalized_advantages(
    reward: Tensor, value: Tensor, next_value: Tensor, done: Tensor, discount: float, lam: float
) -> Tensor:
    """Generalised advantage estimates `(T, N)` (Schulman et al. 2016, Eq. 16).

    Args:
        reward: `(T, N)`.
        value: `(T, N)` values of the states in which the actions were taken.
        next_value: `(T, N)` values of the next states *of the same episode*: zero where it terminated, the value of the
            last observation where it was truncated.
        done: `(T, N)` bool, the episode terminated or was truncated: the sum stops there.
        discount: gamma.
        lam: lambda.
    """
    delta = reward + discount * next_value - value
    carry = discount * lam * (~done).to(reward.dtype)
    advantage = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        running = delta[t] + carry[t] * running
        advantage[t] = running
    return advantage


def semi_markov_advantages(
    reward: Tensor, discount: Tensor, value: Tensor, next_value: Tensor, ended: Tensor, done: Tensor, lam: float
) -> Tensor:
    """Generalised advantages `(T, N)` of options in a semi-MDP (Sutton, Precup and Singh 1999).

    The advantage of an option is at its last step; other steps have 0.

    Args:
        reward: `(T, N)` sum of gamma^i r_i over the option's k steps.
        discount: `(T, N)` gamma^k.
        value: `(T, N)` value of the state in which the option began.
        next_value: `(T, N)` value of the state in which it ended, in the same episode: zero where it terminated.
        ended: `(T, N)` bool, an option ended here.
        done: `(T, N)` bool, and the episode with it.
        lam: lambda.
    """
    delta = torch.where(ended, reward + discount * next_value - value, 0.0)
    carry = discount * lam * (~done).to(reward.dtype)
    advantage = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        running = torch.where(ended[t], delta[t] + carry[t] * running, running)
        advantage[t] = torch.where(ended[t], running, 0.0)
    return advantage


def known_returns(ended: Tensor, final: Tensor) -> Tensor:
    """`(T, N)` bool: the full return of a step is known, because its sequence reaches a final step in the rollout.

    Args:
        ended: `(T, N)` bool, the sequence ends after this step.
        final: `(T, N)` bool, and the value of what follows is zero.
    """
    known = torch.empty_like(ended)
    running = torch.zeros_like(ended[0])
    for t in range(len(ended) - 1, -1, -1):
        running = torch.where(ended[t], final[t], running)
        known[t] = running
    return known
