"""Choices of calls that are still under way, until the rewards that came after them are known."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.learn.task_graph.algorithms import like
from isaachrl.learn.task_graph.stack import Tick


class OpenDecisions:
    """The choices of the last `window` ticks; a choice is handed out once, when its call has ended.

    Ring buffers over the time. A level of an environment begins at most one call a tick, so that the tick in which a
    call began names it: what a call collected is kept in the slot of that tick, together with the tick itself, since
    another call may use the slot after it. A call that is never closed (cut off by time) is never handed out; its
    choices are overwritten once they are `window` ticks old.

    Args:
        window: ticks that are kept: at least those of the longest call and those that are added at a time, together.
        depth: D levels.
        num_envs: N.
        device: of the tensors.
    """

    _KEPT = ("row", "child", "before", "start", "waiting", "total", "closed_start")

    def __init__(self, window: int, depth: int, num_envs: int, device: torch.device) -> None:
        self.window, self.tick = window, 0
        shape = (window, depth, num_envs)
        self.row, self.child, self.start = (torch.zeros(shape, dtype=torch.long, device=device) for _ in range(3))
        self.before, self.waiting = (
            torch.zeros(shape, device=device),
            torch.zeros(shape, dtype=torch.bool, device=device),
        )
        # calls that have not ended are written to a last slot that nobody reads
        calls = (window + 1, depth, num_envs)
        self.total = torch.zeros(calls, device=device)
        self.closed_start = torch.full(calls, -1, dtype=torch.long, device=device)

    def add(self, ticks: Tick, row: Tensor, closed: Tensor) -> Tensor:
        """Note choices, and what the calls that ended have collected.

        Args:
            ticks: of one iteration, with the time as first axis.
            row: `(T, D, N)` row of the parameters that each choice was made by.
            closed: `(T, D, N)` bool, the level's call ended after the tick, and not by time.

        Returns:
            The slots `(T,)` of these ticks.
        """
        length = len(row)
        slots = torch.arange(self.tick, self.tick + length, device=row.device) % self.window
        self.tick += length
        self.row[slots], self.child[slots], self.waiting[slots] = row, ticks.child, ticks.decided
        self.before[slots], self.start[slots] = ticks.before, ticks.start
        slot = torch.where(closed, ticks.start % self.window, self.window)
        self.total.scatter_(0, slot, ticks.total)
        self.closed_start.scatter_(0, slot, ticks.start)
        return slots

    def take(self) -> tuple[Tensor, Tensor]:
        """Which choices `(window, D, N)` have rewards-to-go that are known since the last time, and these, else 0."""
        slot = self.start % self.window
        known = self.waiting & (self.closed_start.gather(0, slot) == self.start)
        self.waiting = self.waiting & ~known
        return known, (self.total.gather(0, slot) - self.before) * known

    def state_dict(self) -> dict[str, Any]:
        """The ring."""
        return {name: getattr(self, name).clone() for name in self._KEPT} | {"tick": self.tick}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name in self._KEPT:
            setattr(self, name, like(getattr(self, name), state[name], name))
        self.tick = state["tick"]
