"""The deterministic two-level controller, for play, evaluation and export."""

from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.envs import Env, Obs
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import context_of, goal_task
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.networks import exact
from isaachrl.learn.learner import Exported


class GoalPolicy:
    """Sets a goal every meta period and acts towards it, each environment in its own phase; shows it as a marker.

    Args:
        env: where it acts.
        cfg: of the learner.
        levels: the networks.
    """

    def __init__(self, env: Env, cfg: GoalsCfg, levels: Levels) -> None:
        self.levels, self.period = levels, cfg.meta_period
        self._show: Any = getattr(goal_task(env), "show_goal", None)
        self._point = torch.zeros(env.num_envs, cfg.goal_size, device=env.device)
        self._left = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)

    @torch.no_grad()
    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        state = obs["state"]
        here = state[:, : self._point.shape[1]]
        fresh = self.levels.to_goal(self.levels.propose(state, context_of(obs)), state) + here
        # state plus goal stays the same point while a goal is in force
        self._point = torch.where((self._left == 0).unsqueeze(1), fresh, self._point)
        self._left = torch.where(self._left == 0, self.period, self._left) - 1
        if self._show is not None:
            self._show(self._point[:, :3])
        return self.levels.act(state, self._point - here)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._left = self._left.masked_fill(mask, 0)


class ManagerNet(nn.Module):
    """State and target to a goal, in the state's units."""

    factor: Tensor
    scale: Tensor

    def __init__(self, levels: Levels) -> None:
        super().__init__()
        self.actor, self.scaled = exact(levels.manager.actor), levels.views.scaled
        self.register_buffer("factor", levels.views.state_factor.cpu().clone())
        self.register_buffer("scale", levels.limits.cpu().clone())

    def forward(self, state: Tensor, context: Tensor) -> Tensor:
        """Goal `(n, d)` of states `(n, S)` and targets `(n, k)`."""
        seen = state * self.factor
        if self.scaled:
            way = context - state[:, : context.shape[1]]
            return self.actor(torch.cat((seen, 0.1 * context, 0.1 * way), dim=1)) * self.scale
        return self.actor(torch.cat((seen, context), dim=1)) * self.scale


class WorkerNet(nn.Module):
    """State and goal to an action."""

    state_factor: Tensor
    goal_factor: Tensor

    def __init__(self, levels: Levels) -> None:
        super().__init__()
        self.actor, self.absolute = exact(levels.worker.actor), levels.views.absolute
        self.register_buffer("state_factor", levels.views.worker_factor.cpu().clone())
        self.register_buffer("goal_factor", levels.views.goal_factor.cpu().clone())

    def forward(self, state: Tensor, goal: Tensor) -> Tensor:
        """Action `(n, A)` in [-1, 1] of states `(n, S)` and goals `(n, d)`, changes from the state."""
        if self.absolute:
            goal = goal + state[:, : goal.shape[1]]
        return self.actor(torch.cat((state * self.state_factor, goal * self.goal_factor), dim=1))


def exports(env: Env, cfg: GoalsCfg, levels: Levels) -> list[Exported]:
    """`high_level` and `low_level`."""
    obs = {group: values[:1].detach().cpu().clone() for group, values in env.observe().items()}
    state, context = obs["state"], context_of(obs)
    meaning = {
        "meta_period": cfg.meta_period,
        "goal": "the wished change of the first entries of the state; while it is in force, state plus goal stays"
        " the same point",
        "absolute": cfg.absolute_goals,
    }
    sizes = {"state": state.shape[1], "context": context.shape[1]}
    inputs = {"state": state, "context": context}
    if context.shape[1] == 0:
        # an input of no width is no input
        manager: nn.Module = _WithoutTarget(ManagerNet(levels))
        inputs = {"state": state}
    else:
        manager = ManagerNet(levels)
    high = Exported("high_level", manager, inputs, "goal", meaning | sizes)
    goal = torch.zeros(1, cfg.goal_size)
    low = Exported("low_level", WorkerNet(levels), {"state": state, "goal": goal}, "action", meaning | sizes)
    return [high, low]


class _WithoutTarget(nn.Module):
    def __init__(self, manager: ManagerNet) -> None:
        super().__init__()
        self.manager = manager

    def forward(self, state: Tensor) -> Tensor:
        return self.manager(state, state[:, :0])
