"""What a task offers so that goals can be set in it, and the input features of the networks."""

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from isaachrl.envs import Env, Obs
from isaachrl.envs.env import has_bodies, innermost
from isaachrl.errors import ConfigError
from isaachrl.learn.goals.config import Inputs

PLANAR_SIZE = 2  # x and y, which `hide_position` hides; a target may have a height too


class Symmetry(Protocol):
    """Changes of a state and a goal under which the worker's task stays the same, such as a turn on the floor.

    The worker sees, in place of a state and a goal, one that stands for all equivalent ones, and learns each situation
    once: a homomorphism of decision processes (van der Pol et al. 2020, "MDP homomorphic networks", arXiv:2006.16908),
    by canonical states rather than by the weights. A `torch.nn.Module`, as it is exported with
    the worker.
    """

    def canonical(self, state: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of states `(…, S)` and goals `(…, d)`, the equivalent ones that stand for all, and the change `(…)` to them.

        Differentiable in state and goal, for one and the same change.
        """
        ...

    def to_canonical(self, action: Tensor, change: Tensor) -> Tensor:
        """Actions `(…, A)` after the changes `(…)`."""
        ...

    def from_canonical(self, action: Tensor, change: Tensor) -> Tensor:
        """The inverse of `to_canonical`."""
        ...


class NoSymmetry(nn.Module):
    """Each situation is its own."""

    def canonical(self, state: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Symmetry.canonical`."""
        return state, goal, state[..., 0]

    def to_canonical(self, action: Tensor, change: Tensor) -> Tensor:
        """See `Symmetry.to_canonical`."""
        return action

    def from_canonical(self, action: Tensor, change: Tensor) -> Tensor:
        """See `Symmetry.from_canonical`."""
        return action


class GoalTask(Protocol):
    """A task with an observation group `state`, whose first entries goals are about.

    A task with targets also has a group `context`, `context_scale` and the two functions about contexts. Optional:
    `show_goal(pos_w)`, which moves a marker, `terminates: bool`, whether episodes can end by anything but time (taken
    to be true if missing), and `symmetry: Symmetry` for goals about the place.

    Attributes:
        position_size: number of first entries of the state that are a position.
        action_limits: `(A,)` half ranges of the actions in their own units.
        goal_limits: half ranges of goals about the first entries of the state.
        state_scale: `(S,)` typical sizes of the entries of the state.
        context_scale: typical size of the entries of the context.
    """

    position_size: int
    action_limits: Tensor
    goal_limits: Tensor
    state_scale: Tensor
    context_scale: float

    def flipped(self) -> Tensor:
        """`(N,)` bool: the body is on its back."""
        ...

    def context_reward(self, state: Tensor, context: Tensor) -> Tensor:
        """Reward `(…)` for reaching `state (…, S)` under the target `context (…, k)`."""
        ...

    def draw_contexts(self, count: int, generator: torch.Generator) -> Tensor:
        """Targets `(count, k)` from the training distribution."""
        ...


def goal_task(env: Env) -> GoalTask:
    """The task of an environment.

    Raises:
        ConfigError: it lacks what goals need.
    """
    task = getattr(env, "task", None)
    needed = ["position_size", "action_limits", "goal_limits", "state_scale", "flipped"]
    if "context" in env.obs_sizes:
        needed += ["context_scale", "context_reward", "draw_contexts"]
    if "state" not in env.obs_sizes or not all(hasattr(task, name) for name in needed):
        found = "it has no bodies" if not has_bodies(innermost(env)) else "its bodies come without what this takes"
        raise ConfigError(
            f"this learner does not know what the task's goals can be about, and {found}; type task=AntMaze, or a task"
            " of the humanoid. (A task of your own needs an observation group 'state' and " + ", ".join(needed) + ".)"
        )
    return cast(GoalTask, task)


def context_of(obs: Obs) -> Tensor:
    """The target `(N, k)` in an observation; k is 0 in tasks without targets."""
    return obs["context"] if "context" in obs else obs["state"][:, :0]


class NetworkInputs:
    """Input features of the networks of all levels.

    Args:
        env: its task names the typical sizes.
        inputs: see `Inputs`.
        hide_position: see `GoalsCfg`.
        goal_limits: `(d,)` half ranges of the goal.

    Attributes:
        top_size, lower_size: number of features of the top level and of the levels below.
    """

    def __init__(self, env: Env, inputs: Inputs, hide_position: bool, goal_limits: Tensor) -> None:
        task, context = goal_task(env), env.obs_sizes.get("context", 0)
        self.scaled = inputs is Inputs.scaled
        ones = torch.ones_like(task.state_scale)
        self.state_factor = 1.0 / task.state_scale if self.scaled else ones
        self.goal_factor = 1.0 / goal_limits if self.scaled else torch.ones_like(goal_limits)
        self.context_scale = task.context_scale if context > 0 else 1.0
        visible = ones.clone()
        visible[:PLANAR_SIZE] = 0.0 if hide_position else 1.0
        self.worker_factor = self.state_factor * visible
        self.top_size = env.obs_sizes["state"] + context * (2 if self.scaled else 1)
        self.lower_size = env.obs_sizes["state"] + len(goal_limits)

    def worker(self, state: Tensor, goal: Tensor) -> Tensor:
        """Features `(…, F)` of states `(…, S)` and goals `(…, d)`."""
        return torch.cat((state * self.worker_factor, goal * self.goal_factor), dim=-1)

    def middle(self, state: Tensor, goal: Tensor) -> Tensor:
        """Features `(…, F)` of a middle manager: as the worker's, position included."""
        return torch.cat((state * self.state_factor, goal * self.goal_factor), dim=-1)

    def top(self, state: Tensor, context: Tensor) -> Tensor:
        """Features `(…, F)` of states `(…, S)` and targets `(…, k)`."""
        scaled_state = state * self.state_factor
        if not self.scaled:
            return torch.cat((scaled_state, context), dim=-1)
        offset = context - state[..., : context.shape[-1]]
        return torch.cat((scaled_state, context / self.context_scale, offset / self.context_scale), dim=-1)
