"""Soft actor-critic with a learned temperature (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications").

Equations are numbered as there.
"""

from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from isaachrl.envs.statistics import Means
from isaachrl.learn.goals.config import LevelCfg
from isaachrl.learn.goals.off_policy.actor_critic import ActorCritic, Batch, gradient_step, weighted_mean
from isaachrl.learn.goals.off_policy.networks import Actor, GaussianActor
from isaachrl.nn import Rounding


class Sac(ActorCritic):
    """A stochastic actor with an entropy bonus, whose temperature is adapted to reach the target entropy.

    Args:
        features, limits, actions_in_physical_units, cfg, rounding, generator: see `ActorCritic`.

    Attributes:
        target_entropy: minus the number of action entries.
        log_temperature: logarithm of the weight of the entropy, learned.
    """

    ACTOR: ClassVar[type[Actor]] = GaussianActor

    def __init__(
        self,
        features: int,
        limits: Tensor,
        actions_in_physical_units: bool,
        cfg: LevelCfg,
        rounding: Rounding,
        generator: torch.Generator,
    ) -> None:
        super().__init__(features, limits, actions_in_physical_units, cfg, rounding, generator)
        self.target_entropy = -float(len(limits))
        self.log_temperature = nn.Parameter(torch.tensor(cfg.entropy.temperature, device=limits.device).log())
        rate = cfg.entropy.learning_rate
        self.temperature_optimizer = torch.optim.Adam([self.log_temperature], lr=rate, fused=True)

    def target_sources(self) -> list[nn.Module]:
        """See `ActorCritic.target_sources`: the critics."""
        return [self.critics]

    def sample_action(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """See `ActorCritic.sample_action`."""
        return self._sample(features, generator)[0]

    @torch.no_grad()
    def target(self, batch: Batch) -> Tensor:
        """See `ActorCritic.target`: reward plus smaller value and entropy of a sampled next action (Eq. 3, 5)."""
        action, log_density = self._sample(batch.next_features, self.generator)
        value = torch.minimum(*self.targets[0](batch.next_features, action))
        return batch.reward + batch.discount * (value - self.log_temperature.exp() * log_density)

    def policy_loss(self, batch: Batch, means: Means) -> tuple[Tensor, Tensor]:
        """See `ActorCritic.policy_loss`: Eq. 9. Also updates the temperature."""
        action, log_density = self._sample(batch.features, self.generator)
        temperature = self.log_temperature.detach().exp()
        self._update_temperature(log_density.detach(), batch.weight)
        means.add(temperature=temperature, entropy=-weighted_mean(log_density, batch.weight))
        return action, temperature * log_density - torch.minimum(*self.critics(batch.features, action))

    def _update_temperature(self, log_density: Tensor, weight: Tensor) -> None:
        """Raise the temperature where the entropy is below its target, lower it where it is above (Eq. 18)."""
        loss = -self.log_temperature.exp() * weighted_mean(log_density + self.target_entropy, weight)
        gradient_step(self.temperature_optimizer, loss, [self.log_temperature])

    def _sample(self, features: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return cast(GaussianActor, self.actor).sample(features, generator)

    def state_dict(self) -> dict[str, Any]:
        """See `ActorCritic.state_dict`, with the temperature."""
        return super().state_dict() | {"temperature_optimizer": self.temperature_optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `ActorCritic.load_state_dict`."""
        super().load_state_dict(state)
        self.temperature_optimizer.load_state_dict(state["temperature_optimizer"])

    def weights(self) -> dict[str, Any]:
        """See `ActorCritic.weights`, with the temperature."""
        return super().weights() | {"log_temperature": self.log_temperature.detach().clone()}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `ActorCritic.load_weights`, with the temperature."""
        super().load_weights(state)
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])
