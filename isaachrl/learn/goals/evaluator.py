"""Evaluation during training: the deterministic policy on the evaluation points, in environments of its own."""

from collections.abc import Callable
from typing import Any

import torch

from isaachrl.envs import Env
from isaachrl.envs.statistics import Means
from isaachrl.learn.learner import Policy
from isaachrl.maths.seeds import Stream, sub_seed


class Evaluator:
    """Runs one episode in each of some environments, with the same starts and targets every time.

    Args:
        env: of training; it must have `evaluation_twin(num_envs, seed)`, as `TaskEnv` does.
        episodes: number of environments.
        seed: of training.
        make_policy: makes the controller for an environment.
    """

    def __init__(self, env: Env, episodes: int, seed: int, make_policy: Callable[[Env], Policy]) -> None:
        self._source, self._episodes, self._make_policy = env, episodes, make_policy
        self._seed = sub_seed(seed, Stream.goal_evaluation)
        self._env: Env | None = None
        self._start: dict[str, Any] = {}

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        """Means over the episodes, by name under `eval/`: return, length and the task's metrics."""
        if self._env is None:
            source: Any = self._source
            twin: Env = source.evaluation_twin(self._episodes, self._seed)
            self._env, self._start = twin, twin.state_dict()
        env = self._env
        # the next starts depend on the generator and on counters of episodes, which this sets back
        env.load_state_dict(self._start)
        obs, policy = env.reset(), self._make_policy(env)
        means, running = Means("eval/"), torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        returns, lengths = (torch.zeros(env.num_envs, device=env.device) for _ in range(2))
        for _ in range(env.episode_steps):
            result = env.step(policy.act(obs))
            returns, lengths = returns + result.reward * running, lengths + running
            ended = result.done & running
            for name, values in ({"return": returns, "length": lengths} | result.metrics).items():
                means.count(name, values, ended & ~values.isnan())
            running, obs = running & ~result.done, result.obs
            policy.restart(result.done)
        return means.read()
