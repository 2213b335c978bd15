"""Connected gradient: the worker's success in the manager's loss (HRL-CG, Kreidieh et al. 2020).

The loss differentiates the worker's reward and value with respect to the goal. The worker is any pair of functions, an
actor (deterministic or reparametrised) and a critic.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from isaachrl.learn.goals.config import Connection, GoalsCfg
from isaachrl.learn.goals.experience.replay import SegmentReplay
from isaachrl.learn.goals.goals import Actor, goal_transition, worker_reward
from isaachrl.learn.goals.levels import Levels

Critic = Callable[[Tensor, Tensor, Tensor], Tensor]
Reward = Callable[[Tensor, Tensor, Tensor], Tensor]

INITIAL_LOG_WEIGHT = -4.20  # a multiplier of about 0.015
WAIT_UPDATES = 1000


def worker_success(
    mode: Connection,
    goal: Tensor,
    state: Tensor,
    next_state: Tensor,
    actor: Actor,
    critic: Critic,
    reward: Reward,
) -> Tensor:
    """The worker's reward plus value `(B,)` at one replayed step of each segment.

    Args:
        mode: see `Connection`; not `none`.
        goal: `(B, d)` at that step.
        state, next_state: `(B, S)` of that step.
        actor: the worker, `(state, goal) -> action`.
        critic: its value, `(state, goal, action) -> (B,)`.
        reward: its reward, `(state, goal, next_state) -> (B,)`.
    """
    if mode is Connection.total:
        return critic(state, goal, actor(state, goal))
    # Eq. 14 differentiates the critic through the action alone
    return reward(state, goal, next_state) + critic(state, goal.detach(), actor(state, goal))


def connected_gradient_loss(goal: Tensor, success: Callable[[Tensor], Tensor]) -> Tensor:
    """Minus the worker's success `(B,)` under goals `(B, d)`: a loss whose gradient reaches the goals alone.

    The gradient of `success`, a function of the goals, is computed on detached ones and attached to the given ones, so
    that no parameter of the worker can receive any.
    """
    with torch.enable_grad():
        leaf = goal.detach().requires_grad_(True)
        value = success(leaf)
        (slope,) = torch.autograd.grad(value.sum(), leaf)
    return -(value.detach() + ((goal - leaf.detach()) * slope).sum(-1))


class Multiplier(nn.Module):
    """Lagrange multiplier of the constraint that the worker's success is at least `target`.

    It falls while the worker does better than the target and grows while it does worse.

    Args:
        target: of the worker's reward plus value.
        learning_rate: of Adam on its logarithm.
        wait: number of first manager updates during which it stays constant.
    """

    def __init__(self, target: float, learning_rate: float, wait: int = WAIT_UPDATES) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.tensor(INITIAL_LOG_WEIGHT))
        self.target, self.wait, self.updates = target, wait, 0
        self.optimizer = torch.optim.Adam([self.log_weight], lr=learning_rate)

    @property
    def weight(self) -> Tensor:
        """The multiplier, a detached scalar."""
        return self.log_weight.detach().exp()

    def update(self, success: Tensor) -> None:
        """One step, by the mean success (a scalar) of the manager's current goals; called once every manager update."""
        self.updates += 1
        if self.updates <= self.wait:
            return
        self.optimizer.zero_grad()
        with torch.enable_grad():
            (self.log_weight.exp() * (success.detach() - self.target)).backward()
        self.optimizer.step()


class WorkerSteps:
    """One uniformly drawn worker step of each segment in a batch of the manager, and the worker's success there.

    Args:
        cfg: of the learner.
        levels: the networks.
        replay: the manager's segments.
        rows: `(B,)` segments.
        generator: of the draws.
    """

    def __init__(
        self, cfg: GoalsCfg, levels: Levels, replay: SegmentReplay, rows: Tensor, generator: torch.Generator
    ) -> None:
        self._cfg, self._levels, self._generator = cfg, levels, generator
        (length,) = replay.take(rows, "length")
        share = torch.rand(length.shape, generator=generator, device=rows.device)
        step = torch.minimum((share * length).long(), (length - 1).clamp_min(0))
        self._first = replay.steps_at("states", rows, torch.zeros_like(step))
        self._state, self._next_state = (replay.steps_at("states", rows, step + more) for more in (0, 1))

    def success(self, unit_goal: Tensor) -> Tensor:
        """The worker's success `(B,)` under the manager's actions `(B, d)`."""
        return self._success(self._goal(unit_goal))

    def loss(self, unit_goal: Tensor) -> Tensor:
        """The connected loss `(B,)` of the manager's actions `(B, d)`."""
        return connected_gradient_loss(self._goal(unit_goal), self._success)

    def _goal(self, unit_goal: Tensor) -> Tensor:
        return goal_transition(self._first, unit_goal * self._levels.goal_limits, self._state)

    def _success(self, goal: Tensor) -> Tensor:
        functions = (self._act, self._levels.worker_value, self._reward)
        return worker_success(self._cfg.connection.mode, goal, self._state, self._next_state, *functions)

    def _act(self, state: Tensor, goal: Tensor) -> Tensor:
        return self._levels.sample_action(0, state, goal, self._generator)

    def _reward(self, state: Tensor, goal: Tensor, next_state: Tensor) -> Tensor:
        cfg = self._cfg
        reward = worker_reward(cfg.worker_reward, state, goal, next_state, cfg.most_progress)
        return cfg.worker.reward_scale * reward
