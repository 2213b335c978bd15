"""Shapes that fit."""

from torch import Tensor


def with_axes_of(value: Tensor, field: Tensor) -> Tensor:
    """`value (N,)` as `(N, 1, …)`, with as many axes as `field (N, …)` has."""
    return value.view(-1, *[1] * (field.dim() - 1))
