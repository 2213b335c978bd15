"""The PPO update of actor and critic, and the sums of signals."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isaachrl.envs.disturbance import Disturbance
from isaachrl.hierarchy.latent_kind import LatentKind
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn import collectives
from isaachrl.learn.skills import losses
from isaachrl.learn.skills.config import SkillsCfg
from isaachrl.learn.skills.critic import Critic
from isaachrl.learn.skills.latent_source import LatentSource
from isaachrl.nn import Rounding

_TAKE_OVER_LEARNING_RATE = 3e-5
_LEARNING_RATES = (1e-5, 1e-3)  # bounds of the KL-adaptive learning rate


@dataclass
class Signals:
    """Sums of named scalars on the device, read once an iteration."""

    sums: dict[str, Tensor]
    counts: dict[str, int]

    @staticmethod
    def empty() -> "Signals":
        """Without any."""
        return Signals({}, {})

    def add(self, values: dict[str, Tensor]) -> None:
        """Add one value of each signal, by name."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value.detach())) + value.detach()
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Mean of each signal, in one copy to the host."""
        if not self.sums:
            return {}
        stacked = torch.stack([self.sums[name] / self.counts[name] for name in self.sums]).tolist()
        return dict(zip(self.sums, stacked, strict=True))


class PolicyUpdate:
    """The PPO update of actor and critic.

    Args:
        skill: holds the actor.
        critic: the critic.
        source: gives second latents for the diversity loss.

    Attributes:
        log_std: logarithm of the policy's present standard deviation.
    """

    def __init__(self, cfg: SkillsCfg, skill: Skill, critic: Critic, source: LatentSource) -> None:
        self.cfg, self.skill, self.critic, self.source = cfg, skill, critic, source
        self.log_std = cfg.log_std
        self._rounding = Rounding(cfg.precision, next(critic.parameters()).device)
        self.optimizer = torch.optim.Adam(
            [{"params": list(skill.actor.parameters())}, {"params": list(critic.parameters())}], lr=cfg.learning_rate
        )

    def step(self, rows: dict[str, Tensor], signals: Signals) -> None:
        """Update on rows of obs (normalised), known, latent, action, log_prob, mean, advantage, target, explores."""
        cfg = self.cfg
        diverse = cfg.latents is LatentKind.ase and cfg.diversity > 0
        other = [self.source.draw(len(rows["obs"]))] if diverse else []
        with self._rounding.gradients():
            mean, *other_mean = self.skill.actor.forward_multi(rows["obs"], rows["latent"], *other)
        log_prob = losses.gaussian_log_prob(rows["action"], mean, self.log_std)
        explores = rows["explores"]
        count = collectives.mean(explores.sum())
        surrogate = losses.clipped_surrogate(log_prob, rows["log_prob"], rows["advantage"], cfg.clip)
        policy_loss = losses.masked_mean(surrogate + cfg.bound_loss * losses.bound_loss(mean), explores, count)
        if diverse:
            diversity = losses.masked_mean(self._diversity(rows["latent"], mean, *other, *other_mean), explores, count)
            signals.add({"loss/diversity": diversity})
            policy_loss = policy_loss + cfg.diversity * diversity
        if "taught" in rows:
            divergence = 0.5 * (mean - rows["taught"]).square().sum(-1) * math.exp(-2.0 * self.log_std)
            signals.add({"loss/teacher": losses.masked_mean(divergence, (rows["teaching"] > 0).float())})
            policy_loss = policy_loss + (divergence * rows["teaching"]).mean()
        value_loss = self._value_loss(rows)
        self.optimizer.zero_grad(set_to_none=True)
        (policy_loss + cfg.critic_weight * value_loss).backward()
        collectives.average_gradients([*self.skill.actor.parameters(), *self.critic.parameters()])
        clip_gradients(self.skill.actor, cfg.gradient_clip)
        clip_gradients(self.critic, cfg.gradient_clip)
        self.optimizer.step()
        with torch.no_grad():
            kl = 0.5 * ((mean - rows["mean"]) / math.exp(self.log_std)).square().sum(-1)
            signals.add(
                {
                    "loss/policy": policy_loss,
                    "loss/value": value_loss,
                    "policy/kl": losses.masked_mean(kl, rows["free"]),
                }
            )

    def fit_critic(self, rows: dict[str, Tensor], signals: Signals) -> None:
        """Update the critic alone on rows of obs (normalised), known, latent and target."""
        value_loss = self._value_loss(rows)
        self.optimizer.zero_grad(set_to_none=True)
        (self.cfg.critic_weight * value_loss).backward()
        collectives.average_gradients(self.critic.parameters())
        clip_gradients(self.critic, self.cfg.gradient_clip)
        self.optimizer.step()
        signals.add({"loss/value": value_loss})

    def _value_loss(self, rows: dict[str, Tensor]) -> Tensor:
        """Mean squared error of normalised values."""
        with self._rounding.everything():
            value = self.critic(rows["obs"], rows["known"], rows["latent"]).float()
        return (value - rows["target"]).square().mean()

    def anneal(self, iteration: int, distils: bool, disturbance: Disturbance | None) -> None:
        """Set the policy's standard deviation and the strength of pushes for an iteration.

        Args:
            iteration: of the training.
            distils: the policy only learns from its teachers: there are no pushes, and a standard deviation of its own.
            disturbance: of the environments.
        """
        cfg = self.cfg
        share = (iteration / cfg.max_iterations - cfg.anneal_from) / (cfg.anneal_to - cfg.anneal_from)
        share = min(max(share, 0.0), 1.0)
        log_std = cfg.log_std + (cfg.log_std_end - cfg.log_std) * share
        self.log_std = cfg.distillation.log_std if distils else log_std
        if disturbance is not None:
            disturbance.fade(0.0 if distils else 1.0 + (cfg.push_end - 1.0) * share)

    def take_over(self) -> None:
        """Begin with small steps, since another optimizer has trained the policy so far; then they adapt."""
        if self.cfg.target_kl > 0:
            self._set_learning_rate(min(self.learning_rate, _TAKE_OVER_LEARNING_RATE))

    def adapt_learning_rate(self, kl: float) -> None:
        """KL-adaptive learning rate: smaller above 1.5 times the target KL, larger below the target / 1.5."""
        if self.cfg.target_kl <= 0:
            return
        factor = 1 / 1.2 if kl > 1.5 * self.cfg.target_kl else 1.2 if kl < self.cfg.target_kl / 1.5 else 1.0
        self._set_learning_rate(min(max(self.learning_rate * factor, _LEARNING_RATES[0]), _LEARNING_RATES[1]))

    def _set_learning_rate(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = value

    @property
    def learning_rate(self) -> float:
        """The present learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def _diversity(self, latent: Tensor, mean: Tensor, other: Tensor, other_mean: Tensor) -> Tensor:
        """The diversity loss per row, with another random latent; its gradient goes through both actions."""
        unit = math.exp(self.log_std) if self.cfg.diversity_in_std else 1.0
        clipped, other_clipped = mean.clamp(-1, 1) / unit, other_mean.clamp(-1, 1) / unit
        return losses.diversity_loss(clipped, other_clipped, latent, other)


def clip_gradients(module: nn.Module, limit: float) -> None:
    """Scale a module's gradients so that their common norm is at most `limit`."""
    nn.utils.clip_grad_norm_(module.parameters(), limit)
