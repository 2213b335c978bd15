"""A controller that switches between two skills: one that follows latents, and one that gets up after a fall."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from isaachrl.envs.env import Env
from isaachrl.errors import SkillError
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.hierarchy.skill import Skill

STAND_S = 0.5  # time upright after which a body has recovered


def track_fall(low: Tensor, fallen: Tensor, upright_steps: Tensor, step_s: float) -> tuple[Tensor, Tensor]:
    """Update whether a humanoid has fallen and not yet recovered, once a control step.

    Args:
        low: `(N,)` bool: a body is below its height limit.
        fallen: `(N,)` bool: the previous state.
        upright_steps: `(N,)` control steps since `low`, before this one.
        step_s: seconds per control step.

    Returns:
        The new `fallen`, false after `STAND_S` upright, and the new `upright_steps`.
    """
    upright_steps = (upright_steps + 1).masked_fill(low, 0.0)
    return low | (fallen & (upright_steps * step_s < STAND_S)), upright_steps


class RescueController:
    """Switches from a skill to a rescue skill after a fall, until the body has been upright for `STAND_S`.

    Falls are detected in the proprioception, so that it works in any task.

    Args:
        skill: the skill that follows the latents.
        rescue: the skill that gets up; takes no latents.
        min_height_m: by body name, the height above the floor, m, below which it counts as a fall.
        num_envs: N.

    Attributes:
        fallen: `(N,)` bool: controlled by the rescue skill.
        upright_steps: `(N,)` control steps since a body was below its limit.

    Raises:
        SkillError: the rescue skill takes latents, or is for another robot, control interval or kind of control.
    """

    def __init__(self, skill: Skill, rescue: Skill, min_height_m: Mapping[str, float], num_envs: int) -> None:
        if rescue.latent_size:
            raise SkillError("it takes latents; a rescue takes none")
        rescue.check_same_robot(skill)
        self.skill, self.rescue, self.latent_size = skill, rescue, skill.latent_size
        device = skill.obs_norm.mean.device
        bodies = [skill.contract.body_names.index(name) for name in min_height_m]
        # proprioception begins with the root's height, then the other bodies' positions relative to the root
        self._columns = torch.tensor([3 * body for body in bodies], device=device)
        self._is_root = self._columns == 0
        self._limits = torch.tensor(list(min_height_m.values()), device=device)
        self.fallen = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self.upright_steps = torch.zeros(num_envs, device=device)

    def project(self, action: Tensor, /) -> Tensor:
        """See `Controller.project`."""
        return self.skill.project(action)

    @torch.no_grad()
    def act(self, proprioception: Tensor, latent: Tensor, /) -> Tensor:
        """See `Controller.act`; call it once per control step."""
        heights = proprioception.index_select(1, self._columns).masked_fill(self._is_root, 0.0) + proprioception[:, :1]
        low = (heights < self._limits).any(-1)
        step_s = self.skill.contract.step_s
        self.fallen, self.upright_steps = track_fall(low, self.fallen, self.upright_steps, step_s)
        rising = self.rescue.act(proprioception, latent[:, :0])
        return torch.where(self.fallen.unsqueeze(1), rising, self.skill.act(proprioception, latent))

    def style_reward(self, style_window: Tensor, latent: Tensor, /) -> Tensor:
        """See `Controller.style_reward`: the first skill's, also during a rescue."""
        return self.skill.style_reward(style_window, latent)

    def restart(self, mask: Tensor) -> None:
        """See `StatefulController.restart`."""
        self.fallen = self.fallen & ~mask
        self.upright_steps = self.upright_steps.masked_fill(mask, 0.0)

    def twin(self, num_envs: int) -> "RescueController":
        """The same two skills for other environments."""
        twin, device = copy.copy(self), self.fallen.device
        twin.fallen = torch.zeros(num_envs, dtype=torch.bool, device=device)
        twin.upright_steps = torch.zeros(num_envs, device=device)
        return twin

    def state_dict(self) -> dict[str, Tensor]:
        """See `StatefulController.state_dict`."""
        return {"fallen": self.fallen.clone(), "upright_steps": self.upright_steps.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `StatefulController.load_state_dict`."""
        self.fallen.copy_(state["fallen"])
        self.upright_steps.copy_(state["upright_steps"])


def commanded_skill(env: Env) -> Skill | None:
    """The skill that an environment's actions command, with or without a rescue; None if there is none."""
    controller = env.skill if isinstance(env, HierarchicalEnv) else None
    controller = controller.skill if isinstance(controller, RescueController) else controller
    return controller if isinstance(controller, Skill) else None


def skill_digest(env: Env) -> str:
    """`Skill.digest` of the commanded skill; empty if there is none."""
    skill = commanded_skill(env)
    return "" if skill is None else skill.digest()
