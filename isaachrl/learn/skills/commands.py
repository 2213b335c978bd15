"""Where a skill's commands come from while it is learned, and how long each is held."""

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.hierarchy.latents import Latents
from isaachrl.hierarchy.motion_space import MotionSpace
from isaachrl.learn.skills.config import LatentCfg
from isaachrl.learn.skills.motions import Demonstrations, ImitationTask
from isaachrl.maths.sampling import draw_categories


class CommandSource:
    """Draws commands of one of the three kinds, and the demonstrations that go with them.

    Attributes:
        size: d; 0 without commands.
        space: places of the motions; with other kinds of commands it serves the signals alone.
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


class HeldCommands:
    """The command that each of N environments follows, and for how many steps yet.

    Args:
        source: where commands come from.
        task: tells where in which clip an episode began.
        num_envs: N.

    Attributes:
        latent: `(N, d)`.
        hold: `(N,)` control steps until the next one.
    """

    def __init__(self, source: CommandSource, task: ImitationTask, num_envs: int) -> None:
        self._source, self._task = source, task
        device = source.space.places.device
        self.latent = torch.zeros(num_envs, source.size, device=device)
        self.hold = torch.zeros(num_envs, dtype=torch.long, device=device)

    def restart(self, mask: Tensor) -> None:
        """New commands for the episodes of `mask (N,)` that just began."""
        pieces = self._source.demos.piece_of(self._task.start_clip, self._task.start_time_s)
        self._set(mask, self._source.draw_at_start(pieces))

    def count_step(self) -> None:
        """A control step was done."""
        self.hold -= 1

    def renew(self) -> Tensor:
        """New commands where time is up; where that was `(N,)`."""
        over = self.hold <= 0
        self._set(over, self._source.draw(len(over)))
        return over

    def _set(self, mask: Tensor, latent: Tensor) -> None:
        self.latent = torch.where(mask.unsqueeze(-1), latent, self.latent)
        self.hold = torch.where(mask, self._source.draw_hold(len(mask)), self.hold)

    def state_dict(self) -> dict[str, Tensor]:
        """Commands and what is left of their time."""
        return {"latent": self.latent.clone(), "hold": self.hold.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Write back what `state_dict` gave."""
        self.latent, self.hold = (state[name].to(self.hold.device, copy=True) for name in ("latent", "hold"))
