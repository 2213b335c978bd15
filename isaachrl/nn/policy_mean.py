"""The mean of a policy that PPO has trained, as a plain module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_CLIP = 5.0  # of normalised observations, as in rl_games
_EPSILON = 1e-5
_NET, _NORM = "a2c_network.", "running_mean_std."


class PolicyMean(nn.Module):
    """A copy of the mean of a trained policy, with its normaliser, if it has one.

    Args:
        weights: of rl_games' model, by name: relu layers `actor_mlp`, and `mu`, whose output goes through tanh.

    Attributes:
        sizes: widths of input and action.

    Raises:
        KeyError, RuntimeError: a weight is missing, or has a size that does not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        hidden = sum(name.startswith(f"{_NET}actor_mlp.") and name.endswith(".weight") for name in weights)
        layers: list[nn.Module] = []
        for i in range(hidden):  # rl_games counts the activations, too
            layers += [_linear(weights, f"{_NET}actor_mlp.{2 * i}"), nn.ReLU()]
        self.layers = nn.Sequential(*layers, _linear(weights, f"{_NET}mu"), nn.Tanh())
        self.sizes = (weights[f"{_NET}actor_mlp.0.weight"].shape[1], weights[f"{_NET}mu.weight"].shape[0])
        self.normalize = f"{_NORM}running_mean" in weights
        mean, variance = torch.zeros(self.sizes[0]), torch.ones(self.sizes[0])
        if self.normalize:
            mean, variance = weights[f"{_NORM}running_mean"], weights[f"{_NORM}running_var"]
        self.register_buffer("mean", mean.detach().float().clone())
        self.register_buffer("std", (variance.detach().float() + _EPSILON).sqrt())
        self.requires_grad_(False)

    def forward(self, policy_input: Tensor) -> Tensor:
        """Action `(n, A)` in [-1, 1] of observations `(n, ·)`."""
        if self.normalize:
            policy_input = ((policy_input - self.mean) / self.std).clamp(-_CLIP, _CLIP)
        return self.layers(policy_input)


def _linear(weights: Mapping[str, Tensor], name: str) -> nn.Linear:
    """A copy of one layer."""
    own = {part: weights[f"{name}.{part}"].detach() for part in ("weight", "bias")}
    outputs, inputs = own["weight"].shape
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, device=own["weight"].device)  # draws no random numbers
    assert isinstance(layer, nn.Linear)
    layer.load_state_dict(own)
    return layer
