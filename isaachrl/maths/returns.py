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


def semi_markov_advantages(
    reward: Tensor, discount: Tensor, value: Tensor, next_value: Tensor, ended: Tensor, done: Tensor, lam: float
) -> Tensor:
    """Advantages `(T, N)` of decisions that last several steps, each noted at the step with which it ended.

    The decision that ended at t collected `reward` and is followed, after a discount of gamma to the number of its
    steps, by the next one of its environment (Sutton, Precup and Singh 1999). Where none ended the result is 0.

    Args:
        reward: `(T, N)` sum of gamma^i r_i over the decision's own steps.
        discount: `(T, N)` gamma^k for its k steps.
        value: `(T, N)` value of the state it was made in.
        next_value: `(T, N)` value of the state it led to, in the same episode: zero where the episode terminated.
        ended: `(T, N)` bool, a decision ended here.
        done: `(T, N)` bool, and the episode with it, for either reason.
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
    """`(T, N)` bool: everything that a step's return consists of is in the record, up to where nothing follows.

    Args:
        ended: `(T, N)` bool, the sequence is cut after the step.
        final: `(T, N)` bool, and nothing that follows is worth anything.
    """
    known = torch.empty_like(ended)
    running = torch.zeros_like(ended[0])
    for t in range(len(ended) - 1, -1, -1):
        running = torch.where(ended[t], final[t], running)
        known[t] = running
    return known
