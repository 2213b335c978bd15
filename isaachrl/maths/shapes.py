"""Helpers for tensor shapes."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def with_axes_of(value: Tensor, field: Tensor) -> Tensor:
    """`value (N,)` as `(N, 1, …)` with as many axes as `field (N, …)`."""
    return value.view(-1, *[1] * (field.dim() - 1))


def stack_steps(steps: Sequence[T]) -> T:
    """Stack dataclasses of tensors into one, with time as the new first axis of each tensor."""
    first = steps[0]
    return type(first)(**{name: torch.stack([getattr(step, name) for step in steps]) for name in vars(first)})
