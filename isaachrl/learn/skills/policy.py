"""A skill without a high level, for play and evaluation: latents are drawn and held as in training."""

import torch
from torch import Tensor

from isaachrl.envs import Obs
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills.latent_source import HeldLatents


class SkillPolicy:
    """The mean action of a skill under random latents, or under one that is commanded.

    Attributes:
        skill: the skill.
    """

    def __init__(self, skill: Skill, held: HeldLatents) -> None:
        self.skill, self._held = skill, held
        self._commanded: Tensor | None = None
        held.restart(torch.ones_like(held.hold, dtype=torch.bool))

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        self._held.renew()
        self._held.count_step()
        latent = self._held.latent if self._commanded is None else self._commanded.expand_as(self._held.latent)
        return self.skill.act(obs["proprioception"], latent)

    def command(self, latent: Tensor | None) -> None:
        """Hold the unit latent `(d,)` in all environments; None draws latents again."""
        self._commanded = latent

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self._held.restart(mask)
