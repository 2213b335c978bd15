"""The contract of an environment: N episodes at once, everything a tensor on one device."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.boundary import check_tensor

LARGEST_ACTION = 1e6  # no unit makes a command larger: beyond, something upstream has gone wrong

Obs = dict[str, Tensor]
ObsLayout = dict[str, list[tuple[str, int, str]]]


@dataclass
class StepResult:
    """What one step gives. N is the number of environments.

    Args:
        obs: named groups, each `(N, size)` float32; after the reset of the episodes that ended.
        reward: `(N,)`.
        terminated: `(N,)` bool, failed or finished: no value follows.
        truncated: `(N,)` bool, out of time (never together with `terminated`): the value of `terminal_obs` follows.
        terminal_obs: the last observation of every environment *before* the reset; equals `obs` where nothing ended.
        terms: the weighted reward terms by name, each `(N,)`; they sum to `reward`.
        metrics: what the episode so far amounts to, by name, each `(N,)`: meaningful where an episode ended.
        discount_steps: `(N,)` how much of a full step was really taken: 1, or less for a window cut short
            by the end of an episode. A learner discounts the following value by gamma to this power.
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
        """`(N,)` bool: the episode ended, for either reason."""
        return self.terminated | self.truncated

    @property
    def diverged(self) -> Tensor:
        """`(N,)` bool: whose world or action broke in this step (metric `diverged`): what is seen is no motion."""
        found = self.metrics.get("diverged")
        return torch.zeros_like(self.terminated) if found is None else found > 0

    @property
    def info(self) -> dict[str, Any]:
        """The extras under the names that users of other suites expect."""
        return {"terminal_obs": self.terminal_obs, "terms": self.terms, "metrics": self.metrics}


def broken_rows(action: Tensor) -> Tensor:
    """`(N,)` bool: rows of an action `(N, A)` that ask for nothing: not a number, infinite, or huge.

    Every environment ends the episode of such a row, pays nothing for it and counts it in the metric `diverged`.
    """
    return ~(torch.linalg.vector_norm(action, dim=-1) <= LARGEST_ACTION)  # the norm with the fast kernel


class Env(ABC):
    """N environments that reset themselves.

    `step` is `advance` followed by `reset_where` on the episodes that ended. A level above calls the two itself: it
    advances several times and resets once, at the end of its own step.

    Attributes:
        name: under which the task is registered; empty for an environment that was built otherwise.
        num_envs: N.
        device: where every tensor lives.
        obs_sizes: size of each observation group.
        policy_groups: the groups that a policy concatenates, in this order.
        action_size: an action is `(N, action_size)` in [-1, 1]; see `broken_rows` for rows that are none.
        obs_layout: of groups that say more, name, size and unit of each part in order; where there is a tensor `state`
            of continuous columns, its too.
        action_contract: what the numbers of an action do, as plain data: `use` in words, or `actions`, the names of a
            choice; motors bring names, unit and scales. Empty where nobody says.
        step_s: simulated seconds of a step; 0 where there is no such thing.
        episode_steps: steps until an episode is truncated.
        generator: the source of all randomness of this object.
        step_graph: what takes a step instead of Python, if anything does; see `isaachrl.envs.cuda_graph`.
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
        """Start new episodes everywhere and return their first observation."""
        return self.reset_where(torch.ones(self.num_envs, dtype=torch.bool, device=self.device))

    @abstractmethod
    def advance(self, action: Tensor) -> StepResult:
        """Take one step `(N, action_size)` and reset nothing: `obs` and `terminal_obs` are the same."""

    def advance_within(self, action: Tensor) -> StepResult:
        """`advance` in the middle of a step of a level above, see `observe_within`."""
        return self.advance(action)

    @abstractmethod
    def reset_where(self, mask: Tensor) -> Obs:
        """Start new episodes in the environments of `mask (N,)`; the observation of all, in tensors of its own.

        Raises:
            ConfigError: the mask is no bool tensor `(N,)` on the device.
        """

    def step(self, action: Tensor) -> StepResult:
        """Take one step; environments whose episode ended are reset, and `obs` shows their new episode.

        Raises:
            ConfigError: the action is no float32 tensor `(N, action_size)` on the device.
        """
        self.check_action(action)
        return self.step_eagerly(action) if self.step_graph is None else self.step_graph(action)

    def check_action(self, action: Tensor) -> None:
        """Refuse what is no action; see `step`."""
        check_tensor(action, "the action", (self.num_envs, self.action_size), torch.float32, self.device)

    def check_mask(self, mask: Tensor) -> None:
        """Refuse what does not say of each environment whether it is meant: `(N,)` bool on the device."""
        check_tensor(mask, "the mask", (self.num_envs,), torch.bool, self.device)

    def step_eagerly(self, action: Tensor) -> StepResult:
        """`step` in Python, whether or not there is a graph of it."""
        result = self.advance(action)
        result.obs = self.reset_where(result.done)
        return result

    @abstractmethod
    def observe(self) -> Obs:
        """The present observation of all environments, as fresh tensors."""

    def observe_within(self) -> Obs:
        """`observe` in the middle of a step of a level above: groups that only that level reads may be left out."""
        return self.observe()

    def parts(self) -> list[object]:
        """The objects that keep this environment's state, as tensors that are their attributes."""
        return [self]

    @property
    def observed(self) -> bool:
        """Whether a callback runs in the middle of a step, which then cannot be replayed as a CUDA graph."""
        return False

    def check_capacity(self) -> dict[str, int]:
        """What the physics below, if any, left out; see `Sim.check_capacity`. Once a rollout."""
        return {}

    def make_room(self, shares: Mapping[str, float]) -> None:
        """Give the physics below, if any, more of what was short; see `Sim.make_room`."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly: physics, counters, buffers, random state."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state taken by `state_dict` of an environment of the same kind and size.

        Raises:
            CheckpointError: it is that of another kind or size; nothing has changed then.
        """

    def policy_input(self, obs: Obs) -> Tensor:
        """The groups a policy sees, concatenated `(N, sum of sizes)`."""
        return torch.cat([obs[group] for group in self.policy_groups], dim=-1)

    @property
    def policy_input_size(self) -> int:
        """Width of `policy_input`."""
        return sum(self.obs_sizes[group] for group in self.policy_groups)
