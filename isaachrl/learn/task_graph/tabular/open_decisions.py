"""Decisions of calls that are still open, kept until their reward-to-go is known."""

from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.tabular.stack import Tick


class OpenDecisions(Stateful):
    """Ring buffers over the decisions of the last `window` ticks; each is returned once, after its call has ended.

    A level of the stack starts at most one call per tick, so the tick of its start identifies a call. What the call
    collected is stored in the slot of that tick, together with the tick: a later call may use the same slot. A call
    that a time limit cut off is never closed; its decisions are overwritten after `window` ticks.

    Args:
        window: ticks to keep: at least the length of the longest call plus the ticks added at a time.
        depth: D levels.
        num_envs: N.
        device: of the tensors.
    """

    STATE: ClassVar = ("row", "child", "return_before", "started_at", "pending", "call_return", "call_start", "tick")

    def __init__(self, window: int, depth: int, num_envs: int, device: torch.device) -> None:
        self.window, self.tick = window, 0
        shape = (window, depth, num_envs)
        self.row, self.child, self.started_at = (torch.zeros(shape, dtype=torch.long, device=device) for _ in range(3))
        self.return_before = torch.zeros(shape, device=device)
        self.pending = torch.zeros(shape, dtype=torch.bool, device=device)
        # an additional last slot is the target of all writes for calls that have not ended; it is never read
        calls = (window + 1, depth, num_envs)
        self.call_return = torch.zeros(calls, device=device)
        self.call_start = torch.full(calls, -1, dtype=torch.long, device=device)

    def add(self, ticks: Tick, row: Tensor, closed: Tensor) -> Tensor:
        """Store decisions, and the returns of the calls that ended.

        Args:
            ticks: a rollout, with the time as first axis.
            row: `(T, D, N)` row of the parameters that made each decision.
            closed: `(T, D, N)` bool, the level's call ended after the tick, and not by a time limit.

        Returns:
            The slots `(T,)` of these ticks.
        """
        length = len(row)
        slots = torch.arange(self.tick, self.tick + length, device=row.device) % self.window
        self.tick += length
        self.row[slots], self.child[slots], self.pending[slots] = row, ticks.child, ticks.decided
        self.return_before[slots], self.started_at[slots] = ticks.return_before, ticks.started_at
        slot = torch.where(closed, ticks.started_at % self.window, self.window)
        self.call_return.scatter_(0, slot, ticks.return_so_far)
        self.call_start.scatter_(0, slot, ticks.started_at)
        return slots

    def pop_closed(self) -> tuple[Tensor, Tensor]:
        """Decisions whose call has ended since the last call of this method.

        Returns:
            A mask over the ring `(window, D, N)` bool, and the reward-to-go of each decision, 0 outside the mask.
        """
        slot = self.started_at % self.window
        closed = self.pending & (self.call_start.gather(0, slot) == self.started_at)
        self.pending = self.pending & ~closed
        return closed, (self.call_return.gather(0, slot) - self.return_before) * closed
