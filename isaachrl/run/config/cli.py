"""From the command line to values: the checks and small rewrites that come before Hydra."""

import logging
import os
import re
import select
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.logging import RichHandler

from isaachrl.errors import ConfigError, IsaacHRLError, nearest

GROUPS = ("task", "train")
EXIT_FAULT = 1
EXIT_BAD_INPUT = 2
EXIT_BROKEN_PIPE = 141  # what a shell shows of a program that SIGPIPE ends
_PATHS = ("checkpoint", "skill", "motion", "start_motion", "run_dir", "resume", "rescue", "layout")
_NO_MEMORY = re.compile(
    r"can't allocate memory|out of memory|failed to allocate|could not allocate|bad_alloc|storage size calculation"
    r" overflowed|mmap.*cannot allocate",
    re.IGNORECASE,
)
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
python train.py task=NAME [train=NAME] [mode=train|play|evaluate|export|task_graph] [key=value …]

task: {tasks}
train: {learners}; the task's own when left out

Keys (all have defaults; a recipe for the task or the device fills in what you leave out):
  num_envs=N  max_iterations=N  seed=N  device=auto|cpu|cuda:0  sim=auto|mujoco|mujoco_warp
  cuda_graph=auto|off  recipe=auto|none|NAME (cpu, gpu, parallel, paper)
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
    overrides: list[str] = []
    flags: list[str] = []  # go last: between settings, some hide those that follow
    awaits_value = False
    own_config = any(argument.startswith(("--config", "-cp", "-cn", "-cd")) for argument in argv)
    multirun = any(argument in ("--multirun", "-m") for argument in argv)
    for argument in argv:
        if not awaits_value and argument.startswith("-"):
            _check_flag(argument)
        if awaits_value or argument.startswith("-"):
            awaits_value = argument in _FLAGS_WITH_VALUE
            flags.append(argument)
            continue
        overrides.append(_override(argument, cfg, check_groups=not own_config, multirun=multirun))
    _check_repeated(overrides)
    if not own_config:
        _check_learner_file(argv, cfg)
    return [*overrides, *flags]


def _check_repeated(overrides: Sequence[str]) -> None:
    """Refuse a key that was typed with two values: which one counts should not depend on their order."""
    given: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if given.setdefault(key, value) != value:
            raise ConfigError(f"{key} is given twice, as {given[key]} and as {value}; leave one of them out")


def not_composed(error: Exception) -> ConfigError:
    """What to say instead of Hydra, which could not make a configuration of the arguments.

    Args:
        error: as Hydra raised it; that of an argument which its grammar does not know has an `override`.
    """
    first = next(iter(str(error).splitlines()), "")
    several = re.match(r"Ambiguous value for argument '\+*(.*)'", first)
    if several:
        key, _, value = several[1].partition("=")
        otherwise = f", {key}=[{value}] for a list, or {_quoted_argument(several[1])} for a text with commas"
        return ConfigError(
            f"{several[1]}: several values are several runs; type --multirun {several[1]} for those"
            f"{'' if key in GROUPS else otherwise}"
        )
    if isinstance(typed := getattr(error, "override", None), str):
        typed = typed.lstrip("+")
        return ConfigError(
            f"{typed} cannot be read: every bracket and quote must be closed, and a text with other characters than"
            f" letters, digits and /._-+%:@ stands in quotes; type {_quoted_argument(typed)}"
        )
    return ConfigError(f"the settings cannot be put together ({first}); python train.py --help lists what can be typed")


