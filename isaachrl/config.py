"""Typed configuration: dataclasses hold every default; what a user gives is checked against them."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isaachrl.errors import ConfigError, nearest

T = TypeVar("T")


def build(schema: type[T], values: Mapping[str, Any], section: str = "") -> T:
    """Make a configuration object from a dataclass and the values that differ from its defaults.

    Args:
        schema: a dataclass; its fields may be dataclasses, enums, numbers, strings, lists and dicts.
        values: nested mapping of changes.
        section: where the values stand in the whole configuration, for messages (`task`, `train`).

    Raises:
        ConfigError: an unknown key (the nearest valid ones are offered), a wrong type, or a value that the
            dataclass itself refuses.
    """
    _check_keys(schema, values, section)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.create(dict(values)))
        result = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = ".".join(part for part in (section, getattr(error, "full_key", "") or "") if part)
        raise ConfigError(f"{key or schema.__name__}: {str(error).splitlines()[0]}") from error
    assert isinstance(result, schema)
    return result


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
    hints = typing.get_type_hints(schema)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(schema)}
    for key, value in values.items():
        full = f"{path}.{key}" if path else str(key)
        if key not in fields:
            raise ConfigError(f"unknown key {full}{nearest(str(key), fields)}")
        if dataclasses.is_dataclass(fields[key]) and isinstance(value, Mapping):
            _check_keys(typing.cast(type, fields[key]), value, full)
