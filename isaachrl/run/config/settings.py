"""What a run is told: the keys of the top level, and how they become a task, a learner and their configurations.

A value is looked for in this order: what the user typed, the configuration stored in the checkpoint, the recipe
of the task or the device, the YAML files, the defaults of the dataclasses.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import torch

from isaachrl import config
from isaachrl.config import bounded, merge
from isaachrl.envs import registry
from isaachrl.errors import CheckpointError, ConfigError, nearest
from isaachrl.learn import distributed
from isaachrl.learn.registry import LearnerEntry, learner_entry
from isaachrl.maths.seeds import LARGEST_SEED
from isaachrl.run.config.learners import load_learners
from isaachrl.run.storage.checkpoint import Checkpoint
from isaachrl.run.storage.skill_file import is_skill_file, load_checkpoint_or_skill, require_whole

Values = dict[str, Any]

SHORTHANDS = {"task": ("skill", "motion"), "train": ("max_iterations",)}  # top-level keys by the section they go to
DEFAULT_NUM_ENVS = 256
_OWN = {"skill": " (CONTRIBUTING.md says what makes a task of your own take one)"}
# how a run was started, as against what it is: not taken over from a stored configuration
OF_THE_CALL = (
    "mode",
    "checkpoint",
    "resume",
    "run_dir",
    "recipe",
    "test",
    "device",
    "cuda_graph",
    "episodes",
    "video",
    "policy",
    "help",
)


class Mode(Enum):
    """What to do."""

    train = "train"
    play = "play"
    evaluate = "evaluate"
    export = "export"
    task_graph = "task_graph"


class Acting(Enum):
    """Who acts in play and evaluation: what was trained, or uniformly random actions as a baseline."""

    trained = "trained"
    random = "random"


@dataclass
class RunCfg:
    """The keys of the top level.

    Args:
        task: the section of the task; `name` says which.
        train: the section of the learner; `name` says which.
        sim: engine, `auto` or one of `isaachrl.sim.ENGINES`.
        device: `auto`, `cpu`, `cuda:0`, …
        cuda_graph: `auto` replays steps as CUDA graphs where that can be done, `off` does not.
        num_envs: environments in parallel, those of all processes together; nothing takes the recipe's number.
        seed: of everything random.
        max_iterations: shorthand of `train.max_iterations`; nothing takes the recipe's or the learner's own.
        mode: what to do.
        checkpoint: what play, evaluate and export load (a run, a checkpoint or a skill file); in training, the
            weights to start from.
        policy: who acts in play and evaluation; `random` needs no checkpoint.
        skill: shorthand of `task.skill`; of `checkpoint` where a task commands none, to look at the skill itself.
        motion: shorthand of `task.motion`.
        run_dir: the run's folder; nothing makes `runs/<task>/<time>`.
        resume: run folder to continue from its `checkpoints/last.pt`.
        save_every_s: seconds from one `checkpoints/last.pt` to the next; nothing goes by what it costs.
        video: whether playing writes a video.
        recipe: which overlay of the learner's YAML applies: `auto` takes the one named after the task or, if there is
            none, after the device; `none` applies none.
        test: the same as `mode=play`.
        episodes: how many episodes an evaluation counts.
        help: only list every key with its value; what `--help` becomes.
    """

    RENAMED: ClassVar[dict[str, str]] = {"graph": "cuda_graph"}

    task: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    sim: str = "auto"
    device: str = "auto"
    cuda_graph: str = "auto"
    num_envs: int | None = None
    seed: int = bounded(0, 0, LARGEST_SEED)
    max_iterations: int | None = None
    mode: Mode = Mode.train
    checkpoint: str | None = None
    policy: Acting = Acting.trained
    skill: str | None = None
    motion: str | None = None
    run_dir: str | None = None
    resume: str | None = None
    save_every_s: float | None = None
    video: bool = True
    recipe: str = "auto"
    test: bool = False
    episodes: int = 256
    help: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers of which nothing can come."""
        if self.num_envs is not None and self.num_envs < 1:
            raise ConfigError(f"num_envs={self.num_envs}: at least 1 environment is needed, type num_envs=1 or more")
        if self.max_iterations is not None and self.max_iterations < 1:
            raise ConfigError(f"max_iterations={self.max_iterations}: type max_iterations=1 or more")
        if self.save_every_s is not None and not self.save_every_s >= 0:
            raise ConfigError(f"save_every_s={self.save_every_s}: type save_every_s=0 (every iteration) or more")
        if self.episodes < 1:
            raise ConfigError(f"episodes={self.episodes}: type episodes=1 or more")
        for key in ("checkpoint", "skill", "motion", "run_dir", "resume"):
            if getattr(self, key) == "":  # must not be the same as nothing: a run would begin instead of going on
                raise ConfigError(
                    f"{key}= is empty, as a shell variable is that nobody has set; type {key}=PATH or leave {key}= out"
                )


