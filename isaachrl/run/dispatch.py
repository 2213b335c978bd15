"""The commands: from the composed configuration to the one that was asked for."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isaachrl.errors import ConfigError
from isaachrl.learn import collectives, distributed
from isaachrl.run.commands.train import train
from isaachrl.run.config.cli import set_up_logging, typed_values
from isaachrl.run.config.settings import Mode, Settings, resolve
from isaachrl.run.loop.stop import Stop


def run(composed: Mapping[str, Any], overrides: Sequence[str] = ()) -> Any:
    """Do what a configuration says.

    Args:
        composed: nested values of YAML and command line together.
        overrides: the overrides of the command line, in Hydra's spelling; what they set wins over recipes.

    Raises:
        IsaacHRLError: the input cannot be used; the message says what to type.
        SystemExit: a signal has stopped a training; the code is 128 + its number.
    """
    stop = Stop()
    with stop.watching(), distributed.process_group():
        set_up_logging(quiet=distributed.rank() > 0)
        settings = resolve(composed, typed_values(composed, overrides))
        result = dispatch(settings, stop)
        if stop.number:
            collectives.max_over_ranks(
                0
            )  # torchrun ends all when one ends like that, and the first may still be writing
    if stop.number:
        raise SystemExit(128 + stop.number)
    return result


def list_keys(settings: Settings) -> None:
    """Print every key with the value that it would take, as it could be typed."""
    plain = settings.plain()
    task, learner = plain.pop("task"), plain.pop("train")
    plain["num_envs"] = settings.num_envs
    top = {key: value for key, value in plain.items() if value is not None and key not in ("help", "test")}
    lines = [f"# the task {task.pop('name')}", *_typed(task, "task."), f"\n# the learner {learner.pop('name')}"]
    lines += [*_typed(learner, "train."), "\n# the run", *_typed(top, "")]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


def _typed(values: Mapping[str, Any], path: str) -> Iterator[str]:
    """`path.key=value` of nested values."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _typed(value, f"{path}{key}.")
        else:
            yield f"{path}{key}={_spelt(value)}"


def _spelt(value: Any) -> str:
    """A value in the spelling of the command line."""
    if isinstance(value, list):
        return f"[{','.join(_spelt(item) for item in value)}]"
    return json.dumps(value) if value is None or isinstance(value, bool | dict) else str(value)


def dispatch(settings: Settings, stop: Stop | None = None) -> Any:
    """Run the command of `settings.run.mode`. What a command needs is imported when it is asked for.

    Args:
        settings: of the run.
        stop: tells a training when to stop, and its caller why it did.
    """
    if settings.run.help:
        return list_keys(settings)
    if settings.run.mode is Mode.train:
        return train(settings, stop)
    if distributed.size() > 1:
        mode = settings.run.mode.value
        raise ConfigError(
            f"mode={mode} is the work of one process; type python train.py mode={mode} … without torchrun"
        )
    if settings.run.mode is Mode.evaluate:
        from isaachrl.run.commands.evaluate import evaluate

        return evaluate(settings)
    if settings.run.mode is Mode.play:
        from isaachrl.run.commands.play import play

        return play(settings)
    if settings.run.mode is Mode.task_graph:
        from isaachrl.run.commands.task_graph import show_task_graph

        return show_task_graph(settings)
    from isaachrl.run.commands.export import export

    return export(settings)
