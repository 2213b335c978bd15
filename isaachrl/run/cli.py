"""From the command line to values: the checks and small rewrites that come before Hydra."""

import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

from isaachrl.errors import ConfigError, IsaacHRLError, nearest

GROUPS = ("task", "train")
EXIT_BAD_INPUT = 2
_PATHS = ("checkpoint", "skill", "motion", "run_dir", "resume", "rescue", "layout")
_FLAGS = (  # Hydra's own
    "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m",
    "--shell-completion", "-sc",
)  # fmt: skip
_FLAGS_WITH_VALUE = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--info", "-i", "--experimental-rerun",
)  # fmt: skip


_HELP = ("--help", "-h")
_NAMES_A_TASK = ("task", "checkpoint", "resume")
_USAGE = """\
python train.py task=NAME [train=NAME] [mode=train|play|evaluate|export|graph] [key=value …]

task: {tasks}
train: {learners}; the task's own when left out

Keys (all have defaults; a recipe for the task or the device fills in what you leave out):
  num_envs=N  max_iterations=N  seed=N  device=auto|cpu|cuda:0  sim=auto|mujoco|mujoco_warp
  graph=auto|off  recipe=auto|none|NAME (cpu, gpu, parallel, paper)
  run_dir=FOLDER       where the run goes instead of runs/<task>/<time>
  resume=RUN           continue a stopped run (its folder)
  save_every_s=S       seconds between two saves
  checkpoint=PATH      what play, evaluate and export load; in training, the weights to start from
  policy=random        uniformly random actions instead of a trained policy, as a baseline to evaluate or play
  skill=FILE           the frozen skill of a task that commands one
  motion=FILE          the motion data of a task that imitates some
  episodes=N           how many episodes mode=evaluate counts
  video=true|false     whether mode=play writes play.mp4
  task.KEY=…           any key of the task        train.KEY=…  any key of the learner
"""


def help_wanted(argv: Sequence[str], cfg: Path) -> list[str]:
    """Say how to call the program, if that is what was asked for.

    Args:
        argv: the arguments as typed.
        cfg: folder of the YAML files, with one subfolder a group.

    Returns:
        What is left to do: the arguments as they were, or those that list every key of the run that they name.

    Raises:
        SystemExit: nothing is left to do.
    """
    if not set(argv) & set(_HELP):
        return list(argv)
    tasks = _names(cfg / "task")
    learners = [name for name in _names(cfg / "train") if name not in tasks]
    sys.stdout.write(_USAGE.format(tasks=", ".join(tasks), learners=", ".join(learners)))
    rest = [argument for argument in argv if argument not in _HELP]
    named = any(argument.partition("=")[0] in _NAMES_A_TASK for argument in rest)
    if not named or any(argument.startswith("-") for argument in rest):
        sys.stdout.write("\nWith task=NAME, --help lists that task's keys, and its learner's, with their values.\n")
        raise SystemExit(0)
    return [*rest, "help=true"]


def prepare(argv: Sequence[str], cfg: Path) -> list[str]:
    """The arguments for Hydra: every plain `key=value` becomes `++key=value`, since defaults live in code.

    Args:
        argv: the arguments as typed.
        cfg: folder of the YAML files, with one subfolder a group.

    Raises:
        ConfigError: an argument is no `key=value`, or names a task or a learner's file that does not exist.
    """
    result: list[str] = []
    awaits_value = False
    own_config = any(argument.startswith(("--config", "-cp", "-cn", "-cd")) for argument in argv)
    for argument in argv:
        if not awaits_value and argument.startswith("-"):
            _check_flag(argument)
        if awaits_value or argument.startswith("-"):
            awaits_value = argument in _FLAGS_WITH_VALUE
            result.append(argument)
            continue
        result.append(_override(argument, cfg, check_groups=not own_config))
    if not own_config:
        _check_learner_file(argv, cfg)
    return result


def typed_values(composed: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The part of the composed configuration that the command line gave, as nested dicts.

    Args:
        composed: the whole configuration.
        overrides: the overrides that made it, in Hydra's spelling (`task=X`, `++train.horizon=16`).
    """
    typed: dict[str, Any] = {}
    for override in overrides:
        key = override.partition("=")[0].lstrip("+")
        if key.startswith(("~", "hydra")) or "=" not in override:
            continue
        path = [key, "name"] if key in GROUPS else key.split(".")
        value: Any = composed
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        target = typed
        for part in path[:-1]:
            target = target.setdefault(part, {})
        target[path[-1]] = value
    return typed


def guarded(action: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function; an error of ours ends the program with a clean message and code 2, a signal with 128 + n."""
    try:
        return action(*arguments)
    except IsaacHRLError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise SystemExit(EXIT_BAD_INPUT) from None
    except KeyboardInterrupt as error:
        sys.stderr.write("interrupted\n")
        raise SystemExit(128 + getattr(error, "number", signal.SIGINT)) from None


def set_up_logging(quiet: bool = False) -> None:
    """Log to the standard error: with colours on a terminal, as plain lines elsewhere; only warnings if `quiet`."""
    if sys.stderr.isatty():
        handler: logging.Handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("isaachrl")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False


def _check_flag(argument: str) -> None:
    """Refuse what looks like an option and is none of Hydra's."""
    flag, _, value = argument.partition("=")
    if flag not in (*_FLAGS, *_FLAGS_WITH_VALUE):
        setting = f"{flag.lstrip('-').replace('-', '_')}={value or 'VALUE'}"
        raise ConfigError(f"{flag!r} is no option; settings have no dashes: type {setting}")


def _override(argument: str, cfg: Path, check_groups: bool) -> str:
    """One argument in Hydra's spelling."""
    key, equals, value = argument.partition("=")
    if not equals or not key:
        if argument.startswith("~"):
            return argument
        raise ConfigError(f"{argument!r} is no setting; type key=value, such as num_envs=256 or mode=play")
    if key in GROUPS:
        names = _names(cfg / key)
        for name in value.split(","):
            if check_groups and name not in names:
                raise ConfigError(f"unknown {key} {name!r}{nearest(name, names)}")
        return argument
    if key.startswith(("+", "~", "hydra.", "hydra/")):
        return argument
    if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", key):
        raise ConfigError(f"{key!r} is no name of a setting; type key=value, such as num_envs=256 or mode=play")
    name = key.removeprefix("task.")
    path = name in _PATHS and not (name == "layout" and "," in value)  # mazes are something to sweep over
    return f"++{key}={_quote(os.path.expanduser(value)) if path else value}"


def _names(group: Path) -> list[str]:
    """What can be typed for a group: its files, but for those that only others build on."""
    return sorted(path.stem for path in group.glob("*.yaml") if not path.stem.startswith("_"))


def _quote(path: str) -> str:
    """A path with blanks or other characters that Hydra's grammar gives a meaning to, in quotes."""
    quoted = len(path) > 1 and path[0] == path[-1] and path[0] in "'\""
    if quoted or re.fullmatch(r"[\w./:\\@%+\-]*", path):
        return path
    return "'" + path.replace("'", "\\'") + "'"


def _check_learner_file(argv: Sequence[str], cfg: Path) -> None:
    """A task without a file in `cfg/train/` needs `train=`."""
    given = dict(argument.split("=", 1) for argument in argv if argument.partition("=")[0] in GROUPS)
    if "train" in given:
        return
    names = _names(cfg / "train")
    for name in given.get("task", "").split(","):
        if name and name not in names:
            raise ConfigError(f"there is no cfg/train/{name}.yaml; type train=NAME{nearest(name, names)}")