@dataclass(frozen=True)
class Settings:
    """A run, resolved and checked.

    Args:
        run: the keys of the top level; `max_iterations` is a number now.
        device: where tensors live.
        task: the registered task, and `task_cfg`, its configuration.
        learner: the registered learner, and `learner_cfg`, its configuration.
        loaded: the checkpoint that `resume` or `checkpoint` names.
        typed: what the user typed, as nested values.
    """

    run: RunCfg
    device: torch.device
    task: registry.Entry
    task_cfg: Any
    learner: LearnerEntry
    learner_cfg: Any
    loaded: Checkpoint | None
    typed: Values

    @property
    def num_envs(self) -> int:
        """Environments in parallel."""
        return self.run.num_envs or DEFAULT_NUM_ENVS

    def plain(self) -> Values:
        """The whole configuration as nested dicts of plain values, every default written out."""
        top = _plain(self.run)
        top["task"] = {"name": self.task.name} | _plain(self.task_cfg)
        top["train"] = {"name": self.learner.name} | _plain(self.learner_cfg)
        return top


def resolve(composed: Mapping[str, Any], typed: Mapping[str, Any] | None = None) -> Settings:
    """Turn the composed configuration into a run.

    Args:
        composed: nested values of YAML and command line together.
        typed: the part of them that the user typed; it wins over recipes and over what a checkpoint stores.

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
    values, typed = (_skill_to_look_at(layer, values) for layer in (values, typed))
    _check_agreement(typed)
    values, typed = _spread(values), _spread(typed)
    _point_to_section(values)
    if values.get("mode") == "graph":
        raise ConfigError("mode=graph is called mode=task_graph now")
    first = config.build(RunCfg, merge(values, typed))
    mode = Mode.play if first.test else first.mode
    loaded = _load(first, mode, typed)
    if loaded is not None and (first.resume or mode is not Mode.train):
        base = _stored(loaded, resuming=mode is Mode.train)
        values = _without_others(values, base)
    else:
        base = _recipe(recipes, first, _device(first), mode)
    run = config.build(RunCfg, merge(merge(values, _spread(base)), typed) | {"mode": mode.value})
    return _finalize(run, _device(run), loaded, typed)


def _device(run: RunCfg) -> torch.device:
    """Where the tensors of a run live; of several processes, those of this one."""
    return distributed.own_device(registry.choose_device(run.device, run.sim))


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    """The keys and values that stand at a place of the configuration; none where it is empty."""
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"{path}={value!r}: expected keys with values, such as {{'key': value}}")
    return value or {}


def _load(run: RunCfg, mode: Mode, typed: Values) -> Checkpoint | None:
    """Read the checkpoint a run names, and compare it with the task and learner that the user named."""
    if run.resume and mode is not Mode.train:
        raise ConfigError(f"resume= continues a training, and this is mode={mode.value}; type checkpoint={run.resume}")
    if run.resume and run.checkpoint:
        raise ConfigError(
            "resume= and checkpoint= exclude each other; type resume= to continue a run exactly as it was"
        )
    source = run.resume or run.checkpoint
    if not source:
        return None
    loaded = load_checkpoint_or_skill(Path(source))
    if mode is Mode.train:
        require_whole(loaded, source, resumed=bool(run.resume))
    task, learner = (typed.get(section, {}).get("name") for section in ("task", "train"))
    if task not in (None, loaded.task) and is_skill_file(loaded):
        raise CheckpointError(f"{source} is a skill; for task={task} to command it, type skill={source}")
    loaded.require(task, learner)
    return loaded


def _stored(loaded: Checkpoint, resuming: bool) -> Values:
    """What a checkpoint's own configuration contributes: task and learner; when resuming, the whole run."""
    if not resuming:
        return {key: loaded.config[key] for key in ("task", "train", "sim") if key in loaded.config}
    known = {item.name for item in fields(RunCfg)} - set(OF_THE_CALL)
    return {key: value for key, value in loaded.config.items() if key in known}


def _without_others(values: Values, stored: Values) -> Values:
    """Values without the sections of another task or learner than the checkpoint's, which YAML chose unasked."""
    others = [name for name in ("task", "train") if values.get(name, {}).get("name") != stored[name]["name"]]
    return {key: value for key, value in values.items() if key not in others}


