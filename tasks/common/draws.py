"""Random numbers of tasks: angles, ranges and directions."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def uniform(n: int, span: Sequence[float], generator: torch.Generator) -> Tensor:
    """Numbers `(n,)`, uniform between the two numbers of `span`."""
    low, high = span
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def angles(n: int, generator: torch.Generator) -> Tensor:
    """Angles `(n,)`, rad, uniform on the circle."""
    return uniform(n, (-math.pi, math.pi), generator)


def direction(angle: Tensor) -> Tensor:
    """Unit vectors `(…, 2)` of angles `(…)`."""
    return torch.stack((angle.cos(), angle.sin()), dim=-1)
