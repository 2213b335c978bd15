"""The two levels' networks and what they mean: goals in the state's units out of a manager, actions out of a worker."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.envs import Env
from isaachrl.learn.goals.algorithms import make_level
from isaachrl.learn.goals.config import GoalsCfg, Inputs
from isaachrl.learn.goals.contract import Views, goal_task
from isaachrl.learn.goals.goals import check_goal_size
from isaachrl.nn import Rounding


class Levels:
    """Manager and worker.

    Args:
        env: what they act in.
        cfg: of the learner.
        generator: of the noise in updates.

    Attributes:
        limits: `(d,)` half ranges of the goal; an absolute goal lies so far around the origin.
    """

    def __init__(self, env: Env, cfg: GoalsCfg, generator: torch.Generator) -> None:
        task = goal_task(env)
        check_goal_size(cfg.goal_size, len(task.goal_limits))
        self.cfg, self.env = cfg, env
        self.limits = task.goal_limits[: cfg.goal_size].clone()
        self.action_limits = task.action_limits.to(env.device)
        rounding = Rounding(cfg.precision, env.device)
        raw = cfg.inputs is Inputs.raw
        self.views = Views(env, cfg.inputs, cfg.hide_position, self.limits, cfg.absolute_goals)
        self.worker = make_level(self.views.worker_size, self.action_limits, raw, cfg.worker, rounding, generator)
        self.manager = make_level(self.views.flat_size, self.limits, raw, cfg.manager, rounding, generator)

    def act(self, state: Tensor, goal: Tensor) -> Tensor:
        """The worker's action `(…, A)` in [-1, 1] for a goal `(…, d)`."""
        return self.worker.actor(self.views.worker(state, goal))

    def draw_action(self, state: Tensor, goal: Tensor, generator: torch.Generator) -> Tensor:
        """An action `(…, A)` as the worker takes it in training, without the noise that is added to it."""
        return self.worker.draw(self.views.worker(state, goal), generator)

    def value(self, state: Tensor, goal: Tensor, action: Tensor) -> Tensor:
        """The worker's first critic `(…)`."""
        return self.worker.critics.first(self.views.worker(state, goal), action)

    def propose(self, state: Tensor, context: Tensor) -> Tensor:
        """The manager's action `(…, d)` in [-1, 1]."""
        return self.manager.actor(self.views.manager(state, context))

    def draw_proposal(self, state: Tensor, context: Tensor, generator: torch.Generator) -> Tensor:
        """An action `(…, d)` as the manager takes it in training, without the noise that is added to it."""
        return self.manager.draw(self.views.manager(state, context), generator)

    def to_goal(self, proposal: Tensor, state: Tensor) -> Tensor:
        """The goal `(…, d)`, a change from `state (…, S)`, of a manager's action in [-1, 1]."""
        goal = proposal * self.limits
        return goal - state[..., : len(self.limits)] if self.cfg.absolute_goals else goal

    def to_proposal(self, goal: Tensor, state: Tensor) -> Tensor:
        """The inverse of `to_goal`."""
        wanted = goal + state[..., : len(self.limits)] if self.cfg.absolute_goals else goal
        return wanted / self.limits

    def state_dict(self) -> dict[str, Any]:
        """Both levels."""
        return {"worker": self.worker.state_dict(), "manager": self.manager.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.worker.load_state_dict(state["worker"])
        self.manager.load_state_dict(state["manager"])

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take the networks alone."""
        self.worker.load_weights(state["worker"])
        self.manager.load_weights(state["manager"])
