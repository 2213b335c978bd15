"""Whether what a file holds has the structure and the types that a dataclass states."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any

from torch import Tensor

_INTEGERS = range(-(2**63), 2**63)
_MAX_DEPTH, _MAX_ITEMS = 16, 100_000  # of plain data


def mismatch(schema: type, values: Mapping[str, Any]) -> str:
    """What about some values does not fit a dataclass, in words; nothing if they do.

    Its fields may be numbers (finite ones of 64 bits), strings, lists, tuples and dicts with strings as keys.
    """
    hints = typing.get_type_hints(schema)
    fields = {field.name: field for field in dataclasses.fields(schema)}
    if unknown := [str(key) for key in values if key not in fields]:
        return f"{', '.join(unknown)[:80]} is unknown to this version"
    required = [name for name, field in fields.items() if _has_no_default(field)]
    if missing := [name for name in required if name not in values]:
        return f"{', '.join(missing)} missing"
    for name, value in values.items():
        if not _fits(value, hints[name]):
            hint = hints[name]
            expected = hint.__name__ if typing.get_origin(hint) is None else str(hint).replace("typing.", "")
            return f"{name} is {described(value)}, expected {expected}"
    return ""


def described(value: Any) -> str:
    """A value for a message: as it is written if it is short, else what it is."""
    if isinstance(value, int) and value not in _INTEGERS:
        return "a number beyond 64 bits"
    return repr(value)[:40] if value is None or isinstance(value, str | int | float) else type(value).__name__


def _has_no_default(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_number(value: Any) -> bool:
    """Whether it is a finite number that fits into 64 bits, and no truth value."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type, with all that it contains; lists pass as tuples."""
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
    """Whether it consists of dicts with strings as keys, lists, strings, numbers, truth values and None.

    What is nested deeper, or holds more, than any configuration does is not called plain: to go through it could take
    for ever, since a small file can name one list many times over.
    """
    waiting, seen = [(value, 0)], 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if isinstance(item, dict) and all(isinstance(key, str) for key in item):
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


def state_mismatch(own: Any, stored: Any, place: str = "the state") -> str:
    """Where a stored state has another type or shape than the state of the object that is to take it; nothing if not.

    What only one of them has is left to the object. A tensor without rows of its own, such as an empty replay, takes
    any number of them.
    """
    if isinstance(own, Mapping) and isinstance(stored, Mapping):
        pairs = [(f"{place}.{key}", own[key], stored[key]) for key in own if key in stored]
    elif isinstance(own, list | tuple) and isinstance(stored, list | tuple):
        pairs = [(f"{place}[{i}]", *pair) for i, pair in enumerate(zip(own, stored, strict=False))]
    else:
        return "" if own is None or _alike(own, stored) else f"{place} is {_layout(stored)}, expected {_layout(own)}"
    return next(filter(None, (state_mismatch(one, other, at) for at, one, other in pairs)), "")


def _alike(own: Any, stored: Any) -> bool:
    """Whether a stored value may take the place of another one that is no container."""
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
