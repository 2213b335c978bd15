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
        weights: `(S,)` how often each segment's prototype is drawn.
        at_clip: share of latents that are a prototype, see `LatentCfg`.
    """

    def __init__(
        self, kind: LatentKind, cfg: LatentCfg, demos: Demonstrations, generator: torch.Generator, device: torch.device
    ) -> None:
        self.kind, self.cfg, self.demos = kind, cfg, demos
        self._generator, self._device = generator, device
        self.size = 0 if kind is LatentKind.none else cfg.size
        self.weights, self.at_clip = demos.weights.clone(), cfg.at_clip
        self.embedding = MotionEmbedding(demos.features, demos.scale, max(self.size, 2), cfg.kernel_width).to(device)

    def draw(self, n: int) -> Tensor:
        """New latents `(n, d)`; prototypes are drawn by their segments' weights."""
        return self.draw_commands(n)[0]

    def draw_commands(self, n: int) -> tuple[Tensor, Tensor]:
        """As `draw`, with the index `(n,)` of the segment whose prototype each latent is; -1 for other latents."""
        sphere = functional.normalize(self._normal(n, self.size), dim=-1)
        if self.kind is not LatentKind.motion:
            return sphere, torch.full((n,), -1, device=self._device)
        prototypes = self.embedding.prototypes
        pick = draw_categories(self.weights.expand(2 * n, -1), self._generator).view(2, n)
        one, other = prototypes[pick[0]], prototypes[pick[1]]
        blend, choice = self._uniform(n, 1), self._uniform(n, 1)
        between = functional.normalize((1 - blend) * one + blend * other + 1e-6 * sphere, dim=-1)
        arc = choice < self.at_clip + self.cfg.between_clips
        at_clip = choice < self.at_clip
        latent = torch.where(at_clip, one, torch.where(arc, between, sphere))
        return latent, torch.where(at_clip.squeeze(-1), pick[0], -1)

    def draw_at_start(self, start_segments: Tensor, commanded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For new episodes that begin in motion segments `(n,)`, or (not `commanded`) in none.

        Returns:
            latent: `(n, d)`.
            segment: `(n,)` as of `draw_commands`.
            matched: `(n,)` bool: it is the segment that the episode begins in.
        """
        drawn, segment = self.draw_commands(len(start_segments))
        if self.kind is not LatentKind.motion:
            return drawn, segment, torch.zeros_like(commanded)
        match = self._uniform(len(start_segments), 1).squeeze(-1) < self.cfg.match_start
        match &= commanded
        latent = torch.where(match.unsqueeze(-1), self.embedding.prototypes[start_segments], drawn)
        return latent, torch.where(match, start_segments, segment), match

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
        with the same latents; otherwise of any segment by its weight. The latent zero stands for getting up.
        """
        if self.kind is LatentKind.motion:
            shares = self.embedding.segment_probabilities(latent, self.cfg.temperature)
        else:
            shares = self.demos.weights.expand(len(latent), -1)
        drawn = self.demos.draw(draw_categories(shares, self._generator), self._generator)
        if self.demos.rising is None:
            return drawn
        rising = self.demos.draw_rising(len(latent), self._generator)
        return torch.where(latent.any(-1, keepdim=True), drawn, rising)

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
        follow: where a new latent is a motion's, the task compares the body with the way to that motion from then on.
            Else only episodes that begin in the motion are compared with it.

    Attributes:
        latent: `(N, d)`.
        hold: `(N,)` control steps until the next one.
        matched: `(N,)` bool: it is the motion's that the task compares the body with, or with what goes on after it.
        segment: `(N,)` of that motion; any where it is none's.
        led: `(N,)` steps since the way to it began.
    """

    STATE: ClassVar = ("latent", "hold", "matched", "segment", "led")

    def __init__(self, source: LatentSource, task: ImitationTask, num_envs: int, follow: bool = False) -> None:
        self._source, self._task, self._follow = source, task, follow
        device = source.embedding.prototypes.device
        self.latent = torch.zeros(num_envs, source.size, device=device)
        self.hold = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.matched = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self.segment, self.led = torch.zeros_like(self.hold), torch.zeros_like(self.hold)
        if follow:
            demos = source.demos
            task.set_goals(demos.clips, demos.begin_s, demos.end_s)

    def restart(self, mask: Tensor) -> None:
        """New latents for the episodes of `mask (N,)`, which just began."""
        segments = self._source.demos.segment_of(self._task.start_clip, self._task.start_time_s)
        commanded = self._source.demos.commanded[self._task.start_clip] & ~self._task.recovering
        latent, segment, matched = self._source.draw_at_start(segments, commanded)
        self._set(mask, latent, segment, matched | self._followed(mask & ~matched, segment))

    def count_step(self) -> None:
        """Count a control step."""
        self.hold -= 1
        self.led += 1

    def renew(self) -> Tensor:
        """Draw new latents where the hold time is over; returns that mask `(N,)`."""
        expired = self.hold <= 0
        latent, segment = self._source.draw_commands(len(expired))
        self._set(expired, latent, segment, self._followed(expired, segment))
        return expired

    def _followed(self, mask: Tensor, segment: Tensor) -> Tensor:
        """Which bodies of `mask (N,)` are compared with their segments `(N,)`, -1 for none, from now on."""
        if not self._follow:
            return torch.zeros_like(mask)
        followed = mask & (segment >= 0) & ~self._task.recovering
        self._task.lead_to(followed, segment.clamp_min(0))
        return followed

    def lead_again(self, mask: Tensor) -> None:
        """Begin the way to the motion commanded anew for the bodies of `mask (N,)`, from where they are."""
        again = mask & self.matched & ~self._task.recovering
        self._task.lead_to(again, self.segment)
        self.led.masked_fill_(again, 0)

    def _set(self, mask: Tensor, latent: Tensor, segment: Tensor, matched: Tensor) -> None:
        self.matched = torch.where(mask, matched, self.matched)
        if self._follow:
            self._task.release(mask & ~matched)
        self.latent = torch.where(mask.unsqueeze(-1), latent, self.latent)
        self.hold = torch.where(mask, self._source.draw_hold(len(mask)), self.hold)
        self.segment = torch.where(mask, segment.clamp_min(0), self.segment)
        self.led.masked_fill_(mask, 0)
