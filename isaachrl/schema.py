"""Checks that the content of a file has the structure and types of a dataclass, or of a present state."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any

from torch import Tensor

_INTEGERS = range(-(2**63), 2**63)
_MAX_DEPTH, _MAX_ITEMS = 16, 100_000  # of plain data


def mismatch(schema: type, values: Mapping[str, Any]) -> str:
    """How values differ from the fields of a dataclass, as a message; empty if they fit.

    Fields may be finite 64-bit numbers, strings, lists, tuples and dicts with string keys.
    """
    hints = typing.get_type_hints(schema)
    fields = {field.name: field for field in dataclasses.fields(schema)}
    if unknown := [str(key) for key in values if key not in fields]:
        return f"{', '.join(unknown)[:80]} is unknown to this version"
    if missing := [name for name, field in fields.items() if name not in values and _is_required(field)]:
        return f"{', '.join(missing)} missing"
    for name, value in values.items():
        if not _fits(value, hints[name]):
            hint = hints[name]
            expected = hint.__name__ if typing.get_origin(hint) is None else str(hint).replace("typing.", "")
            return f"{name} is {described(value)}, expected {expected}"
    return ""


def described(value: Any) -> str:
    """A value for a message: its start if it is a scalar, else its type."""
    if isinstance(value, int) and value not in _INTEGERS:
        return "a number beyond 64 bits"
    return repr(value)[:40] if value is None or isinstance(value, str | int | float) else type(value).__name__


def _is_required(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_number(value: Any) -> bool:
    """Whether it is a finite number of 64 bits; booleans are not numbers."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value and its items have an annotated type; a list may stand for a tuple."""
    if hint is Any:
        return True
    if hint in (int, float):
        return _is_number(value) and (hint is float or isinstance(value, int))
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin is tuple:
        fitting = isinstance(value, list | tuple) and len(value) == len(inner)
        return fitting and all(_fits(*pair) for pair in zip(value, inner, strict=True))
    if origin is dict:
        return isinstance(value, dict) and all(
            isinstance(key, str) and _fits(item, inner[1]) for key, item in value.items()
        )
    return isinstance(value, hint)


def is_plain(value: Any) -> bool:
    """Whether it consists of dicts with keys of strings or whole numbers, lists, strings, numbers, booleans and None.

    The depth and number of items are limited: a small file can refer to one list many times over, so that visiting all
    items would never end.
    """
    waiting, seen = [(value, 0)], 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if isinstance(item, dict) and all(isinstance(key, str | int) for key in item):
            inner = list(item.values())
        elif isinstance(item, list):
            inner = item
        elif item is None or isinstance(item, str | int | float):
            continue
        else:
            return False
        if depth == _MAX_DEPTH or seen + len(waiting) + len(inner) > _MAX_ITEMS:
            return False
        waiting += [(one, depth + 1) for one in inner]
    return True


def state_mismatch(own: Any, stored: Any, place: str = "the state", same_keys: bool = False) -> str:
    """Where a stored state has another type or shape than an object's own state, as a message; empty if it fits.

    Unless `same_keys`, keys that only one of them has are left to the object's `load_state_dict`. A tensor with no
    rows, such as an empty replay buffer, accepts any number of rows.
    """
    if isinstance(own, Mapping) and isinstance(stored, Mapping):
        if same_keys and set(own) != set(stored):
            return f"{place} has {', '.join(map(str, stored)) or 'no parts'}, expected {', '.join(map(str, own))}"
        pairs = [(f"{place}.{key}", own[key], stored[key]) for key in own if key in stored]
    elif isinstance(own, list | tuple) and isinstance(stored, list | tuple):
        pairs = [(f"{place}[{i}]", *pair) for i, pair in enumerate(zip(own, stored, strict=False))]
    else:
        return (
            "" if own is None or _compatible(own, stored) else f"{place} is {_layout(stored)}, expected {_layout(own)}"
        )
    return next(filter(None, (state_mismatch(a, b, at, same_keys) for at, a, b in pairs)), "")


def _compatible(own: Any, stored: Any) -> bool:
    """Whether a stored tensor or scalar can replace an object's own."""
    if isinstance(own, Tensor):
        if not isinstance(stored, Tensor) or own.dtype.is_floating_point != stored.dtype.is_floating_point:
            return False
        growing = 1 if own.ndim and not len(own) else 0
        return own.ndim == stored.ndim and own.shape[growing:] == stored.shape[growing:] and not stored.is_complex()
    if isinstance(own, int | float):
        return isinstance(stored, int | float)
    return isinstance(stored, type(own))


def _layout(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    return described(value)
