"""Finds tasks: the shipped ones, those of installed packages, and those of modules that the user names."""

import importlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from isaachrl import shipped
from isaachrl.errors import ConfigError, brief, nearest

log = logging.getLogger(__name__)

GROUP = "isaachrl.tasks"  # of entry points; each names a module whose import registers tasks


@cache
def discover() -> None:
    """Register the shipped tasks, and those that installed packages announce; a broken package is only warned of.

    Raises:
        ConfigError: the installation lacks the shipped tasks.
    """
    try:
        importlib.import_module(shipped.TASKS)
    except ModuleNotFoundError as error:
        if error.name not in ("tasks", shipped.TASKS):
            raise
        raise ConfigError(
            f"there are no shipped tasks (module {error.name}) beside {shipped.ROOT}; install isaachrl again, or start"
            " Python in a complete checkout"
        ) from error
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # foreign code fails in any way
            log.warning("the tasks of %s (%s) are left out: %s", point.name, point.value, failure(error))


def import_tasks(modules: Iterable[str] | str) -> None:
    """Import modules that register tasks, from the working folder too.

    Args:
        modules: dotted names, or one such name.

    Raises:
        ConfigError: there is no such module, or importing it fails.
    """
    for name in [modules] if isinstance(modules, str) else modules:
        if not re.fullmatch(r"\w+(\.\w+)*", name) or name.endswith(".py"):
            module = name.removesuffix(".py").replace(os.sep, "/").strip("./").replace("/", ".")
            raise ConfigError(f"tasks={name} is not the name of a module; type it as in an import, tasks={module}")
        if (folder := os.getcwd()) not in sys.path:
            sys.path.append(folder)  # last: nothing is hidden
        try:
            importlib.import_module(name)
        except Exception as error:  # foreign code fails in any way
            missing = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
            raise ConfigError(_unknown(name) if missing else f"tasks={name}: {failure(error)}") from error


def _unknown(name: str) -> str:
    """The message for a module that does not exist."""
    beside = [path.stem for path in Path.cwd().glob("*.py")]
    return (
        f"tasks={name}: there is no module of that name, neither installed nor in this folder"
        f"{nearest(name, beside) if beside else ''}; name the Python module that registers your tasks"
    )


def failure(error: Exception) -> str:
    """What failed in foreign code, and where, for a message."""
    *_, place = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {brief(error)} ({place.filename}, line {place.lineno})"
