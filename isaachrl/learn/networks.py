"""What a policy that is one network acts with and exports: plain modules without the library that trained it."""

import copy
from typing import Any

from torch import Tensor, nn

from isaachrl.envs.env import Env, Obs
from isaachrl.hierarchy.hierarchical_env import CONTROLLER_GROUP, HierarchicalEnv
from isaachrl.hierarchy.rescue import commanded_skill
from isaachrl.learn.learner import Exported
from isaachrl.maths.vectors import on_sphere


class ModulePolicy:
    """The deterministic controller of a network from policy input to action; it has no state."""

    def __init__(self, module: nn.Module, env: Env) -> None:
        self.module, self.env = module, env

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        return self.module(self.env.policy_input(obs))

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""


class LatentPolicy(nn.Module):
    """A policy whose action is clamped and projected on the unit sphere, as by `HierarchicalEnv`: the latent."""

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, policy_input: Tensor) -> Tensor:
        """Latent `(n, d)` of observations `(n, ·)`."""
        return on_sphere(self.policy(policy_input).clamp(-1.0, 1.0))


class FusedPolicy(nn.Module):
    """Both levels as one network, for one control step: policy input to joint targets.

    Args:
        high: policy input to latent.
        low: proprioception and latent to joint targets.
        start, stop: columns of the proprioception in the policy input.
    """

    def __init__(self, high: nn.Module, low: nn.Module, start: int, stop: int) -> None:
        super().__init__()
        self.high, self.low, self.start, self.stop = high, low, start, stop

    def forward(self, policy_input: Tensor) -> Tensor:
        """Joint targets `(n, D)` of observations `(n, ·)`."""
        return self.low(policy_input[:, self.start : self.stop], self.high(policy_input))


def exports(policy: nn.Module, env: Env) -> list[Exported]:
    """The networks to export: `policy`, or of a hierarchy `high_level` and, with a skill, `low_level` and `fused`."""
    obs = {group: values[:1].detach().cpu().clone() for group, values in env.observe().items()}
    policy_input = env.policy_input(obs)
    groups = {group: env.obs_sizes[group] for group in env.policy_groups}
    layout = {group: env.obs_layout[group] for group in groups if group in env.obs_layout}
    contract: dict[str, Any] = {
        "policy_input": groups, "layout": layout, "action_size": env.action_size, "step_s": env.step_s,
    }  # fmt: skip
    if env.action_contract or not isinstance(env, HierarchicalEnv):
        contract["action"] = env.action_contract
        return [Exported("policy", policy, {"policy_input": policy_input}, "action", contract)]
    high = LatentPolicy(policy)
    contract |= {"inner_steps": env.cfg.steps, "use": "evaluate once every step_s and hold the latent over inner_steps"}
    networks = [Exported("high_level", high, {"policy_input": policy_input}, "latent", contract)]
    skill = commanded_skill(env)
    if skill is None:
        return networks
    # a copy: .cpu() moves a module in place, and the environment uses the skill
    low = copy.deepcopy(skill.controller_module()).cpu()
    low_contract = skill.controller_contract()
    inputs = {"proprioception": obs[CONTROLLER_GROUP], "latent": high(policy_input)}
    networks.append(Exported("low_level", low, inputs, "joint_targets", low_contract))
    if CONTROLLER_GROUP in groups:
        start = sum(groups[group] for group in env.policy_groups[: env.policy_groups.index(CONTROLLER_GROUP)])
        fused = FusedPolicy(high, low, start, start + groups[CONTROLLER_GROUP])
        use = "one control step of both levels; they were trained with the latent held over inner_steps"
        size = len(skill.contract.dof_names)
        both = contract | {"low_level": low_contract, "action_size": size, "step_s": env.inner.step_s, "use": use}
        networks.append(Exported("fused", fused, {"policy_input": policy_input}, "joint_targets", both))
    return networks
