"""Replay buffer of segments: a goal and the steps taken under it. All on the device, without host synchronisation."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isaachrl.errors import IsaacHRLError
from isaachrl.learn.state import Stateful
from isaachrl.memory import require_memory

RECENT = 0.1  # of what is stored, the newest part


@dataclass(frozen=True)
class Sizes:
    """Sizes of a segment: steps, and entries of state, action, goal and context (0 for none).

    `stride` is the number of steps between two actions of the level that follows the goal; `linked`: segments know
    their successor.
    """

    steps: int
    state: int
    action: int
    goal: int
    context: int
    stride: int = 1
    linked: bool = False

    @property
    def decisions(self) -> int:
        """Actions of a whole segment."""
        return self.steps // self.stride


class SegmentReplay:
    """A ring buffer of segments. A segment ends with its episode; one that is cut short has a smaller length.

    Fields, by name: `states (C, c + 1, S)`, `actions (C, c / stride, A)` of the level that follows the goal,
    `rewards (C, c)`, `flipped (C, c)` (on the back after the step), `goal (C, d)` at the first state,
    `next_goal (C, d)` at the last, `context (C, k)`, `length (C,)` in steps, `terminal (C,)` whether the episode
    terminated at the last state. If `linked` also `env (C,)`, `step (C,)`, where `EpisodePlaces` has its end,
    and `following (C,)`, the row of the next segment of the same episode, `capacity` without one.

    Args:
        capacity: C, segments.
        sizes: of a segment.
        device: of the tensors.
        recent_share: of the draws, from the newest `RECENT` of the segments alone.
    """

    def __init__(self, capacity: int, sizes: Sizes, device: torch.device, recent_share: float = 0.0) -> None:
        self.capacity, self.sizes, self.recent_share = capacity, sizes, recent_share
        shapes = {
            "states": (sizes.steps + 1, sizes.state), "actions": (sizes.decisions, sizes.action),
            "rewards": (sizes.steps,), "flipped": (sizes.steps,), "goal": (sizes.goal,), "next_goal": (sizes.goal,),
            "context": (sizes.context,), "length": (), "terminal": (),
        }  # fmt: skip
        links = ("env", "step", "following") if sizes.linked else ()
        shapes |= dict.fromkeys(links, ())
        dtypes = {"flipped": torch.bool, "terminal": torch.bool} | dict.fromkeys(("length", *links), torch.long)
        row_bytes = sum(math.prod(shape) * dtypes.get(name, torch.float32).itemsize for name, shape in shapes.items())
        what = f"train.replay_steps: a replay of {capacity} segments of {sizes.steps} steps"
        require_memory(capacity * row_bytes, device, what, "type a smaller train.replay_steps")
        # the extra row takes the segments that are not kept: no host synchronisation for their number
        self.data = {
            name: torch.zeros(capacity + 1, *shape, dtype=dtypes.get(name, torch.float32), device=device)
            for name, shape in shapes.items()
        }
        self.stamp = torch.full((capacity + 1,), -1, dtype=torch.long, device=device)
        self.written = torch.zeros((), dtype=torch.long, device=device)
        self._pushes = 0
        self._last = torch.full((0,), -1, device=device)  # `(N,)` number of each environment's segment before, or -1
        self._held: list[dict[str, Tensor]] | None = None

    def hold(self) -> None:
        """Store nothing until `release`, so that other threads can read meanwhile."""
        self._held = []

    def release(self) -> None:
        """Store what was pushed since `hold`, in that order."""
        held, self._held = self._held or [], None
        for fields in held:
            self.push(**fields)

    def push(self, keep: Tensor, ended: Tensor, **fields: Tensor) -> None:
        """Store the segments `(N, …)` of `keep (N,)`, after `hold` only at the next `release`.

        `ended (N,)`: the episode has ended, so that the environment's next segment does not follow this one.
        """
        if self._held is not None:
            fields |= {"keep": keep, "ended": ended}
            self._held.append({name: values.clone() for name, values in fields.items()})
            return
        order = self.written + keep.cumsum(0) - 1
        rows = torch.where(keep, order % self.capacity, self.capacity)
        for name, values in fields.items():
            self.data[name].index_copy_(0, rows, values)
        self.stamp.index_copy_(0, rows, order)
        if self.sizes.linked:
            self._link(keep, ended, rows, order)
        self.written = self.written + keep.sum()
        self._pushes += 1

    def _link(self, keep: Tensor, ended: Tensor, rows: Tensor, order: Tensor) -> None:
        """Let the segments before follow those that were just stored in `rows (N,)` as numbers `order (N,)`."""
        last = self._last if len(self._last) else torch.full_like(rows, -1)
        before = last % self.capacity
        linked = keep & (last >= 0) & (self.stamp.index_select(0, before) == last)
        following = self.data["following"]
        following.index_fill_(0, rows, self.capacity)
        following.index_copy_(0, torch.where(linked, before, self.capacity), rows)
        self._last = torch.where(keep, order, last).masked_fill(ended, -1)

    def draw_rows(self, count: int, generator: torch.Generator) -> Tensor:
        """Uniformly drawn rows `(count,)`, or `recent_share` of them from the newest.

        Raises:
            IsaacHRLError: nothing has been stored yet.
        """
        if self._pushes == 0:
            raise IsaacHRLError("the replay is empty: act for at least one meta period before the first update")
        filled = self.written.clamp(max=self.capacity)
        share = torch.rand(count, generator=generator, device=self.stamp.device, dtype=torch.float64)
        rows = (share * filled).long().clamp(max=self.capacity - 1)
        if self.recent_share == 0:
            return rows
        back = (share * (RECENT * filled).clamp_min(1.0)).long()
        recent = torch.rand(count, generator=generator, device=rows.device) < self.recent_share
        return torch.where(recent, (self.written - 1 - back) % self.capacity, rows)

    def take(self, rows: Tensor, *names: str) -> list[Tensor]:
        """Fields of the segments `rows (B,)`."""
        return [self.data[name].index_select(0, rows) for name in names]

    def steps_at(self, name: str, rows: Tensor, step: Tensor) -> Tensor:
        """Entries `(B, …)` of a field at one step `(B,)` of each segment `rows (B,)`."""
        field = self.data[name]
        return field.flatten(0, 1).index_select(0, rows * field.shape[1] + step)

    def valid(self, rows: Tensor) -> Tensor:
        """`(B, c)` bool: steps within the length of the segments."""
        length = self.data["length"].index_select(0, rows)
        return torch.arange(self.sizes.steps, device=rows.device) < length.unsqueeze(1)

    def state_dict(self) -> dict[str, Any]:
        """The filled rows."""
        filled = min(int(self.written), self.capacity)
        data = {name: values[:filled].clone() for name, values in self.data.items()}
        state = {"data": data, "stamp": self.stamp[:filled].clone(), "written": int(self.written)}
        return state | ({"last": self._last.clone()} if self.sizes.linked else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        filled = len(state["stamp"])
        for name, values in state["data"].items():
            self.data[name][:filled] = values.to(self.stamp.device)
        self.stamp[:filled] = state["stamp"].to(self.stamp.device)
        self.written.fill_(state["written"])
        self._pushes = int(state["written"] > 0)
        if self.sizes.linked:
            self._last = state["last"].to(self.stamp.device, copy=True)


class RelabelledPool(Stateful):
    """The last few batches of segments with their corrected goals.

    Where the replay has overwritten a segment in the meantime, the new segment's own goal counts.

    Args:
        sets: batches kept.
        rows: segments of a batch.
        goal_size: d.
        replay: where the segments are.
    """

    STATE: ClassVar = ("rows", "stamp", "goal", "filled", "next")

    def __init__(self, sets: int, rows: int, goal_size: int, replay: SegmentReplay) -> None:
        device = replay.stamp.device
        self.replay, self.sets, self.filled, self.next = replay, sets, 0, 0
        self.rows = torch.zeros(sets, rows, dtype=torch.long, device=device)
        self.stamp = torch.full((sets, rows), -2, dtype=torch.long, device=device)
        self.goal = torch.zeros(sets, rows, goal_size, device=device)

    def put(self, rows: Tensor, goal: Tensor) -> None:
        """Add a batch, in place of the oldest once the pool is full."""
        self.rows[self.next], self.goal[self.next] = rows, goal
        self.stamp[self.next] = self.replay.stamp.index_select(0, rows)
        self.next, self.filled = (self.next + 1) % self.sets, min(self.filled + 1, self.sets)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Uniformly drawn segments `(count,)` and their goals `(count, d)`."""
        available = self.rows[: self.filled].numel()
        chosen = torch.randint(available, (count,), generator=generator, device=self.rows.device)
        rows = self.rows.flatten().index_select(0, chosen)
        current = self.stamp.flatten().index_select(0, chosen) == self.replay.stamp.index_select(0, rows)
        (stored,) = self.replay.take(rows, "goal")
        goal = self.goal.flatten(0, 1).index_select(0, chosen)
        return rows, torch.where(current.unsqueeze(1), goal, stored)
