"""Random choices without a host sync."""

import torch
from torch import Tensor


def draw_categories(shares: Tensor, generator: torch.Generator) -> Tensor:
    """One category `(n,)` per row of `shares (n, K)`, which are non-negative; by inverting the cumulative sum."""
    cumulative = shares.cumsum(-1)
    point = torch.rand(len(shares), 1, generator=generator, device=shares.device) * cumulative[:, -1:]
    return (cumulative <= point).sum(-1).clamp_max(shares.shape[-1] - 1)
