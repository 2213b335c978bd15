"""The deterministic controller of all levels, for evaluation and play."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.envs import Env, Obs
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import context_of, goal_task
from isaachrl.learn.goals.levels import Levels


class GoalPolicy:
    """Sets goals at the start of each period and acts towards the lowest; environments have phases of their own.

    Args:
        env: where it acts.
        cfg: of the learner.
        levels: the networks.
        show_goal: move the task's marker to the lowest goal.
    """

    def __init__(self, env: Env, cfg: GoalsCfg, levels: Levels, show_goal: bool = True) -> None:
        self.levels, self.periods = levels, cfg.periods
        self._show: Any = getattr(goal_task(env), "show_goal", None) if show_goal and not levels.flat else None
        # state plus goal of each manager, which is constant between two goals
        self._points = [torch.zeros(env.num_envs, cfg.goal_size, device=env.device) for _ in cfg.periods]
        self._age = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)

    @torch.no_grad()
    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        state, goal_or_context = obs["state"], context_of(obs)
        here = state[:, : len(self.levels.goal_limits)]
        for number in reversed(range(len(self.periods))):
            goal = self.levels.ema_action(number + 1, state, goal_or_context) * self.levels.goal_limits
            due = (self._age % self.periods[number] == 0).unsqueeze(1)
            self._points[number] = torch.where(due, goal + here, self._points[number])
            goal_or_context = self._points[number] - here
        self._age = self._age + 1
        if self._show is not None:
            self._show(self._points[0][:, :3])
        return self.levels.ema_action(0, state, goal_or_context)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._age = self._age.masked_fill(mask, 0)
