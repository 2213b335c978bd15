"""What TD3 and SAC share: an actor, twin critics, target networks, and the order of their updates."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from isaachrl.envs.statistics import Means
from isaachrl.learn.goals.config import LevelCfg
from isaachrl.learn.goals.off_policy.networks import Actor, TwinCritic
from isaachrl.nn import Rounding


@dataclass
class Batch:
    """B transitions.

    Args:
        features: `(B, F)` of the state.
        action: `(B, A)` in [-1, 1].
        reward: `(B,)`.
        discount: `(B,)` of the next value; 0 where the episode terminated.
        next_features: `(B, F)` of the next state.
        weight: `(B,)` in the losses; 0 for rows that are padding.
    """

    features: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_features: Tensor
    weight: Tensor


class ActorCritic(ABC):
    """One level that learns off-policy.

    Args:
        features: number of input features.
        limits: `(A,)` half ranges of the actions in their own units.
        actions_in_physical_units: the critics get actions in those units, else in [-1, 1].
        cfg: of the level.
        rounding: of the hidden layers' products.
        generator: of the noise in updates.

    Attributes:
        actor: from features to actions without noise.
        ema_actor: moving average of the actor; the actor itself where none is kept.
        critics, targets: twin critics; target networks, of the critics and perhaps the actor.
        updates: of the critics, so far.
    """

    ACTOR: ClassVar[type[Actor]] = Actor

    def __init__(
        self,
        features: int,
        limits: Tensor,
        actions_in_physical_units: bool,
        cfg: LevelCfg,
        rounding: Rounding,
        generator: torch.Generator,
    ) -> None:
        self.cfg, self.generator = cfg, generator
        self.noise_unit = noise_unit(cfg, limits)
        units = limits if actions_in_physical_units else torch.ones_like(limits)
        self.actor = self.ACTOR(features, len(limits), cfg, rounding).to(limits.device)
        self.ema_actor = copy.deepcopy(self.actor).requires_grad_(False) if cfg.ema_rate > 0 else self.actor
        self.critics = TwinCritic(features, units, cfg, rounding).to(limits.device)
        sources = self.target_sources()
        # without target networks, these are the networks themselves
        copies = sources if cfg.target_rate == 1.0 else [copy.deepcopy(part).requires_grad_(False) for part in sources]
        self.targets = nn.ModuleList(copies)
        self._source_parameters = [parameter for source in sources for parameter in source.parameters()]
        self._actor_parameters = list(self.actor.parameters())
        self._critic_parameters = list(self.critics.parameters())
        self.actor_optimizer = _adam(self._actor_parameters, cfg.actor_learning_rate, cfg.weight_decay)
        self.critic_optimizer = _adam(self._critic_parameters, cfg.critic_learning_rate, cfg.weight_decay)
        self.updates = 0

    @abstractmethod
    def target_sources(self) -> list[nn.Module]:
        """The networks that have target networks."""

    @abstractmethod
    def sample_action(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Actions `(…, A)` in [-1, 1] as in training, before exploration noise; differentiable in the features."""

    @abstractmethod
    def target(self, batch: Batch) -> Tensor:
        """Regression target `(B,)` of the critics."""

    @abstractmethod
    def policy_loss(self, batch: Batch, means: Means) -> tuple[Tensor, Tensor]:
        """Actions `(B, A)` of the current actor and their loss `(B,)`."""

    def snapshot(self) -> Self:
        """A level with copies of the networks that others see; `follow` brings them up to date."""
        other = copy.copy(self)
        other.actor, other.critics = (copy.deepcopy(part).requires_grad_(False) for part in (self.actor, self.critics))
        return other

    @torch.no_grad()
    def follow(self, level: Self) -> None:
        """Take over the present weights of a level whose `snapshot` this is."""
        for own, source in ((self.actor, level.actor), (self.critics, level.critics)):
            for parameter, present in zip(own.parameters(), source.parameters(), strict=True):
                parameter.copy_(present)

    def anneal_learning_rates(self, progress: float) -> None:
        """Set the learning rates for a share `progress` in [0, 1] of training."""
        share = 1.0 + (self.cfg.learning_rate_end - 1.0) * min(progress, 1.0)
        for optimizer, rate in (
            (self.actor_optimizer, self.cfg.actor_learning_rate),
            (self.critic_optimizer, self.cfg.critic_learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = share * rate

    def update(
        self, batch: Batch, means: Means, auxiliary_actor_loss: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Update the critics and, every `policy_delay` times, the actor and the targets.

        Args:
            batch: transitions.
            means: gets losses and values.
            auxiliary_actor_loss: from the actor's actions `(B, A)` to a loss `(B,)` that is added.
        """
        total = batch.weight.sum().clamp_min(1.0)
        target = self.target(batch)
        error, q1 = self.critics.loss(batch.features, batch.action, target)
        loss = (error * batch.weight).sum() / total
        gradient_step(self.critic_optimizer, loss, self._critic_parameters)
        means.add(critic_loss=loss, q=(q1 * batch.weight).sum() / total)
        self.updates += 1
        if self.updates % self.cfg.policy_delay == 0:
            self._update_actor(batch, total, means, auxiliary_actor_loss)

    def _update_actor(
        self, batch: Batch, total: Tensor, means: Means, auxiliary_actor_loss: Callable[[Tensor], Tensor] | None
    ) -> None:
        action, loss = self.policy_loss(batch, means)
        if auxiliary_actor_loss is not None:
            loss = loss + auxiliary_actor_loss(action)
        loss = (loss * batch.weight).sum() / total
        gradient_step(self.actor_optimizer, loss, self._actor_parameters)
        with torch.no_grad():
            if self.cfg.target_rate < 1.0:
                for target, source in zip(self.targets.parameters(), self._source_parameters, strict=True):
                    target.lerp_(source, self.cfg.target_rate)
            if self.ema_actor is not self.actor:
                for average, source in zip(self.ema_actor.parameters(), self._actor_parameters, strict=True):
                    average.lerp_(source, self.cfg.ema_rate)
        means.add(actor_loss=loss, saturation=(action.abs() > 0.99).float().mean())

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimizers and the count of updates."""
        return self.weights() | {
            "actor_optimizer": self.actor_optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.load_weights(state)
        self.actor_optimizer.load_state_dict(state["actor_optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.updates = state["updates"]

    def weights(self) -> dict[str, Any]:
        """The networks, for `load_weights`."""
        return {name: getattr(self, name).state_dict() for name in ("actor", "ema_actor", "critics", "targets")}

    def load_weights(self, state: dict[str, Any]) -> None:
        """Load the networks alone."""
        self.targets.load_state_dict(
            state["targets"]
        )  # first: with a target rate of 1 they are the networks themselves
        self.ema_actor.load_state_dict(state["ema_actor"])
        self.actor.load_state_dict(state["actor"])
        self.critics.load_state_dict(state["critics"])


def _adam(parameters: list[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Adam, or AdamW if there is a weight decay."""
    if decay == 0:
        return torch.optim.Adam(parameters, lr=rate, fused=True)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


def noise_unit(cfg: LevelCfg, limits: Tensor) -> Tensor:
    """`(A,)` what a noise of standard deviation 1 is as a share of the half ranges `limits (A,)`."""
    return 1.0 / limits if cfg.hiro_details else torch.ones_like(limits)


def gradient_step(optimizer: torch.optim.Optimizer, loss: Tensor, parameters: list[nn.Parameter]) -> None:
    """One optimizer step; no other parameter gets a gradient."""
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of `values (B,)`, weighted by `weight (B,)`, a scalar."""
    return (values * weight).sum() / weight.sum().clamp_min(1.0)
