"""Construction of the environment, the learner and the policy of a run."""

import logging
import math
import random
from typing import Any

import numpy as np
import torch

from isaachrl.envs.env import Env
from isaachrl.envs.registry import World
from isaachrl.envs.task_env import evaluation_cfg
from isaachrl.envs.world_bytes import require_room
from isaachrl.errors import CheckpointError, ConfigError, IsaacHRLError, brief
from isaachrl.hierarchy.rescue import skill_digest
from isaachrl.learn.learner import Learner, Policy
from isaachrl.maths.seeds import Stream, sub_seed
from isaachrl.run.config.run_cfg import Mode, PolicyKind
from isaachrl.run.config.settings import Settings
from isaachrl.run.rollout import ProgramPolicy, RandomPolicy
from isaachrl.run.storage.checkpoint import Checkpoint
from isaachrl.shipped import policies

log = logging.getLogger(__name__)

TARGETS = ("offset", "scale", "target_offset", "target_scale")  # of an action contract, a number for each motor


def seed_everything(seed: int) -> None:
    """Seed the global generators, which other libraries use."""
    foreign = sub_seed(seed, Stream.foreign)
    random.seed(foreign)
    np.random.seed(foreign)
    torch.manual_seed(foreign)


def build_env(settings: Settings, num_envs: int, seed: int) -> Env:
    """The task's environment.

    Args:
        settings: of the run.
        num_envs: N.
        seed: of the environment's generator.
    """
    generator = torch.Generator(device=settings.device).manual_seed(seed)
    world = World(num_envs, settings.run.sim, settings.device, generator)
    task_cfg = settings.task_cfg if settings.run.mode is Mode.train else evaluation_cfg(settings.task_cfg)
    return settings.task.make(task_cfg, world, settings.run.cuda_graph)


def check_room(settings: Settings, num_envs: int) -> None:
    """Check that the environments fit into memory. Call it before seeding: it may build some to measure them.

    Raises:
        ConfigError: they do not; the message has the number that would.
    """
    run = settings.run
    require_room(num_envs, run.sim, settings.device, lambda count: build_env(settings, count, run.seed))


def build_learner(settings: Settings, env: Env) -> Learner:
    """An untrained learner on that environment."""
    return settings.learner.build(env, settings.learner_cfg, settings.run.seed)


def build_policy(settings: Settings, num_envs: int, seed: int) -> tuple[Env, Policy, Learner | None]:
    """An environment, the policy of `policy=`, and its learner; None for a policy that is not trained.

    Raises:
        ConfigError: a trained policy without a checkpoint, or `policy=program` for a task without a table.
        CheckpointError: its weights do not fit the configuration.
    """
    check_room(settings, num_envs)
    if settings.run.policy is not PolicyKind.trained:
        env = build_env(settings, num_envs, seed)
        is_random = settings.run.policy is PolicyKind.random
        return env, RandomPolicy(env, seed) if is_random else ProgramPolicy(env), None
    learner = trained_learner(settings, num_envs, seed)
    return learner.env, learner.policy(), learner


def trained_learner(settings: Settings, num_envs: int, seed: int) -> Learner:
    """A learner on a new environment, with the weights of the loaded checkpoint.

    Raises:
        ConfigError: no checkpoint was typed.
        CheckpointError: its weights do not fit the configuration.
    """
    if settings.loaded is None:
        mode = settings.run.mode.value
        table = ", or policy=program for its table" if hasattr(settings.task_cfg, "fsm") else ""
        own = settings.task.name
        shipped = f" or checkpoint={own}, which is shipped" if own in policies() else ""
        raise ConfigError(f"mode={mode} needs a trained run: type checkpoint=runs/{own}/<time>{shipped}{table}")
    seed_everything(seed)
    learner = build_learner(settings, build_env(settings, num_envs, seed))
    if wrong := other_skill(settings.loaded, learner.env, settings.task_cfg):
        raise CheckpointError(wrong)
    if changed := other_actions(settings.loaded, learner.env):
        log.warning("%s", changed)
    load_weights(learner, settings.loaded)
    return learner


def other_skill(checkpoint: Checkpoint, env: Env, task_cfg: Any) -> str:
    """What is wrong if the policy of a checkpoint was trained to command another skill; else empty."""
    present = skill_digest(env)
    if not checkpoint.skill or not present or checkpoint.skill == present:
        return ""
    trained_on = checkpoint.config["task"].get("skill")
    return (
        f"the policy was trained on another skill than task.skill={task_cfg.skill}, so its commands mean other things"
        f" there: digest {checkpoint.skill[:8]} of what was then {brief(trained_on)}, now {present[:8]}; type"
        f" skill=FILE with the skill it was trained on, or train it for this one: task={checkpoint.task} checkpoint=…"
    )


def other_actions(checkpoint: Checkpoint, env: Env) -> str:
    """What to say if actions lead to other motor targets than in training; else empty."""
    then, now = checkpoint.actions, env.action_contract
    motors = then.get("motors")
    if not motors:
        return ""
    if any(then.get(key) != now.get(key) for key in ("motors", "control")):
        return "the policy was trained with other motors, so it may fail: robot=… or task.control differs"
    for key in TARGETS:
        if len(then.get(key, [])) == len(now.get(key, [])) == len(motors):
            for motor, before, present in zip(motors, then[key], now[key], strict=True):
                if not math.isclose(before, present, rel_tol=1e-3, abs_tol=1e-3):
                    return (
                        f"actions mean other targets than in training ({key} of {motor} was {before:.3g} and is"
                        f" {present:.3g}), so the policy may fail: its standing pose or its motors differ"
                    )
    return ""


def load_weights(learner: Learner, checkpoint: Checkpoint, starts: bool = False) -> None:
    """Load the weights of a checkpoint into a learner, which starts a new training from them or acts with them.

    Raises:
        CheckpointError: their names or sizes do not fit this configuration.
    """
    try:
        (learner.start_from if starts else learner.load_weights)(checkpoint.learner_state)
    except IsaacHRLError:
        raise
    except Exception as error:  # the content of a file can be wrong in any way
        raise CheckpointError(
            f"the weights of the checkpoint do not fit the present configuration ({brief(error, 300)}); leave out the"
            " keys that change sizes of networks or observations"
        ) from error
