"""The environment interface: N parallel episodes, all tensors on one device."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.boundary import check_tensor

LARGEST_ACTION = 1e6  # norm beyond which an action is invalid

Obs = dict[str, Tensor]
ObsLayout = dict[str, list[tuple[str, int, str]]]


@dataclass
class StepResult:
    """Result of a step. N is the number of environments.

    Args:
        obs: observation groups, each `(N, size)` float32, after the reset of ended episodes.
        reward: `(N,)`.
        terminated: `(N,)` bool, the episode failed or reached its goal: do not bootstrap.
        truncated: `(N,)` bool, the time limit was reached (never with `terminated`): bootstrap from `terminal_obs`.
        terminal_obs: observation of every environment *before* the reset; equals `obs` where no episode ended.
        terms: weighted reward terms by name, each `(N,)`; they sum to `reward`.
        metrics: statistics of the episode by name, each `(N,)`; read where an episode ends.
        discount_steps: `(N,)`, or `()` if equal for all: length of this step relative to a full one. It is 1, except
            where the episode ended within a high-level step: there it is the fraction of that step before the end. A
            learner discounts the next value by gamma to this power.
    """

    obs: Obs
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    terminal_obs: Obs
    terms: dict[str, Tensor] = field(default_factory=dict)
    metrics: dict[str, Tensor] = field(default_factory=dict)
    discount_steps: Tensor = field(default_factory=lambda: torch.ones(()))

    @property
    def done(self) -> Tensor:
        """`(N,)` bool: the episode ended."""
        return self.terminated | self.truncated

    @property
    def diverged(self) -> Tensor:
        """`(N,)` bool: the simulation diverged or the action was invalid (metric `diverged`).

        A learner must not treat the change of the observations in such a step as motion: the engine has reset the
        world.
        """
        diverged = self.metrics.get("diverged")
        return torch.zeros_like(self.terminated) if diverged is None else diverged > 0

    @property
    def info(self) -> dict[str, Any]:
        """Extras, as in Gymnasium."""
        return {"terminal_obs": self.terminal_obs, "terms": self.terms, "metrics": self.metrics}


def invalid_actions(action: Tensor) -> Tensor:
    """`(N,)` bool: rows of an action `(N, A)` with an entry that is not finite or a norm above `LARGEST_ACTION`.

    An environment terminates these episodes with reward 0 and sets the metric `diverged`.
    """
    return ~(torch.linalg.vector_norm(action, dim=-1) <= LARGEST_ACTION)


class Env(ABC):
    """N environments with automatic resets.

    `step` is `advance` followed by `reset_where` of the ended episodes. A high level calls them separately:
    `advance_within` several times, then `advance` and `reset_where` once, at the end of its own step.

    Attributes:
        name: name of the registered task; may be empty.
        num_envs: N.
        device: of all tensors.
        obs_sizes: size of each observation group.
        policy_groups: the groups that form the policy's input, in this order.
        action_size: an action is `(N, action_size)`, in [-1, 1] unless `action_contract` says otherwise. Larger
            entries are clamped; `invalid_actions` end the episode.
        obs_layout: for each observation group, its parts in order, each as (name, size, unit). Groups may be missing.
            Some environments have an attribute `state` that is not an observation group; the key `state` then describes
            it.
        action_contract: meaning of an action as plain data, stored in exported policies. It has a key
            `use` (a sentence on how to apply the action) or, for discrete actions, `actions` (their names); for motors
            also names, unit, offset and scale. May be empty.
        step_s: simulated seconds per step; 0 without a clock.
        episode_steps: steps until an episode is truncated.
        generator: source of all randomness.
        step_graph: replays a step as CUDA graphs if set; see `isaachrl.envs.cuda_graph`.
    """

    name: str = ""
    num_envs: int
    device: torch.device
    obs_sizes: dict[str, int]
    policy_groups: tuple[str, ...]
    action_size: int
    episode_steps: int
    generator: torch.Generator
    obs_layout: ObsLayout = {}
    action_contract: dict[str, Any] = {}
    step_s: float = 0.0
    step_graph: Callable[[Tensor], StepResult] | None = None

    def reset(self) -> Obs:
        """Start new episodes in all environments and return their first observation."""
        return self.reset_where(torch.ones(self.num_envs, dtype=torch.bool, device=self.device))

    @abstractmethod
    def advance(self, action: Tensor) -> StepResult:
        """Take one step without resets: `obs` and `terminal_obs` are equal."""

    def advance_within(self, action: Tensor) -> StepResult:
        """`advance` within a high-level step: the result holds the groups of `observe_within`."""
        return self.advance(action)

    @abstractmethod
    def reset_where(self, mask: Tensor) -> Obs:
        """Start new episodes in the environments of `mask (N,)`; return the observation of all as new tensors.

        Raises:
            ConfigError: the mask is not a bool tensor `(N,)` on the device.
        """

    def stagger(self, generator: torch.Generator, multiple: int = 1) -> None:
        """Let the present episodes reach their time limits at random times, multiples of `multiple` steps.

        An environment without a time limit does nothing.
        """

    def step(self, action: Tensor) -> StepResult:
        """Take one step and reset the environments whose episode ended; `obs` is of the new episodes.

        Raises:
            ConfigError: the action is not a float32 tensor `(N, action_size)` on the device.
        """
        self.check_action(action)
        return self.step_eagerly(action) if self.step_graph is None else self.step_graph(action)

    def check_action(self, action: Tensor) -> None:
        """Check type, shape and device of an action; see `step`."""
        check_tensor(action, "the action", (self.num_envs, self.action_size), torch.float32, self.device)

    def check_mask(self, mask: Tensor) -> None:
        """Check type, shape and device of a mask; see `reset_where`."""
        check_tensor(mask, "the mask", (self.num_envs,), torch.bool, self.device)

    def step_eagerly(self, action: Tensor) -> StepResult:
        """`step` without CUDA graphs."""
        result = self.advance(action)
        result.obs = self.reset_where(result.done)
        return result

    @abstractmethod
    def observe(self) -> Obs:
        """The present observation of all environments, as new tensors."""

    def observe_within(self) -> Obs:
        """`observe` within a high-level step: groups that only the high level reads may be left out."""
        return self.observe()

    def parts(self) -> list[object]:
        """The objects whose tensor attributes hold this environment's state; CUDA graphs update these attributes."""
        return [self]

    @property
    def has_observer(self) -> bool:
        """Whether a callback, such as a video recorder, runs within a step; CUDA graphs cannot replay such a step."""
        return False

    def check_capacity(self) -> dict[str, int]:
        """Number of worlds with more contacts than a buffer holds, by buffer; see `Sim.check_capacity`.

        Empty without a simulation. Call it once a rollout.
        """
        return {}

    def make_room(self, shares: Mapping[str, float]) -> None:
        """Enlarge buffers that overflowed; `shares`: by buffer, the share of iterations in which it overflowed.

        See `Sim.make_room`.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything needed for an exact continuation: physics, counters, buffers, random state."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a `state_dict` of an environment of the same task, engine and size.

        Raises:
            CheckpointError: it is of another one; this environment is unchanged.
        """

    def policy_input(self, obs: Obs) -> Tensor:
        """`policy_groups` of an observation, concatenated: `(N, policy_input_size)`."""
        return torch.cat([obs[group] for group in self.policy_groups], dim=-1)

    @property
    def policy_input_size(self) -> int:
        """Width of `policy_input`."""
        return sum(self.obs_sizes[group] for group in self.policy_groups)


def innermost(env: Env) -> Env:
    """The lowest environment of a hierarchy, which has the physics."""
    while isinstance(inner := getattr(env, "inner", None), Env):
        env = inner
    return env


def has_bodies(env: Env) -> bool:
    """Whether an innermost environment has worlds to show, in an attribute `sim`."""
    return getattr(env, "sim", None) is not None


def observable(env: Env) -> Any:
    """The environment around the innermost one, whose `observer` is called after each of its steps; None if flat."""
    parent: Env | None = None
    while isinstance(inner := getattr(env, "inner", None), Env):
        parent, env = env, inner
    return parent
