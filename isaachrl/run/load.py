"""What was trained, from Python: `env, policy = isaachrl.load("runs/HumanoidHRLMaze/<time>", num_envs=64)`."""

import os
from collections.abc import Mapping
from typing import Any

from isaachrl.envs.env import Env
from isaachrl.learn.learner import Policy
from isaachrl.run.build import actor
from isaachrl.run.evaluate import evaluation_seed
from isaachrl.run.settings import Mode, merge, resolve


def load(
    source: str | os.PathLike[str],
    num_envs: int = 1,
    sim: str = "auto",
    device: str = "auto",
    seed: int | None = None,
    cfg: Mapping[str, Any] | None = None,
) -> tuple[Env, Policy]:
    """The environment of something trained, made as for an evaluation, and the deterministic policy that acts in it.

    Args:
        source: a run's folder, a checkpoint, the `weights.pt` of an export, or a skill file.
        num_envs: N.
        sim: engine, `auto`, `mujoco` or `mujoco_warp`.
        device: `auto`, `cpu`, `cuda:0`, …
        seed: of all randomness; another one than the training's when left out.
        cfg: changes to what the training was configured with, as `{"task": {"layout": "large"}}`.

    Raises:
        CheckpointError: the file cannot be read, or its weights do not fit the changed configuration.
        ConfigError: an unknown key or device, a value of the wrong type or range, or a task that nobody has
            registered (`import tasks` registers the shipped ones).
    """
    call: dict[str, Any] = {
        "checkpoint": os.fspath(source), "mode": Mode.evaluate.value, "num_envs": num_envs, "sim": sim,
        "device": device,
    }  # fmt: skip
    if seed is not None:
        call["seed"] = seed
    values = merge(cfg or {}, call)
    settings = resolve(values, values)
    env, policy, _ = actor(settings, num_envs, evaluation_seed(settings))
    return env, policy
