"""Complete episodes of a policy, counted without bias."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.learn.learner import Policy
from isaachrl.maths.seeds import Stream, sub_seed

Values = dict[str, float]


class RandomPolicy:
    """Uniformly random actions in [-1, 1]: the baseline that every learned policy has to beat.

    Args:
        env: what it acts in.
        seed: that of the environment will do: the actions are a stream of their own.
    """

    def __init__(self, env: Env, seed: int) -> None:
        self._shape = (env.num_envs, env.action_size)
        self._generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.random_policy))

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        device = self._generator.device
        return 2.0 * torch.rand(self._shape, generator=self._generator, device=device) - 1.0

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`: there is nothing to forget."""


@dataclass
class Episodes:
    """Complete episodes: N environments with E episodes each.

    Args:
        returns: `(N, E)` undiscounted sums of reward.
        lengths: `(N, E)` steps of the environment that was acted on.
        metrics: by name, each `(N, E)`; nan where an episode has no such number.
    """

    returns: Tensor
    lengths: Tensor
    metrics: dict[str, Tensor]

    def summary(self) -> Values:
        """Means over all episodes; a metric's mean leaves out the episodes in which it is nan."""
        values: Values = {
            "episodes": self.returns.numel(),
            "return_mean": float(self.returns.double().mean()),
            "length_mean": float(self.lengths.double().mean()),
        }
        return values | {name: _mean(metric) for name, metric in self.metrics.items()}


@torch.no_grad()
def run_episodes(
    env: Env,
    policy: Policy,
    per_env: int,
    on_step: Callable[[StepResult], None] | None = None,
    on_begin: Callable[[Tensor], None] | None = None,
) -> Episodes:
    """Act until every environment has finished its first `per_env` episodes.

    Counting the first episodes to end anywhere would favour short ones; here every environment gives the same
    number, and what it does while the others finish is not counted.

    Args:
        env: reset here.
        policy: the controller; it is told of every new episode.
        per_env: episodes of each environment.
        on_step: called with every step's result, before the episodes that ended start anew; steps are then taken in
            two parts, and not as CUDA graphs.
        on_begin: called before every step with which environments `(N,)` are at the start of an episode.
    """
    returns = torch.zeros(env.num_envs, per_env, device=env.device)
    lengths, metrics = torch.zeros_like(returns), dict[str, Tensor]()
    finished = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
    total, steps = returns.new_zeros(env.num_envs), returns.new_zeros(env.num_envs)
    rows = torch.arange(env.num_envs, device=env.device)
    obs, done = env.reset(), torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    policy.restart(done)
    while bool((finished < per_env).any()):
        if on_begin is not None:
            on_begin(done)
        result = _step(env, policy.act(obs), on_step)
        obs, done = result.obs, result.done
        total, steps = total + result.reward, steps + 1
        counted = done & (finished < per_env)
        slot = finished.clamp(max=per_env - 1)
        _write(returns, rows, slot, counted, total)
        _write(lengths, rows, slot, counted, steps)
        for name, value in result.metrics.items():
            if name not in metrics:
                metrics[name] = torch.full_like(returns, math.nan)
            _write(metrics[name], rows, slot, counted, value.float())
        finished = finished + done
        total, steps = total.masked_fill(done, 0.0), steps.masked_fill(done, 0.0)
        policy.restart(done)
    env.check_capacity()
    return Episodes(returns, lengths, metrics)


def _step(env: Env, action: Tensor, on_step: Callable[[StepResult], None] | None) -> StepResult:
    """`env.step`, in two parts where somebody wants to look in between."""
    if on_step is None:
        return env.step(action)
    result = env.advance(action)
    on_step(result)
    result.obs = env.reset_where(result.done)
    return result


def _write(table: Tensor, rows: Tensor, slot: Tensor, where: Tensor, values: Tensor) -> None:
    """Put `values (N,)` into column `slot (N,)` of the rows of `where (N,)`."""
    table[rows, slot] = torch.where(where, values, table[rows, slot])


def _mean(values: Tensor) -> float:
    """Mean of what is not nan; nan if nothing is."""
    kept = values[~torch.isnan(values)]
    return float(kept.double().mean()) if kept.numel() else math.nan
