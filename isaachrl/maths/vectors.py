"""Vectors of any dimension."""

import torch
from torch import Tensor
from torch.nn import functional

_TINY = 1e-12  # the length below which `functional.normalize` gives no unit vector


def on_sphere(v: Tensor) -> Tensor:
    """Vectors `(…, d)` scaled to length 1; where nothing is to be scaled, the first axis."""
    if v.shape[-1] == 0:
        return v
    first = functional.pad(torch.ones_like(v[..., :1]), (0, v.shape[-1] - 1))
    return torch.where(v.norm(dim=-1, keepdim=True) > _TINY, functional.normalize(v, dim=-1), first)
