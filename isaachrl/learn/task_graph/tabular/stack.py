"""The call stacks of N environments as tensors, and the record of what happened on them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.tabular.tables import GraphTables


class Chooser:
    """Samples a child from a table of probabilities.

    Args:
        row: `(G, S)` row of the table for each subtask and state.
        probabilities: `(rows, C)`; each row sums to one.
    """

    def __init__(self, row: Tensor, probabilities: Tensor) -> None:
        self._row, self._states = row.flatten(), row.shape[1]
        cumulative = probabilities.cumsum(-1)
        # rounding must not leave a gap below 1 in which no child would be chosen
        self._cumulative = cumulative.masked_fill(cumulative > 1.0 - 1e-6, 2.0)

    def __call__(self, task: Tensor, state: Tensor, uniform: Tensor) -> Tensor:
        """Position `(N,)` of the child that subtasks `task (N,)` call in states `state (N,)`.

        Args:
            task, state: `(N,)` long.
            uniform: `(N,)` random numbers in [0, 1).
        """
        row = self._row[task * self._states + state]
        return (self._cumulative[row] <= uniform.unsqueeze(-1)).sum(-1)


@dataclass
class Tick:
    """One primitive step on all D levels of the call stacks of N environments.

    Args:
        decided: `(D, N)` bool, the level chose a child before this step.
        returned: `(D, N)` bool, the level's child returned after this step.
        ended: `(D, N)` bool, the level's own call ended after this step.
        task: `(D, N)` subtask of the level.
        entry: `(D, N)` state in which its present child was called.
        child: `(D, N)` position of that child.
        reward: `(D, N)` sum of the environment's rewards since the child was called.
        return_before: `(D, N)` return of the level's call when it called the child, internal rewards included.
        return_so_far: `(D, N)` the same after this step.
        started_at: `(D, N)` number of the tick in which the level's call began.
        state: `(N,)` state before the step.
        action: `(N,)` primitive action.
        step_reward: `(N,)` the environment's reward for it.
        next_state: `(N,)` state after the step, before any reset.
        terminated: `(N,)` bool, the episode ended, and not by a time limit.
    """

    decided: Tensor
    returned: Tensor
    ended: Tensor
    task: Tensor
    entry: Tensor
    child: Tensor
    reward: Tensor
    return_before: Tensor
    return_so_far: Tensor
    started_at: Tensor
    state: Tensor
    action: Tensor
    step_reward: Tensor
    next_state: Tensor
    terminated: Tensor


class CallStack(Stateful):
    """The open calls of N environments, and the return of each.

    A tick is one primitive step of every environment: `descend` calls subtasks down to a primitive action, `ascend`
    adds the reward of the step to all open calls and returns from those that ended. Environments differ in the depth of
    their stacks; all operations are on the whole batch.

    Attributes:
        height: `(N,)` open calls.
        task, entry, child, reward, return_before, return_so_far, started_at: `(D, N)`, see `Tick`.

    Args:
        tables: the task graph.
        num_envs: N.
    """

    LEVELS: ClassVar = ("task", "entry", "child", "reward", "return_before", "return_so_far", "started_at")
    STATE: ClassVar = ("height", *LEVELS, "tick")

    def __init__(self, tables: GraphTables, num_envs: int) -> None:
        self.tables, self.num_envs = tables, num_envs
        self.depth, self.tick = tables.graph.depth, 0
        shape, device = (self.depth, num_envs), tables.device
        self.height = torch.ones(num_envs, dtype=torch.long, device=device)
        self.task, self.entry, self.child, self.started_at = (
            torch.zeros(shape, dtype=torch.long, device=device) for _ in range(4)
        )
        self.reward, self.return_before, self.return_so_far = (torch.zeros(shape, device=device) for _ in range(3))
        self._levels = torch.arange(self.depth, device=device).unsqueeze(-1)
        self._child, self._done = tables.child.flatten(), tables.done.flatten()

    def restart(self, mask: Tensor) -> None:
        """Reset the stacks of the environments of `mask (N,)` to the root alone, for a new episode."""
        self.height = torch.where(mask, 1, self.height)
        self.return_so_far[0].masked_fill_(mask, 0.0)
        self.started_at[0].masked_fill_(mask, self.tick)

    def descend(self, state: Tensor, choose: Chooser, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Call subtasks until every environment has a primitive action.

        Returns:
            The actions `(N,)`, and the levels that chose a child `(D, N)` bool.
        """
        uniform = torch.rand(self.depth, self.num_envs, generator=generator, device=state.device)
        action, count = torch.zeros_like(state), self.tables.num_subtasks
        decided = []
        for d in range(self.depth):
            top = self.height == d + 1
            position = choose(self.task[d], state, uniform[d])
            node = self._child[self.task[d] * self.tables.width + position]
            self.child[d] = torch.where(top, position, self.child[d])
            self.entry[d] = torch.where(top, state, self.entry[d])
            self.return_before[d] = torch.where(top, self.return_so_far[d], self.return_before[d])
            self.reward[d].masked_fill_(top, 0.0)
            decided.append(top)
            primitive = node >= count
            action = torch.where(top & primitive, node - count, action)
            if d + 1 < self.depth:
                pushed = top & ~primitive
                self.task[d + 1] = torch.where(pushed, node, self.task[d + 1])
                self.return_so_far[d + 1].masked_fill_(pushed, 0.0)
                self.started_at[d + 1].masked_fill_(pushed, self.tick)
                self.height = self.height + pushed
        return action, torch.stack(decided)

    def ascend(self, reward: Tensor, next_state: Tensor, done: Tensor) -> tuple[Tensor, Tensor]:
        """Add the reward to all open calls, and return from those that ended, together with the calls below them.

        Args:
            reward: `(N,)` of the primitive step.
            next_state: `(N,)` state after it.
            done: `(N,)` bool, the episode ended.

        Returns:
            The levels whose child returned and the levels that ended, both `(D, N)` bool.
        """
        is_open = self._levels < self.height
        self.reward = self.reward + reward * is_open
        self.return_so_far = self.return_so_far + reward * is_open
        subtask_done = self._done[self.task * self.tables.num_states + next_state]
        ended = ((subtask_done & is_open).cumsum(0) > 0) & is_open | (is_open & done)
        child_ended = torch.cat((ended[1:], torch.zeros_like(ended[:1])))
        returned = (is_open & (self._levels == self.height - 1)) | child_ended
        self._add_internal_rewards(returned, next_state)
        self.height = (is_open & ~ended).sum(0)
        self.tick += 1
        return returned, ended

    def _add_internal_rewards(self, returned: Tensor, next_state: Tensor) -> None:
        """Add the internal rewards of subtasks whose child returned `(D, N)` to the returns of their calls."""
        states = self.tables.states
        for g, subtask in enumerate(self.tables.graph.subtasks):
            if subtask.internal_reward is None:
                continue
            for d in range(self.depth):
                reward = subtask.internal_reward(states[self.entry[d]], states[next_state])
                self.return_so_far[d] += torch.where(returned[d] & (self.task[d] == g), reward, 0.0)

    def levels(self) -> dict[str, Tensor]:
        """Copies of the tensors `(D, N)` of the levels, which the next tick changes in place."""
        return {name: getattr(self, name).clone() for name in self.LEVELS}
