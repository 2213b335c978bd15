"""The registry of learners."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isaachrl.envs.env import Env
from isaachrl.errors import ConfigError, nearest
from isaachrl.learn.learner import Learner


@dataclass(frozen=True)
class LearnerEntry:
    """A registered learner: its name, the type of its configuration, and `build(env, cfg, seed) -> Learner`."""

    name: str
    cfg_type: type
    build: Callable[[Env, Any, int], Learner]


_ENTRIES: dict[str, LearnerEntry] = {}


def register_learner(name: str, cfg_type: type, build: Callable[[Env, Any, int], Learner]) -> None:
    """Register a learner under a name, the `name` key of a file in `cfg/train/`."""
    _ENTRIES[name] = LearnerEntry(name, cfg_type, build)


def learner_entry(name: str) -> LearnerEntry:
    """The registered learner of that name.

    Raises:
        ConfigError: there is none; the message suggests the nearest names.
    """
    if name not in _ENTRIES:
        raise ConfigError(f"unknown learner {name!r}{nearest(name, _ENTRIES)}")
    return _ENTRIES[name]
