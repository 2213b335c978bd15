"""Soft actor-critic with a learned temperature (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications").

Equations are numbered as there.
"""

from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from isaachrl.learn.goals.actor_critic import ActorCritic, Batch, gradient_step
from isaachrl.learn.goals.config import LevelCfg
from isaachrl.learn.goals.networks import Actor, GaussianActor
from isaachrl.learn.goals.tally import Tally
from isaachrl.nn import Rounding


class Sac(ActorCritic):
    """A random actor that is paid for its entropy; the price moves so that the entropy comes to what is asked for.

    Args:
        features, limits, show_raw, cfg, rounding, generator: see `ActorCritic`.

    Attributes:
        log_temperature: logarithm of what a unit of entropy is worth.
    """

    ACTOR: ClassVar[type[Actor]] = GaussianActor

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
        self.target_entropy = -float(len(limits)) if cfg.target_entropy is None else cfg.target_entropy
        self.log_temperature = nn.Parameter(torch.tensor(cfg.temperature, device=limits.device).log())
        rate = cfg.temperature_learning_rate
        self.temperature_optimizer = torch.optim.Adam([self.log_temperature], lr=rate, fused=True)

    def sources(self) -> list[nn.Module]:
        """See `ActorCritic.sources`: the critics alone."""
        return [self.critics]

    def draw(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """See `ActorCritic.draw`."""
        return self._sample(features, generator)[0]

    @torch.no_grad()
    def target(self, batch: Batch) -> Tensor:
        """What the critics should say `(B,)`: reward, and the lesser value plus entropy of a next action (Eq. 3, 5)."""
        action, log_density = self._sample(batch.next_features, self.generator)
        value = torch.minimum(*self.targets[0](batch.next_features, action))
        return batch.reward + batch.discount * (value - self.log_temperature.exp() * log_density)

    def policy_loss(self, batch: Batch, tally: Tally) -> tuple[Tensor, Tensor]:
        """See `ActorCritic.policy_loss`: the price of being certain less the lesser value (Eq. 9). Moves the price."""
        action, log_density = self._sample(batch.features, self.generator)
        temperature = self.log_temperature.detach().exp()
        self._move_temperature(log_density.detach(), batch.weight)
        tally.add(temperature=temperature, entropy=-_mean(log_density, batch.weight))
        return action, temperature * log_density - torch.minimum(*self.critics(batch.features, action))

    def _move_temperature(self, log_density: Tensor, weight: Tensor) -> None:
        """Up where the policy is more certain than asked for, down where it is less (Eq. 18)."""
        loss = -self.log_temperature.exp() * _mean(log_density + self.target_entropy, weight)
        gradient_step(self.temperature_optimizer, loss, [self.log_temperature])

    def _sample(self, features: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return cast(GaussianActor, self.actor).sample(features, generator)

    def state_dict(self) -> dict[str, Any]:
        """See `ActorCritic.state_dict`, and the temperature."""
        optimizer = self.temperature_optimizer.state_dict()
        own = {"log_temperature": self.log_temperature.detach().clone(), "temperature_optimizer": optimizer}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `ActorCritic.load_state_dict`."""
        super().load_state_dict(state)
        self.temperature_optimizer.load_state_dict(state["temperature_optimizer"])

    def weights(self) -> dict[str, Any]:
        """See `ActorCritic.weights`; the temperature comes along."""
        return super().weights() | {"log_temperature": self.log_temperature.detach().clone()}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `ActorCritic.load_weights`; the temperature comes along."""
        super().load_weights(state)
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1.0)
