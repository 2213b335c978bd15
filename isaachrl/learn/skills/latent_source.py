"""The latents that a skill is trained with, and how long each is held."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.hierarchy.latent_kind import LatentKind
from isaachrl.learn.skills.config import LatentCfg
from isaachrl.learn.skills.motions import Demonstrations, ImitationTask
from isaachrl.learn.state import Stateful
from isaachrl.maths.sampling import draw_categories
from isaachrl.nn.motion_embedding import MotionEmbedding


class LatentSource:
    """Draws latents of one kind, and demonstrations for them.

    Attributes:
        size: d; 0 without latents.
        embedding: of the motion segments; with kinds other than `motion` only the signals use it.
    """

    def __init__(
        self, kind: LatentKind, cfg: LatentCfg, demos: Demonstrations, generator: torch.Generator, device: torch.device
    ) -> None:
        self.kind, self.cfg, self.demos = kind, cfg, demos
        self._generator, self._device = generator, device
        self.size = 0 if kind is LatentKind.none else cfg.size
        self.embedding = MotionEmbedding(demos.features, demos.scale, max(self.size, 2)).to(device)

    def draw(self, n: int) -> Tensor:
        """New latents `(n, d)`; prototypes are drawn by their segments' weights."""
        sphere = functional.normalize(self._normal(n, self.size), dim=-1)
        if self.kind is not LatentKind.motion:
            return sphere
        prototypes = self.embedding.prototypes
        pick = draw_categories(self.demos.weights.expand(2 * n, -1), self._generator).view(2, n)
        one, other = prototypes[pick[0]], prototypes[pick[1]]
        blend, choice = self._uniform(n, 1), self._uniform(n, 1)
        between = functional.normalize((1 - blend) * one + blend * other + 1e-6 * sphere, dim=-1)
        arc = choice < self.cfg.at_clip + self.cfg.between_clips
        return torch.where(choice < self.cfg.at_clip, one, torch.where(arc, between, sphere))

    def draw_at_start(self, start_segments: Tensor) -> Tensor:
        """Latents `(n, d)` for new episodes that begin in the given motion segments `(n,)`."""
        drawn = self.draw(len(start_segments))
        if self.kind is not LatentKind.motion:
            return drawn
        match = self._uniform(len(start_segments), 1) < self.cfg.match_start
        return torch.where(match, self.embedding.prototypes[start_segments], drawn)

    def draw_hold(self, n: int) -> Tensor:
        """Number of steps `(n,)` that a new latent is held for.

        Log-uniform, to cover both the short holds of a high level and the long ones of a user.
        """
        low, high = self.cfg.hold_steps_min, self.cfg.hold_steps_max
        held = low * ((high + 1) / low) ** self._uniform(n, 1).squeeze(-1)
        return held.long().clamp(low, high)

    def demonstrations(self, latent: Tensor) -> Tensor:
        """A demonstration window for each row of `latent (n, d)`.

        With `motion`, of a segment whose prototype is near the latent, so that demonstrated and imitated windows come
        with the same latents; otherwise of any segment by its weight.
        """
        if self.kind is LatentKind.motion:
            shares = self.embedding.segment_probabilities(latent, self.cfg.temperature)
        else:
            shares = self.demos.weights.expand(len(latent), -1)
        return self.demos.draw(draw_categories(shares, self._generator), self._generator)

    def _normal(self, n: int, d: int) -> Tensor:
        return torch.randn(n, d, generator=self._generator, device=self._device)

    def _uniform(self, n: int, d: int) -> Tensor:
        return torch.rand(n, d, generator=self._generator, device=self._device)


class HeldLatents(Stateful):
    """The latent of each of N environments, and the number of steps left before the next one.

    Args:
        source: of the latents.
        task: has the clip and the time at which each episode began.
        num_envs: N.

    Attributes:
        latent: `(N, d)`.
        hold: `(N,)` control steps until the next one.
    """

    STATE: ClassVar = ("latent", "hold")

    def __init__(self, source: LatentSource, task: ImitationTask, num_envs: int) -> None:
        self._source, self._task = source, task
        device = source.embedding.prototypes.device
        self.latent = torch.zeros(num_envs, source.size, device=device)
        self.hold = torch.zeros(num_envs, dtype=torch.long, device=device)

    def restart(self, mask: Tensor) -> None:
        """New latents for the episodes of `mask (N,)`, which just began."""
        segments = self._source.demos.segment_of(self._task.start_clip, self._task.start_time_s)
        self._set(mask, self._source.draw_at_start(segments))

    def count_step(self) -> None:
        """Count a control step."""
        self.hold -= 1

    def renew(self) -> Tensor:
        """Draw new latents where the hold time is over; returns that mask `(N,)`."""
        expired = self.hold <= 0
        self._set(expired, self._source.draw(len(expired)))
        return expired

    def _set(self, mask: Tensor, latent: Tensor) -> None:
        self.latent = torch.where(mask.unsqueeze(-1), latent, self.latent)
        self.hold = torch.where(mask, self._source.draw_hold(len(mask)), self.hold)
