"""Training of the discriminator and the encoder, and the rewards that come from them."""

import torch
from torch import Tensor, nn

from isaachrl.hierarchy.latent_kind import LatentKind
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn import collectives, distributed
from isaachrl.learn.skills import losses
from isaachrl.learn.skills.buffers import Replay
from isaachrl.learn.skills.config import SkillsCfg
from isaachrl.learn.skills.latent_source import LatentSource
from isaachrl.learn.skills.update import Signals
from isaachrl.nn import Rounding
from isaachrl.nn.style import style_reward

_CHUNK_ROWS = 32_768  # activations of a whole rollout of thousands of environments would take gigabytes
_SAME_MOTION = 0.9  # cosine above which two latents stand for nearly the same motion


class DiscriminatorTrainer:
    """Trains a skill's discriminator on imitated and demonstrated windows, and with `ase` latents its encoder.

    Args:
        cfg: of the learner.
        skill: holds the networks.
        source: gives the demonstrations for latents.
        generator: for draws from the replay buffer.

    Attributes:
        replay: windows of earlier rollouts.
    """

    def __init__(self, cfg: SkillsCfg, skill: Skill, source: LatentSource, generator: torch.Generator) -> None:
        self.cfg, self.net, self._source, self._generator = cfg, skill.discriminator, source, generator
        own, device = cfg.discriminator, self.net.norm.mean.device
        window = self.net.norm.mean.shape[-1]
        self.replay = Replay(distributed.own_rows(own.replay_size), window, source.size, own.replay_keep, device)
        self._rounding = Rounding(cfg.precision, device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=own.learning_rate)

    def rewards(self, window: Tensor, latent: Tensor) -> tuple[Tensor, Tensor | None]:
        """Rewards for windows `(…, window)`, not normalised, under latents `(…, d)`.

        Returns:
            style: `(…,)` the style reward.
            encoder: `(…,)` cosine of encoding and latent, at least 0; None unless latents are `ase`.
        """
        rows = (values.flatten(0, -2).split(_CHUNK_ROWS) for values in (window, latent))
        style, encoder = zip(*map(self._chunk_rewards, *rows), strict=True)
        shape = window.shape[:-1]
        return torch.cat(style).view(shape), None if encoder[0] is None else torch.cat(encoder).view(shape)

    def _chunk_rewards(self, window: Tensor, latent: Tensor) -> tuple[Tensor, Tensor | None]:
        """`rewards` of rows `(n, window)` and `(n, d)`."""
        window, encoding = self.net.norm(window), None
        if self.cfg.latents is LatentKind.ase:
            logit, encoding = self.net.logit_and_encoding(window, latent)
        else:
            logit = self.net.logit(window, latent)
        style = style_reward(logit, self.cfg.discriminator.loss)
        return style, None if encoding is None else (encoding * latent).sum(-1).clamp_min(0.0)

    def learn(self, window: Tensor, latent: Tensor, signals: Signals) -> None:
        """One step on the first rows of a minibatch, replayed rows and demonstrations.

        With `motion` latents demonstrations under the latent of another row are negatives, too. Without them the
        discriminator can use the policy's jitter alone and ignore the latent: standing still then earns as much under
        the latent of `walk` as walking.

        Args:
            window: `(n, window)` of the present rollout, not normalised.
            latent: `(n, d)` their latents.
            signals: collects what is logged.
        """
        rows = min(distributed.own_rows(self.cfg.discriminator.rows), len(window))
        window, latent = window[:rows], latent[:rows]
        negatives = [(window, latent)]
        if self.replay.filled:
            negatives.append(self.replay.draw(rows, self._generator))
        demo = self._source.demonstrations(latent)
        if self.cfg.latents is LatentKind.motion and self.cfg.discriminator.mismatched > 0:
            negatives.append(self._mismatched(demo, latent, int(rows * self.cfg.discriminator.mismatched)))
        agent, agent_latent = (torch.cat(parts) for parts in zip(*negatives, strict=True))
        self._step(agent, agent_latent, demo, latent, signals)

    def store(self, window: Tensor, latent: Tensor) -> None:
        """Add a rollout's windows `(n, window)` to the replay buffer, and update the normaliser with a part of them."""
        self.replay.add(window, latent, self._generator)
        part = slice(distributed.own_rows(self.cfg.minibatch))
        collectives.update_norm(self.net.norm, torch.cat((window[part], self._source.demonstrations(latent[part]))))

    def _mismatched(self, demo: Tensor, latent: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Demonstrations under the latent of another row; replayed windows where both latents are nearly the same.

        Rows are replaced, not left out: sizes must not depend on values.
        """
        other = latent.roll(1, 0)
        near = (latent * other).sum(-1) > _SAME_MOTION
        same = (near | ~(latent.any(-1) | other.any(-1))).unsqueeze(-1)  # two zeros: both get up
        window, windows_latent = self.replay.draw(len(demo), self._generator) if self.replay.filled else (demo, other)
        usable = ~same if self.replay.filled else torch.ones_like(same)
        return torch.where(usable, demo, window)[:count], torch.where(usable, other, windows_latent)[:count]

    def _step(self, agent: Tensor, agent_latent: Tensor, demo: Tensor, latent: Tensor, signals: Signals) -> None:
        """One update on negatives, the present rollout's first, and demonstrations `(rows, window)`.

        The encoder learns from the present rollout alone.
        """
        cfg, rows = self.cfg.discriminator, len(latent)
        agent = self.net.norm(agent)
        demo = self.net.norm(demo).requires_grad_(True)
        encoding = None
        with self._rounding.everything():
            if self.cfg.latents is LatentKind.ase:
                logit, encoding = self.net.logit_and_encoding(agent, agent_latent, rows)
            else:
                logit = self.net.logit(agent, agent_latent)
            agent_logit = logit.float()
            demo_logit = self.net.logit(demo, latent).float()
        penalty = losses.gradient_penalty(demo_logit, demo)
        weights = [module.weight for module in self.net.modules() if isinstance(module, nn.Linear)]
        loss = losses.discriminator_loss(agent_logit, demo_logit, cfg.loss) + cfg.gradient_penalty * penalty
        loss = loss + cfg.logit_decay * self.net.head.weight.square().sum()
        loss = loss + cfg.weight_decay * torch.stack([weight.square().sum() for weight in weights]).sum()
        if encoding is not None:
            encoder = losses.encoder_loss(encoding.float(), latent)
            signals.add({"style/encoder_cosine": -encoder})
            loss = loss + self.cfg.encoder_weight * encoder
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        collectives.average_gradients(self.net.parameters())
        self.optimizer.step()
        with torch.no_grad():
            signals.add(
                {
                    "style/discriminator_loss": loss,
                    "style/accuracy_agent": (agent_logit[:rows] < 0).float().mean(),
                    "style/accuracy_demo": (demo_logit > 0).float().mean(),
                    "style/gradient_penalty": penalty,
                }
            )
