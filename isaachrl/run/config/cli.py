"""The command line: help, checks and rewriting of arguments before Hydra, and Hydra's errors as messages of ours."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isaachrl.envs import registry
from isaachrl.errors import ConfigError, nearest
from isaachrl.run.config.run_cfg import RunCfg
from isaachrl.shipped import PROGRAM, installing

GROUPS = ("task", "train")
TASK_MODULES = "tasks"
ISAAC_GYM = "isaacgym."  # begins the names of tasks in files of Isaac Gym's users
_ISAAC_GYM = re.compile(r"isaacgym([.:]|$)|.*\.py\b", re.IGNORECASE)  # what may be meant as such a file and class
_PATHS = (
    "checkpoint",
    "skill",
    "motion",
    "robot",
    "start_motion",
    "run_dir",
    "resume",
    "rescue",
    "layout",
    "program",
    "cfg",
)
_FLAGS = (  # of Hydra
    "--hydra-help", "--resolve", "--run", "-r", "--multirun", "-m",
    "--shell-completion", "-sc",
)  # fmt: skip
_FLAGS_WITH_VALUE = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--info", "-i", "--experimental-rerun",
)  # fmt: skip
_CONFIG_DIR = ("--config-dir", "-cd")
_HELP = ("--help", "-h")
_TASK_KEYS = ("task", "checkpoint", "resume")  # keys that determine the task
_USAGE = """\
{program} task=NAME [train=NAME] [mode=train|play|view|evaluate|card|export|task_graph|robot|import] [key=value …]

task: {tasks}
train: {learners}; the task's own when left out

Keys (all have defaults; a recipe for the task or the device fills in what you leave out):
  num_envs=N  max_iterations=N  seed=N  device=auto|cpu|cuda:0  sim=auto|mujoco|mujoco_warp
  cuda_graph=auto|off  recipe=auto|none|NAME (cpu, gpu, parallel, paper, taught)
  run_dir=FOLDER       where the run goes instead of runs/<task>/<time>
  resume=RUN           continue a stopped run (its folder)
  save_every_s=S       seconds between two saves
  checkpoint=PATH      what play, view, evaluate and export load; in training, the weights to start from
  policy=random        uniformly random actions instead of a trained policy, as a baseline to evaluate or play
  policy=program       what the table of task=HumanoidProgram asks for, instead of a trained policy
  skill=FILE           the frozen skill of a task that commands one
  motion=FILE          the motion data of a task that imitates some
  robot=FILE           the humanoid of a task: a shipped one, or a MJCF, URDF or YAML file; shown by mode=robot
  source.KEY=…         what mode=import is told about a motion file: up, unit, quat, t_pose, fps, roles.ROLE, …
  task=isaacgym:PATH.py:Class   a task written for Isaac Gym, with its own configuration task.cfg=PATH.yaml
  tasks=MODULE         a Python module that registers tasks of your own; several with commas
  episodes=N           how many episodes mode=evaluate counts
  video=true|false     whether mode=play writes play.mp4
  view=auto|web|native how mode=view shows the task; mode=play view=html writes a page instead of the video
  port=N               of mode=view's page on this machine
  target=web           lets mode=export write a page in which the policy is steered, too
  track=wandb|trackio  records a training there, too
  --multirun seed=0,1  trains once for each value; objective=SIGNAL is what a search improves
  --config-dir FOLDER  your own YAML, FOLDER/train/NAME.yaml and FOLDER/task/NAME.yaml
  task.KEY=…           any key of the task        train.KEY=…  any key of the learner
