"""Small deterministic MDPs written out as tables, and the environment that looks its steps up in them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isaachrl.envs.boundary import check_state, check_tensor
from isaachrl.envs.env import Env, Obs, ObsLayout, StepResult, broken_rows
from isaachrl.envs.registry import World
from isaachrl.envs.subgoals import Subgoals
from isaachrl.envs.task_graph import TaskGraph
from isaachrl.errors import ConfigError

_NUMBERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
Picture = Callable[[Tensor], np.ndarray]


@dataclass(frozen=True)
class Factor:
    """One column of a state: its name, its least value, and how many values it has."""

    name: str
    low: int
    count: int


@dataclass(frozen=True)
class TabularMdp:
    """A deterministic MDP of S states and A actions.

    Args:
        factors: the columns of a state; the states are all combinations, the last column running fastest.
        actions: names of the actions.
        next_state: `(S, A)` long, number of the state that follows.
        terms: the reward terms by name, each `(S, A)`; they sum to the reward.
        terminated: `(S, A)` bool, the step ends the episode.
        metrics: what a step amounts to, by name, each `(S, A)`; read where an episode ends.
        starts: `(K,)` long, the states in which episodes start, all equally likely.
        obs: `(S, size)` what is seen of each state.
        task_graph: how the task may be decomposed, if it was declared.
        picture: draws a track of states `(T, F)` as an image `(height, width, 3)` uint8.
        subgoals: what is worth reaching on the way, if it was declared.
        layout: name, size and unit of each part of `obs` in order, for those who use an exported policy.
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
        """Add the reward `(S, A)`, and refuse tables of other sizes."""
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
        return TabularMdp(
            self.factors,
            self.actions,
            self.next_state.to(device),
            {name: table.to(device) for name, table in self.terms.items()},
            self.terminated.to(device),
            {name: table.to(device) for name, table in self.metrics.items()},
            self.starts.to(device),
            self.obs.to(device),
            self.task_graph,
            self.picture,
            self.subgoals,
            self.layout,
        )


def number_of_states(factors: tuple[Factor, ...]) -> int:
    """How many combinations the factors have."""
    return int(np.prod([factor.count for factor in factors]))


def all_states(factors: tuple[Factor, ...]) -> Tensor:
    """Every combination of the factors `(S, F)` long, the last one running fastest."""
    ranges = [torch.arange(factor.low, factor.low + factor.count) for factor in factors]
    return torch.cartesian_prod(*ranges).reshape(-1, len(factors))


def strides(factors: tuple[Factor, ...]) -> Tensor:
    """`(F,)` how far apart two states are whose numbers differ by one in that factor alone."""
    counts = [factor.count for factor in factors]
    return torch.tensor([int(np.prod(counts[i + 1 :])) for i in range(len(counts))])


class TabularEnv(Env):
    """N episodes of a tabular MDP; a step is a look-up.

    An action is its number, as integers `(N,)` or `(N, 1)`, or `(N, A)` floats of which the greatest is taken.

    Attributes:
        mdp: the tables.

    Args:
        mdp: the tables.
        episode_steps: steps until an episode is truncated.
        world: where the environment is built; the engine plays no part.
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
        # few outcomes differ, and a table of these stays in the cache; looked up by `index_select`, which is several
        # times as fast on the CPU as indexing
        every = torch.stack([column.flatten().float() for column in columns], dim=-1)
        outcomes, kind = torch.unique(every, dim=0, return_inverse=True)
        self._kind, self._outcomes = kind.int(), outcomes[:, :-1].T.contiguous()
        self._terminated = outcomes[:, -1] > 0.0
        self._ones = torch.ones(self.num_envs, device=self.device)
        self.progress = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        self._index: Tensor = self.progress
        self._lent: Tensor | None = None
        self.reset()

    @property
    def state(self) -> Tensor:
        """Present states `(N, F)` long; may be written, in place or as a whole, in the range of the factors."""
        if self._lent is None:
            self._lent = self._states.index_select(0, self._index)
        return self._lent

    @state.setter
    def state(self, value: Tensor) -> None:
        self._lent = value.to(self.device, torch.long, copy=True)

    @property
    def task_graph(self) -> TaskGraph | None:
        """How the task may be decomposed, if it was declared."""
        return self.mdp.task_graph

    @property
    def subgoals(self) -> Subgoals | None:
        """What is worth reaching on the way, if it was declared."""
        return self.mdp.subgoals

    def index(self) -> Tensor:
        """Number `(N,)` of the present states."""
        if self._lent is not None:  # whoever has it may have written to it
            self._index = (self._lent * self._strides).sum(-1) - self._base
        return self._index

    def _move(self, index: Tensor) -> None:
        """Go to the states of these numbers `(N,)`."""
        self._index, self._lent = index, None

    def check_action(self, action: Tensor) -> None:
        """See `Env.check_action`: numbers of actions will do, `(N,)` or `(N, 1)`.

        On the CPU, where nobody waits for a device, numbers of no action are refused, too. Learners, which `advance`,
        do not pay for that.
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
        row = self.index() * self.action_size + self._chosen(action)
        self._move(self._next.index_select(0, row))
        self.progress = self.progress + 1
        kind = self._kind.index_select(0, row)
        terminated, outcomes = self._terminated.index_select(0, kind), self._outcomes.index_select(1, kind)
        counted: dict[str, Tensor] = {}
        if action.dtype.is_floating_point:  # numbers of actions cannot be broken
            broken = broken_rows(action)
            terminated, outcomes = terminated | broken, outcomes.masked_fill(broken, 0.0)
            counted = {"diverged": broken.float()}
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

    def _chosen(self, action: Tensor) -> Tensor:
        """Number `(N,)` of the action."""
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
        """Draws the states `(T, F)` of an episode so far as an image `(height, width, 3)`; None without pictures."""
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
