"""Random sampling without a host sync."""

import torch
from torch import Tensor


def draw_categories(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Sample a category `(n,)` for each row of non-negative weights `(n, K)`, by inverting the cumulative sum."""
    cumulative = weights.cumsum(-1)
    point = torch.rand(len(weights), 1, generator=generator, device=weights.device) * cumulative[:, -1:]
    return (cumulative <= point).sum(-1).clamp_max(weights.shape[-1] - 1)
