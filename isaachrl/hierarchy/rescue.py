"""A controller that switches between two skills: one that follows latents, and one that gets up after a fall."""

from collections.abc import Mapping

import torch
from torch import Tensor

from isaachrl.errors import SkillError
from isaachrl.hierarchy.skill import Skill

STAND_S = 0.5  # upright for this long, a body has got up


def track_fall(low: Tensor, fallen: Tensor, upright_steps: Tensor, step_s: float) -> tuple[Tensor, Tensor]:
    """One control step of the state "has fallen and has not got up yet".

    Args:
        low: `(N,)` bool: a body part is below its height limit now.
        fallen: `(N,)` bool: the state before.
        upright_steps: `(N,)` steps since the body was low last, before this one.
        step_s: seconds of a control step.

    Returns:
        The new `fallen`, which ends after `STAND_S` upright, and the new `upright_steps`.
    """
    upright_steps = (upright_steps + 1).masked_fill(low, 0.0)
    return low | (fallen & (upright_steps * step_s < STAND_S)), upright_steps


class RescueController:
    """A skill, and a second one that controls fallen bodies until they have stood for `STAND_S`.

    Whether a body has fallen is read from the proprioception alone, so that any task can be rescued.

    Args:
        skill: what follows the latents.
        rescue: the skill that gets up; it takes no latents.
        min_height_m: limit by body name, metres above the floor; a body below its limit is a fall.
        num_envs: N.

    Attributes:
        fallen: `(N,)` bool: controlled by the rescue.
        upright_steps: `(N,)` control steps since a body was below its limit.

    Raises:
        SkillError: the rescue takes latents, or was made for another robot, clock or kind of motor.
    """

    def __init__(self, skill: Skill, rescue: Skill, min_height_m: Mapping[str, float], num_envs: int) -> None:
        if rescue.latent_size:
            raise SkillError("it takes latents; a rescue takes none")
        rescue.check_same_robot(skill)
        self.skill, self.rescue, self.latent_size = skill, rescue, skill.latent_size
        device = skill.obs_norm.mean.device
        bodies = [skill.contract.body_names.index(name) for name in min_height_m]
        # heights stand in the proprioception as the root's and, relative to it, every other body's z
        self._columns = torch.tensor([3 * body for body in bodies], device=device)
        self._is_root = self._columns == 0
        self._limits = torch.tensor(list(min_height_m.values()), device=device)
        self.fallen = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self.upright_steps = torch.zeros(num_envs, device=device)

    def project(self, command: Tensor, /) -> Tensor:
        """See `Controller.project`."""
        return self.skill.project(command)

    @torch.no_grad()
    def act(self, proprioception: Tensor, latent: Tensor, /) -> Tensor:
        """See `Controller.act`; called once a control step."""
        heights = proprioception.index_select(1, self._columns).masked_fill(self._is_root, 0.0) + proprioception[:, :1]
        low = (heights < self._limits).any(-1)
        step_s = self.skill.contract.step_s
        self.fallen, self.upright_steps = track_fall(low, self.fallen, self.upright_steps, step_s)
        rising = self.rescue.act(proprioception, latent[:, :0])
        return torch.where(self.fallen.unsqueeze(1), rising, self.skill.act(proprioception, latent))

    def style_reward(self, style_window: Tensor, latent: Tensor, /) -> Tensor:
        """See `Controller.style_reward`: the first skill's, also while the rescue acts."""
        return self.skill.style_reward(style_window, latent)

    def restart(self, mask: Tensor) -> None:
        """New episodes, on their feet, in the worlds of `mask (N,)`."""
        self.fallen = self.fallen & ~mask
        self.upright_steps = self.upright_steps.masked_fill(mask, 0.0)

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the state of all worlds."""
        return {"fallen": self.fallen.clone(), "upright_steps": self.upright_steps.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state_dict`."""
        self.fallen.copy_(state["fallen"])
        self.upright_steps.copy_(state["upright_steps"])
