"""What a trained agent becomes for play and export: plain modules that need nothing of rl_games."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.envs.env import Env
from isaachrl.hierarchy.hierarchical_env import CONTROLLER_GROUP, HierarchicalEnv
from isaachrl.hierarchy.rescue import RescueController
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.learner import Exported
from isaachrl.maths.vectors import on_sphere

_CLIP = 5.0  # rl_games clips normalised observations there
_EPSILON = 1e-5


class PolicyMean(nn.Module):
    """The mean of a trained policy with its normaliser, a copy.

    Args:
        agent: an rl_games agent.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, agent: Any) -> None:
        super().__init__()
        net = agent.model.a2c_network
        self.layers = copy.deepcopy(nn.Sequential(net.actor_mlp, net.mu, net.mu_act))
        self.normalize = bool(agent.normalize_input)
        width = agent.obs_shape[0]
        mean, variance = torch.zeros(width), torch.ones(width)
        if self.normalize:
            norm = agent.model.running_mean_std
            mean, variance = norm.running_mean.detach(), norm.running_var.detach()
        self.register_buffer("mean", mean.float().clone())
        self.register_buffer("std", (variance.float() + _EPSILON).sqrt())
        self.requires_grad_(False)

    def forward(self, policy_input: Tensor) -> Tensor:
        """Action `(n, A)` in [-1, 1] of observations `(n, ·)`."""
        if self.normalize:
            policy_input = ((policy_input - self.mean) / self.std).clamp(-_CLIP, _CLIP)
        return self.layers(policy_input)


class LatentPolicy(nn.Module):
    """A policy whose action is a command, given as a point of the unit sphere."""

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, policy_input: Tensor) -> Tensor:
        """Latent `(n, d)` of observations `(n, ·)`."""
        return on_sphere(self.policy(policy_input))


class FusedPolicy(nn.Module):
    """Both levels in one, for one control step: what the policy sees in, joint targets out.

    Args:
        high: policy input to latent.
        low: proprioception and latent to joint targets.
        first, last: where the proprioception stands in the policy input.
    """

    def __init__(self, high: nn.Module, low: nn.Module, first: int, last: int) -> None:
        super().__init__()
        self.high, self.low, self.first, self.last = high, low, first, last

    def forward(self, policy_input: Tensor) -> Tensor:
        """Joint targets `(n, D)` of observations `(n, ·)`."""
        return self.low(policy_input[:, self.first : self.last], self.high(policy_input))


def exports(policy: PolicyMean, env: Env) -> list[Exported]:
    """The networks to export: `policy`, or of a hierarchy `high_level` and, above a skill, `low_level` and `fused`."""
    obs = {group: values[:1].detach().cpu().clone() for group, values in env.observe().items()}
    seen = env.policy_input(obs)
    groups = {group: env.obs_sizes[group] for group in env.policy_groups}
    layout = {group: env.obs_layout[group] for group in groups if group in env.obs_layout}
    contract: dict[str, Any] = {
        "policy_input": groups, "layout": layout, "action_size": env.action_size, "step_s": env.step_s,
    }  # fmt: skip
    if not isinstance(env, HierarchicalEnv):
        contract["action"] = env.action_contract
        return [Exported("policy", policy, {"policy_input": seen}, "action", contract)]
    high = LatentPolicy(policy)
    contract |= {"inner_steps": env.cfg.steps, "use": "ask once every step_s and hold the answer over inner_steps"}
    found = [Exported("high_level", high, {"policy_input": seen}, "latent", contract)]
    skill = env.skill.skill if isinstance(env.skill, RescueController) else env.skill
    if not isinstance(skill, Skill):
        return found
    # a copy: moving the skill's own networks to the CPU would take them from the environment
    low = copy.deepcopy(skill.controller_module()).cpu()
    low_contract = skill.controller_contract()
    inputs = {"proprioception": obs[CONTROLLER_GROUP], "latent": high(seen)}
    found.append(Exported("low_level", low, inputs, "joint_targets", low_contract))
    if CONTROLLER_GROUP in groups:
        before = env.policy_groups[: env.policy_groups.index(CONTROLLER_GROUP)]
        first = sum(groups[group] for group in before)
        fused = FusedPolicy(high, low, first, first + groups[CONTROLLER_GROUP])
        use = "one control step of both; it was trained with the command held over inner_steps, as high_level is"
        size = len(skill.contract.dof_names)
        both = contract | {"low_level": low_contract, "action_size": size, "step_s": env.inner.step_s, "use": use}
        found.append(Exported("fused", fused, {"policy_input": seen}, "joint_targets", both))
    return found
