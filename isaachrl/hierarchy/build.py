"""Builds the environment of a high-level task: the task's environment, controlled through a skill."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isaachrl.envs.env import Env
from isaachrl.envs.registry import Builder, World, task_env
from isaachrl.envs.task import Task
from isaachrl.envs.task_env import TaskEnv
from isaachrl.errors import ConfigError, SkillError
from isaachrl.hierarchy.hierarchical_env import CONTROLLER_GROUP, STYLE_GROUP, HierarchicalEnv
from isaachrl.hierarchy.rescue import RescueController
from isaachrl.hierarchy.skill import Skill

ROOT = Path(__file__).resolve().parents[2]
NO_SKILL = "none"
CFG_KEYS = ("skill", "control", "style_frames", "hierarchy")


def skill_path(name: str) -> Path:
    """Path of a skill file, relative to the working folder or else to the repository's root.

    Raises:
        SkillError: there is no such file.
    """
    try:
        for path in (Path(os.path.expanduser(name)), ROOT / name):
            if path.is_file():
                return path
    except OSError as error:
        raise SkillError(f"{name} cannot be read: {error.strerror or error}") from error
    raise SkillError(
        f"no skill file {name}; pretrain one with `python train.py task=HumanoidAMP` and pass skill=RUN/skill.pt"
    )


def hierarchical(task_type: type[Task[Any]]) -> Builder:
    """The builder of a task that is controlled through a skill.

    The task's configuration has `skill` (a path, or `none` for the flat task, whose actions are motor targets),
    `hierarchy` (a `HierarchyCfg`), `control`, and `style_frames` (0 for the skill's own length). It may have `rescue`
    (a path, or `none`), a second skill that gets up after falls, and `min_height_m` (height limits by body).
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
            f" `python train.py task=HumanoidRise` makes one ({error})"
        ) from error


def _check_widths(skill: Skill, env: Env) -> None:
    """Check that observations have the widths of the skill's inputs."""
    expected = {CONTROLLER_GROUP: skill.contract.proprioception_size, STYLE_GROUP: skill.contract.window_size}
    for group, width in expected.items():
        actual = env.obs_sizes.get(group, width)
        if actual != width:
            raise SkillError(f"the skill does not fit this task: it takes {width} numbers of {group}, not {actual}")
