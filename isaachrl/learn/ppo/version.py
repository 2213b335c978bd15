"""The version of rl_games: scripts written for Isaac Gym need older ones than this project."""

import contextlib
import importlib.util
import os
import re
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from isaachrl.errors import ConfigError

FROM, BELOW = "1.6.5", "2"


@contextlib.contextmanager
def checked_import() -> Iterator[None]:
    """Context of the import of rl_games.

    Raises:
        ConfigError: there is none, or it is of another version than `FROM` to `BELOW`.
    """
    folder = _folder()
    version = folder and _version(folder)
    if folder is None or version is not None and not _numbers(FROM) <= _numbers(version) < _numbers(BELOW):
        raise ConfigError(_message(folder, version))
    try:
        yield
    except ImportError as error:  # of a checkout without a version
        if not f"{error.name}.".startswith("rl_games."):
            raise
        raise ConfigError(_message(folder, version)) from error


def _folder() -> Path | None:
    """The folder of the path in which the package would be found; None if there is none."""
    spec = importlib.util.find_spec("rl_games")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]).parent if places else None


def _version(folder: Path) -> str | None:
    """What the metadata beside the package say; None if there are none."""
    return next((found.version for found in distributions(name="rl-games", path=[str(folder)])), None)


def _numbers(version: str) -> tuple[int, ...]:
    """`(1, 6, 5)` of `1.6.5`."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _message(folder: Path | None, version: str | None) -> str:
    """Which version came, which is expected, and what to type."""
    found = f"rl_games {version or 'of an unknown version'} came, from {folder}" if folder else "rl_games is missing"
    paths = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    shadow = f", and take {folder} out of PYTHONPATH" if str(folder) in paths else ""
    install = f'pip install "rl-games>={FROM},<{BELOW}"'
    return f"{found}; train=ppo needs version {FROM} or newer, below {BELOW}: type {install}{shadow}"
