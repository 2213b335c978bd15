"""The networks of all levels: a worker that acts, and managers that set goals in the units of the state."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from isaachrl.envs import Env
from isaachrl.errors import ConfigError
from isaachrl.learn.goals.config import Algorithm, GoalsCfg, Inputs
from isaachrl.learn.goals.contract import GoalTask, NetworkInputs, NoSymmetry, Symmetry, goal_task
from isaachrl.learn.goals.goals import check_goal_size
from isaachrl.learn.goals.off_policy.actor_critic import ActorCritic
from isaachrl.learn.goals.off_policy.sac import Sac
from isaachrl.learn.goals.off_policy.td3 import Td3
from isaachrl.nn import Rounding

SYMMETRIC = "worker_symmetry"  # in a state dict, whether the worker saw canonical states
ALGORITHMS: dict[Algorithm, type[ActorCritic]] = {Algorithm.td3: Td3, Algorithm.sac: Sac}


class Levels:
    """The worker and its managers, numbered from the worker up.

    The top level is conditioned on the task's context (target), every level below on the goal of the level above it:
    `goal_or_context` is what fits the level.

    Args:
        env: the environment.
        cfg: of the learner.
        generator: of the noise in updates.
        worker_generator: of that in the worker's.

    Attributes:
        all: the levels; `worker` is the first, `top` the last.
        acting: the same as others see them: with the worker's `snapshot` if it learns on a thread of its own.
        names: `worker`, `middle_1` and so on, `manager`; `policy` where there is one level.
        symmetries: of each level; only the worker can have one.
        flat: there is one level, conditioned on the context.
        goal_limits: `(d,)` half ranges of the goal.
        action_limits: `(A,)` half ranges of the worker's action.
    """

    def __init__(self, env: Env, cfg: GoalsCfg, generator: torch.Generator, worker_generator: torch.Generator) -> None:
        task = goal_task(env)
        self.flat = not cfg.meta_periods
        if not self.flat:
            check_goal_size(cfg.goal_size, len(task.goal_limits))
        self.goal_limits = task.goal_limits[: cfg.goal_size].clone()
        self.action_limits = task.action_limits.to(env.device)
        self.inputs = NetworkInputs(env, cfg.inputs, cfg.hide_position, self.goal_limits)
        rounding, physical = Rounding(cfg.precision, env.device), cfg.inputs is Inputs.raw
        level_cfgs = cfg.level_cfgs()
        self.all: list[ActorCritic] = []
        for number, level in enumerate(level_cfgs):
            size = self.inputs.lower_size if number < len(level_cfgs) - 1 else self.inputs.top_size
            limits = self.goal_limits if number > 0 else self.action_limits
            draws = generator if number > 0 else worker_generator
            self.all.append(ALGORITHMS[level.algorithm](size, limits, physical, level, rounding, draws))
        self.worker, self.top = self.all[0], self.all[-1]
        self.acting = [self.worker.snapshot(), *self.all[1:]] if worker_generator is not generator else self.all
        self.symmetries: list[Symmetry] = [_symmetry(task, cfg, env.device), *[NoSymmetry()] * (len(self.all) - 1)]
        middle = [f"middle_{number}" for number in range(1, len(self.all) - 1)]
        self.names = ["policy"] if self.flat else ["worker", *middle, "manager"]

    def refresh(self) -> None:
        """Let the acting worker follow the learning one, where they differ."""
        if self.acting[0] is not self.worker:
            self.acting[0].follow(self.worker)

    def features(self, number: int, state: Tensor, goal_or_context: Tensor) -> Tensor:
        """Input features `(…, F)` of level `number`; of the worker's, state and goal are canonical."""
        if number == len(self.all) - 1:
            return self.inputs.top(state, goal_or_context)
        return (self.inputs.middle if number > 0 else self.inputs.worker)(state, goal_or_context)

    def mean_action(self, number: int, state: Tensor, goal_or_context: Tensor) -> Tensor:
        """Action in [-1, 1] without noise: `(…, A)` of the worker, `(…, d)` of managers."""
        return self._action(number, self.acting[number].actor, state, goal_or_context)

    def ema_action(self, number: int, state: Tensor, goal_or_context: Tensor) -> Tensor:
        """The same by the averaged actor, for evaluation, play and export."""
        return self._action(number, self.all[number].ema_actor, state, goal_or_context)

    def sample_action(self, number: int, state: Tensor, goal_or_context: Tensor, generator: torch.Generator) -> Tensor:
        """The same as in training: drawn from SAC's policy, or TD3's action before exploration noise."""
        sample = partial(self.acting[number].sample_action, generator=generator)
        return self._action(number, sample, state, goal_or_context)

    def _action(self, number: int, actor: Callable[[Tensor], Tensor], state: Tensor, goal_or_context: Tensor) -> Tensor:
        """Actions by an actor of canonical features."""
        symmetry = self.symmetries[number]
        state, goal_or_context, change = symmetry.canonical(state, goal_or_context)
        return symmetry.from_canonical(actor(self.features(number, state, goal_or_context)), change)

    def worker_value(self, state: Tensor, goal: Tensor, action: Tensor) -> Tensor:
        """Value `(…)` by the worker's first critic."""
        symmetry = self.symmetries[0]
        state, goal, change = symmetry.canonical(state, goal)
        return self.acting[0].critics.q1(self.inputs.worker(state, goal), symmetry.to_canonical(action, change))

    @property
    def symmetric(self) -> bool:
        """Whether the worker sees canonical states."""
        return not isinstance(self.symmetries[0], NoSymmetry)

    def state_dict(self) -> dict[str, Any]:
        """All levels, by name."""
        levels = {name: level.state_dict() for name, level in zip(self.names, self.all, strict=True)}
        return levels | {SYMMETRIC: self.symmetric}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`; errors are those of `load_weights`."""
        self._check_symmetry(state)
        for name, level in zip(self.names, self.all, strict=True):
            level.load_state_dict(state[name])

    def weights(self) -> dict[str, Any]:
        """What `load_weights` needs."""
        levels = {name: level.weights() for name, level in zip(self.names, self.all, strict=True)}
        return levels | {SYMMETRIC: self.symmetric}

    def load_weights(self, state: dict[str, Any]) -> None:
        """Load the networks alone.

        Raises:
            ConfigError: the worker saw canonical states in training and would not now, or the other way round.
        """
        self._check_symmetry(state)
        for name, level in zip(self.names, self.all, strict=True):
            level.load_weights(state[name])

    def _check_symmetry(self, state: dict[str, Any]) -> None:
        before, now = (str(value).lower() for value in (state.get(SYMMETRIC, False), self.symmetric))
        if before != now:
            raise ConfigError(
                f"the worker of the checkpoint was trained with train.worker_symmetry={before}, and here it is {now}:"
                f" its networks would see other states; type train.worker_symmetry={before}"
            )


def _symmetry(task: GoalTask, cfg: GoalsCfg, device: torch.device) -> Symmetry:
    """The symmetry that the worker uses.

    Raises:
        ConfigError: that of the task is not a PyTorch module, which an export needs.
    """
    symmetry = getattr(task, "symmetry", None) if cfg.worker_symmetry else None
    if symmetry is None:
        return NoSymmetry()
    if not isinstance(symmetry, nn.Module):
        raise ConfigError(
            f"the task's `symmetry` is a {type(symmetry).__name__}; expected a torch.nn.Module with canonical,"
            " to_canonical and from_canonical, which can be exported; or type train.worker_symmetry=false"
        )
    return cast(Symmetry, symmetry.to(device))
