"""The networks of a skill: an actor, and a discriminator with an optional encoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from isaachrl.nn import RunningNorm, mlp


class Actor(nn.Module):
    """Mean action of a normalised observation and a latent.

    The latent passes through a small network and tanh before it is concatenated with the observation.

    Args:
        obs_size, latent_size, action_size: widths; `latent_size` 0 for no latent.
        hidden: widths of the main network.
        latent_hidden: widths of the latent's network, its output included.
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
    def initialize_output(self, action: Tensor) -> None:
        """Make the output of an untrained actor nearly `action (A,)` for every input.

        With a small standard deviation and KL target the mean changes slowly: zero actions, the middle of every motor's
        range, mean bent knees, and unlearning them takes a million samples.
        """
        last = self.body[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(0.01)
        last.bias.copy_(action)

    def forward(self, obs: Tensor, latent: Tensor) -> Tensor:
        """Mean `(n, A)` for normalised observations `(n, O)` and latents `(n, d)`."""
        if self.style is not None:
            obs = torch.cat((obs, torch.tanh(self.style(latent))), dim=-1)
        return self.body(obs)

    def forward_multi(self, obs: Tensor, *latents: Tensor) -> list[Tensor]:
        """`forward` of the same observations with each of several latents, equal up to rounding; for training.

        The first layer is split: its product with the observation is computed once for all latents, and without the
        `cat` of `forward` no gradient of the observation is computed.
        """
        if self.style is None:
            return [self.body(obs) for _ in latents]
        first, *rest = self.body
        assert isinstance(first, nn.Linear)
        of_obs, of_latent = first.weight.split((obs.shape[-1], first.in_features - obs.shape[-1]), dim=1)
        shared = functional.linear(obs, of_obs, first.bias)
        means = []
        for latent in latents:
            mean = shared + functional.linear(torch.tanh(self.style(latent)), of_latent)
            for layer in rest:
                mean = layer(mean)
            means.append(mean)
        return means


class Discriminator(nn.Module):
    """Discriminates demonstrated from imitated motion windows; optionally encodes windows as latents.

    Args:
        window_size: width of a window.
        condition_size: width of the latent it is conditioned on; 0 for none.
        encoder_size: width of the encoder's output; 0 for no encoder.
        hidden: widths of the trunk, which discriminator and encoder share.
    """

    def __init__(self, window_size: int, condition_size: int, encoder_size: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.norm = RunningNorm(window_size)
        self.condition_size = condition_size
        self.trunk = mlp(window_size + condition_size, hidden)
        self.head = nn.Linear(hidden[-1], 1)
        nn.init.uniform_(self.head.weight, -1.0, 1.0)
        nn.init.zeros_(self.head.bias)
        self.encoder = nn.Linear(hidden[-1], encoder_size) if encoder_size else None

    def features(self, normalized: Tensor, latent: Tensor) -> Tensor:
        """The trunk's output for normalised windows `(n, window)` and latents `(n, d)`."""
        if self.condition_size:
            normalized = torch.cat((normalized, latent), dim=-1)
        return self.trunk(normalized)

    def logit(self, normalized: Tensor, latent: Tensor) -> Tensor:
        """`(n,)`: positive for windows classified as demonstrations."""
        return self.head(self.features(normalized, latent)).squeeze(-1)

    def logit_and_encoding(self, normalized: Tensor, latent: Tensor, rows: int | None = None) -> tuple[Tensor, Tensor]:
        """`logit (n,)` and the encodings `(rows, d)`, unit vectors, of the first `rows` windows (None for all)."""
        assert self.encoder is not None, "this discriminator was built without an encoder"
        features = self.features(normalized, latent)
        return self.head(features).squeeze(-1), functional.normalize(self.encoder(features[:rows]), dim=-1)
