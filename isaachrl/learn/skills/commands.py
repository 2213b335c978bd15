"""Where a skill's commands come from while it is learned, and how long each is held."""

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.hierarchy.motion_space import MotionSpace
from isaachrl.learn.skills.config import LatentCfg, Latents
from isaachrl.learn.skills.motions import Demonstrations
from isaachrl.maths.sampling import draw_categories


class CommandSource:
    """Draws commands of one of the three kinds, and the demonstrations that go with them.

    Attributes:
        size: d; 0 without commands.
        space: places of the motions (`motion` only).
    """

    def __init__(
        self, kind: Latents, cfg: LatentCfg, demos: Demonstrations, generator: torch.Generator, device: torch.device
    ) -> None:
        self.kind, self.cfg, self.demos = kind, cfg, demos
        self._generator, self._device = generator, device
        self.size = 0 if kind is Latents.none else cfg.size
        # the places serve the coverage signal of the other kinds, too
        self.space = MotionSpace(demos.features, demos.scale, max(self.size, 2)).to(device)

    def draw(self, n: int) -> Tensor:
        """New commands `(n, d)`; those at or between clips by the clips' weights."""
        sphere = functional.normalize(self._normal(n, self.size), dim=-1)
        if self.kind is not Latents.motion:
            return sphere
        places = self.space.places
        pick = draw_categories(self.demos.weights.expand(2 * n, -1), self._generator).view(2, n)
        here, there = places[pick[0]], places[pick[1]]
        blend, choice = self._uniform(n, 1), self._uniform(n, 1)
        between = functional.normalize((1 - blend) * here + blend * there + 1e-6 * sphere, dim=-1)
        arc = choice < self.cfg.at_clip + self.cfg.between_clips
        return torch.where(choice < self.cfg.at_clip, here, torch.where(arc, between, sphere))

    def draw_at_start(self, start_pieces: Tensor) -> Tensor:
        """Commands `(n, d)` for new episodes that begin in the given pieces of motion `(n,)`."""
        drawn = self.draw(len(start_pieces))
        if self.kind is not Latents.motion:
            return drawn
        match = self._uniform(len(start_pieces), 1) < self.cfg.match_start
        return torch.where(match, self.space.places[start_pieces], drawn)

    def draw_hold(self, n: int) -> Tensor:
        """For how many steps `(n,)` a new command is held: evenly on a logarithmic scale.

        A level above changes its mind many times a second, a user's command lasts: either must be met often.
        """
        low, high = self.cfg.hold_steps_min, self.cfg.hold_steps_max
        held = low * ((high + 1) / low) ** self._uniform(n, 1).squeeze(-1)
        return held.long().clamp(low, high)

    def demonstrations(self, latent: Tensor) -> Tensor:
        """A demonstration window for each command of `latent (n, d)`.

        With `motion`, from the clips around the command's place, so that real and imitated windows come with the
        same commands; else from any clip by its weight.
        """
        if self.kind is Latents.motion:
            shares = self.space.likely_pieces(latent, self.cfg.temperature)
        else:
            shares = self.demos.weights.expand(len(latent), -1)
        return self.demos.draw(draw_categories(shares, self._generator), self._generator)

    def _normal(self, n: int, d: int) -> Tensor:
        return torch.randn(n, d, generator=self._generator, device=self._device)

    def _uniform(self, n: int, d: int) -> Tensor:
        return torch.rand(n, d, generator=self._generator, device=self._device)
