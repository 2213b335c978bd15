"""The settings of a run: a task, a learner and their configurations, resolved from YAML, command line and checkpoint.

Precedence: what the user typed, the configuration stored in the checkpoint, the recipe of the task or the device, the
YAML files, the defaults of the dataclasses.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from itertools import product
from pathlib import Path
from typing import Any

import torch

from isaachrl import config
from isaachrl.config import merge
from isaachrl.envs import registry
from isaachrl.errors import CheckpointError, ConfigError, nearest
from isaachrl.learn import distributed
from isaachrl.learn.registry import LearnerEntry, learner_entry
from isaachrl.maths.seeds import LARGEST_SEED, Stream, sub_seed
from isaachrl.run.config.learners import load_learners
from isaachrl.run.config.run_cfg import CALL_KEYS, DEFAULT_NUM_ENVS, Mode, RunCfg
from isaachrl.run.storage.checkpoint import Checkpoint, find_checkpoint
from isaachrl.run.storage.skill_file import is_skill_file, load_checkpoint_or_skill, require_trainable

Values = dict[str, Any]

SHORTHANDS = {"task": ("skill", "motion", "robot"), "train": ("max_iterations",)}  # top-level keys by their section
OVER_SKILL = "over_skill"  # a learner's recipe for tasks that are commanded
_ADVICE = {"skill": " (CONTRIBUTING.md says what makes a task of your own take one)"}


@dataclass(frozen=True)
class Settings:
    """A run, resolved and validated.

    Args:
        run: the top-level keys, with `max_iterations` set.
        device: of the tensors.
        task, task_cfg: the registered task and its configuration.
        learner, learner_cfg: the registered learner and its configuration.
        loaded: the checkpoint of `resume` or `checkpoint`.
        typed: what the user typed, as nested values.
        resumed_ns: when the file of `resume` was written, see `written_ns`.
    """

    run: RunCfg
    device: torch.device
    task: registry.Entry
    task_cfg: Any
    learner: LearnerEntry
    learner_cfg: Any
    loaded: Checkpoint | None
    typed: Values
    resumed_ns: int = 0

    @property
    def num_envs(self) -> int:
        """Number of environments, over all processes."""
        return self.run.num_envs or DEFAULT_NUM_ENVS

    @property
    def evaluation_seed(self) -> int:
        """The typed seed, else one that differs from the training's, for episodes it has not trained on.

        Raises:
            CheckpointError: the stored seed is not valid.
        """
        if "seed" in self.typed:
            return self.run.seed
        trained = self.loaded.config.get("seed", 0) if self.loaded else 0
        if type(trained) is not int or not 0 <= trained <= LARGEST_SEED:
            raise CheckpointError(f"the checkpoint has an invalid seed {trained!r}; type seed=0, or another one")
        return sub_seed(trained, Stream.evaluation)

    def plain(self) -> Values:
        """The whole configuration as nested dicts of plain values, including defaults."""
        top = _plain(self.run)
        top["task"] = {"name": self.task.name} | _plain(self.task_cfg)
        top["train"] = {"name": self.learner.name} | _plain(self.learner_cfg)
        return top


def resolve(composed: Mapping[str, Any], typed: Mapping[str, Any] | None = None) -> Settings:
    """Resolve the composed configuration.

    Args:
        composed: nested values of YAML files and command line.
        typed: those that the user typed; they override recipes and the configuration of a checkpoint.

    Raises:
        ConfigError: an unknown task, learner, key, device or recipe, or a value of the wrong type or range.
        CheckpointError: `resume` or `checkpoint` cannot be read or belongs to another task or learner.
    """
    typed = dict(typed or {})
    for layer, section in product((composed, typed), ("task", "train")):
        _mapping(layer.get(section), section)
    values = {key: value for key, value in composed.items() if value is not None}
    values["train"] = dict(_mapping(values.get("train"), "train"))
    recipes = _mapping(values["train"].pop("recipes", None), "train.recipes")
    values, typed = (_skill_as_checkpoint(layer, values) for layer in (values, typed))
    _check_conflicts(typed)
    values, typed = _expand_shorthands(values), _expand_shorthands(typed)
    _check_sections(values)
    if values.get("mode") == "graph":
        raise ConfigError("mode=graph is called mode=task_graph now")
    first = config.build(RunCfg, merge(values, typed))
    mode = Mode.play if first.test else first.mode
    resumed_ns = written_ns(first)  # before it is read: a file that is written in between counts as newer
    loaded = _load(first, mode, typed)
    if loaded is not None and (first.resume or mode is not Mode.train):
        base = _stored_values(loaded, resuming=mode is Mode.train)
        values = _without_mismatched_sections(values, base)
    else:
        base = _recipe(recipes, first, _device(first), mode)
    run = config.build(RunCfg, merge(merge(values, _expand_shorthands(base)), typed) | {"mode": mode.value})
    return replace(_finalize(run, _device(run), loaded, typed), resumed_ns=resumed_ns)


def written_ns(run: RunCfg) -> int:
    """When the file of `resume` was written, in nanoseconds; 0 without a file, which reading it will refuse."""
    try:
        return find_checkpoint(Path(run.resume)).stat().st_mtime_ns if run.resume else 0
    except (CheckpointError, OSError):
        return 0


def _device(run: RunCfg) -> torch.device:
    """The device of this process."""
    return distributed.own_device(registry.choose_device(run.device, run.sim))


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    """A section of the configuration as a mapping; empty if there is none."""
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"{path}={value!r}: expected keys with values, such as {{'key': value}}")
    return value or {}


def _load(run: RunCfg, mode: Mode, typed: Values) -> Checkpoint | None:
    """Read the checkpoint of a run, and check it against the task and learner that the user typed."""
    if run.resume and mode is not Mode.train:
        raise ConfigError(f"resume= continues a training, but mode={mode.value}; type checkpoint={run.resume}")
    if run.resume and run.checkpoint:
        raise ConfigError("resume= and checkpoint= exclude each other; type resume= to continue a run exactly")
    source = run.resume or run.checkpoint
    if not source:
        return None
    loaded = load_checkpoint_or_skill(Path(source))
    if mode is Mode.train:
        require_trainable(loaded, source, resumed=bool(run.resume))
    task, learner = (typed.get(section, {}).get("name") for section in ("task", "train"))
    if task not in (None, loaded.task) and is_skill_file(loaded):
        if "skill" in _keys_of(task):
            raise CheckpointError(f"{source} is a skill; for task={task} to command it, type skill={source}")
        raise CheckpointError(
            f"{source} is a skill of task={loaded.task}; type task={loaded.task} instead of task={task}"
        )
    loaded.require(task, learner)
    if mode is Mode.train and not run.resume and task is None and run.task.get("name") != loaded.task:
        raise CheckpointError(
            f"{source} is of task={loaded.task}; a new training takes its configuration from what is typed: type"
            f" task={loaded.task} checkpoint={source}"
        )
    return loaded


def _stored_values(loaded: Checkpoint, resuming: bool) -> Values:
    """The stored configuration: task, learner and engine; when resuming, all keys but those of the invocation."""
    if not resuming:
        return {key: loaded.config[key] for key in ("task", "train", "sim") if key in loaded.config}
    known = {item.name for item in fields(RunCfg)} - set(CALL_KEYS)
    return {key: value for key, value in loaded.config.items() if key in known}


def _without_mismatched_sections(values: Values, stored: Values) -> Values:
    """Values without the YAML's sections of another task or learner than the checkpoint's."""
    mismatched = [name for name in ("task", "train") if values.get(name, {}).get("name") != stored[name]["name"]]
    return {key: value for key, value in values.items() if key not in mismatched}


def _recipe(recipes: Mapping[str, Any], run: RunCfg, device: torch.device, mode: Mode) -> Values:
    """The recipe that `recipe=` names, with its overlay for the task.

    `auto`: that of the task, for a task over a skill `over_skill`, or that of the device.
    """
    name, task = run.recipe, str(run.task.get("name"))
    if name == "none":
        return {}
    if name != "auto" and name not in recipes:
        valid = [other for other in recipes if other == task or other not in registry.names()]
        raise ConfigError(f"recipe={name} is unknown{nearest(name, [*valid, 'auto', 'none'])}")
    if name == "auto":
        kind = OVER_SKILL if OVER_SKILL in recipes and _is_commanded(run) else ""
        name = next((own for own in (task, kind) if own in recipes), "gpu" if device.type == "cuda" else "cpu")
    chosen = dict(_mapping(recipes.get(name), f"train.recipes.{name}"))
    tasks = _mapping(chosen.pop("tasks", None), f"train.recipes.{name}.tasks")
    chosen = merge(chosen, _mapping(tasks.get(task), f"train.recipes.{name}.tasks.{task}"))
    if mode is not Mode.train:  # sizes of a training
        chosen.pop("num_envs", None)
        chosen.pop("max_iterations", None)
    return chosen


def _finalize(run: RunCfg, device: torch.device, loaded: Checkpoint | None, typed: Values) -> Settings:
    """Look up the task and the learner, and build their configurations."""
    load_learners()
    task = registry.entry(_name(run.task, "task"))
    learner = learner_entry(_name(run.train, "train"))
    if loaded is not None and run.checkpoint and run.mode is Mode.train:
        loaded.require(None, learner.name)
    task_values = {key: value for key, value in run.task.items() if key != "name"}
    _check_shorthands(run, task)
    train_values = {key: value for key, value in run.train.items() if key != "name"}
    try:
        task_cfg = task.configure(task_values)
        learner_cfg = config.build(learner.cfg_type, train_values, "train")
    except ConfigError as error:
        if loaded is None or not _is_outdated(loaded, task, learner):
            raise
        raise CheckpointError(
            f"the checkpoint was written by an earlier version of isaachrl with other keys ({error}); use it with that"
            " version, or train again"
        ) from error
    run.max_iterations = learner_cfg.max_iterations
    return Settings(run, device, task, task_cfg, learner, learner_cfg, loaded, typed)


def _is_outdated(loaded: Checkpoint, task: registry.Entry, learner: LearnerEntry) -> bool:
    """Whether the stored configuration of a checkpoint is no longer valid."""
    sections = [dict(loaded.config.get(name, {})) for name in ("task", "train")]
    for section in sections:
        section.pop("name", None)
    try:
        task.configure(sections[0])
        config.build(learner.cfg_type, sections[1], "train")
    except ConfigError:
        return True
    return False


def _name(section: Mapping[str, Any], key: str) -> str:
    """The `name` of a section."""
    name = section.get("name")
    if not isinstance(name, str):
        known = f" ({', '.join(registry.names())})" if key == "task" else ""
        recipe = ", or, in a file of your own, the line name: ppo or defaults: [_over_skill, _self_]" * (key == "train")
        raise ConfigError(f"{key}.name is missing: type {key}=NAME{known}{recipe}")
    return name


def _check_conflicts(typed: Values) -> None:
    """Raise if a key and its shorthand were typed with different values."""
    mode = typed.get("mode", Mode.play.value)
    if typed.get("test") and mode != Mode.play.value:
        raise ConfigError(f"test=true means mode=play, but mode={mode} was typed too; type one of them")
    for section, keys in SHORTHANDS.items():
        for key in keys:
            short, long = typed.get(key), (typed.get(section) or {}).get(key)
            if None not in (short, long) and short != long:
                raise ConfigError(f"{key}={short} and {section}.{key}={long} are the same setting; type one of them")


def _expand_shorthands(layer: Mapping[str, Any]) -> Values:
    """Copy the shorthands of a layer into its sections, so that a layer of higher precedence overrides either."""
    result = dict(layer)
    for section, keys in SHORTHANDS.items():
        given = {key: layer[key] for key in keys if layer.get(key) is not None}
        if given:
            result[section] = merge(layer.get(section) or {}, given)
    return result


def _check_sections(values: Values) -> None:
    """Raise on a key of the task or the learner that was typed without its section."""
    unknown = set(values) - {item.name for item in fields(RunCfg)}
    if unknown:
        load_learners()
    entries = {"task": registry.entry, "train": learner_entry}
    for key in sorted(unknown):
        for section, entry in entries.items():
            name = (values.get(section) or {}).get("name")
            try:
                own = fields(entry(str(name)).cfg_type)
            except ConfigError:  # unknown tasks and learners are reported later
                continue
            if key in {item.name for item in own}:
                raise ConfigError(f"unknown key {key}; did you mean {section}.{key}?")


def _skill_as_checkpoint(layer: Mapping[str, Any], values: Mapping[str, Any]) -> Values:
    """A layer with `skill=` renamed `checkpoint=`, to play the skill itself, if the task has no key `skill`."""
    result = dict(layer)
    name = (values.get("task") or {}).get("name")
    training = values.get("mode", "train") == Mode.train.value and not values.get("test")
    if name not in registry.names() or training or values.get("checkpoint"):
        return result
    if "skill" not in _keys_of(name) and result.get("skill"):
        result["checkpoint"] = result.pop("skill")
    return result


def _keys_of(task: str) -> set[str]:
    """The keys of a task."""
    return {item.name for item in fields(registry.entry(task).cfg_type)}


def _is_commanded(run: RunCfg) -> bool:
    """Whether the task runs over a skill; false if no task is named."""
    name = run.task.get("name")
    keys = fields(registry.entry(name).cfg_type) if isinstance(name, str) else ()
    default = next((item.default for item in keys if item.name == "skill"), "none")
    return run.task.get("skill", default) != "none"


def _check_shorthands(run: RunCfg, task: registry.Entry) -> None:
    """Raise on a shorthand for which the task has no key; remove the others, which its section has by now."""
    names = {item.name for item in fields(task.cfg_type)}
    for key in SHORTHANDS["task"]:
        value = getattr(run, key)
        if value is not None and key not in names:
            raise ConfigError(
                f"{key}={value}: the task {task.name} has no key {key}; leave {key}= out{_ADVICE.get(key, '')}"
            )
        setattr(run, key, None)


def _plain(cfg: Any) -> Values:
    """A configuration object as nested dicts of numbers, strings and lists."""

    def pairs(found: list[tuple[str, Any]]) -> Values:
        return {key: value.name if isinstance(value, Enum) else value for key, value in found}

    return asdict(cfg, dict_factory=pairs)
