"""A small skills learner for tests."""

from typing import Any

import isaachrl
import tasks  # noqa: F401  registers the tasks
from isaachrl import config
from isaachrl.learn.skills import SkillsCfg, SkillsLearner

SMALL = {
    "horizon": 4,
    "minibatch": 16,
    "epochs": 1,
    "hidden": [16],
    "latent_hidden": [8, 4],
    "discriminator": {"hidden": [16], "rows": 8, "replay_size": 64, "demo_windows": 8},
    "latent": {"size": 4, "hold_steps_min": 2, "hold_steps_max": 3},
}


def make_learner(
    latents: str, num_envs: int = 8, seed: int = 0, motion: str = "locomotion", tracks: bool = False, **changes: Any
) -> SkillsLearner:
    """A learner of a few environments with tiny networks; `tracks`: the task measures how near bodies are to clips."""
    task = {"style_frames": 2, "motion": motion} | ({"reward": {"track": 1.0}} if tracks else {})
    env = isaachrl.make("HumanoidAMP", num_envs=num_envs, seed=seed, cfg={"task": task})
    values = SMALL | {"latents": latents} | changes
    return SkillsLearner(env, config.build(SkillsCfg, values), seed)
