"""A skill without a high level, for play and evaluation: latents are drawn and held as in training."""

import torch
from torch import Tensor

from isaachrl.envs import Obs
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills.latent_source import HeldLatents


class SkillPolicy:
    """The mean action of a skill under random latents."""

    def __init__(self, skill: Skill, held: HeldLatents) -> None:
        self._skill, self._held = skill, held
        held.restart(torch.ones_like(held.hold, dtype=torch.bool))

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        self._held.renew()
        self._held.count_step()
        return self._skill.act(obs["proprioception"], self._held.latent)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._held.restart(mask)