def _recipe(recipes: Mapping[str, Any], run: RunCfg, device: torch.device, mode: Mode) -> Values:
    """The overlay for the task or the device, or the one asked for by name; what it says under `tasks` of this task
    is laid over it.
    """
    name, task = run.recipe, str(run.task.get("name"))
    if name == "none":
        return {}
    if name != "auto" and name not in recipes:
        fitting = [other for other in recipes if other == task or other not in registry.names()]
        raise ConfigError(f"recipe={name} is unknown{nearest(name, [*fitting, 'auto', 'none'])}")
    if name == "auto":
        name = task if task in recipes else ("gpu" if device.type == "cuda" else "cpu")
    chosen = dict(_mapping(recipes.get(name), f"train.recipes.{name}"))
    tasks = _mapping(chosen.pop("tasks", None), f"train.recipes.{name}.tasks")
    chosen = merge(chosen, _mapping(tasks.get(task), f"train.recipes.{name}.tasks.{task}"))
    if mode is not Mode.train:  # the sizes of a training are not those of a look at it
        chosen.pop("num_envs", None)
        chosen.pop("max_iterations", None)
    return chosen


def _finalize(run: RunCfg, device: torch.device, loaded: Checkpoint | None, typed: Values) -> Settings:
    """Look the task and the learner up by name and build their configurations."""
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
            f"the checkpoint was written by an earlier version of isaachrl, with other keys ({error}); use it with that"
            " version, or train again"
        ) from error
    run.max_iterations = learner_cfg.max_iterations
    return Settings(run, device, task, task_cfg, learner, learner_cfg, loaded, typed)


def _is_outdated(loaded: Checkpoint, task: registry.Entry, learner: LearnerEntry) -> bool:
    """Whether the configuration that a checkpoint stores is not valid any more."""
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
        raise ConfigError(f"{key}.name is missing: type {key}=NAME{known}")
    return name


def _check_agreement(typed: Values) -> None:
    """Refuse two spellings of one setting with different values: one would win, and nobody would say which."""
    mode = typed.get("mode", Mode.play.value)
    if typed.get("test") and mode != Mode.play.value:
        raise ConfigError(f"test=true is mode=play, and this is mode={mode} too; type one of them")
    for section, keys in SHORTHANDS.items():
        for key in keys:
            short, long = typed.get(key), (typed.get(section) or {}).get(key)
            if None not in (short, long) and short != long:
                raise ConfigError(f"{key}={short} and {section}.{key}={long} are one setting; type one of them")


def _spread(layer: Mapping[str, Any]) -> Values:
    """Copy the shorthands of one layer into its sections, so that a stronger layer can overrule either spelling."""
    result = dict(layer)
    for section, keys in SHORTHANDS.items():
        given = {key: layer[key] for key in keys if layer.get(key) is not None}
        if given:
            result[section] = merge(layer.get(section) or {}, given)
    return result


def _point_to_section(values: Values) -> None:
    """Refuse a key of the task or the learner that was typed without its section."""
    unknown = set(values) - {item.name for item in fields(RunCfg)}
    if unknown:
        load_learners()
    found = {"task": registry.entry, "train": learner_entry}
    for key in sorted(unknown):
        for section, entry in found.items():
            name = (values.get(section) or {}).get("name")
            try:
                own = fields(entry(str(name)).cfg_type)
            except ConfigError:  # an unknown task or learner has a message of its own
                continue
            if key in {item.name for item in own}:
                raise ConfigError(f"unknown key {key}; did you mean {section}.{key}?")


def _skill_to_look_at(layer: Mapping[str, Any], values: Mapping[str, Any]) -> Values:
    """A layer in which `skill=` is `checkpoint=` where the task commands no skill: then the skill itself is meant."""
    result = dict(layer)
    name = (values.get("task") or {}).get("name")
    training = values.get("mode", "train") == Mode.train.value and not values.get("test")
    if name not in registry.names() or training or values.get("checkpoint"):
        return result
    if "skill" not in {item.name for item in fields(registry.entry(name).cfg_type)} and result.get("skill"):
        result["checkpoint"] = result.pop("skill")
    return result


def _check_shorthands(run: RunCfg, task: registry.Entry) -> None:
    """Refuse a shorthand that the task has no key for; the others are in the task's section now."""
    names = {item.name for item in fields(task.cfg_type)}
    for key in SHORTHANDS["task"]:
        value = getattr(run, key)
        if value is not None and key not in names:
            raise ConfigError(
                f"{key}={value}: the task {task.name} takes no {key}; leave {key}= out{_OWN.get(key, '')}"
            )
        setattr(run, key, None)


def _plain(cfg: Any) -> Values:
    """A configuration object as nested dicts of numbers, strings and lists."""

    def pairs(found: list[tuple[str, Any]]) -> Values:
        return {key: value.name if isinstance(value, Enum) else value for key, value in found}

    return asdict(cfg, dict_factory=pairs)
