"""What an environment must offer so that goals can be set in it, and how networks see its numbers."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor

from isaachrl.envs import Env, Obs
from isaachrl.errors import ConfigError
from isaachrl.learn.goals.config import Inputs

CONTEXT_SCALE = 10.0


class GoalTask(Protocol):
    """What a task must offer: an observation group `state` whose first entries goals can be about.

    A task with targets has a group `context` too, and the two functions about it. It may say more: `show_goal`, and
    `terminates: bool`, whether episodes can end by anything but time; without that they are taken to.
    """

    cfg: Any
    position_size: int
    action_limits: Tensor
    goal_limits: Tensor
    state_scale: Tensor

    def flipped(self) -> Tensor:
        """`(N,)` bool: the body lies on its back."""
        ...

    def context_reward(self, state: Tensor, context: Tensor) -> Tensor:
        """Reward `(…)` of reaching `state (…, S)` under the target `context (…, k)`."""
        ...

    def draw_contexts(self, count: int, generator: torch.Generator) -> Tensor:
        """Targets `(count, k)` from the training distribution."""
        ...


def goal_task(env: Env) -> GoalTask:
    """The task inside an environment.

    Raises:
        ConfigError: the environment's task sets no goals.
    """
    task = getattr(env, "task", None)
    needed = ("position_size", "action_limits", "goal_limits", "state_scale", "flipped")
    if "state" not in env.obs_sizes or not all(hasattr(task, name) for name in needed):
        raise ConfigError(
            "this learner sets goals, and the task does not say what goals can be about; type task=AntMaze, or another"
            " of the ant's. (A task of your own shows a group 'state' and has " + ", ".join(needed) + ".)"
        )
    return cast(GoalTask, task)


def context_of(obs: Obs) -> Tensor:
    """The target `(N, k)` of an observation; k is 0 where the task has none."""
    return obs["context"] if "context" in obs else obs["state"][:, :0]


class Views:
    """What the networks of all levels see.

    Args:
        env: whose task names the typical sizes.
        inputs: see `Inputs`.
        hide_position: keep the first two entries of the state from the worker.
        limits: `(d,)` half ranges of the goal.
        absolute: show the worker where to be, not how far it is.
    """

    def __init__(self, env: Env, inputs: Inputs, hide_position: bool, limits: Tensor, absolute: bool) -> None:
        task = goal_task(env)
        self.scaled, self.absolute = inputs is Inputs.scaled, absolute
        ones = torch.ones_like(task.state_scale)
        self.state_factor = 1.0 / task.state_scale if self.scaled else ones
        self.goal_factor = 1.0 / limits if self.scaled else torch.ones_like(limits)
        shown = torch.ones_like(ones)
        shown[:2] = 0.0 if hide_position else 1.0
        self.worker_factor = self.state_factor * shown
        self.position_size = task.position_size
        context = env.obs_sizes.get("context", 0)
        self.flat_size = env.obs_sizes["state"] + context * (2 if self.scaled else 1)
        self.worker_size = env.obs_sizes["state"] + len(limits)

    def worker(self, state: Tensor, goal: Tensor) -> Tensor:
        """Features `(…, F)` of states `(…, S)` and goals `(…, d)`."""
        return self._pursuer(state, self.worker_factor, goal)

    def middle(self, state: Tensor, goal: Tensor) -> Tensor:
        """Features `(…, F)` for a manager that is set goals itself: as the worker's, but it knows where it is."""
        return self._pursuer(state, self.state_factor, goal)

    def _pursuer(self, state: Tensor, factor: Tensor, goal: Tensor) -> Tensor:
        if self.absolute:
            goal = goal + state[..., : goal.shape[-1]]
        return torch.cat((state * factor, goal * self.goal_factor), dim=-1)

    def manager(self, state: Tensor, context: Tensor) -> Tensor:
        """Features `(…, F)` of states `(…, S)` and targets `(…, k)`; also of a policy without levels."""
        seen = state * self.state_factor
        if not self.scaled:
            return torch.cat((seen, context), dim=-1)
        way = context - state[..., : context.shape[-1]]
        return torch.cat((seen, context / CONTEXT_SCALE, way / CONTEXT_SCALE), dim=-1)
