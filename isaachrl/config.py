"""Typed configuration: dataclasses hold the defaults and ranges; the values of a user are checked against them."""

import copy
import dataclasses
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isaachrl.errors import ConfigError, nearest

T = TypeVar("T")

LARGEST = 1e9  # default bound of the magnitude of a number
SMALLEST = 1e-12  # lower bound of numbers that must be above 0
MAX_ENTRIES = 64  # of a list or dict
MAX_WIDTH = 8192  # of a layer
RANGE = "range"  # key of a field's metadata


class Range(NamedTuple):
    """What `bounded` declares; `min_entries` is of a list."""

    low: float = -LARGEST
    high: float = LARGEST
    min_entries: int = 0


def bounded(default: Any, low: float = -LARGEST, high: float = LARGEST, min_entries: int = 0) -> Any:
    """A dataclass field whose number, or every number of whose list or dict, must lie in [low, high].

    A subclass that overrides the default keeps the range. Without `bounded` the range is ±`LARGEST`. NaN is never
    accepted, infinity only if the range includes it or it is the default. `build` checks the range; the dataclass's own
    constructor does not.

    Args:
        default: a value; each object gets its own copy of a list or dict.
        low, high: bounds, inclusive.
        min_entries: of a list.
    """
    metadata = {RANGE: Range(low, high, min_entries)}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def positive(default: float, high: float = LARGEST) -> Any:
    """A dataclass field whose number must be above 0 and at most `high`, see `bounded`."""
    return bounded(default, SMALLEST, high)


def layers(*widths: int) -> Any:
    """A dataclass field with the widths of a network's hidden layers."""
    return bounded(list(widths), 1, MAX_WIDTH, min_entries=1)


def build(schema: type[T], values: Mapping[str, Any], section: str = "") -> T:
    """Make a configuration object from a dataclass and the values that differ from its defaults.

    Strings are literal: nothing in them is interpolated.

    Args:
        schema: a dataclass; its fields may be dataclasses, enums, numbers, strings, lists and dicts. A class constant
            `RENAMED` maps keys of the last release to their present names, or to "" where they were removed; `FOREIGN`
            maps keys that other programs have to what to type here, with `{}` for the value.
        values: nested mapping of changes.
        section: prefix of the keys in messages (`task`, `train`).

    Raises:
        ConfigError: an unknown key (the message suggests the nearest valid ones), a wrong type, a number or a
            number of entries out of range (see `bounded`), or a value that the dataclass's `__post_init__` rejects.
    """
    _check_keys(schema, values, section)
    try:
        defaults = OmegaConf.structured(schema)
        merged = OmegaConf.merge(defaults, OmegaConf.create(_literal(dict(values))))
        _check_numbers(schema, OmegaConf.to_container(merged), OmegaConf.to_container(defaults), section)
        result = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = ".".join(part for part in (section, getattr(error, "full_key", "") or "") if part)
        reason = re.sub(r"^While dereferencing interpolation '.*?': ", "", str(error).splitlines()[0])
        raise ConfigError(f"{key or schema.__name__}: {reason}") from error
    assert isinstance(result, schema)
    return result


def _literal(value: Any) -> Any:
    """The value with every `${` in its strings escaped, so that OmegaConf interpolates nothing."""
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    return [_literal(item) for item in value] if isinstance(value, list | tuple) else value


def _fields(schema: type) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """The fields of a dataclass with their types."""
    hints = typing.get_type_hints(schema)
    return ((field, hints[field.name]) for field in dataclasses.fields(schema))


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; `override` wins where both have a value."""
    result = dict(base)
    for key, value in override.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested values by their dotted key."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return result


def _check_keys(schema: type, values: Mapping[str, Any], path: str) -> None:
    """Raise on keys that the dataclass does not have, at every level."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path or schema.__name__}={values!r}: expected keys with values, such as {{'key': value}}")
    fields = {field.name: hint for field, hint in _fields(schema)}
    for key, value in values.items():
        full = f"{path}.{key}" if path else str(key)
        if key not in fields:
            if advice := getattr(schema, "FOREIGN", {}).get(key):
                raise ConfigError(f"{full}={value}: {advice.format(value)}")
            raise ConfigError(_unknown_key(schema, str(key), path, fields))
        if fields[key] is bool and isinstance(value, int | float) and value not in (0, 1):
            raise ConfigError(f"{full}={value}: type {full}=true or {full}=false")
        if typing.get_origin(fields[key]) is list and isinstance(value, int | float | str):
            raise ConfigError(f"{full}={value}: expected a list, type {full}=[{value}]")
        if dataclasses.is_dataclass(fields[key]) and isinstance(value, Mapping):
            _check_keys(typing.cast(type, fields[key]), value, full)


def _unknown_key(schema: type, key: str, path: str, valid: Iterable[str]) -> str:
    """The message for an unknown key: its new name if it was renamed, else the nearest valid ones."""
    renamed, prefix = getattr(schema, "RENAMED", {}), f"{path}." if path else ""
    if key not in renamed:
        return f"unknown key {prefix}{key}{nearest(key, valid)}"
    if not renamed[key]:
        return f"{prefix}{key} was removed; leave it out"
    return f"{prefix}{key} is called {prefix}{renamed[key]} now"


def _check_numbers(schema: type, values: Any, defaults: Any, path: str) -> None:
    """Raise on numbers out of range and on lists and dicts with too few or too many entries, at every level."""
    for field, hint in _fields(schema):
        full, value = f"{path}.{field.name}" if path else field.name, values[field.name]
        if dataclasses.is_dataclass(hint):
            _check_numbers(typing.cast(type, hint), value, defaults[field.name], full)
        elif hint != dict[str, Any]:  # a section whose schema is not known yet
            _check_leaf(value, defaults[field.name], full, _range(schema, field.name))


def _check_leaf(value: Any, default: Any, full: str, bounds: Range) -> None:
    """Check the value of one field, and the entries of a list or dict; the default is valid."""
    if value == default:
        return
    if isinstance(value, list | dict):
        if len(value) < bounds.min_entries:
            raise ConfigError(f"{full}={value}: expected {bounds.min_entries} or more entries, such as {default}")
        if len(value) > MAX_ENTRIES:
            raise ConfigError(f"{full} has {len(value)} entries: expected at most {MAX_ENTRIES}")
        for key, item in value.items() if isinstance(value, dict) else ((None, item) for item in value):
            known = default.get(key) if isinstance(default, dict) else None
            _check_leaf(item, known, full if key is None else f"{full}.{key}", bounds)
    elif isinstance(value, int | float) and not bounds.low <= value <= bounds.high:
        has_default = isinstance(default, int | float)
        advice = f"type {full}={default:g}" if has_default else f"leave {full} out for the default"
        raise ConfigError(f"{full}={value}: expected a number from {bounds.low:g} to {bounds.high:g}; {advice}")


def _range(schema: type, name: str) -> Range:
    """The range of a field, from the first class of the MRO that declares one."""
    for cls in schema.__mro__:
        field = cls.__dict__.get("__dataclass_fields__", {}).get(name)
        if field is not None and RANGE in field.metadata:
            return field.metadata[RANGE]
    return Range()
