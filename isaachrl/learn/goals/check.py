"""Checks in the course of a training: a deterministic policy on the evaluation points, in worlds of their own."""

from collections.abc import Callable
from typing import Any

import torch

from isaachrl.envs import Env
from isaachrl.learn.goals.tally import Tally
from isaachrl.learn.learner import Policy
from isaachrl.maths.seeds import Stream, sub_seed


class Check:
    """One episode in each of some worlds.

    Args:
        env: of the training; it must offer `evaluation_twin`, as `TaskEnv` does.
        episodes: how many worlds.
        seed: of the training.
        policy: makes the controller for an environment.
    """

    def __init__(self, env: Env, episodes: int, seed: int, policy: Callable[[Env], Policy]) -> None:
        self._source, self._episodes, self._policy = env, episodes, policy
        self._seed = sub_seed(seed, Stream.check)
        self._env: Env | None = None
        self._start: dict[str, Any] = {}

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        """Means over the episodes, by name under `check/`: return, length and the task's metrics.

        The episodes start alike in every check.
        """
        if self._env is None:
            source: Any = self._source
            twin: Env = source.evaluation_twin(self._episodes, self._seed)
            self._env, self._start = twin, twin.state_dict()
        env = self._env
        # generator, counters of episodes and worlds: all that the next starts depend on
        env.load_state_dict(self._start)
        obs, policy = env.reset(), self._policy(env)
        tally, running = Tally("check/"), torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        total, length = (torch.zeros(env.num_envs, device=env.device) for _ in range(2))
        for _ in range(env.episode_steps):
            result = env.step(policy.act(obs))
            total, length = total + result.reward * running, length + running
            ends = result.done & running
            for name, values in ({"return": total, "length": length} | result.metrics).items():
                tally.count(name, values, ends & ~values.isnan())
            running, obs = running & ~result.done, result.obs
            policy.restart(result.done)
        return tally.read()
