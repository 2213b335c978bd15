"""Actors and critics of all levels."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from isaachrl.learn.goals.config import LevelCfg
from isaachrl.nn import Precision, Rounding

LAST_LAYER_RANGE = 0.003
LOG_SPREAD_RANGE = (-20.0, 2.0)  # of a Gaussian actor, as in the published code


class Actor(nn.Module):
    """A deterministic policy: features `(…, F)` to actions `(…, A)` in [-1, 1].

    Args:
        features: F.
        actions: A.
        cfg: of the level.
        rounding: of the hidden layers' products.
    """

    def __init__(self, features: int, actions: int, cfg: LevelCfg, rounding: Rounding) -> None:
        super().__init__()
        sizes = [features, *cfg.hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.last = nn.Linear(sizes[-1], actions)
        self.rounding = rounding
        _start(self.hidden, self.last, cfg.small_last_layer)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return torch.tanh(self.last(self.seen(features)))

    def seen(self, features: Tensor) -> Tensor:
        """What the hidden layers make of `features`."""
        with self.rounding.everything():
            for layer in self.hidden:
                features = functional.relu(layer(features))
        return features.float()


class GaussianActor(Actor):
    """A random policy: the hyperbolic tangent of a normal draw. Called, it gives tanh of the mean.

    Args:
        features, actions, cfg, rounding: see `Actor`.
    """

    def __init__(self, features: int, actions: int, cfg: LevelCfg, rounding: Rounding) -> None:
        super().__init__(features, actions, cfg, rounding)
        self.log_spread = nn.Linear(cfg.hidden[-1], actions)
        if cfg.small_last_layer:
            _start_small(self.log_spread)

    def sample(self, features: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Actions `(…, A)` by the reparametrisation, and the logarithms `(…)` of their densities."""
        seen = self.seen(features)
        mean, log_spread = self.last(seen), self.log_spread(seen).clamp(*LOG_SPREAD_RANGE)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        drawn = mean + log_spread.exp() * noise
        return torch.tanh(drawn), squashed_log_density(drawn, noise, log_spread)


def squashed_log_density(drawn: Tensor, noise: Tensor, log_spread: Tensor) -> Tensor:
    """Logarithm `(…)` of the density of tanh(u), where u is `drawn (…, A)` = mean + exp(`log_spread`) * `noise`.

    That of the normal draw less the logarithm of tanh's slope, 1 - tanh(u)^2 (Haarnoja et al. 2018,
    appendix C), written as 4 / (e^u + e^-u)^2 so that it stays finite where tanh is 1.
    """
    normal = -0.5 * (noise.square() + math.log(2.0 * math.pi)) - log_spread
    slope = 2.0 * (math.log(2.0) - drawn - functional.softplus(-2.0 * drawn))
    return (normal - slope).sum(-1)


class Critic(nn.Module):
    """Value `(…)` of features `(…, F)` and actions `(…, A)`.

    Args:
        features: F.
        units: `(A,)` factors that bring actions from [-1, 1] to the units in which they are shown.
        cfg: of the level.
        rounding: of the hidden layers' products.
    """

    units: Tensor

    def __init__(self, features: int, units: Tensor, cfg: LevelCfg, rounding: Rounding) -> None:
        super().__init__()
        actions = len(units)
        self.register_buffer("units", units.clone())
        self.again, self.layer_norm, self.rounding = cfg.action_again, cfg.layer_norm, rounding
        sizes = [features + actions, *cfg.hidden]
        seconds = [actions if cfg.action_again and i == 1 else 0 for i in range(len(cfg.hidden))]
        pairs = zip(sizes[:-1], sizes[1:], seconds, strict=True)
        self.hidden = nn.ModuleList(nn.Linear(a + more, b) for a, b, more in pairs)
        self.last = nn.Linear(sizes[-1], 1)
        _start(self.hidden, self.last, cfg.small_last_layer)

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """See the class."""
        shown = action * self.units
        x = torch.cat((features, shown), dim=-1)
        with self.rounding.everything():
            for number, layer in enumerate(self.hidden):
                if number == 1 and self.again:
                    x = torch.cat((x, shown.to(x.dtype)), dim=-1)
                x = layer(x)
                x = functional.relu(functional.layer_norm(x, x.shape[-1:]) if self.layer_norm else x)
        return self.last(x.float()).squeeze(-1)


class Twins(nn.Module):
    """Two critics that differ in their first weights."""

    def __init__(self, features: int, units: Tensor, cfg: LevelCfg, rounding: Rounding) -> None:
        super().__init__()
        self.first, self.second = (Critic(features, units, cfg, rounding) for _ in range(2))

    def forward(self, features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Both values `(…)`."""
        return self.first(features, action), self.second(features, action)


def exact(network: nn.Module) -> nn.Module:
    """A copy on the CPU that rounds nothing, for export."""
    twin = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    for module in twin.modules():
        if isinstance(module, Actor | Critic):
            module.rounding = Rounding(Precision.float32, torch.device("cpu"))
    return twin


def _start(hidden: nn.ModuleList, last: nn.Linear, small: bool) -> None:
    """First weights: hidden layers as PyTorch draws them (uniform, a third over the fan-in), without biases."""
    if not small:
        return
    for layer in hidden:
        assert isinstance(layer, nn.Linear)
        nn.init.zeros_(layer.bias)
    _start_small(last)


def _start_small(last: nn.Linear) -> None:
    nn.init.uniform_(last.weight, -LAST_LAYER_RANGE, LAST_LAYER_RANGE)
    nn.init.uniform_(last.bias, -LAST_LAYER_RANGE, LAST_LAYER_RANGE)
