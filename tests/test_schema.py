"""Values against the annotations of a dataclass."""

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from isaachrl.schema import is_plain, mismatch, state_mismatch


@dataclass
class Sample:
    name: str
    count: int
    scale: float = 1.0
    widths: list[int] = field(default_factory=list)
    parts: list[tuple[str, int]] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)


GOOD = {"name": "a", "count": 2, "scale": 1, "widths": [1], "parts": [["x", 3], ("y", 4)], "state": {"w": object()}}


def test_values_that_fit():
    assert mismatch(Sample, GOOD) == mismatch(Sample, {"name": "", "count": 0}) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 5}, "name is 5, expected str"),
        ({"name": None}, "name is None, expected str"),
        ({"count": True}, "count is True, expected int"),
        ({"count": 2.0}, "count is 2.0, expected int"),
        ({"count": 2**63}, "count is a number beyond 64 bits, expected int"),
        ({"scale": float("nan")}, "scale is nan, expected float"),
        ({"scale": 10**400}, "scale is a number beyond 64 bits, expected float"),
        ({"scale": torch.ones(2)}, "scale is Tensor, expected float"),
        ({"widths": 5}, r"widths is 5, expected list\[int\]"),
        ({"widths": [1, "2"]}, r"widths is list, expected list\[int\]"),
        ({"parts": [["x", 3, 4]]}, r"parts is list, expected list\[tuple\[str, int\]\]"),
        ({"parts": [5]}, "parts is list"),
        ({"state": []}, r"state is list, expected dict\[str, Any\]"),
        ({"state": {5: 1}}, "state is dict"),
        ({"more": 1}, "more is unknown to this version"),
    ],
)
def test_values_that_do_not_fit(change, said):
    assert re.match(said, mismatch(Sample, GOOD | change))


def test_missing_fields_are_named():
    assert mismatch(Sample, {"scale": 1.0}) == "name, count missing"


def test_plain_data_is_recognised():
    assert is_plain({"task": {"name": "x", "list": [1, 2.5, None, True], "speeds": {1: 2.5}}})
    assert not any(is_plain(value) for value in ({(1,): 2}, {"x": torch.ones(1)}, [(1, 2)], {"x": object()}))


def test_plain_data_too_deep_or_too_long_is_refused():
    deep: list[Any] = []
    for _ in range(50):
        deep = [deep]
    laughs: list[Any] = [0]
    for _ in range(12):
        laughs = [laughs] * 10  # a file of a few bytes, and 10**12 numbers
    assert not any(is_plain(value) for value in (deep, laughs, [[0] * 1000] * 1000))


def test_a_state_of_the_same_layout_fits_with_any_number_of_rows_where_there_are_none_yet():
    own = {"w": torch.zeros(2, 3), "replay": torch.zeros(0, 3), "n": 1, "lazy": None, "new": 1, "list": [1]}
    stored = {
        "w": torch.ones(2, 3).double(),
        "replay": torch.ones(9, 3),
        "n": 2.5,
        "lazy": {},
        "old": 1,
        "list": [1, 2],
    }
    assert state_mismatch(own, stored) == ""


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"w": torch.zeros(3, 2)}, "the state.w is a tensor (3, 2) of float32, expected a tensor (2, 3) of float32"),
        (
            {"w": torch.zeros(2, 3).long()},
            "the state.w is a tensor (2, 3) of int64, expected a tensor (2, 3) of float32",
        ),
        ({"w": torch.zeros(2, 3).cfloat()}, "the state.w is a tensor (2, 3) of complex64, expected a ten"),
        ({"w": None}, "the state.w is None, expected a tensor (2, 3) of float32"),
        ({"replay": torch.zeros(9, 4)}, "the state.replay is a tensor (9, 4) of float32, expected a tensor (0, 3)"),
        ({"deep": [{"n": "x"}]}, "the state.deep[0].n is 'x', expected 1"),
        ({"deep": 5}, "the state.deep is 5, expected list"),
        ([], "the state is list, expected dict"),
    ],
)
def test_a_state_of_another_layout_is_reported_with_its_path(stored, said):
    own = {"w": torch.zeros(2, 3), "replay": torch.zeros(0, 3), "deep": [{"n": 1}]}
    assert state_mismatch(own, stored).startswith(said)
