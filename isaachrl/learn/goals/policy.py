"""The deterministic controller of all levels, for play, evaluation and export."""

from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.envs import Env, Obs
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import CONTEXT_SCALE, Views, context_of, goal_task
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.networks import Actor, exact
from isaachrl.learn.learner import Exported


class GoalPolicy:
    """Sets goals as their periods end and acts towards the lowest, each environment in its own phases.

    Args:
        env: where it acts.
        cfg: of the learner.
        levels: the networks.
        shown: put the task's marker at the lowest goal, for whoever looks.
    """

    def __init__(self, env: Env, cfg: GoalsCfg, levels: Levels, shown: bool = True) -> None:
        self.levels, self.periods = levels, cfg.periods
        self._show: Any = getattr(goal_task(env), "show_goal", None) if shown else None
        self._points = [torch.zeros(env.num_envs, cfg.goal_size, device=env.device) for _ in cfg.periods]
        self._age = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)

    @torch.no_grad()
    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        state, wish = obs["state"], context_of(obs)
        here = state[:, : len(self.levels.limits)]
        for number in reversed(range(len(self.periods))):
            fresh = self.levels.to_goal(self.levels.choose_in_earnest(number + 1, state, wish), state) + here
            # state plus goal stays the same point while a goal is in force
            due = (self._age % self.periods[number] == 0).unsqueeze(1)
            self._points[number] = torch.where(due, fresh, self._points[number])
            wish = self._points[number] - here
        self._age = self._age + 1
        if self._show is not None:
            self._show(self._points[0][:, :3])
        return self.levels.choose_in_earnest(0, state, wish)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._age = self._age.masked_fill(mask, 0)


class TargetNet(nn.Module):
    """State and target to a manager's goal, in the state's units, or to the action of a policy without levels.

    A goal is always a change from the state, as pursuers take it.

    Args:
        actor: the network.
        views: what it sees.
        scale: `(d,)` half ranges of what it answers with.
    """

    factor: Tensor
    scale: Tensor

    def __init__(self, actor: Actor, views: Views, scale: Tensor) -> None:
        super().__init__()
        self.actor, self.scaled, self.absolute = exact(actor), views.scaled, views.absolute
        self.register_buffer("factor", views.state_factor.cpu().clone())
        self.register_buffer("scale", scale.cpu().clone())

    def forward(self, state: Tensor, context: Tensor) -> Tensor:
        """Goals or actions `(n, d)` of states `(n, S)` and targets `(n, k)`."""
        seen = torch.cat((state * self.factor, context), dim=1)
        if self.scaled:
            way = context - state[:, : context.shape[1]]
            seen = torch.cat((state * self.factor, context / CONTEXT_SCALE, way / CONTEXT_SCALE), dim=1)
        answer = self.actor(seen) * self.scale
        return answer - state[:, : answer.shape[1]] if self.absolute else answer


class PursuerNet(nn.Module):
    """State and goal to an action of the worker, or to a goal of a manager that is set goals itself."""

    state_factor: Tensor
    goal_factor: Tensor
    scale: Tensor

    def __init__(self, levels: Levels, number: int) -> None:
        super().__init__()
        views = levels.views
        self.actor, self.absolute = exact(levels.all[number].averaged), views.absolute
        self.sets_place = views.absolute and number > 0
        seen = views.worker_factor if number == 0 else views.state_factor
        scale = torch.ones_like(levels.action_limits) if number == 0 else levels.limits
        self.register_buffer("state_factor", seen.cpu().clone())
        self.register_buffer("goal_factor", views.goal_factor.cpu().clone())
        self.register_buffer("scale", scale.cpu().clone())

    def forward(self, state: Tensor, goal: Tensor) -> Tensor:
        """Of states `(n, S)` and goals `(n, d)`, changes from the state: an action `(n, A)` in [-1, 1], or a goal."""
        if self.absolute:
            goal = goal + state[:, : goal.shape[1]]
        chosen = self.actor(torch.cat((state * self.state_factor, goal * self.goal_factor), dim=1)) * self.scale
        return chosen - state[:, : chosen.shape[1]] if self.sets_place else chosen


def exports(env: Env, cfg: GoalsCfg, levels: Levels) -> list[Exported]:
    """`high_level`, of more than two levels `middle_level_2`, `middle_level_1`, and `low_level`."""
    meaning = {
        "meta_period": cfg.meta_period,
        "goal": "the wished change of the first entries of the state; while it is in force, state plus goal stays"
        " the same point",
        "absolute": cfg.absolute_goals,
    } | _contract(env)
    manager = TargetNet(levels.manager.averaged, levels.views, levels.limits)
    found = [_exported(env, "high_level", manager, "goal", meaning)]
    inputs = {"state": found[0].inputs["state"], "goal": torch.zeros(1, cfg.goal_size)}
    for number in reversed(range(len(levels.all) - 1)):
        # ONNX wants another name for what comes out than for what goes in
        name, output = (f"middle_level_{number}", "lower_goal") if number > 0 else ("low_level", "action")
        found.append(Exported(name, PursuerNet(levels, number), inputs, output, meaning))
    return found


def flat_exports(env: Env, actor: Actor, views: Views) -> list[Exported]:
    """`policy`: a policy without levels."""
    network = TargetNet(actor, views, torch.ones(env.action_size))
    return [_exported(env, "policy", network, "action", _contract(env))]


def _exported(env: Env, name: str, network: TargetNet, output: str, meaning: dict[str, Any]) -> Exported:
    """A network of state and target; of the state alone where the task has no target."""
    obs = {group: values[:1].detach().cpu().clone() for group, values in env.observe().items()}
    if context_of(obs).shape[1]:
        return Exported(name, network, {group: obs[group] for group in ("state", "context")}, output, meaning)
    # an input of no width is no input
    return Exported(name, _WithoutTarget(network), {"state": obs["state"]}, output, meaning)


def _contract(env: Env) -> dict[str, Any]:
    """What the numbers mean that go in, and the action that comes out."""
    return {
        "layout": env.obs_layout,
        "action": env.action_contract
        or {"use": "in [-1, 1], shares of limits", "limits": goal_task(env).action_limits.tolist()},
        "step_s": env.step_s,
    }


class _WithoutTarget(nn.Module):
    def __init__(self, network: TargetNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, state: Tensor) -> Tensor:
        return self.network(state, state[:, :0])
