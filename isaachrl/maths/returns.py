"""Returns and advantages."""

import torch
from torch import Tensor


def generalized_advantages(
    reward: Tensor, value: Tensor, next_value: Tensor, done: Tensor, discount: float, lam: float
) -> Tensor:
    """Generalised advantage estimates `(T, N)` (Schulman et al. 2016, Eq. 16).

    Args:
        reward: `(T, N)`.
        value: `(T, N)` value of the state each action was taken in.
        next_value: `(T, N)` value of the state it led to, *in the same episode*: zero where the episode
            terminated, the value of the last observation where it was truncated.
        done: `(T, N)` bool, the episode ended for either reason: no later error is carried back over it.
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
