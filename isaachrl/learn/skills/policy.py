"""A skill on its own, for play and evaluation: commands are drawn and held as in training."""

import torch
from torch import Tensor

from isaachrl.envs import Env, Obs
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills.commands import CommandSource
from isaachrl.learn.skills.motions import Demonstrations, ImitationTask


class SkillPolicy:
    """Acts with the mean of the skill under commands that change from time to time."""

    def __init__(
        self, skill: Skill, commands: CommandSource, demos: Demonstrations, task: ImitationTask, env: Env
    ) -> None:
        self._skill, self._commands, self._demos, self._task = skill, commands, demos, task
        self.latent = torch.zeros(env.num_envs, commands.size, device=env.device)
        self._hold = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
        self.restart(torch.ones(env.num_envs, dtype=torch.bool, device=env.device))

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        renew = self._hold <= 0
        self._set(renew, self._commands.draw(len(renew)))
        self._hold -= 1
        return self._skill.act(obs["proprioception"], self.latent)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        pieces = self._demos.piece_of(self._task.start_clip, self._task.start_time_s)
        self._set(mask, self._commands.draw_at_start(pieces))

    def _set(self, mask: Tensor, latent: Tensor) -> None:
        self.latent = torch.where(mask.unsqueeze(-1), latent, self.latent)
        self._hold = torch.where(mask, self._commands.draw_hold(len(mask)), self._hold)
