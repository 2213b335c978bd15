"""A skill on its own, for play and evaluation: commands are drawn and held as in training."""

import torch
from torch import Tensor

from isaachrl.envs import Obs
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills.commands import HeldCommands


class SkillPolicy:
    """Acts with the mean of the skill under commands that change from time to time."""

    def __init__(self, skill: Skill, held: HeldCommands) -> None:
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
