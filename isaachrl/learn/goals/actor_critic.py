"""What the algorithms of a level share: actor, twin critics, their targets, and when each of them moves."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from isaachrl.learn.goals.config import LevelCfg
from isaachrl.learn.goals.networks import Actor, Twins
from isaachrl.learn.goals.tally import Tally
from isaachrl.nn import Rounding


@dataclass
class Batch:
    """Rows to learn from, B of them.

    Args:
        features: `(B, F)` of the state that was acted in.
        action: `(B, A)` in [-1, 1].
        reward: `(B,)`.
        discount: `(B,)` of what follows; 0 where nothing does.
        next_features: `(B, F)`.
        weight: `(B,)` 0 for rows that hold nothing.
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
        features: width of what the networks see.
        limits: `(A,)` half ranges of the actions in their own units.
        show_raw: show actions to the critics in those units.
        cfg: of the level.
        rounding: of the hidden layers' products.
        generator: of the draws in updates.

    Attributes:
        actor: called with features, it gives the action without any noise.
        averaged: who acts in earnest: the actor's average over its updates, or the actor itself where none is kept.
        updates: of the critics, so far.
    """

    ACTOR: ClassVar[type[Actor]] = Actor

    def __init__(
        self,
        features: int,
        limits: Tensor,
        show_raw: bool,
        cfg: LevelCfg,
        rounding: Rounding,
        generator: torch.Generator,
    ) -> None:
        self.cfg, self.generator = cfg, generator
        units = limits if show_raw else torch.ones_like(limits)
        self.actor = self.ACTOR(features, len(limits), cfg, rounding).to(limits.device)
        self.averaged = copy.deepcopy(self.actor).requires_grad_(False) if cfg.average_rate > 0 else self.actor
        self.critics = Twins(features, units, cfg, rounding).to(limits.device)
        sources = self.sources()
        self.targets = nn.ModuleList([copy.deepcopy(source) for source in sources]).requires_grad_(False)
        self._followed = [parameter for source in sources for parameter in source.parameters()]
        self._actor_parameters = list(self.actor.parameters())
        self._critic_parameters = list(self.critics.parameters())
        self.actor_optimizer = torch.optim.Adam(self._actor_parameters, lr=cfg.actor_learning_rate, fused=True)
        self.critic_optimizer = torch.optim.Adam(self._critic_parameters, lr=cfg.critic_learning_rate, fused=True)
        self.updates = 0

    @abstractmethod
    def sources(self) -> list[nn.Module]:
        """The networks that have targets, which move after them."""

    @abstractmethod
    def draw(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Actions `(…, A)` in [-1, 1] as the policy takes them in training; gradients flow back to the features."""

    @abstractmethod
    def target(self, batch: Batch) -> Tensor:
        """What the critics should say `(B,)`."""

    @abstractmethod
    def policy_loss(self, batch: Batch, tally: Tally) -> tuple[Tensor, Tensor]:
        """The actor's present actions `(B, A)` and their loss `(B,)`."""

    def slow_down(self, progress: float) -> None:
        """Set the learning rates for a share `progress` in [0, 1] of the training."""
        share = 1.0 + (self.cfg.learning_rate_end - 1.0) * min(progress, 1.0)
        for optimizer, rate in (
            (self.actor_optimizer, self.cfg.actor_learning_rate),
            (self.critic_optimizer, self.cfg.critic_learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = share * rate

    def update(self, batch: Batch, tally: Tally, extra: Callable[[Tensor], Tensor] | None = None) -> None:
        """One step of the critics and, every `policy_delay` times, of the actor and the targets.

        Args:
            batch: what to learn from.
            tally: gets losses and values.
            extra: a further loss `(B,)` of the actor's present actions `(B, A)`.
        """
        total = batch.weight.sum().clamp_min(1.0)
        target = self.target(batch)
        first, second = self.critics(batch.features, batch.action)
        loss_of = functional.huber_loss if self.cfg.huber else functional.mse_loss
        error = loss_of(first, target, reduction="none") + loss_of(second, target, reduction="none")
        loss = (error * batch.weight).sum() / total
        gradient_step(self.critic_optimizer, loss, self._critic_parameters)
        tally.add(critic_loss=loss, q=(first * batch.weight).sum() / total)
        self.updates += 1
        if self.updates % self.cfg.policy_delay == 0:
            self._update_actor(batch, total, tally, extra)

    def _update_actor(
        self, batch: Batch, total: Tensor, tally: Tally, extra: Callable[[Tensor], Tensor] | None
    ) -> None:
        action, loss = self.policy_loss(batch, tally)
        if extra is not None:
            loss = loss + extra(action)
        loss = (loss * batch.weight).sum() / total
        gradient_step(self.actor_optimizer, loss, self._actor_parameters)
        with torch.no_grad():
            for target, source in zip(self.targets.parameters(), self._followed, strict=True):
                target.lerp_(source, self.cfg.target_rate)
            if self.averaged is not self.actor:
                for average, source in zip(self.averaged.parameters(), self._actor_parameters, strict=True):
                    average.lerp_(source, self.cfg.average_rate)
        tally.add(actor_loss=loss, saturation=(action.abs() > 0.99).float().mean())

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers and the count of updates."""
        return {
            "actor": self.actor.state_dict(),
            "averaged": self.averaged.state_dict(),
            "critics": self.critics.state_dict(),
            "targets": self.targets.state_dict(),
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
        """What `load_weights` needs: the networks."""
        return {name: getattr(self, name).state_dict() for name in ("actor", "averaged", "critics", "targets")}

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take the networks alone."""
        self.averaged.load_state_dict(state.get("averaged", state["actor"]))
        self.actor.load_state_dict(state["actor"])
        self.critics.load_state_dict(state["critics"])
        self.targets.load_state_dict(state["targets"])


def gradient_step(optimizer: torch.optim.Optimizer, loss: Tensor, parameters: list[nn.Parameter]) -> None:
    """One step of an optimiser on its own parameters alone: nothing else is given a gradient."""
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()
