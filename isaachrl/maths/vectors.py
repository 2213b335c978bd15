"""Vectors."""

import torch
from torch import Tensor
from torch.nn import functional

_TINY = 1e-12  # epsilon of `functional.normalize`


def on_sphere(v: Tensor) -> Tensor:
    """Vectors `(…, d)` scaled to length 1; zero vectors become the first unit vector."""
    if v.shape[-1] == 0:
        return v
    first = functional.pad(torch.ones_like(v[..., :1]), (0, v.shape[-1] - 1))
    return torch.where(v.norm(dim=-1, keepdim=True) > _TINY, functional.normalize(v, dim=-1), first)
