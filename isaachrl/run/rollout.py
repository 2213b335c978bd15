"""Complete episodes of a policy, without bias towards short ones."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.envs.env import Env, Obs, StepResult
from isaachrl.errors import ConfigError
from isaachrl.learn.learner import Policy
from isaachrl.maths.seeds import Stream, sub_seed

Values = dict[str, float]


class RandomPolicy:
    """Uniformly random actions in [-1, 1], as a baseline.

    Args:
        env: the environment.
        seed: may be that of the environment: actions have a stream of their own.
    """

    def __init__(self, env: Env, seed: int) -> None:
        self._shape = (env.num_envs, env.action_size)
        self._generator = torch.Generator(device=env.device).manual_seed(sub_seed(seed, Stream.random_policy))

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        device = self._generator.device
        return 2.0 * torch.rand(self._shape, generator=self._generator, device=device) - 1.0

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`; it has no state."""


class ProgramPolicy:
    """Chooses what the observation group `task` asks for.

    Args:
        env: an environment whose `task` is `asked`: a number for each option, the largest for the one to choose.

    Raises:
        ConfigError: it is none.
    """

    def __init__(self, env: Env) -> None:
        if [name for name, _, _ in env.obs_layout.get("task", [])] != ["asked"]:
            raise ConfigError("policy=program follows a table, which this task has not; type task=HumanoidProgram")

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`."""
        return obs["task"]

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`; the state is the environment's."""


@dataclass
class Episodes:
    """Complete episodes: N environments with E episodes each.

    Args:
        returns: `(N, E)` undiscounted sums of reward.
        lengths: `(N, E)` steps of the outermost environment.
        metrics: by name, each `(N, E)`; nan for episodes without a value.
    """

    returns: Tensor
    lengths: Tensor
    metrics: dict[str, Tensor]

    def summary(self) -> Values:
        """Means over all episodes; the mean of a metric leaves nan out.

        Metrics named `…_per_minute` are weighted by the steps of the episode, so that their mean is that of all time.
        """
        values: Values = {
            "episodes": self.returns.numel(),
            "return_mean": float(self.returns.double().mean()),
            "length_mean": float(self.lengths.double().mean()),
        }
        return values | {
            name: _mean(metric, self.lengths if name.endswith("_per_minute") else None)
            for name, metric in self.metrics.items()
        }


def split_episodes(episodes: int, num_envs: int) -> tuple[int, int]:
    """Number of environments, and of episodes of each, that give at least `episodes` in equal shares."""
    used = min(episodes, num_envs)
    return used, math.ceil(episodes / used)


@torch.no_grad()
def run_episodes(
    env: Env,
    policy: Policy,
    per_env: int,
    on_step: Callable[[StepResult], None] | None = None,
    on_begin: Callable[[Tensor], None] | None = None,
) -> Episodes:
    """Act until every environment has finished its first `per_env` episodes.

    The first episodes to end in any environment would be biased towards short ones. So every environment contributes
    the same number, and its further episodes while others finish are not counted.

    Args:
        env: reset here.
        policy: the controller.
        per_env: episodes of each environment.
        on_step: called with the result of each step, before ended episodes are reset; steps are then not CUDA graphs.
        on_begin: called before each step with the mask `(N,)` of environments at the start of an episode.
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
    """`env.step`, with a callback before the reset."""
    if on_step is None:
        return env.step(action)
    result = env.advance(action)
    on_step(result)
    result.obs = env.reset_where(result.done)
    return result


def _write(table: Tensor, rows: Tensor, slot: Tensor, where: Tensor, values: Tensor) -> None:
    """Write `values (N,)` into column `slot (N,)` in the rows of the mask `where (N,)`."""
    table[rows, slot] = torch.where(where, values, table[rows, slot])


def _mean(values: Tensor, weights: Tensor | None = None) -> float:
    """Weighted mean of the values that are not nan; nan if all are."""
    known = ~torch.isnan(values)
    weights = known.double() if weights is None else weights * known
    return float((values.nan_to_num() * weights).double().sum() / weights.sum()) if bool(known.any()) else math.nan
