"""What a suite contains: options of the command, the list of tasks, and the arguments of every training."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from isaachrl import config
from isaachrl.config import bounded, positive
from isaachrl.errors import ConfigError, brief, nearest
from isaachrl.hierarchy.build import NO_SKILL
from isaachrl.hierarchy.option_file import skill_path
from isaachrl.processors import usable_cores
from isaachrl.run.config.run_cfg import DEFAULT_NUM_ENVS
from isaachrl.run.storage.folder import CONFIG
from isaachrl.shipped import CFG

TRAIN = "train"  # value of `skill`
LIST = CFG / "suite.yaml"
USAGE = (
    "python -m isaachrl.run.suite out=FOLDER [seeds=3] [tasks=A,B] [quick=true] [skill=FILE|train] [parallel=N]"
    " [device=cpu] [list=YAML]"
)


@dataclass
class SuiteCfg:
    """The options of the command.

    Args:
        out: folder of the results; a suite that was started there goes on.
        seeds: number of trainings of each task, with the seeds 0, 1, …; None is 3, or 1 in the quick suite.
        tasks: names separated by commas; empty for the whole list.
        quick: shorter trainings and fewer episodes, as the list says.
        skill: the skill of all tasks, a file; `train` for one that is trained first, from nothing, as the list says;
            empty for each task's own.
        parallel: trainings at once; 0 is two, or one on a single core or a GPU.
        device: of `train.py`.
        list: the list of tasks, a YAML file of `SuiteList`.
        page: a Markdown file whose part between `<!-- suite -->` and `<!-- /suite -->` becomes the table.
    """

    out: str = ""
    seeds: int | None = bounded(None, 1, 1000)
    tasks: str = ""
    quick: bool = False
    skill: str = ""
    parallel: int = bounded(0, 0, 256)
    device: str = "auto"
    list: str = str(LIST)
    page: str = ""


@dataclass
class QuickCfg:
    """What differs in the quick suite.

    Args:
        episodes: of an evaluation.
        settings: further arguments of every training.
    """

    episodes: int = bounded(64, 1)
    settings: list[str] = field(default_factory=list)


@dataclass
class SuiteList:
    """The list of tasks.

    Args:
        tasks: values of `TaskEntry` by the name of the task, or another name where `task` is given.
        episodes: of an evaluation.
        flat_settings: further arguments of the trainings without a skill.
        publication: a sentence on `TaskEntry.published`.
        quick: what differs in the quick suite.
        skill: trainings that lead to a skill, in their order: arguments by name. `{out}` is the folder of them all, and
            the last one's `skill.pt` is the skill.
    """

    tasks: dict[str, Any] = field(default_factory=dict)
    skill: dict[str, list[str]] = field(default_factory=dict)
    episodes: int = bounded(512, 1)
    flat_settings: list[str] = field(default_factory=list)
    publication: str = ""
    quick: QuickCfg = field(default_factory=QuickCfg)


@dataclass
class TaskEntry:
    """A task of the suite; `mode=evaluate` must report `score` and `fall_rate` for it.

    Args:
        task: of `train.py`; empty for the name of the entry. With it a task can be listed twice, with other settings.
        max_score: the largest possible score.
        measure: the metric of an evaluation that counts in this task besides these two; empty for none.
        flat: number of seeds that are also trained without a skill, for the same number of control steps.
        settings: further arguments of its trainings and evaluations.
        quick: those that differ in the quick suite.
        published: scores from a publication by the name of the method.
    """

    task: str = ""
    max_score: float = positive(600.0)
    measure: str = ""
    flat: int = bounded(0, 0, 1000)
    settings: list[str] = field(default_factory=list)
    quick: list[str] = field(default_factory=list)
    published: dict[str, float] = bounded({})


@dataclass(frozen=True)
class Plan:
    """A suite, resolved and validated.

    Args:
        cfg: the options.
        listed: the list of tasks.
        entries: all listed tasks by name.
        tasks: names of those that are trained now.
        out: folder of the results.
    """

    cfg: SuiteCfg
    listed: SuiteList
    entries: dict[str, TaskEntry]
    tasks: list[str]
    out: Path

    @property
    def seeds(self) -> int:
        """Number of trainings of each task."""
        return self.cfg.seeds or (1 if self.cfg.quick else 3)

    @property
    def episodes(self) -> int:
        """Of an evaluation."""
        return self.listed.quick.episodes if self.cfg.quick else self.listed.episodes

    @property
    def parallel(self) -> int:
        """Trainings at once."""
        on_gpu = torch.cuda.is_available() and self.cfg.device != "cpu"
        return self.cfg.parallel or (1 if on_gpu else min(2, len(usable_cores())))

    @property
    def device(self) -> list[str]:
        """The argument `device=`, unless it is the default."""
        return [] if self.cfg.device == "auto" else [f"device={self.cfg.device}"]

    def folder(self, task: str, name: str) -> Path:
        """The folder of a run."""
        return self.out / "runs" / task / name

    @property
    def skill_runs(self) -> dict[str, list[str]]:
        """The trainings that lead to the skill: arguments by name, in their order."""
        quick = self.listed.quick.settings if self.cfg.quick else []
        runs = self.listed.skill if self.cfg.skill == TRAIN else {}
        return {
            name: _merged([[word.replace("{out}", str(self.out / "runs")) for word in words], quick])
            for name, words in runs.items()
        }

    @property
    def skill(self) -> list[str]:
        """The argument `skill=`, unless each task has its own."""
        file = self.out / "runs" / list(self.listed.skill)[-1] / "skill.pt" if self.skill_runs else self.cfg.skill
        return [f"skill={file}"] if file else []

    def arguments(self, task: str, name: str) -> list[str]:
        """The arguments of `train.py` for the run of that name: `seed<N>`, `flat<N>`, or `random`."""
        entry, quick = self.entries[task], self.listed.quick.settings
        typed = [self.skill, entry.settings, *([quick, entry.quick] if self.cfg.quick else [])]
        kind, seed = re.findall(r"^(seed|flat|random)(\d*)$", name)[0]
        if kind == "flat":
            typed += [self._flat(task, f"seed{seed}"), self.listed.flat_settings]
        return [f"task={entry.task or task}", f"seed={seed or 0}", *_merged(typed)]

    def _flat(self, task: str, run: str) -> list[str]:
        """Arguments without a skill that keep control steps, and discount and rollout in seconds, as in a run on it.

        Raises:
            ConfigError: the run does not exist, or commands no skill.
        """
        path = self.folder(task, run) / CONFIG
        if not path.is_file():
            raise ConfigError(f"{path} is missing: {task} without a skill takes its length from that run; start again")
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        steps, train = control_steps_per_decision(values), values["train"]
        if "horizon" not in train or steps == 1:
            raise ConfigError(f"{task} has flat in the list, but its run is not PPO on a skill; leave flat out")
        return [
            f"skill={NO_SKILL}", f"num_envs={values['num_envs'] or DEFAULT_NUM_ENVS}",
            f"max_iterations={train['max_iterations']}", f"train.horizon={steps * train['horizon']}",
            f"train.gamma={train['gamma'] ** (1 / steps):.6g}",
        ]  # fmt: skip


def make_plan(words: Sequence[str]) -> Plan:
    """The plan of a command line.

    Args:
        words: `key=value` of `SuiteCfg`.

    Raises:
        ConfigError: an unknown or missing option, a task that is not listed, or an invalid list.
    """
    cfg = config.build(SuiteCfg, _options(words))
    if not cfg.out:
        raise ConfigError(f"out= is missing: expected a folder for the results; type {USAGE}")
    listed = _read_list(Path(cfg.list))
    entries = {name: config.build(TaskEntry, values or {}, f"tasks.{name}") for name, values in listed.tasks.items()}
    tasks = [name.strip() for name in cfg.tasks.split(",")] if cfg.tasks else list(entries)
    for name in tasks:
        if name not in entries:
            raise ConfigError(f"tasks={cfg.tasks}: {cfg.list} has no task {name!r}{nearest(name, entries)}")
    if cfg.skill == TRAIN and not listed.skill:
        raise ConfigError(f"skill=train: {cfg.list} does not say how; add skill: {{NAME: [task=…, …]}} to it")
    if cfg.skill not in ("", TRAIN):
        skill_path(cfg.skill)
    files = [path.stem for path in (CFG / "train").glob("*.yaml")]
    for entry, name in ((entries[name], entries[name].task or name) for name in tasks):
        if name not in files and not any(word.startswith("train=") for word in entry.settings):
            raise ConfigError(f"{cfg.list}: there is no task {name} with a cfg/train/{name}.yaml{nearest(name, files)}")
    return Plan(cfg, listed, entries, list(dict.fromkeys(tasks)), Path(cfg.out).expanduser().resolve())


def control_steps_per_decision(values: Mapping[str, Any]) -> int:
    """Control steps of one sample, from the configuration of a run."""
    task = values["task"]
    return task["hierarchy"]["steps"] if task.get("skill", NO_SKILL) != NO_SKILL else 1


def _options(words: Sequence[str]) -> dict[str, str]:
    """The values of `key=value` words."""
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key.startswith("-"):
            raise ConfigError(f"{word!r} is not an option; type {USAGE}")
        if key in options:
            raise ConfigError(f"{key} is given twice, as {options[key]} and as {value}; leave one of them out")
        if not value:
            raise ConfigError(f"{key}= is empty; type {key}=VALUE or leave {key}= out")
        options[key] = value
    return options


def _read_list(path: Path) -> SuiteList:
    """The list of tasks in a YAML file.

    Raises:
        ConfigError: it cannot be read, or lists no tasks.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"list={path} cannot be read ({brief(error)}); give a YAML file as cfg/suite.yaml") from error
    listed = config.build(SuiteList, values or {})
    if not listed.tasks:
        raise ConfigError(f"list={path} has no tasks; expected tasks: {{NAME: {{}}, …}} as in cfg/suite.yaml")
    return listed


def _merged(groups: Iterable[Sequence[str]]) -> list[str]:
    """`key=value` words, where those of later groups replace those of earlier ones."""
    values: dict[str, str] = {}
    for word in (word for group in groups for word in group):
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"{word!r} in the list of tasks is not a setting; type key=value")
        values[key] = value
    return [f"{key}={value}" for key, value in values.items()]
