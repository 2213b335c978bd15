"""Managers that are also held to their workers' success: the connected gradient (Kreidieh et al. 2020).

A manager's loss gets a second part that follows the worker's reward and value back to the goal. Workers are known
here as functions alone, so that any off-policy worker serves, deterministic or sampled by reparametrisation.
"""

import math
from collections.abc import Callable
from enum import Enum

import torch
from torch import Tensor, nn

from isaachrl.errors import ConfigError
from isaachrl.learn.goals.goals import Actor, goal_transition, norm

Critic = Callable[[Tensor, Tensor, Tensor], Tensor]
Reward = Callable[[Tensor, Tensor, Tensor], Tensor]

FIRST_LOG_WEIGHT = -4.20  # the multiplier starts at about 0.015
WAIT_UPDATES = 1000


class Connection(Enum):
    """How the worker's success reaches the manager, at one step of each manager's tuple.

    `none`: not at all. `paper`: the reward's derivative at the replayed transition plus the critic's through the
    worker's action (Eq. 14). `total`: the derivative of the critic's value, through the action and directly; for an
    exact critic it equals the discounted sum of the paper's terms over the remaining steps. `hbaselines`: as the
    published code does it, the critic's direct derivative at the replayed action and that of minus the *mean square*.
    """

    none = "none"
    paper = "paper"
    total = "total"
    hbaselines = "hbaselines"


def worker_success(
    mode: Connection,
    goal: Tensor,
    state: Tensor,
    action: Tensor,
    next_state: Tensor,
    actor: Actor,
    critic: Critic,
    reward: Reward,
) -> Tensor:
    """How well the worker does `(B,)` with each goal; for the arguments see `connected_gradient_loss`."""
    if mode is Connection.total:
        return critic(state, goal, actor(state, goal))
    if mode is Connection.paper:
        # the critic's own view of the goal is held still: only the way through the action counts
        return reward(state, goal, next_state) + critic(state, goal.detach(), actor(state, goal))
    square = goal_transition(state, goal, next_state).square().mean(-1)
    return critic(state, goal, action) - square


def connected_gradient_loss(
    mode: Connection,
    goal: Tensor,
    state: Tensor,
    action: Tensor,
    next_state: Tensor,
    actor: Actor,
    critic: Critic,
    reward: Reward,
) -> Tensor:
    """Minus the worker's success, per tuple `(B,)`: a loss whose gradient reaches the manager and nothing else.

    Args:
        mode: see `Connection`; `none` gives zeros.
        goal: `(B, d)` in force at the worker's step, a function of the manager's parameters.
        state, action, next_state: `(B, ·)` of that step as it was replayed.
        actor: the worker, `(state, goal) -> action`.
        critic: the worker's value, `(state, goal, action) -> (B,)`.
        reward: of the worker, `(state, goal, next_state) -> (B,)`.

    The gradient with respect to the goal is worked out apart and then hung on it: so no parameter of the worker
    can receive any, whatever the worker is.
    """
    if mode is Connection.none:
        return torch.zeros_like(goal[:, 0])
    with torch.enable_grad():
        leaf = goal.detach().requires_grad_(True)
        success = worker_success(mode, leaf, state, action, next_state, actor, critic, reward)
        (slope,) = torch.autograd.grad(success.sum(), leaf)
    return -(success.detach() + ((goal - leaf.detach()) * slope).sum(-1))


class Multiplier(nn.Module):
    """The weight of a constraint "the worker's success is at least `target`", learned beside the manager.

    Its loss falls where the weight shrinks while the worker does better than asked, and grows while it does worse.

    Args:
        target: of the worker's reward plus value.
        learning_rate: of its Adam.
        wait: manager updates before it first moves.
    """

    def __init__(self, target: float, learning_rate: float, wait: int = WAIT_UPDATES) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.tensor(FIRST_LOG_WEIGHT))
        self.target, self.wait, self.updates = target, wait, 0
        self.optimizer = torch.optim.Adam([self.log_weight], lr=learning_rate)

    @property
    def weight(self) -> Tensor:
        """The present weight, a scalar without gradient."""
        return self.log_weight.detach().exp()

    def update(self, success: Tensor) -> None:
        """Move by the mean success, a scalar, of the manager's present goals; called once every manager update."""
        self.updates += 1
        if self.updates <= self.wait:
            return
        self.optimizer.zero_grad()
        with torch.enable_grad():
            (self.log_weight.exp() * (success.detach() - self.target)).backward()
        self.optimizer.step()


def check_weight(mode: Connection, weight: float) -> None:
    """Refuse weights that turn cooperation into its contrary.

    Raises:
        ConfigError: the weight is negative or not finite.
    """
    if not (math.isfinite(weight) and weight >= 0):
        raise ConfigError(f"train.connection.weight={weight} with mode={mode.value}: expected 0 or more, such as 0.01")


def negative_distance(state: Tensor, goal: Tensor, next_state: Tensor) -> Tensor:
    """The published worker reward `(B,)` as a function of the goal."""
    return -norm(goal_transition(state, goal, next_state))
