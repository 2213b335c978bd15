"""Typed configuration: dataclasses hold every default; what a user gives is checked against them."""

import copy
import dataclasses
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isaachrl.errors import ConfigError, nearest

T = TypeVar("T")

LARGEST = 1e9  # of numbers whose field says nothing else
MOST_ENTRIES = 64  # of a list or dict
WIDEST_LAYER = 8192
RANGE = "range"


def bounded(default: Any, low: float = -LARGEST, high: float = LARGEST) -> Any:
    """A field of a configuration whose number, or every number in it, must lie in [low, high].

    A field with another default in a subclass keeps the range. Numbers without a declared range may be as large as
    `LARGEST`, either way. Not a number is never accepted; infinity only where the range itself reaches there.

    Args:
        default: a value, or a list or dict that every object gets a copy of.
        low, high: bounds, both included.
    """
    metadata = {RANGE: (low, high)}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def layers(*widths: int) -> Any:
    """A field with the widths of a network's layers."""
    return bounded(list(widths), 0, WIDEST_LAYER)


def build(schema: type[T], values: Mapping[str, Any], section: str = "") -> T:
    """Make a configuration object from a dataclass and the values that differ from its defaults.

    Strings are taken as they are written: nothing in them is interpolated, wherever they come from.

    Args:
        schema: a dataclass; its fields may be dataclasses, enums, numbers, strings, lists and dicts. A class constant
            `RENAMED` maps keys of the last release to their present names, or to "" where they were removed.
        values: nested mapping of changes.
        section: where the values stand in the whole configuration, for messages (`task`, `train`).

    Raises:
        ConfigError: an unknown key (the nearest valid ones are offered), a wrong type, a number that is not finite or
            out of its range (see `bounded`), or a value that the dataclass itself refuses.
    """
    _check_keys(schema, values, section)
    try:
        defaults = OmegaConf.structured(schema)
        merged = OmegaConf.merge(defaults, OmegaConf.create(_literal(dict(values))))
        _check_numbers(schema, OmegaConf.to_container(merged), OmegaConf.to_container(defaults), section)
        result = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = ".".join(part for part in (section, getattr(error, "full_key", "") or "") if part)
        said = re.sub(r"^While dereferencing interpolation '.*?': ", "", str(error).splitlines()[0])
        raise ConfigError(f"{key or schema.__name__}: {said}") from error
    assert isinstance(result, schema)
    return result


def _literal(value: Any) -> Any:
    """The value with every `${` of its strings escaped, so that OmegaConf reads there what is written."""
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
    if isinstance(value, Mapping):
        return {key: _literal(one) for key, one in value.items()}
    return [_literal(one) for one in value] if isinstance(value, list | tuple) else value


def _fields(schema: type) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """The fields of a dataclass with their types."""
    hints = typing.get_type_hints(schema)
    return ((field, hints[field.name]) for field in dataclasses.fields(schema))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings put together; where both have a value, the second's wins."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _check_keys(schema: type, values: Mapping[str, Any], path: str) -> None:
    """Refuse keys that the dataclass does not have, at every level."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path or schema.__name__}={values!r}: expected keys with values, such as {{'key': value}}")
    fields = {field.name: hint for field, hint in _fields(schema)}
    for key, value in values.items():
        full = f"{path}.{key}" if path else str(key)
        if key not in fields:
            raise ConfigError(_unknown(schema, str(key), path, fields))
        if fields[key] is bool and isinstance(value, int | float) and value not in (0, 1):
            raise ConfigError(f"{full}={value}: type {full}=true or {full}=false")
        if dataclasses.is_dataclass(fields[key]) and isinstance(value, Mapping):
            _check_keys(typing.cast(type, fields[key]), value, full)


def _unknown(schema: type, key: str, path: str, valid: Iterable[str]) -> str:
    """What to say of an unknown key: its new name, if it had another in the last release."""
    full, new = (f"{path}.{one}" if path else one for one in (key, getattr(schema, "RENAMED", {}).get(key, "")))
    if key not in getattr(schema, "RENAMED", {}):
        return f"unknown key {full}{nearest(key, valid)}"
    return f"{full} is called {new} now" if schema.RENAMED[key] else f"{full} was removed; leave it out"


def _check_numbers(schema: type, values: Any, defaults: Any, path: str) -> None:
    """Refuse numbers out of the range of their field, and what has more entries than anything needs, at every level."""
    for field, hint in _fields(schema):
        full, value = f"{path}.{field.name}" if path else field.name, values[field.name]
        if dataclasses.is_dataclass(hint):
            _check_numbers(typing.cast(type, hint), value, defaults[field.name], full)
        elif hint != dict[str, Any]:  # a section of values whose own schema is not known yet
            _check_leaf(value, defaults[field.name], full, _range(schema, field.name))


def _check_leaf(value: Any, default: Any, full: str, bounds: tuple[float, float]) -> None:
    """The same for the value of one field, and for what is in it if it is a list or dict."""
    if isinstance(value, list | dict):
        if len(value) > MOST_ENTRIES:
            raise ConfigError(f"{full} has {len(value)} entries: expected at most {MOST_ENTRIES}")
        for key, one in value.items() if isinstance(value, dict) else ((None, one) for one in value):
            known = default.get(key) if isinstance(default, dict) else None
            _check_leaf(one, known, full if key is None else f"{full}.{key}", bounds)
    elif isinstance(value, int | float) and not bounds[0] <= value <= bounds[1]:
        number = isinstance(default, int | float)
        advice = f"type {full}={default:g}" if number else f"leave {full} out for the default"
        raise ConfigError(f"{full}={value}: expected a number from {bounds[0]:g} to {bounds[1]:g}; {advice}")


def _range(schema: type, name: str) -> tuple[float, float]:
    """The range of a field, from the nearest class that declares one."""
    for cls in schema.__mro__:
        field = cls.__dict__.get("__dataclass_fields__", {}).get(name)
        if field is not None and RANGE in field.metadata:
            return field.metadata[RANGE]
    return -LARGEST, LARGEST
