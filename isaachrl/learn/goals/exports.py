"""The networks of all levels as modules to export, in the units of the state."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.envs import Env
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.learn import networks
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import context_of, goal_task
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.off_policy.networks import exact_copy
from isaachrl.learn.goals.state_env import StateEnv
from isaachrl.learn.learner import Exported


class TopNet(nn.Module):
    """State and target to a manager's goal, or to the action of a policy without managers.

    Args:
        levels: the networks.
    """

    factor: Tensor
    scale: Tensor

    def __init__(self, levels: Levels) -> None:
        super().__init__()
        inputs = levels.inputs
        self.actor, self.scaled = exact_copy(levels.top.ema_actor), inputs.scaled
        self.context_scale = inputs.context_scale
        scale = torch.ones_like(levels.action_limits) if levels.flat else levels.goal_limits
        self.register_buffer("factor", inputs.state_factor.cpu().clone())
        self.register_buffer("scale", scale.cpu().clone())

    def forward(self, state: Tensor, context: Tensor) -> Tensor:
        """Goals or actions `(n, d)` of states `(n, S)` and targets `(n, k)`."""
        features = torch.cat((state * self.factor, context), dim=1)
        if self.scaled:
            offset = context - state[:, : context.shape[1]]
            features = torch.cat(
                (state * self.factor, context / self.context_scale, offset / self.context_scale), dim=1
            )
        return self.actor(features) * self.scale


class GoalConditionedNet(nn.Module):
    """State and goal to an action of the worker, or to a goal of a middle manager.

    Args:
        levels: the networks.
        number: of the level, counted from the worker up.
    """

    state_factor: Tensor
    goal_factor: Tensor
    scale: Tensor

    def __init__(self, levels: Levels, number: int) -> None:
        super().__init__()
        inputs = levels.inputs
        self.actor = exact_copy(levels.all[number].ema_actor)
        symmetry: Any = copy.deepcopy(levels.symmetries[number])
        self.symmetry = symmetry.cpu()
        factor = inputs.worker_factor if number == 0 else inputs.state_factor
        scale = torch.ones_like(levels.action_limits) if number == 0 else levels.goal_limits
        self.register_buffer("state_factor", factor.cpu().clone())
        self.register_buffer("goal_factor", inputs.goal_factor.cpu().clone())
        self.register_buffer("scale", scale.cpu().clone())

    def forward(self, state: Tensor, goal: Tensor) -> Tensor:
        """An action `(n, A)` in [-1, 1], or a goal, of states `(n, S)` and goals `(n, d)`."""
        state, goal, change = self.symmetry.canonical(state, goal)
        action = self.actor(torch.cat((state * self.state_factor, goal * self.goal_factor), dim=1))
        return self.symmetry.from_canonical(action, change) * self.scale


def exports(env: Env, cfg: GoalsCfg, levels: Levels) -> list[Exported]:
    """`high_level`, the middle levels from the top down, and `low_level`; a single level is called `policy`.

    For a single level over a frozen skill, see `networks.exports`.
    """
    if isinstance(env, StateEnv) and levels.flat:  # as of any other policy that is one network
        return networks.exports(_WithoutTarget(TopNet(levels)), env.inner)
    if levels.flat:
        return [_export_top(env, "policy", TopNet(levels), "action", _contract(env))]
    contract = {
        "meta_periods": cfg.meta_periods,
        "goal": "the desired change of the first entries of the state; between two goals state plus goal stays the same"
        " point",
    } | _contract(env)
    found = [_export_top(env, "high_level", TopNet(levels), "goal", contract)]
    inputs = {"state": found[0].inputs["state"], "goal": torch.zeros(1, cfg.goal_size)}
    for number in reversed(range(len(levels.all) - 1)):
        # ONNX does not allow an output with the name of an input
        name, output = (f"middle_level_{number}", "lower_goal") if number > 0 else ("low_level", "action")
        found.append(Exported(name, GoalConditionedNet(levels, number), inputs, output, contract))
    return found


def _export_top(env: Env, name: str, network: TopNet, output: str, contract: dict[str, Any]) -> Exported:
    """A network of state and target; of the state alone where the task has no target."""
    obs = {group: values[:1].detach().cpu().clone() for group, values in env.observe().items()}
    if context_of(obs).shape[1]:
        return Exported(name, network, {group: obs[group] for group in ("state", "context")}, output, contract)
    return Exported(name, _WithoutTarget(network), {"state": obs["state"]}, output, contract)


def _contract(env: Env) -> dict[str, Any]:
    """Meaning of inputs and actions."""
    action = env.action_contract or {
        "use": "in [-1, 1], shares of limits", "limits": goal_task(env).action_limits.tolist()
    }  # fmt: skip
    above = env.inner if isinstance(env, StateEnv) else env
    if isinstance(above, HierarchicalEnv) and not above.action_contract:
        use = "a command to the skill: projected on the unit sphere, and held over inner_steps control steps"
        action = {"use": use, "inner_steps": above.cfg.steps}
    return {
        "layout": env.obs_layout,
        "action": action,
        "step_s": env.step_s,
    }


class _WithoutTarget(nn.Module):
    def __init__(self, network: TopNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, state: Tensor) -> Tensor:
        return self.network(state, state[:, :0])
