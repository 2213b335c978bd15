"""Random numbers of tasks: angles, ranges, points, and the times at which targets change. All `(N,)` or `(N, 2)`."""

import math

import torch
from torch import Tensor


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Numbers `(n,)`, uniform in [low, high)."""
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def angles(n: int, generator: torch.Generator) -> Tensor:
    """Angles `(n,)`, rad, uniform on the circle."""
    return uniform(n, -math.pi, math.pi, generator)


def direction(angle: Tensor) -> Tensor:
    """Unit vectors `(…, 2)` of angles `(…)`."""
    return torch.stack((angle.cos(), angle.sin()), dim=-1)


def steps(n: int, seconds: tuple[float, float], step_s: float, generator: torch.Generator) -> Tensor:
    """Numbers of control steps `(n,)`, at least 1, that last a uniform time in this range."""
    return (uniform(n, *seconds, generator) / step_s).round().clamp_min(1.0)
