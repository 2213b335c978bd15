"""The judge of imitation: discriminator and encoder, what they learn from, and what they pay."""

import torch
from torch import Tensor, nn

from isaachrl.hierarchy.latents import Latents
from isaachrl.hierarchy.skill import Skill
from isaachrl.hierarchy.style import style_reward
from isaachrl.learn import distributed
from isaachrl.learn.skills import losses
from isaachrl.learn.skills.buffers import Replay
from isaachrl.learn.skills.commands import CommandSource
from isaachrl.learn.skills.config import SkillsCfg
from isaachrl.learn.skills.update import Signals
from isaachrl.nn import Rounding

_ROWS_AT_ONCE = 32_768  # a whole rollout of thousands of environments would take gigabytes in between
_SAME_COMMAND = 0.9  # cosine above which two commands ask for much the same motion


class Judge:
    """The discriminator in training: it tells windows of imitation from those of demonstrations.

    With `ase` latents an encoder learns beside it to tell which command a window follows.

    Args:
        cfg: of the learner.
        skill: holds the networks.
        commands: gives the demonstrations that go with commands.
        generator: of the draws from the replay.

    Attributes:
        replay: windows of earlier rollouts.
    """

    def __init__(self, cfg: SkillsCfg, skill: Skill, commands: CommandSource, generator: torch.Generator) -> None:
        self.cfg, self.net, self._commands, self._generator = cfg, skill.discriminator, commands, generator
        own, device = cfg.discriminator, self.net.norm.mean.device
        window = self.net.norm.mean.shape[-1]
        self.replay = Replay(distributed.own_rows(own.replay_size), window, commands.size, own.replay_keep, device)
        self._rounding = Rounding(cfg.precision, device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=own.learning_rate)

    def opinions(self, window: Tensor, latent: Tensor) -> tuple[Tensor, Tensor | None]:
        """What windows `(…, window)`, not normalised, under commands `(…, d)` are worth.

        Returns:
            style: `(…,)` the reward for being taken for a demonstration.
            encoder: `(…,)` cosine of the encoder's guess and the command, at least 0; None unless latents are `ase`.
        """
        rows = (values.flatten(0, -2).split(_ROWS_AT_ONCE) for values in (window, latent))
        style, encoder = zip(*map(self._opinions_at_once, *rows), strict=True)
        shape = window.shape[:-1]
        return torch.cat(style).view(shape), None if encoder[0] is None else torch.cat(encoder).view(shape)

    def _opinions_at_once(self, window: Tensor, latent: Tensor) -> tuple[Tensor, Tensor | None]:
        """`opinions` of rows `(n, window)` and `(n, d)`."""
        window, guess = self.net.norm(window), None
        if self.cfg.latents is Latents.ase:
            logit, guess = self.net.opinions(window, latent)
        else:
            logit = self.net.logit(window, latent)
        style = style_reward(logit, self.cfg.discriminator.judgement)
        return style, None if guess is None else (guess * latent).sum(-1).clamp_min(0.0)

    def learn(self, window: Tensor, latent: Tensor, signals: Signals) -> None:
        """One step on the first rows of a minibatch, replayed rows and demonstrations.

        With `motion` latents a third kind of wrong row is shown: demonstrations under the command of another row.
        Without them the judge tells imitation from demonstration by its jitter alone and never looks at the
        command, so that standing still is as good an answer to `walk` as any.

        Args:
            window: `(n, window)` of the present rollout, not normalised.
            latent: `(n, d)` their commands.
            signals: collects what is logged.
        """
        rows = min(distributed.own_rows(self.cfg.discriminator.rows), len(window))
        window, latent = window[:rows], latent[:rows]
        wrong = [(window, latent)]
        if self.replay.filled:
            wrong.append(self.replay.draw(rows, self._generator))
        demo = self._commands.demonstrations(latent)
        if self.cfg.latents is Latents.motion and self.cfg.discriminator.mismatched > 0:
            wrong.append(self._mismatched(demo, latent, int(rows * self.cfg.discriminator.mismatched)))
        agent, agent_latent = (torch.cat(parts) for parts in zip(*wrong, strict=True))
        self._step(agent, agent_latent, demo, latent, signals)

    def remember(self, window: Tensor, latent: Tensor) -> None:
        """Take a rollout's windows `(n, window)` into the replay and a part of them into the normaliser."""
        self.replay.add(window, latent, self._generator)
        part = slice(distributed.own_rows(self.cfg.minibatch))
        distributed.take_in(self.net.norm, torch.cat((window[part], self._commands.demonstrations(latent[part]))))

    def _mismatched(self, demo: Tensor, latent: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Demonstrations under the command of another row; where that asks for nearly the same, an imitated window.

        Rows are replaced rather than left out, so that sizes never depend on values.
        """
        other = latent.roll(1, 0)
        same = ((latent * other).sum(-1) > _SAME_COMMAND).unsqueeze(-1)
        window, windows_latent = self.replay.draw(len(demo), self._generator) if self.replay.filled else (demo, other)
        usable = ~same if self.replay.filled else torch.ones_like(same)
        return torch.where(usable, demo, window)[:count], torch.where(usable, other, windows_latent)[:count]

    def _step(self, agent: Tensor, agent_latent: Tensor, demo: Tensor, latent: Tensor, signals: Signals) -> None:
        """Learn to tell wrong windows, the present rollout's first, from demonstrations `(rows, window)`.

        The encoder learns from the present rollout alone.
        """
        cfg, rows = self.cfg.discriminator, len(latent)
        agent = self.net.norm(agent)
        demo = self.net.norm(demo).requires_grad_(True)
        guess = None
        with self._rounding.everything():
            if self.cfg.latents is Latents.ase:
                logit, guess = self.net.opinions(agent, agent_latent, rows)
            else:
                logit = self.net.logit(agent, agent_latent)
            agent_logit = logit.float()
            demo_logit = self.net.logit(demo, latent).float()
        penalty = losses.gradient_penalty(demo_logit, demo)
        weights = [module.weight for module in self.net.modules() if isinstance(module, nn.Linear)]
        loss = losses.discriminator_loss(agent_logit, demo_logit, cfg.judgement) + cfg.gradient_penalty * penalty
        loss = loss + cfg.logit_decay * self.net.judge.weight.square().sum()
        loss = loss + cfg.weight_decay * torch.stack([weight.square().sum() for weight in weights]).sum()
        if guess is not None:
            encoder = losses.encoder_loss(guess.float(), latent)
            signals.add({"style/encoder_cosine": -encoder})
            loss = loss + self.cfg.encoder_weight * encoder
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        distributed.average_gradients(self.net.parameters())
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