"""


def show_help(argv: Sequence[str], cfg: Path) -> list[str]:
    """Print the usage if `--help` or `-h` is among the arguments.

    Args:
        argv: the arguments as typed.
        cfg: folder of the YAML files, with a subfolder for each group.

    Returns:
        The arguments; with help and a task, `help=true` in place of `--help`, which lists the keys of the run.

    Raises:
        SystemExit: help without a task.
    """
    if not set(argv) & set(_HELP):
        return list(argv)
    folders = _folders(argv, cfg)
    tasks = _names(folders, "task")
    learners = [name for name in _names(folders, "train") if name not in tasks]
    sys.stdout.write(_USAGE.format(program=PROGRAM, tasks=", ".join(tasks), learners=", ".join(learners)))
    rest = [argument for argument in argv if argument not in _HELP]
    has_task = any(argument.partition("=")[0] in _TASK_KEYS for argument in rest)
    if not has_task or _flags(rest):
        sys.stdout.write("\nWith task=NAME, --help lists that task's keys, and its learner's, with their values.\n")
        raise SystemExit(0)
    return [*rest, "help=true"]


def _flags(argv: Sequence[str]) -> list[str]:
    """The flags among arguments, without `--config-dir`."""
    flags = (argument.partition("=")[0] for argument in argv if argument.startswith("-"))
    return [flag for flag in flags if flag not in _CONFIG_DIR]


def hydra_arguments(argv: Sequence[str], cfg: Path) -> list[str]:
    """The arguments for Hydra: `key=value` becomes `++key=value`, since the YAML files do not have every key.

    Args:
        argv: the arguments as typed.
        cfg: folder of the YAML files, with a subfolder for each group.

    Raises:
        ConfigError: an argument is not `key=value`, or there is no such task or learner.
    """
    overrides: list[str] = []
    flags: list[str] = []  # last: some flags hide overrides that follow them
    awaits_value = False
    folders = _folders(argv, cfg)
    own_config = any(argument.startswith(("--config-path", "--config-name", "-cp", "-cn")) for argument in argv)
    multirun = any(argument in ("--multirun", "-m") for argument in argv)
    for argument in argv:
        if not awaits_value and argument.startswith("-"):
            _check_flag(argument)
        if awaits_value or argument.startswith("-"):
            awaits_value = argument in _FLAGS_WITH_VALUE
            flags.append(argument)
            continue
        overrides.append(_override(argument, folders, check_groups=not own_config, multirun=multirun))
    _check_repeated(overrides)
    if not own_config:
        _check_learner_file(argv, folders)
    return [*overrides, *flags]


def task_modules(argv: Sequence[str]) -> list[str]:
    """The modules that `tasks=` names, with commas or as a list."""
    pairs = (argument.lstrip("+").partition("=") for argument in argv)
    typed = ",".join(value.strip("[] ") for key, _, value in pairs if key == TASK_MODULES)
    return [name for name in re.split(r"[\s,]+", typed) if name]


def register_isaac_gym(argv: Sequence[str]) -> list[str]:
    """The arguments with the name of the task, which is registered, in place of `task=isaacgym:PATH.py:Class`.

    `+task.set.KEY` becomes `task.add.KEY`: only this form adds to the configuration of such a task.

    Raises:
        ConfigError: there is no such file or class, it is no task, or the form is another one.
    """
    cfg = next((argument.partition("=")[2] for argument in argv if argument.startswith("task.cfg=")), None)
    multirun = any(argument in ("--multirun", "-m") for argument in argv)
    is_ours = any(argument.startswith("task=") and not _ISAAC_GYM.match(argument[5:]) for argument in argv)
    result = []
    for argument in argv:
        key, _, value = argument.partition("=")
        is_new = not {*value.split(",")} <= {*registry.names()}
        if key.lstrip("+") == "task" and _ISAAC_GYM.match(value) and is_new:
            argument = f"task={_isaac_gym_task(value, cfg, multirun)}"
        result.append(argument if is_ours else re.sub(r"^\++task\.set\.", "++task.add.", argument))
    return result


def _isaac_gym_task(value: str, cfg: str | None, multirun: bool) -> str:
    """The name of the task `isaacgym:PATH.py:Class`, or with commas the names of several."""
    prefix, _, source = value.partition(":")
    if prefix != "isaacgym" or not re.search(r"\.py:\w+$", source):
        rest = re.sub(r"^isaacgym([.:]|$)", "", value, flags=re.IGNORECASE)
        file = re.match(r".+\.py\b", rest)
        name = re.search(r"(?:^|[:./])(\w+)$", rest.removeprefix(file[0] if file else ""))
        form = f"isaacgym:{file[0] if file else 'PATH.py'}:{name[1] if name else 'Class'}"
        raise ConfigError(f"task={value} does not name the file and the class of an Isaac Gym task; type task={form}")
    if ",isaacgym:" in source and not multirun:
        raise ConfigError(f"task={value}: several values are several runs; type --multirun task={value} for those")
    from isaachrl.isaacgym import register_task  # only then: its engine takes a second

    return ",".join(register_task(one, cfg) for one in source.split(",isaacgym:"))


def _check_repeated(overrides: Sequence[str]) -> None:
    """Raise on a key that was typed with two values."""
    typed: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if typed.setdefault(key, value) != value:
            raise ConfigError(f"{key} is given twice, as {typed[key]} and as {value}; leave one of them out")


def composition_error(error: Exception) -> ConfigError:
    """The error for an exception of Hydra, which could not compose a configuration.

    Args:
        error: of Hydra; has an `override` if an argument is not in Hydra's grammar.
    """
    first = next(iter(str(error).splitlines()), "")
    sweep = re.match(r"Ambiguous value for argument '\+*(.*)'", first)
    if sweep:
        key, _, value = sweep[1].partition("=")
        alternatives = f", {key}=[{value}] for a list, or {_quoted_argument(sweep[1])} for a text with commas"
        return ConfigError(
            f"{sweep[1]}: several values are several runs; type --multirun {sweep[1]} for those"
            f"{'' if key in GROUPS else alternatives}"
        )
    if isinstance(typed := getattr(error, "override", None), str):
        typed = typed.lstrip("+")
        return ConfigError(
            f"{typed} cannot be parsed: close every bracket and quote, and put a text with characters other than"
            f" letters, digits and /._-+%:@ in quotes; type {_quoted_argument(typed)}"
        )
    if plugin := re.search(r"Could not find 'hydra/(?:sweeper/(optuna)|launcher/(?:joblib|submitit))", first):
        return ConfigError(
            f"this plugin of Hydra's is not installed ({first}); type {installing(plugin[1] or 'sweeps')}"
        )
    return ConfigError(f"the configuration cannot be composed ({first}); {PROGRAM} --help lists what can be typed")


def _quoted_argument(argument: str) -> str:
    """`key=value` with the value quoted for Hydra, and the whole argument quoted for the shell."""
    key, _, value = argument.partition("=")
    text = value.strip('="')
    return f'"{key}={_quote(text)}"' if text else f"{key}=VALUE"


def typed_values(composed: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The values of the composed configuration that were set on the command line, as nested dicts.

    Args:
        composed: the whole configuration.
        overrides: of the command line, in Hydra's syntax (`task=X`, `++train.horizon=16`).
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


def _check_flag(argument: str) -> None:
    """Raise on a flag that Hydra does not have."""
    flag, _, value = argument.partition("=")
    if flag not in (*_FLAGS, *_FLAGS_WITH_VALUE):
        if advice := RunCfg.FOREIGN.get(flag.lstrip("-").replace("-", "_")):
            raise ConfigError(f"{argument}: {advice.format(value or 'DEVICE')}")
        setting = f"{flag.lstrip('-').replace('-', '_')}={value or 'VALUE'}"
        raise ConfigError(f"{flag!r} is not an option; settings have no dashes: type {setting}")


def _override(argument: str, folders: Sequence[Path], check_groups: bool, multirun: bool) -> str:
    """One argument in Hydra's syntax."""
    key, equals, value = argument.partition("=")
    if not equals or not key:
        if argument.startswith("~"):
            return argument
        raise ConfigError(f"{argument!r} is not a setting; type key=value, such as num_envs=256 or mode=play")
    if key in GROUPS:
        names = _names(folders, key)
        own = "; for a task of your own, type tasks=MODULE, too" if key == "task" else ""
        for name in value.split(","):
            if check_groups and name not in names:
                raise ConfigError(f"unknown {key} {name!r}{nearest(name, names)}{own}")
        return argument
    if key.lstrip("+") in ("task.name", "train.name"):
        group = key.lstrip("+").partition(".")[0]
        raise ConfigError(f"{argument}: does not read the file of that name; type {group}={value}")
    if key.startswith(("+", "~", "hydra.", "hydra/")):
        return argument
    if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", key, re.ASCII):
        raise ConfigError(f"{key!r} is not the name of a setting; type key=value, such as num_envs=256 or mode=play")
    if key == TASK_MODULES:  # a list, not several runs
        return f"++{key}=[{','.join(task_modules([argument]))}]"
    path = key.removeprefix("task.") in _PATHS and value not in ("", "null")
    sweep = multirun and "," in value  # several paths
    return f"++{key}={_quote(os.path.expanduser(value)) if path and not sweep else value}"


