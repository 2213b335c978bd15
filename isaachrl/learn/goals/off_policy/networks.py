"""Actors and critics of all levels."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from isaachrl.learn.goals.config import LevelCfg
from isaachrl.learn.goals.off_policy.histogram import Histogram
from isaachrl.nn import Precision, Rounding

LAST_LAYER_RANGE = 0.003
LOG_STD_RANGE = (-20.0, 2.0)  # of a Gaussian actor, as in the published code


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
        if cfg.small_last_layer:
            _initialize_small(self.hidden, self.last)

    def forward(self, features: Tensor) -> Tensor:
        """Actions `(…, A)`."""
        return torch.tanh(self.last(self.trunk(features)))

    def trunk(self, features: Tensor) -> Tensor:
        """Output `(…, H)` of the last hidden layer."""
        with self.rounding.everything():
            for layer in self.hidden:
                features = functional.relu(layer(features))
        return features.float()


class GaussianActor(Actor):
    """A stochastic policy: tanh of a Gaussian. `forward` gives tanh of the mean.

    Args:
        features, actions, cfg, rounding: see `Actor`.
    """

    def __init__(self, features: int, actions: int, cfg: LevelCfg, rounding: Rounding) -> None:
        super().__init__(features, actions, cfg, rounding)
        self.log_std = nn.Linear(cfg.hidden[-1], actions)
        if cfg.small_last_layer:
            _initialize_last(self.log_std)

    def sample(self, features: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Reparametrised actions `(…, A)` and the logarithms `(…)` of their densities."""
        hidden = self.trunk(features)
        mean, log_std = self.last(hidden), self.log_std(hidden).clamp(*LOG_STD_RANGE)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        before_tanh = mean + log_std.exp() * noise
        return torch.tanh(before_tanh), squashed_log_density(before_tanh, noise, log_std)


def squashed_log_density(before_tanh: Tensor, noise: Tensor, log_std: Tensor) -> Tensor:
    """Log-density `(…)` of tanh(u), where u is `before_tanh (…, A)` = mean + exp(`log_std`) * `noise`.

    The Gaussian's log-density minus log(1 - tanh(u)^2) (Haarnoja et al. 2018, appendix C), the latter as
    log(4 / (e^u + e^-u)^2), which stays finite where tanh rounds to 1.
    """
    normal = -0.5 * (noise.square() + math.log(2.0 * math.pi)) - log_std
    log_slope = 2.0 * (math.log(2.0) - before_tanh - functional.softplus(-2.0 * before_tanh))
    return (normal - log_slope).sum(-1)


class Critic(nn.Module):
    """Value `(…)` of features `(…, F)` and actions `(…, A)`.

    Args:
        features: F.
        units: `(A,)` factors from actions in [-1, 1] to the critic's inputs.
        cfg: of the level.
        rounding: of the hidden layers' products.
    """

    units: Tensor

    def __init__(self, features: int, units: Tensor, cfg: LevelCfg, rounding: Rounding) -> None:
        super().__init__()
        actions = len(units)
        self.register_buffer("units", units.clone())
        self.late_action_input, self.layer_norm, self.rounding = cfg.hiro_details, cfg.critic.layer_norm, rounding
        hidden = cfg.critic.hidden or cfg.hidden
        sizes = [features + actions, *hidden]
        late = [actions if cfg.hiro_details and i == 1 else 0 for i in range(len(hidden))]
        pairs = zip(sizes[:-1], sizes[1:], late, strict=True)
        self.hidden = nn.ModuleList(nn.Linear(a + more, b) for a, b, more in pairs)
        self.huber = cfg.critic.huber
        self.histogram = Histogram(cfg.critic.bins, cfg.critic.value_limit) if cfg.critic.bins else None
        self.last = nn.Linear(sizes[-1], cfg.critic.bins or 1)
        if cfg.small_last_layer:
            _initialize_small(self.hidden, self.last)

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """Values `(…)`."""
        output = self._output(features, action)
        return output.squeeze(-1) if self.histogram is None else self.histogram.mean(output)

    def loss(self, features: Tensor, action: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Loss `(B,)` of the regression to targets `(B,)`, and values `(B,)`."""
        output = self._output(features, action)
        if self.histogram is not None:
            return self.histogram.loss(output, target), self.histogram.mean(output)
        value = output.squeeze(-1)
        loss_of = functional.huber_loss if self.huber else functional.mse_loss
        return loss_of(value, target, reduction="none"), value

    def _output(self, features: Tensor, action: Tensor) -> Tensor:
        """Values `(…, 1)`, or logits `(…, bins)` of histograms."""
        scaled = action * self.units
        x = torch.cat((features, scaled), dim=-1)
        with self.rounding.everything():
            for number, layer in enumerate(self.hidden):
                if number == 1 and self.late_action_input:
                    x = torch.cat((x, scaled.to(x.dtype)), dim=-1)
                x = layer(x)
                x = functional.relu(functional.layer_norm(x, x.shape[-1:]) if self.layer_norm else x)
        return self.last(x.float())


class TwinCritic(nn.Module):
    """Two critics with different initial weights; for the arguments see `Critic`."""

    def __init__(self, features: int, units: Tensor, cfg: LevelCfg, rounding: Rounding) -> None:
        super().__init__()
        self.q1, self.q2 = (Critic(features, units, cfg, rounding) for _ in range(2))

    def forward(self, features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Both values `(…)`."""
        return self.q1(features, action), self.q2(features, action)

    def loss(self, features: Tensor, action: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of both losses `(B,)`, and the first values `(B,)`; see `Critic.loss`."""
        (loss, value), (other, _) = (critic.loss(features, action, target) for critic in (self.q1, self.q2))
        return loss + other, value


def exact_copy(network: nn.Module) -> nn.Module:
    """A float32 copy on the CPU, without rounding, for export."""
    result = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    for module in result.modules():
        if isinstance(module, Actor | Critic):
            module.rounding = Rounding(Precision.float32, torch.device("cpu"))
    return result


def _initialize_small(hidden: nn.ModuleList, last: nn.Linear) -> None:
    """Initialise as published: zero hidden biases and a small last layer; hidden weights stay as PyTorch draws them."""
    for layer in hidden:
        assert isinstance(layer, nn.Linear)
        nn.init.zeros_(layer.bias)
    _initialize_last(last)


def _initialize_last(last: nn.Linear) -> None:
    nn.init.uniform_(last.weight, -LAST_LAYER_RANGE, LAST_LAYER_RANGE)
    nn.init.uniform_(last.bias, -LAST_LAYER_RANGE, LAST_LAYER_RANGE)
