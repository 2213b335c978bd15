"""Twin delayed deep deterministic policy gradient (TD3, Fujimoto et al. 2018)."""

import torch
from torch import Tensor, nn

from isaachrl.envs.statistics import Means
from isaachrl.learn.goals.off_policy.actor_critic import ActorCritic, Batch

TARGET_NOISE_CLIP = 0.5  # of target policy smoothing, in the units of its standard deviation, as published


class Td3(ActorCritic):
    """A deterministic actor, with target policy smoothing; for the arguments see `ActorCritic`."""

    def target_sources(self) -> list[nn.Module]:
        """See `ActorCritic.target_sources`: actor and critics."""
        return [self.actor, self.critics]

    def sample_action(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """See `ActorCritic.sample_action`: the actor's action."""
        return self.actor(features)

    @torch.no_grad()
    def target(self, batch: Batch) -> Tensor:
        """See `ActorCritic.target`: reward plus the smaller value of the smoothed next action."""
        target_actor, target_critics = self.targets
        action = target_actor(batch.next_features)
        spread, clip = self.cfg.critic.target_noise * self.noise_unit, TARGET_NOISE_CLIP * self.noise_unit
        noise = torch.randn(action.shape, generator=self.generator, device=action.device) * spread
        action = action + torch.maximum(torch.minimum(noise, clip), -clip)
        if not self.cfg.hiro_details:
            action = action.clamp(-1.0, 1.0)
        return batch.reward + batch.discount * torch.minimum(*target_critics(batch.next_features, action))

    def policy_loss(self, batch: Batch, means: Means) -> tuple[Tensor, Tensor]:
        """See `ActorCritic.policy_loss`: minus the value by the first critic."""
        action = self.actor(batch.features)
        return action, -self.critics.q1(batch.features, action)