def _quoted_argument(argument: str) -> str:
    """`key=value` with the value in quotes for Hydra, and all of it in quotes for the shell."""
    key, _, value = argument.partition("=")
    text = value.strip('="')
    return f'"{key}={_quote(text)}"' if text else f"{key}=VALUE"


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
    """Call a function; what it raises ends the program with a message and an exit code.

    An error of ours and a lack of memory are one line and exit code 2, a signal is code 128 + its number. Any other
    exception is a fault of the program, code 1: its traceback, and what to do with it. A closed standard output ends it
    without a word.
    """
    try:
        result = action(*arguments)
        sys.stdout.flush()
        return result
    except IsaacHRLError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise SystemExit(EXIT_BAD_INPUT) from None
    except KeyboardInterrupt as error:
        sys.stderr.write("interrupted\n")
        raise SystemExit(128 + getattr(error, "number", signal.SIGINT)) from None
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            raise SystemExit(EXIT_BROKEN_PIPE) from None
        if _lacks_memory(error):
            sys.stderr.write(f"{_memory_message(error)}\n")
            raise SystemExit(EXIT_BAD_INPUT) from None
        traceback.print_exc()
        sys.stderr.write(
            "This is a fault of isaachrl, not of what you typed: please report the lines above, the command and the"
            " versions of isaachrl, PyTorch and MuJoCo\n"
        )
        raise SystemExit(EXIT_FAULT) from None


def _nobody_reads() -> bool:
    """Whether the standard output is a pipe that the other side has closed; then nothing more is written there."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):  # no file of the system's
        return False
    watched = select.poll()
    watched.register(output, 0)  # errors alone
    if not watched.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # Python flushes once more as it ends, and would complain
    return True


def _lacks_memory(error: Exception) -> bool:
    """Whether an exception says that memory cannot be had; most of PyTorch, MuJoCo and Warp have no class for it."""
    foreign = isinstance(error, RuntimeError | ValueError) and _NO_MEMORY.search(str(error))
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or bool(foreign)


def _memory_message(error: Exception) -> str:
    """Which keys to lower: those that were typed with large numbers, if there are any."""
    asked = re.search(r"allocate (\d+) bytes", str(error))
    reason = f"{int(asked[1]) / 2**30:.3g} GiB at once were asked for" if asked else " ".join(str(error).split())[:200]
    large = [argument.lstrip("+") for argument in sys.argv[1:] if re.search(r"=\[?\d{4,}", argument)]
    return (
        f"ConfigError: there is not enough memory ({reason or type(error).__name__}); lower"
        f" {', '.join(large) or 'num_envs'}, or what else has been raised of num_envs, the maze (task.layout, size,"
        " maze_bank), task.style_frames and the learner's horizon, batch, replay_steps and hidden"
    )


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


def _override(argument: str, cfg: Path, check_groups: bool, multirun: bool) -> str:
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
    if key.lstrip("+") in ("task.name", "train.name"):
        group = key.lstrip("+").partition(".")[0]
        raise ConfigError(
            f"{argument}: the file of that name in cfg/{group} has to be read as well; type {group}={value}"
        )
    if key.startswith(("+", "~", "hydra.", "hydra/")):
        return argument
    if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", key, re.ASCII):
        raise ConfigError(f"{key!r} is no name of a setting; type key=value, such as num_envs=256 or mode=play")
    path = key.removeprefix("task.") in _PATHS and value not in ("", "null")
    several = multirun and "," in value  # paths are something to sweep over
    return f"++{key}={_quote(os.path.expanduser(value)) if path and not several else value}"


def _names(group: Path) -> list[str]:
    """What can be typed for a group: its files, but for those that only others build on."""
    return sorted(path.stem for path in group.glob("*.yaml") if not path.stem.startswith("_"))


def _quote(path: str) -> str:
    """A path in quotes, unless it stands in some: there nothing in it means anything in Hydra's grammar, and what
    looks like a number keeps its zeros.
    """
    if len(path) > 1 and path[0] == path[-1] and path[0] in "'\"":
        return path
    # a backslash stands for itself, unless a quote comes after it
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), path) + "'"


def _check_learner_file(argv: Sequence[str], cfg: Path) -> None:
    """A task without a file in `cfg/train/` needs `train=`."""
    given = dict(argument.split("=", 1) for argument in argv if argument.partition("=")[0] in GROUPS)
    if "train" in given:
        return
    names = _names(cfg / "train")
    for name in given.get("task", "").split(","):
        if name and name not in names:
            raise ConfigError(f"there is no cfg/train/{name}.yaml; type train=NAME{nearest(name, names)}")
