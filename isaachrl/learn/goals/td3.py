"""One level's twin delayed deterministic policy gradient (Fujimoto et al. 2018)."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from isaachrl.learn.goals.config import Td3Cfg
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


class Td3:
    """Actor, critics, their targets and optimisers.

    Args:
        features: width of what the networks see.
        limits: `(A,)` half ranges of the actions in their own units.
        show_raw: show actions to the critics in those units.
        cfg: of the level.
        rounding: of the hidden layers' products.
        generator: of the smoothing noise.
    """

    def __init__(
        self, features: int, limits: Tensor, show_raw: bool, cfg: Td3Cfg, rounding: Rounding, generator: torch.Generator
    ) -> None:
        self.cfg, self.generator = cfg, generator
        units = limits if show_raw else torch.ones_like(limits)
        self.actor = Actor(features, len(limits), cfg, rounding).to(limits.device)
        self.critics = Twins(features, units, cfg, rounding).to(limits.device)
        self.targets = nn.ModuleList([copy.deepcopy(self.actor), copy.deepcopy(self.critics)]).requires_grad_(False)
        self._actor_parameters = list(self.actor.parameters())
        self._critic_parameters = list(self.critics.parameters())
        self.actor_optimizer = torch.optim.Adam(self._actor_parameters, lr=cfg.actor_learning_rate, fused=True)
        self.critic_optimizer = torch.optim.Adam(self._critic_parameters, lr=cfg.critic_learning_rate, fused=True)
        unit = 1.0 / limits if cfg.noise_raw else torch.ones_like(limits)
        self._noise, self._noise_clip = cfg.target_noise * unit, cfg.target_noise_clip * unit
        self.updates = 0

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
        _step(self.critic_optimizer, loss, self._critic_parameters)
        tally.add(critic_loss=loss, q=(first * batch.weight).sum() / total)
        self.updates += 1
        if self.updates % self.cfg.policy_delay == 0:
            self._update_actor(batch, total, tally, extra)

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

    def _update_actor(
        self, batch: Batch, total: Tensor, tally: Tally, extra: Callable[[Tensor], Tensor] | None
    ) -> None:
        action = self.actor(batch.features)
        loss = -self.critics.first(batch.features, action)
        if extra is not None:
            loss = loss + extra(action)
        loss = (loss * batch.weight).sum() / total
        _step(self.actor_optimizer, loss, self._actor_parameters)
        sources = [*self._actor_parameters, *self._critic_parameters]
        with torch.no_grad():
            for target, source in zip(self.targets.parameters(), sources, strict=True):
                target.lerp_(source, self.cfg.target_rate)
        tally.add(actor_loss=loss, saturation=(action.abs() > 0.99).float().mean())

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers and the count of updates."""
        return {
            "actor": self.actor.state_dict(),
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

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take the networks alone."""
        self.actor.load_state_dict(state["actor"])
        self.critics.load_state_dict(state["critics"])
        self.targets.load_state_dict(state["targets"])


class Exploration:
    """Noise on the actions of N environments, of another size in each.

    Args:
        cfg: of the level.
        limits: `(A,)` half ranges of the actions in their own units.
        num_envs: N.
        generator: of the draws.
    """

    def __init__(self, cfg: Td3Cfg, limits: Tensor, num_envs: int, generator: torch.Generator) -> None:
        self.cfg, self.generator, device = cfg, generator, limits.device
        spread = torch.linspace(math.log(cfg.noise_low), math.log(cfg.noise_high), num_envs, device=device).exp()
        unit = 1.0 / limits if cfg.noise_raw else torch.ones_like(limits)
        self.scale = spread.unsqueeze(1) * unit
        number = torch.arange(num_envs, device=device)
        self._memory = torch.where(number % 2 == 1, cfg.noise_correlation, 0.0).unsqueeze(1)
        self._fresh = (1.0 - self._memory.square()).sqrt()
        self.state = torch.zeros(num_envs, len(limits), device=device)

    def __call__(self, action: Tensor, where: Tensor) -> Tensor:
        """Noisy actions `(N, A)` in [-1, 1]; correlated noise moves on in the environments of `where (N,)`."""
        shape, device = action.shape, action.device
        fresh = torch.randn(shape, generator=self.generator, device=device)
        drawn = self._memory * self.state + self._fresh * fresh
        self.state = torch.where(where.unsqueeze(1), drawn, self.state)
        noisy = (action + self.scale * self.state).clamp(-1.0, 1.0)
        if self.cfg.uniform_share == 0:
            return noisy
        chance = torch.rand(shape[0], 1, generator=self.generator, device=device)
        return torch.where(chance < self.cfg.uniform_share, self.uniform(), noisy)

    def uniform(self) -> Tensor:
        """Uniformly random actions `(N, A)` in [-1, 1]."""
        return 2.0 * torch.rand(self.state.shape, generator=self.generator, device=self.state.device) - 1.0


def _step(optimizer: torch.optim.Optimizer, loss: Tensor, parameters: list[nn.Parameter]) -> None:
    """One step of an optimiser on its own parameters alone: nothing else is given a gradient."""
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()
