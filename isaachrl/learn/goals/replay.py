"""Memory of segments: a goal, the steps it was in force for, and what came of it. All on the device, no host sync."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isaachrl.errors import IsaacHRLError
from isaachrl.memory import require_memory


@dataclass(frozen=True)
class Sizes:
    """Widths of what is remembered: steps of a segment, state, action, goal and context (0 for none).

    `stride` is the number of steps that go by between two actions of the level that pursues the goal.
    """

    steps: int
    state: int
    action: int
    goal: int
    context: int
    stride: int = 1

    @property
    def decisions(self) -> int:
        """Actions in a whole segment."""
        return self.steps // self.stride


class SegmentReplay:
    """A ring of segments. A segment never reaches over the end of an episode; one cut short has a smaller length.

    Fields, by name: `states (C, c + 1, S)`, `actions (C, c / stride, A)` of the level that pursues the goal,
    `rewards (C, c)`, `flipped (C, c)` (on its back after the step), `goal (C, d)` at the first state,
    `next_goal (C, d)` at the last, `context (C, k)`, `length (C,)` in steps, `terminal (C,)` whether no value follows
    the last state, `tested (C,)` whether the worker acted without noise to see whether the goal can be reached.

    Args:
        capacity: C, segments.
        sizes: their widths.
        device: where they live.
        generator: of the draws.
    """

    def __init__(self, capacity: int, sizes: Sizes, device: torch.device, generator: torch.Generator) -> None:
        self.capacity, self.sizes, self.generator = capacity, sizes, generator
        shapes = {
            "states": (sizes.steps + 1, sizes.state), "actions": (sizes.decisions, sizes.action),
            "rewards": (sizes.steps,), "flipped": (sizes.steps,), "goal": (sizes.goal,), "next_goal": (sizes.goal,),
            "context": (sizes.context,), "length": (), "terminal": (), "tested": (),
        }  # fmt: skip
        kinds = {"flipped": torch.bool, "length": torch.long, "terminal": torch.bool, "tested": torch.bool}
        row_bytes = sum(math.prod(shape) * kinds.get(name, torch.float32).itemsize for name, shape in shapes.items())
        what = f"train.replay_steps: a replay of {capacity} segments of {sizes.steps} steps"
        require_memory(capacity * row_bytes, device, what, "type a smaller train.replay_steps")
        # the row behind the last takes what is not to be kept
        self.data = {
            name: torch.zeros(capacity + 1, *shape, dtype=kinds.get(name, torch.float32), device=device)
            for name, shape in shapes.items()
        }
        self.stamp = torch.full((capacity + 1,), -1, dtype=torch.long, device=device)
        self.written = torch.zeros((), dtype=torch.long, device=device)
        self._pushes = 0

    def push(self, keep: Tensor, **fields: Tensor) -> None:
        """Remember the segments `(N, …)` of `keep (N,)`."""
        order = self.written + keep.cumsum(0) - 1
        rows = torch.where(keep, order % self.capacity, self.capacity)
        for name, values in fields.items():
            self.data[name].index_copy_(0, rows, values)
        self.stamp.index_copy_(0, rows, order)
        self.written = self.written + keep.sum()
        self._pushes += 1

    def draw_rows(self, count: int) -> Tensor:
        """`(count,)` segments, uniformly.

        Raises:
            IsaacHRLError: nothing has been remembered yet.
        """
        if self._pushes == 0:
            raise IsaacHRLError("the replay is empty: act for at least one meta period before the first update")
        filled = self.written.clamp(max=self.capacity)
        share = torch.rand(count, generator=self.generator, device=self.stamp.device, dtype=torch.float64)
        return (share * filled).long().clamp(max=self.capacity - 1)

    def take(self, rows: Tensor, *names: str) -> list[Tensor]:
        """Fields of segments `rows (B,)`."""
        return [self.data[name].index_select(0, rows) for name in names]

    def steps_at(self, name: str, rows: Tensor, step: Tensor) -> Tensor:
        """Entries `(B, …)` of a field at one step `(B,)` of each segment `rows (B,)`."""
        field = self.data[name]
        return field.flatten(0, 1).index_select(0, rows * field.shape[1] + step)

    def valid(self, rows: Tensor) -> Tensor:
        """`(B, c)` bool: which steps of the segments really happened."""
        length = self.data["length"].index_select(0, rows)
        return torch.arange(self.sizes.steps, device=rows.device) < length.unsqueeze(1)

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, without the empty rest."""
        filled = min(int(self.written), self.capacity)
        data = {name: values[:filled].clone() for name, values in self.data.items()}
        return {"data": data, "stamp": self.stamp[:filled].clone(), "written": int(self.written)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember what `state_dict` gave."""
        filled = len(state["stamp"])
        for name, values in state["data"].items():
            self.data[name][:filled] = values.to(self.stamp.device)
        self.stamp[:filled] = state["stamp"].to(self.stamp.device)
        self.written.fill_(state["written"])
        self._pushes = int(state["written"] > 0)


class RelabelledPool:
    """The last few batches of segments with their corrected goals.

    A goal counts only while the replay still holds the segment that it was found for.

    Args:
        sets: batches kept.
        rows: segments of a batch.
        goal_size: d.
        replay: where the segments are.
    """

    def __init__(self, sets: int, rows: int, goal_size: int, replay: SegmentReplay) -> None:
        device = replay.stamp.device
        self.replay, self.sets, self.filled, self.next = replay, sets, 0, 0
        self.rows = torch.zeros(sets, rows, dtype=torch.long, device=device)
        self.stamp = torch.full((sets, rows), -2, dtype=torch.long, device=device)
        self.goal = torch.zeros(sets, rows, goal_size, device=device)

    def put(self, rows: Tensor, goal: Tensor) -> None:
        """Keep a batch, in place of the oldest if all places are taken."""
        self.rows[self.next], self.goal[self.next] = rows, goal
        self.stamp[self.next] = self.replay.stamp.index_select(0, rows)
        self.next, self.filled = (self.next + 1) % self.sets, min(self.filled + 1, self.sets)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Segments `(count,)` and their goals `(count, d)`."""
        held = self.rows[: self.filled].numel()
        chosen = torch.randint(held, (count,), generator=generator, device=self.rows.device)
        rows = self.rows.flatten().index_select(0, chosen)
        same = self.stamp.flatten().index_select(0, chosen) == self.replay.stamp.index_select(0, rows)
        (stored,) = self.replay.take(rows, "goal")
        goal = self.goal.flatten(0, 1).index_select(0, chosen)
        return rows, torch.where(same.unsqueeze(1), goal, stored)

    def state_dict(self) -> dict[str, Any]:
        """What is kept."""
        tensors = {name: getattr(self, name).clone() for name in ("rows", "stamp", "goal")}
        return tensors | {"filled": self.filled, "next": self.next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep what `state_dict` gave."""
        for name in ("rows", "stamp", "goal"):
            getattr(self, name).copy_(state[name])
        self.filled, self.next = state["filled"], state["next"]
