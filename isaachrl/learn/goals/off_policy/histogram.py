"""Values as histograms: HL-Gauss (Farebrother et al. 2024, "Stop Regressing", arXiv:2403.03950).

A critic that classifies is as sensitive to rare large errors as a squared loss, while its gradients stay bounded.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 0.75  # standard deviation of the target's Gaussian, in bins, as published


class Histogram(nn.Module):
    """Categorical distributions over equal bins.

    Args:
        bins: number of bins.
        limit: they cover [-limit, limit]; targets are clipped to the middles of the outer ones.
    """

    edges: Tensor
    middles: Tensor

    def __init__(self, bins: int, limit: float) -> None:
        super().__init__()
        edges = torch.linspace(-limit, limit, bins + 1)
        self.register_buffer("edges", edges)
        self.register_buffer("middles", 0.5 * (edges[:-1] + edges[1:]))
        self._width = WIDTH * 2.0 * limit / bins

    def mean(self, logits: Tensor) -> Tensor:
        """Expected values `(…)` of logits `(…, bins)`."""
        return logits.softmax(-1) @ self.middles

    def probabilities(self, value: Tensor) -> Tensor:
        """`(…, bins)`: a Gaussian around each value `(…)`, integrated over the bins and normalised.

        At the limits its mean lies a bin or two inside.
        """
        value = torch.minimum(torch.maximum(value, self.middles[0]), self.middles[-1])
        below = torch.erf((self.edges - value.unsqueeze(-1)) / (math.sqrt(2.0) * self._width))
        mass = below.diff(dim=-1)
        return mass / mass.sum(-1, keepdim=True)

    def loss(self, logits: Tensor, value: Tensor) -> Tensor:
        """Cross-entropy `(…)` of logits `(…, bins)` relative to the histograms of values `(…)`."""
        return -(self.probabilities(value) * functional.log_softmax(logits, dim=-1)).sum(-1)