def _folders(argv: Sequence[str], cfg: Path) -> list[Path]:
    """The folders of YAML files: the shipped one, and that of `--config-dir`."""
    pairs = zip(argv, [*argv[1:], ""], strict=True)
    typed = [(*argument.partition("="), following) for argument, following in pairs]
    own = [value if equals else following for flag, equals, value, following in typed if flag in _CONFIG_DIR]
    return [cfg, *map(Path, own)]


def _names(folders: Sequence[Path], group: str) -> list[str]:
    """The names of a group: registered tasks and its files, without those for inclusion by others (`_…`)."""
    files = [path.stem for folder in folders for path in (folder / group).glob("*.yaml")]
    own = {name for name in files if not name.startswith("_")}
    return sorted(own.union(registry.names() if group == "task" else ()))


def _quote(path: str) -> str:
    """A path in quotes, unless it is quoted: Hydra then takes it literally, also if it looks like a number."""
    if len(path) > 1 and path[0] == path[-1] and path[0] in "'\"":
        return path
    # in Hydra's quotes a backslash is literal, except before a quote
    return "'" + re.sub(r"(\\*)('|$)", lambda match: 2 * match[1] + match[2].replace("'", "\\'"), path) + "'"


def _check_learner_file(argv: Sequence[str], folders: Sequence[Path]) -> None:
    """Raise if a task without a file in `train/` of these folders is typed without `train=`."""
    typed = dict(argument.split("=", 1) for argument in argv if argument.partition("=")[0] in GROUPS)
    if "train" in typed:
        return
    names = _names(folders, "train")
    for name in typed.get("task", "").split(","):
        if name and name not in names and not name.startswith(ISAAC_GYM):
            learners = set(names).difference(_names(folders, "task"))
            raise ConfigError(
                f"{name} has no learner of its own (there is no train/{name}.yaml); type train=ppo, or another one"
                f" (valid: {', '.join(sorted(learners))}), or train=TASK for the recipe of a shipped task like it"
            )
