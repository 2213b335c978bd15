"""The call stacks of N environments as tensors, and what happened on them."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from isaachrl.learn.task_graph.tables import GraphTables


class Chooser:
    """Draws a child from a table of probabilities.

    Args:
        row: `(G, S)` which row of the table belongs to a subtask in a state.
        probabilities: `(rows, C)`; each row sums to one.
    """

    def __init__(self, row: Tensor, probabilities: Tensor) -> None:
        self._row, self._states = row.flatten(), row.shape[1]
        cumulative = probabilities.cumsum(-1)
        # whatever rounding leaves of the last one belongs to it
        self._cumulative = cumulative.masked_fill(cumulative > 1.0 - 1e-6, 2.0)

    def __call__(self, task: Tensor, index: Tensor, uniform: Tensor) -> Tensor:
        """Position `(N,)` of the child that subtasks `task (N,)` call in states `index (N,)`.

        Args:
            task, index: `(N,)` long.
            uniform: `(N,)` random numbers in [0, 1).
        """
        row = self._row[task * self._states + index]
        return (self._cumulative[row] <= uniform.unsqueeze(-1)).sum(-1)


@dataclass
class Tick:
    """One primitive step seen from every level of the stack; D levels, N environments.

    Args:
        decided: `(D, N)` bool, the level chose a child before this step.
        returned: `(D, N)` bool, the child that the level had called came back after it.
        ended: `(D, N)` bool, the level's own call was over after it.
        task: `(D, N)` subtask of the level.
        entry: `(D, N)` state in which its present child was called.
        child: `(D, N)` position of that child.
        reward: `(D, N)` what the environment paid since then.
        steps: `(D, N)` primitive steps since then.
        before: `(D, N)` what the level's call had collected when it called the child, internal rewards included.
        total: `(D, N)` the same after this step.
        start: `(D, N)` number of the tick in which the level's call began.
        after: `(N,)` state after the step, before any reset.
        terminated: `(N,)` bool, the episode ended, and not by time.
        action, paid, at: `(N,)` the primitive action, its reward, and the state it was taken in.
    """

    decided: Tensor
    returned: Tensor
    ended: Tensor
    task: Tensor
    entry: Tensor
    child: Tensor
    reward: Tensor
    steps: Tensor
    before: Tensor
    total: Tensor
    start: Tensor
    after: Tensor
    terminated: Tensor
    action: Tensor
    paid: Tensor
    at: Tensor


def stack_ticks(ticks: list[Tick]) -> Tick:
    """Several ticks as one, with the time as a new first axis."""
    return Tick(**{item.name: torch.stack([getattr(tick, item.name) for tick in ticks]) for item in fields(Tick)})


class CallStack:
    """Which subtasks are open in each of N environments, and what each has collected.

    One tick is one primitive step of every environment: `descend` calls subtasks until each has a primitive action,
    `ascend` gives the step's reward to every open call and returns from those that are done. Environments are at
    different depths; every operation is on all of them at once.

    Args:
        tables: the graph.
        num_envs: N.
    """

    _KEPT = ("height", "task", "entry", "child", "reward", "steps", "before", "total", "start")

    def __init__(self, tables: GraphTables, num_envs: int) -> None:
        self.tables, self.num_envs = tables, num_envs
        self.depth, self.tick = tables.graph.depth, 0
        shape, device = (self.depth, num_envs), tables.device
        self.height = torch.ones(num_envs, dtype=torch.long, device=device)
        self.task, self.entry, self.child, self.start, self.steps = (
            torch.zeros(shape, dtype=torch.long, device=device) for _ in range(5)
        )
        self.reward, self.before, self.total = (torch.zeros(shape, device=device) for _ in range(3))
        self._levels = torch.arange(self.depth, device=device).unsqueeze(-1)
        self._child, self._done = tables.child.flatten(), tables.done.flatten()
        self._internal = [subtask.internal_reward for subtask in tables.graph.subtasks]

    def restart(self, mask: Tensor) -> None:
        """Leave only the root open in the environments of `mask (N,)`, as at the start of an episode."""
        self.height = torch.where(mask, 1, self.height)
        self.total[0].masked_fill_(mask, 0.0)
        self.start[0].masked_fill_(mask, self.tick)

    def descend(self, index: Tensor, choose: Chooser, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Call subtasks until every environment has a primitive action.

        Returns:
            The actions `(N,)`, and the levels that chose `(D, N)` bool.
        """
        uniform = torch.rand(self.depth, self.num_envs, generator=generator, device=index.device)
        action, count = torch.zeros_like(index), self.tables.count
        decided = []
        for d in range(self.depth):
            here = self.height == d + 1
            position = choose(self.task[d], index, uniform[d])
            node = self._child[self.task[d] * self.tables.width + position]
            self.child[d] = torch.where(here, position, self.child[d])
            self.entry[d] = torch.where(here, index, self.entry[d])
            self.before[d] = torch.where(here, self.total[d], self.before[d])
            self.reward[d].masked_fill_(here, 0.0)
            self.steps[d].masked_fill_(here, 0)
            decided.append(here)
            primitive = node >= count
            action = torch.where(here & primitive, node - count, action)
            if d + 1 < self.depth:
                pushed = here & ~primitive
                self.task[d + 1] = torch.where(pushed, node, self.task[d + 1])
                self.total[d + 1].masked_fill_(pushed, 0.0)
                self.start[d + 1].masked_fill_(pushed, self.tick)
                self.height = self.height + pushed
        return action, torch.stack(decided)

    def ascend(self, reward: Tensor, after: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
        """Give the reward to all open calls and return from those that ended, with the calls below them.

        Args:
            reward: `(N,)` of the primitive step.
            after: `(N,)` number of the state after it.
            over: `(N,)` bool, the episode ended.

        Returns:
            The levels whose child returned and the levels that ended, both `(D, N)` bool.
        """
        is_open = self._levels < self.height
        self.reward = self.reward + reward * is_open
        self.total = self.total + reward * is_open
        self.steps = self.steps + is_open
        own = self._done[self.task * self.tables.num_states + after]
        ended = ((own & is_open).cumsum(0) > 0) & is_open | (is_open & over)
        below = torch.cat((ended[1:], torch.zeros_like(ended[:1])))
        returned = (is_open & (self._levels == self.height - 1)) | below
        self._pay_internally(returned, after)
        self.height = (is_open & ~ended).sum(0)
        self.tick += 1
        return returned, ended

    def _pay_internally(self, returned: Tensor, after: Tensor) -> None:
        """Add the internal rewards of the subtasks whose child returned `(D, N)` to what they collected."""
        for g, internal in enumerate(self._internal):
            if internal is None:
                continue
            states = self.tables.states
            for d in range(self.depth):
                paid = internal(states[self.entry[d]], states[after])
                self.total[d] += torch.where(returned[d] & (self.task[d] == g), paid, 0.0)

    def state_dict(self) -> dict[str, Any]:
        """All open calls."""
        return {name: getattr(self, name).clone() for name in self._KEPT} | {"tick": self.tick}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name in self._KEPT:
            setattr(self, name, state[name].to(self.tables.device, copy=True))
        self.tick = state["tick"]
