"""Builds the environment of a high-level task: the task's environment, controlled through a skill."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from isaachrl.envs.env import Env
from isaachrl.envs.registry import Builder, World, task_env
from isaachrl.envs.task import Task
from isaachrl.envs.task_env import TaskEnv
from isaachrl.errors import ConfigError, SkillError
from isaachrl.hierarchy.hierarchical_env import CONTROLLER_GROUP, STYLE_GROUP, HierarchicalEnv
from isaachrl.hierarchy.option_file import read_options, skill_path
from isaachrl.hierarchy.options import OptionController
from isaachrl.hierarchy.rescue import RescueController
from isaachrl.hierarchy.skill import Skill
from isaachrl.shipped import PROGRAM

NO_SKILL = "none"
CFG_KEYS = ("skill", "control", "style_frames", "hierarchy")


def hierarchical(task_type: type[Task[Any]]) -> Builder:
    """The builder of a task that is controlled through a skill.

    The task's configuration has `skill` (a path, or `none` for the flat task, whose actions are motor targets),
    `hierarchy` (a `HierarchyCfg`), `control`, and `style_frames` (0 for the skill's own length). It may have `rescue`
    (a path, or `none`), a second skill that gets up after falls, and `min_height_m` (height limits by body); or
    `options` (see `read_options`), among which the task's actions choose, and `switch` (a `SwitchCfg`).
    """
    flat = task_env(task_type)

    def build(cfg: Any, world: World) -> Env:
        missing = [key for key in CFG_KEYS if not hasattr(cfg, key)]
        if missing:
            raise ConfigError(
                f"{type(cfg).__name__} has no {', '.join(missing)}; a task that commands a skill is configured by"
                f" {', '.join(CFG_KEYS)}: see CONTRIBUTING.md"
            )
        rescue = getattr(cfg, "rescue", NO_SKILL)
        if getattr(cfg, "options", None):
            return _over_options(cfg, flat, world)
        if cfg.skill == NO_SKILL:
            if rescue != NO_SKILL:
                raise ConfigError(f"task.rescue={rescue} takes turns with a skill, and task.skill=none; leave one out")
            return flat(cfg, world)
        skill = Skill.load(skill_path(cfg.skill), world.device)  # first, to fail early
        if cfg.hierarchy.style_weight > 0 and cfg.style_frames == 0:
            cfg = dataclasses.replace(cfg, style_frames=skill.contract.style_frames)
        env = flat(cfg, world)
        assert isinstance(env, TaskEnv)
        skill.check(env.sim.robot, cfg.step_s, cfg.control.value)
        _check_widths(skill, env)
        controller = skill if rescue == NO_SKILL else _with_rescue(skill, rescue, cfg.min_height_m, world)
        return HierarchicalEnv(env, controller, cfg.hierarchy)

    return build


def _over_options(cfg: Any, flat: Builder, world: World) -> Env:
    """The task, with a choice among options as its action.

    Raises:
        ConfigError: the configuration has a key that does not go with options.
        SkillError: an option cannot be read, or does not fit the task.
    """
    weight, rescue = cfg.hierarchy.style_weight, getattr(cfg, "rescue", NO_SKILL)
    if cfg.skill == NO_SKILL or weight > 0 or rescue != NO_SKILL:
        raise ConfigError(
            "task.options needs a skill and goes with neither a style reward nor task.rescue (getting up is an option);"
            " type task.skill=PATH task.hierarchy.style_weight=0 task.rescue=none, not"
            f" {cfg.skill}, {weight:g}, {rescue}"
        )
    options = read_options(cfg.options, cfg.skill, world.device)  # first, to fail early
    env = flat(cfg, world)
    assert isinstance(env, TaskEnv)
    for name, option in options.items():
        try:
            option.skill.check(env.sim.robot, cfg.step_s, cfg.control.value)
            option.skill.check_motors(env.action_contract)
        except SkillError as error:
            raise SkillError(f"option {name}: {error}") from error
    return HierarchicalEnv(env, OptionController(options, env.obs_sizes, env.num_envs, cfg.switch), cfg.hierarchy)


def _with_rescue(skill: Skill, rescue: str, min_height_m: Mapping[str, float], world: World) -> RescueController:
    """The skill combined with one that gets up.

    Raises:
        SkillError: the second one is missing, takes latents, or is for another robot or control interval.
    """
    try:
        return RescueController(skill, Skill.load(skill_path(rescue), world.device), min_height_m, world.num_envs)
    except SkillError as error:
        raise SkillError(
            f"task.rescue={rescue}: expected a skill that gets up and takes no latents, as"
            f" `{PROGRAM} task=HumanoidRise` makes one ({error})"
        ) from error


def _check_widths(skill: Skill, env: Env) -> None:
    """Check that observations have the widths of the skill's inputs."""
    expected = {CONTROLLER_GROUP: skill.contract.proprioception_size, STYLE_GROUP: skill.contract.window_size}
    for group, width in expected.items():
        actual = env.obs_sizes.get(group, width)
        if actual != width:
            raise SkillError(f"the skill does not fit this task: it takes {width} numbers of {group}, not {actual}")
