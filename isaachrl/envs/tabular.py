"""Small deterministic MDPs as tables, and the environment that runs them in batches."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isaachrl.envs.boundary import check_state, check_tensor
from isaachrl.envs.env import Env, Obs, ObsLayout, StepResult, invalid_actions
from isaachrl.envs.registry import World
from isaachrl.envs.subgoals import Subgoals
from isaachrl.envs.task_graph import TaskGraph
from isaachrl.errors import ConfigError

_NUMBERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
Picture = Callable[[Tensor], np.ndarray]


@dataclass(frozen=True)
class Factor:
    """One column of the state: its name, its least value, and the number of its values."""

    name: str
    low: int
    count: int


@dataclass(frozen=True)
class TabularMdp:
    """A deterministic MDP of S states and A actions.

    Args:
        factors: the columns of the state. The states are all combinations of their values, the last column fastest.
        actions: names of the actions.
        next_state: `(S, A)` long, number of the next state.
        terms: reward terms by name, each `(S, A)`; the reward is their sum.
        terminated: `(S, A)` bool, the step ends the episode.
        metrics: metrics by name, each `(S, A)`; those of an episode are the metrics of its last step.
        starts: `(K,)` long, the start states, all equally likely.
        obs: `(S, size)` observation of each state.
        task_graph: decomposition of the task, if declared.
        picture: draws a trajectory of states `(T, F)` as an image `(height, width, 3)` uint8.
        subgoals: if declared.
        layout: name, size and unit of each part of `obs` in order, for users of an exported policy.
    """

    factors: tuple[Factor, ...]
    actions: tuple[str, ...]
    next_state: Tensor
    terms: dict[str, Tensor]
    terminated: Tensor
    metrics: dict[str, Tensor]
    starts: Tensor
    obs: Tensor
    task_graph: TaskGraph | None = None
    picture: Picture | None = None
    subgoals: Subgoals | None = None
    layout: tuple[tuple[str, int, str], ...] = ()
    reward: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Validate the sizes of the tables, and compute the reward `(S, A)`."""
        shape = (number_of_states(self.factors), len(self.actions))
        tables = {"next_state": self.next_state, "terminated": self.terminated} | self.terms | self.metrics
        for name, table in tables.items():
            if tuple(table.shape) != shape:
                raise ConfigError(f"the table {name} has the shape {tuple(table.shape)}; {shape} was expected")
        object.__setattr__(self, "reward", torch.stack(list(self.terms.values())).sum(0))

    @property
    def states(self) -> Tensor:
        """All states `(S, F)` in the order of their numbers."""
        return all_states(self.factors).to(self.obs.device)

    def to(self, device: torch.device) -> "TabularMdp":
        """The same tables on a device."""
        return replace(
            self,
            next_state=self.next_state.to(device),
            terms={name: table.to(device) for name, table in self.terms.items()},
            terminated=self.terminated.to(device),
            metrics={name: table.to(device) for name, table in self.metrics.items()},
            starts=self.starts.to(device),
            obs=self.obs.to(device),
        )


def number_of_states(factors: tuple[Factor, ...]) -> int:
    """Number of combinations of the factors' values."""
    return int(np.prod([factor.count for factor in factors]))


def all_states(factors: tuple[Factor, ...]) -> Tensor:
    """All combinations of the factors' values `(S, F)` long, the last factor fastest."""
    ranges = [torch.arange(factor.low, factor.low + factor.count) for factor in factors]
    return torch.cartesian_prod(*ranges).reshape(-1, len(factors))


def strides(factors: tuple[Factor, ...]) -> Tensor:
    """`(F,)` by how much the number of a state increases with each factor."""
    counts = [factor.count for factor in factors]
    return torch.tensor([int(np.prod(counts[i + 1 :])) for i in range(len(counts))])


