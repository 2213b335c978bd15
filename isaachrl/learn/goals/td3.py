"""The twin delayed deterministic policy gradient (Fujimoto et al. 2018)."""

import torch
from torch import Tensor, nn

from isaachrl.learn.goals.actor_critic import ActorCritic, Batch
from isaachrl.learn.goals.config import LevelCfg
from isaachrl.learn.goals.tally import Tally
from isaachrl.nn import Rounding


class Td3(ActorCritic):
    """A deterministic actor, whose target's actions are smoothed by noise.

    Args:
        features, limits, show_raw, cfg, rounding, generator: see `ActorCritic`.
    """

    def __init__(
        self,
        features: int,
        limits: Tensor,
        show_raw: bool,
        cfg: LevelCfg,
        rounding: Rounding,
        generator: torch.Generator,
    ) -> None:
        super().__init__(features, limits, show_raw, cfg, rounding, generator)
        unit = 1.0 / limits if cfg.noise_raw else torch.ones_like(limits)
        self._noise, self._noise_clip = cfg.target_noise * unit, cfg.target_noise_clip * unit

    def sources(self) -> list[nn.Module]:
        """See `ActorCritic.sources`: both."""
        return [self.actor, self.critics]

    def draw(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """See `ActorCritic.draw`: without noise, which is added outside."""
        return self.actor(features)

    @torch.no_grad()
    def target(self, batch: Batch) -> Tensor:
        """What the critics should say `(B,)`: reward, and the lesser value of the smoothed next action."""
        target_actor, target_critics = self.targets
        action = target_actor(batch.next_features)
        noise = torch.randn(action.shape, generator=self.generator, device=action.device) * self._noise
        action = action + torch.maximum(torch.minimum(noise, self._noise_clip), -self._noise_clip)
        if self.cfg.clip_target_action:
            action = action.clamp(-1.0, 1.0)
        return batch.reward + batch.discount * torch.minimum(*target_critics(batch.next_features, action))

    def policy_loss(self, batch: Batch, tally: Tally) -> tuple[Tensor, Tensor]:
        """See `ActorCritic.policy_loss`: minus the first critic's value."""
        action = self.actor(batch.features)
        return action, -self.critics.first(batch.features, action)
