"""The levels' networks and what they mean: goals in the state's units out of managers, actions out of the worker."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.envs import Env
from isaachrl.learn.goals.actor_critic import ActorCritic
from isaachrl.learn.goals.algorithms import make_level
from isaachrl.learn.goals.config import GoalsCfg, Inputs
from isaachrl.learn.goals.contract import Views, goal_task
from isaachrl.learn.goals.goals import check_goal_size
from isaachrl.nn import Rounding


class Levels:
    """The worker, and its managers one above the other.

    A level's *wish* is what it is asked for: a goal from the level above; on top, the target of the task.

    Args:
        env: what they act in.
        cfg: of the learner.
        generator: of the noise in updates.

    Attributes:
        limits: `(d,)` half ranges of the goal; an absolute goal lies so far around the origin.
        all: from the worker up.
        names: of them: `worker`, `middle_1` and so on, `manager`.
    """

    def __init__(self, env: Env, cfg: GoalsCfg, generator: torch.Generator) -> None:
        task = goal_task(env)
        check_goal_size(cfg.goal_size, len(task.goal_limits))
        self.cfg, self.env = cfg, env
        self.limits = task.goal_limits[: cfg.goal_size].clone()
        self.action_limits = task.action_limits.to(env.device)
        self.views = Views(env, cfg.inputs, cfg.hide_position, self.limits, cfg.absolute_goals)
        rounding, raw = Rounding(cfg.precision, env.device), cfg.inputs is Inputs.raw
        self.all: list[ActorCritic] = []
        for number, level in enumerate(cfg.level_cfgs()):
            size = self.views.worker_size if number < len(cfg.periods) else self.views.flat_size
            limits = self.limits if number > 0 else self.action_limits
            self.all.append(make_level(size, limits, raw, level, rounding, generator))
        self.worker, self.manager = self.all[0], self.all[-1]
        self.names = ["worker", *(f"middle_{i}" for i in range(1, len(self.all) - 1)), "manager"]

    def features(self, number: int, state: Tensor, wish: Tensor) -> Tensor:
        """What level `number`, counted from the worker up, sees `(…, F)` of a state and its wish."""
        if number == len(self.all) - 1:
            return self.views.manager(state, wish)
        return self.views.middle(state, wish) if number > 0 else self.views.worker(state, wish)

    def choose(self, number: int, state: Tensor, wish: Tensor) -> Tensor:
        """A level's action in [-1, 1] for its wish, without noise: `(…, A)` of the worker, `(…, d)` of managers."""
        return self.all[number].actor(self.features(number, state, wish))

    def choose_in_earnest(self, number: int, state: Tensor, wish: Tensor) -> Tensor:
        """The same by the level's averaged actor: what is checked, played and evaluated."""
        return self.all[number].averaged(self.features(number, state, wish))

    def draw(self, number: int, state: Tensor, wish: Tensor, generator: torch.Generator) -> Tensor:
        """The same as the level takes it in training, less the noise that is added to it."""
        return self.all[number].draw(self.features(number, state, wish), generator)

    def act(self, state: Tensor, goal: Tensor) -> Tensor:
        """The worker's action `(…, A)` in [-1, 1] for a goal `(…, d)`."""
        return self.choose(0, state, goal)

    def value(self, state: Tensor, goal: Tensor, action: Tensor) -> Tensor:
        """The worker's first critic `(…)`."""
        return self.worker.critics.first(self.views.worker(state, goal), action)

    def to_goal(self, proposal: Tensor, state: Tensor) -> Tensor:
        """The goal `(…, d)`, a change from `state (…, S)`, of a manager's action in [-1, 1]."""
        goal = proposal * self.limits
        return goal - state[..., : len(self.limits)] if self.cfg.absolute_goals else goal

    def to_proposal(self, goal: Tensor, state: Tensor) -> Tensor:
        """The inverse of `to_goal`."""
        wanted = goal + state[..., : len(self.limits)] if self.cfg.absolute_goals else goal
        return wanted / self.limits

    def state_dict(self) -> dict[str, Any]:
        """All levels, by name."""
        return {name: level.state_dict() for name, level in zip(self.names, self.all, strict=True)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name, level in zip(self.names, self.all, strict=True):
            level.load_state_dict(state[name])

    def weights(self) -> dict[str, Any]:
        """What `load_weights` needs."""
        return {name: level.weights() for name, level in zip(self.names, self.all, strict=True)}

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take the networks alone."""
        for name, level in zip(self.names, self.all, strict=True):
            level.load_weights(state[name])
