"""Shapes that fit."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.maths.shapes import stack_steps, with_axes_of


@dataclass
class Pair:
    a: Tensor
    b: Tensor


def test_masks_get_as_many_axes_as_the_field():
    assert with_axes_of(torch.ones(3), torch.zeros(3, 2, 4)).shape == (3, 1, 1)


def test_steps_are_stacked_field_by_field():
    rollout = stack_steps([Pair(torch.tensor([i, i]), torch.tensor([[i == 1]] * 2)) for i in range(3)])
    assert isinstance(rollout, Pair) and rollout.a.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert rollout.b.shape == (3, 2, 1) and rollout.b[:, 0, 0].tolist() == [False, True, False]
