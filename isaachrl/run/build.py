"""From settings to objects: the environment and the learner of a run."""

import random

import numpy as np
import torch

from isaachrl.envs.env import Env
from isaachrl.envs.registry import World
from isaachrl.envs.task_env import evaluation_cfg
from isaachrl.errors import CheckpointError, ConfigError, IsaacHRLError
from isaachrl.learn.learner import Learner, Policy
from isaachrl.maths.seeds import Stream, sub_seed
from isaachrl.run.config.settings import Acting, Mode, Settings
from isaachrl.run.rollout import RandomPolicy
from isaachrl.run.world_bytes import require_room


def seed_everything(seed: int) -> None:
    """Seed the global generators that foreign code may draw from."""
    foreign = sub_seed(seed, Stream.foreign)
    random.seed(foreign)
    np.random.seed(foreign)
    torch.manual_seed(foreign)


def build_env(settings: Settings, num_envs: int, seed: int) -> Env:
    """The task's environment.

    Args:
        settings: of the run.
        num_envs: N.
        seed: of the environment's own generator.
    """
    generator = torch.Generator(device=settings.device).manual_seed(seed)
    world = World(num_envs, settings.run.sim, settings.device, generator)
    task_cfg = settings.task_cfg if settings.run.mode is Mode.train else evaluation_cfg(settings.task_cfg)
    return settings.task.make(task_cfg, world, settings.run.cuda_graph)


def check_room(settings: Settings, num_envs: int) -> None:
    """Refuse more environments than memory holds, before any generator is seeded: it may build some to find out.

    Raises:
        ConfigError: says how many would fit.
    """
    device = torch.device("cpu") if settings.run.sim == "mujoco" else settings.device
    require_room(num_envs, device, lambda count: build_env(settings, count, settings.run.seed))


def build_learner(settings: Settings, env: Env) -> Learner:
    """The learner on that environment, untrained."""
    return settings.learner.build(env, settings.learner_cfg, settings.run.seed)


def actor(settings: Settings, num_envs: int, seed: int) -> tuple[Env, Policy, Learner | None]:
    """An environment, who acts in it, and the learner that this comes from, if any.

    Raises:
        ConfigError: a trained policy was asked for and no checkpoint was named.
        CheckpointError: its weights do not fit the configuration.
    """
    check_room(settings, num_envs)
    if settings.run.policy is Acting.random:
        env = build_env(settings, num_envs, seed)
        return env, RandomPolicy(env, seed), None
    learner = trained_learner(settings, num_envs, seed)
    return learner.env, learner.policy(), learner


def trained_learner(settings: Settings, num_envs: int, seed: int) -> Learner:
    """An environment of its own and a learner with the weights of the checkpoint that the user named.

    Raises:
        ConfigError: no checkpoint was named.
        CheckpointError: its weights do not fit the configuration.
    """
    if settings.loaded is None:
        mode = settings.run.mode.value
        raise ConfigError(f"mode={mode} needs a trained run: type checkpoint=runs/{settings.task.name}/<time>")
    seed_everything(seed)
    learner = build_learner(settings, build_env(settings, num_envs, seed))
    load_weights(learner, settings)
    return learner


def reason(error: Exception) -> str:
    """What an error says, on one line and not too long."""
    return " ".join(str(error).split())[:300]


def load_weights(learner: Learner, settings: Settings) -> None:
    """Give a learner the weights of the loaded checkpoint.

    Raises:
        CheckpointError: their names or sizes are not those of this configuration.
    """
    assert settings.loaded is not None
    try:
        learner.load_weights(settings.loaded.learner_state)
    except IsaacHRLError:
        raise
    except Exception as error:  # anything can be wrong with what a file holds
        raise CheckpointError(
            f"the weights of the checkpoint do not fit the present configuration ({reason(error)}); leave out the keys"
            " that change sizes of networks or observations"
        ) from error
