"""The networks of a skill: an actor, and a discriminator with an optional encoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from isaachrl.nn import RunningNorm, mlp


class Actor(nn.Module):
    """Mean action of a normalised observation and a command.

    The command passes through its own small network and tanh before it joins the observation.

    Args:
        obs_size, latent_size, action_size: widths; a latent size of 0 means no command.
        hidden: widths of the main network.
        latent_hidden: widths of the command's network; the last one is the width it joins with.
    """

    def __init__(
        self,
        obs_size: int,
        latent_size: int,
        action_size: int,
        hidden: Sequence[int],
        latent_hidden: Sequence[int],
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        style_size = latent_hidden[-1] if latent_size else 0
        self.style = mlp(latent_size, latent_hidden[:-1], style_size) if latent_size else None
        self.body = mlp(obs_size + style_size, hidden, action_size)

    @torch.no_grad()
    def start_from(self, action: Tensor) -> None:
        """Make an untrained actor answer nearly `action (A,)` to everything.

        With a narrow policy a small divergence per iteration moves the mean slowly: a start in the middle of
        every motor's range, with bent knees, would cost the first million samples.
        """
        last = self.body[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(0.01)
        last.bias.copy_(action)

    def forward(self, obs: Tensor, latent: Tensor) -> Tensor:
        """Mean `(n, A)` for normalised observations `(n, O)` and commands `(n, d)`."""
        if self.style is not None:
            obs = torch.cat((obs, torch.tanh(self.style(latent))), dim=-1)
        return self.body(obs)

    def answers(self, obs: Tensor, *latents: Tensor) -> list[Tensor]:
        """`forward` of the same observations under each of several commands, up to rounding, to learn from.

        The first layer is taken apart: what it makes of the observation is computed once for all commands, and no
        gradient is computed for the observation, as it would be behind the `cat` of `forward`.
        """
        if self.style is None:
            return [self.body(obs) for _ in latents]
        first, *rest = self.body
        assert isinstance(first, nn.Linear)
        own, joined = first.weight.split((obs.shape[-1], first.in_features - obs.shape[-1]), dim=1)
        seen = functional.linear(obs, own, first.bias)
        found = []
        for latent in latents:
            answer = seen + functional.linear(torch.tanh(self.style(latent)), joined)
            for layer in rest:
                answer = layer(answer)
            found.append(answer)
        return found


class Discriminator(nn.Module):
    """Judges windows of motion, and optionally guesses the command from them.

    Args:
        window_size: width of a window.
        condition_size: width of the command that the judge is told; 0 if it is not.
        encoder_size: width of the command that the encoder guesses; 0 for no encoder.
        hidden: widths of the trunk that both share.
    """

    def __init__(self, window_size: int, condition_size: int, encoder_size: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.norm = RunningNorm(window_size)
        self.condition_size = condition_size
        self.trunk = mlp(window_size + condition_size, hidden)
        self.judge = nn.Linear(hidden[-1], 1)
        nn.init.uniform_(self.judge.weight, -1.0, 1.0)
        nn.init.zeros_(self.judge.bias)
        self.guess = nn.Linear(hidden[-1], encoder_size) if encoder_size else None

    def features(self, normalized: Tensor, latent: Tensor) -> Tensor:
        """The trunk's output for normalised windows `(n, window)` and commands `(n, d)`."""
        if self.condition_size:
            normalized = torch.cat((normalized, latent), dim=-1)
        return self.trunk(normalized)

    def logit(self, normalized: Tensor, latent: Tensor) -> Tensor:
        """`(n,)`: positive where the window looks like a demonstration."""
        return self.judge(self.features(normalized, latent)).squeeze(-1)

    def opinions(self, normalized: Tensor, latent: Tensor, rows: int | None = None) -> tuple[Tensor, Tensor]:
        """`logit (n,)`, and of the first rows (all without a number) the command `(rows, d)` that they suggest.

        That command is a unit vector. The trunk is gone through once.
        """
        assert self.guess is not None, "this discriminator was built without an encoder"
        features = self.features(normalized, latent)
        return self.judge(features).squeeze(-1), functional.normalize(self.guess(features[:rows]), dim=-1)