class TabularEnv(Env):
    """N copies of a tabular MDP; a step is a table look-up.

    Actions are numbers, integers `(N,)` or `(N, 1)`, or scores, floats `(N, A)` of which the greatest is taken.

    Attributes:
        mdp: the tables.

    Args:
        mdp: the tables.
        episode_steps: time limit.
        world: number of environments, device and generator; the engine is not used.
    """

    def __init__(self, mdp: TabularMdp, episode_steps: int, world: World) -> None:
        if episode_steps < 1:
            raise ConfigError(f"task.episode_steps={episode_steps}: expected 1 or more")
        self.mdp = mdp.to(world.device)
        self.num_envs, self.device, self.generator = world.num_envs, world.device, world.generator
        self.obs_sizes, self.policy_groups = {"state": mdp.obs.shape[1]}, ("state",)
        self.obs_layout: ObsLayout = {"state": list(mdp.layout)} if mdp.layout else {}
        self.action_size, self.episode_steps = len(mdp.actions), episode_steps
        self.action_contract = {"actions": list(mdp.actions)}
        self._strides = strides(mdp.factors).to(self.device)
        self._base = int((self._strides * torch.tensor([factor.low for factor in mdp.factors]).to(self.device)).sum())
        states = self.mdp.states
        self._states, self._next = states, self.mdp.next_state.flatten()
        columns = [self.mdp.reward, *self.mdp.terms.values(), *self.mdp.metrics.values(), self.mdp.terminated]
        # a table of the few distinct outcomes stays in the cache; on the CPU `index_select` is several times as fast as
        # indexing
        table = torch.stack([column.flatten().float() for column in columns], dim=-1)
        outcomes, kind = torch.unique(table, dim=0, return_inverse=True)
        self._kind, self._outcomes = kind.int(), outcomes[:, :-1].T.contiguous()
        self._terminated = outcomes[:, -1] > 0.0
        self._ones = torch.ones(self.num_envs, device=self.device)
        self.progress = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        self._index: Tensor = self.progress
        self._state: Tensor | None = None
        self.reset()

    @property
    def state(self) -> Tensor:
        """Present states `(N, F)` long; writable, in place or as a whole, within the range of the factors."""
        if self._state is None:
            self._state = self._states.index_select(0, self._index)
        return self._state

    @state.setter
    def state(self, value: Tensor) -> None:
        self._state = value.to(self.device, torch.long, copy=True)

    @property
    def task_graph(self) -> TaskGraph | None:
        """Decomposition of the task, if declared."""
        return self.mdp.task_graph

    @property
    def subgoals(self) -> Subgoals | None:
        """Subgoals, if declared."""
        return self.mdp.subgoals

    def index(self) -> Tensor:
        """Numbers `(N,)` of the present states."""
        if self._state is not None:  # a caller of `state` may have written to it
            self._index = (self._state * self._strides).sum(-1) - self._base
        return self._index

    def _move(self, index: Tensor) -> None:
        """Set the present states by number `(N,)`."""
        self._index, self._state = index, None

    def check_action(self, action: Tensor) -> None:
        """See `Env.check_action`; also takes numbers of actions, `(N,)` or `(N, 1)`.

        On the CPU, where it needs no synchronisation, numbers out of range are refused. Learners call `advance`, which
        does not check.
        """
        if not isinstance(action, Tensor) or action.dtype not in _NUMBERS:
            return super().check_action(action)
        shape = (self.num_envs, 1) if action.dim() == 2 else (self.num_envs,)
        check_tensor(action, "the action, by its number,", shape, action.dtype, self.device)
        if action.device.type == "cpu":
            least, greatest = (int(bound) for bound in action.aminmax())
            if least < 0 or greatest >= self.action_size:
                raise ConfigError(
                    f"actions from {least} to {greatest}; expected numbers from 0 to {self.action_size - 1}"
                )

    def advance(self, action: Tensor) -> StepResult:
        """See `Env.advance`."""
        row = self.index() * self.action_size + self._action_number(action)
        self._move(self._next.index_select(0, row))
        self.progress = self.progress + 1
        kind = self._kind.index_select(0, row)
        terminated, outcomes = self._terminated.index_select(0, kind), self._outcomes.index_select(1, kind)
        counted: dict[str, Tensor] = {}
        if action.dtype.is_floating_point:
            invalid = invalid_actions(action)
            terminated, outcomes = terminated | invalid, outcomes.masked_fill(invalid, 0.0)
            counted = {"diverged": invalid.float()}
        truncated = (self.progress >= self.episode_steps) & ~terminated
        reward, *columns = outcomes.unbind(0)
        names = len(self.mdp.terms)
        obs = self.observe()
        return StepResult(
            obs=obs,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            terminal_obs=obs,
            terms=dict(zip(self.mdp.terms, columns[:names], strict=True)),
            metrics=dict(zip(self.mdp.metrics, columns[names:], strict=True)) | counted,
            discount_steps=self._ones,
        )

    def _action_number(self, action: Tensor) -> Tensor:
        """Numbers `(N,)` of the actions."""
        if action.dtype.is_floating_point:
            return action.argmax(-1)
        return action.reshape(self.num_envs)

    def reset_where(self, mask: Tensor) -> Obs:
        """See `Env.reset_where`."""
        self.check_mask(mask)
        starts = self.mdp.starts
        drawn = torch.randint(len(starts), (self.num_envs,), generator=self.generator, device=self.device)
        self._move(torch.where(mask, starts.index_select(0, drawn), self.index()))
        self.progress = self.progress.masked_fill(mask, 0)
        return self.observe()

    def observe(self) -> Obs:
        """See `Env.observe`."""
        return {"state": self.mdp.obs.index_select(0, self.index())}

    @property
    def picture(self) -> Picture | None:
        """Draws the states `(T, F)` of an episode so far as an image `(height, width, 3)`; None if not declared."""
        return self.mdp.picture

    def state_dict(self) -> dict[str, Any]:
        """See `Env.state_dict`."""
        return {
            "state": self.state.clone(),
            "progress": self.progress.clone(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Env.load_state_dict`."""
        check_state(state, self.state_dict())
        self.state = state["state"]
        self.progress = state["progress"].to(self.device, copy=True)
        self.generator.set_state(state["generator"].cpu())
