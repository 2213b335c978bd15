"""Dispatch of a composed configuration to its command."""

import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isaachrl.errors import ConfigError
from isaachrl.learn import collectives, distributed
from isaachrl.run.commands.train import train
from isaachrl.run.config.cli import typed_values
from isaachrl.run.config.run_cfg import Mode
from isaachrl.run.config.settings import Settings, resolve
from isaachrl.run.loop.stop import Stop
from isaachrl.run.process import set_up_logging
from isaachrl.shipped import PROGRAM


def run(composed: Mapping[str, Any], overrides: Sequence[str] = ()) -> Any:
    """Run the command of a configuration.

    Args:
        composed: nested values of YAML files and command line.
        overrides: of the command line, in Hydra's syntax; they override recipes.

    Raises:
        IsaacHRLError: invalid input; the message says what to type.
        SystemExit: a signal stopped a training; the code is 128 + its number.
    """
    stop = Stop()
    with stop.watching(), distributed.process_group():
        set_up_logging(quiet=distributed.rank() > 0)
        settings = resolve(composed, typed_values(composed, overrides))
        result = dispatch(settings, stop)
        if stop.signal_number:
            collectives.max_over_ranks(0)  # a barrier: torchrun ends all ranks with the first, and rank 0 may be saving
    if stop.signal_number:
        raise SystemExit(128 + stop.signal_number)
    return result


def dispatch(settings: Settings, stop: Stop | None = None) -> Any:
    """Run the command of `settings.run.mode`. Except `train`, its module is imported on demand.

    Args:
        settings: of the run.
        stop: a request to stop, for a training or a viewer.
    """
    mode = settings.run.mode.value
    if settings.run.help:
        return print_keys(settings)
    if settings.run.mode is Mode.train:
        return train(settings, stop)
    if distributed.size() > 1:
        raise ConfigError(f"mode={mode} runs in one process; type {PROGRAM} mode={mode} … without torchrun")
    name = "import_motions" if mode == "import" else mode
    command = importlib.import_module(f"isaachrl.run.commands.{name}")
    if settings.run.mode is Mode.view:
        return command.view(settings, stop)
    return getattr(command, name)(settings)


def print_keys(settings: Settings) -> None:
    """Print every key with its value, in the syntax of the command line."""
    plain = settings.plain()
    task, learner = plain.pop("task"), plain.pop("train")
    plain["num_envs"] = settings.num_envs
    top = {key: value for key, value in plain.items() if value is not None and key not in ("help", "test")}
    lines = [f"# the task {task.pop('name')}", *_assignments(task, "task.")]
    lines += [f"\n# the learner {learner.pop('name')}", *_assignments(learner, "train.")]
    lines += ["\n# the run", *_assignments(top, "")]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


def _assignments(values: Mapping[str, Any], path: str) -> Iterator[str]:
    """`path.key=value` of nested values."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _assignments(value, f"{path}{key}.")
        else:
            yield f"{path}{key}={_format(value)}"


def _format(value: Any) -> str:
    """A value in the syntax of the command line."""
    if isinstance(value, list):
        return f"[{','.join(_format(item) for item in value)}]"
    return json.dumps(value) if value is None or isinstance(value, bool | dict) else str(value)
