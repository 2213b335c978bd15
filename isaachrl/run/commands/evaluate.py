"""The command `mode=evaluate`: means over many episodes, as JSON."""

import logging
from typing import Any

import torch

from isaachrl.envs import TaskEnv
from isaachrl.run.build import build_policy
from isaachrl.run.commands.results import results_folder, write_summary
from isaachrl.run.config.settings import Settings
from isaachrl.run.rollout import run_episodes, split_episodes

log = logging.getLogger(__name__)


def evaluate(settings: Settings) -> dict[str, Any]:
    """Run at least `episodes` complete episodes of the deterministic policy; print and write their means."""
    num_envs, per_env = split_episodes(settings.run.episodes, settings.num_envs)
    seed = settings.evaluation_seed
    env, policy, learner = build_policy(settings, num_envs, seed)
    weights = "" if settings.loaded is None else f", weights of iteration {settings.loaded.iteration}"
    log.info("environments: %d, episodes of each: %d, seed: %d%s", num_envs, per_env, seed, weights)
    summary: dict[str, Any] = run_episodes(env, policy, per_env).summary()
    summary |= {"task": settings.task.name, "seed": seed, "policy": settings.run.policy.value}
    summary |= {"checkpoint": settings.run.checkpoint, "typed": dict(settings.typed)}
    if isinstance(env, TaskEnv):
        with torch.no_grad():
            env.reset()
            policy.restart(torch.ones(num_envs, dtype=torch.bool, device=env.device))
            summary |= env.task.evaluate(lambda: env.advance(policy.act(env.observe())))
        env.check_capacity()
    if learner is not None:
        assert settings.loaded is not None
        summary |= learner.evaluate() | {"iteration": settings.loaded.iteration}
    name = "evaluate.json" if learner is not None else f"evaluate_{settings.run.policy.value}.json"
    write_summary(summary, results_folder(settings).path / name)
    return summary
