"""Segments in progress: what has happened since the present goal was set, in N environments."""

from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.learn.goals.experience.replay import SegmentReplay
from isaachrl.learn.goals.goals import goal_transition
from isaachrl.learn.state import Stateful


class OpenSegments(Stateful):
    """The present segment of each environment, from the setting of a goal to its last step.

    Args:
        num_envs: N.
        replay: where finished segments go; it has their sizes.

    Attributes:
        goal: `(N, d)` at the present state.
        phase: `(N,)` steps since it was set.
    """

    STATE: ClassVar = ("goal", "phase", "states", "actions", "rewards", "flipped", "goal_at_start")

    def __init__(self, num_envs: int, replay: SegmentReplay) -> None:
        self.replay, device = replay, replay.stamp.device
        self.sizes = sizes = replay.sizes
        self._rows = torch.arange(num_envs, device=device)
        self.states = torch.zeros(num_envs, sizes.steps + 1, sizes.state, device=device)
        self.actions = torch.zeros(num_envs, sizes.decisions, sizes.action, device=device)
        self.rewards = torch.zeros(num_envs, sizes.steps, device=device)
        self.flipped = torch.zeros(num_envs, sizes.steps, dtype=torch.bool, device=device)
        self.phase = torch.zeros(num_envs, dtype=torch.long, device=device)
        self.goal = torch.zeros(num_envs, sizes.goal, device=device)
        self.goal_at_start = self.goal.clone()

    @property
    def full(self) -> Tensor:
        """`(N,)` bool: the segment has all its steps."""
        return self.phase == self.sizes.steps

    def begin(self, mask: Tensor, state: Tensor, goal: Tensor) -> None:
        """Set goals `(N, d)` in states `(N, S)`, in the environments of `mask (N,)`."""
        wide = mask.unsqueeze(1)
        self.goal = torch.where(wide, goal, self.goal).detach()
        self.goal_at_start = torch.where(wide, self.goal, self.goal_at_start)
        self.states[:, 0] = torch.where(wide, state, self.states[:, 0])
        self.phase = self.phase.masked_fill(mask, 0)

    def add(self, action: Tensor, reward: Tensor, flipped: Tensor, state: Tensor, next_state: Tensor) -> None:
        """Add one step; `action (N, A)` is that of the level which follows the goal."""
        self.actions[self._rows, self.phase // self.sizes.stride] = action
        self.rewards[self._rows, self.phase] = reward
        self.flipped[self._rows, self.phase] = flipped
        self.states[self._rows, self.phase + 1] = next_state
        self.goal = goal_transition(state, self.goal, next_state)
        self.phase = self.phase + 1

    def snapshot(self) -> dict[str, Tensor]:
        """The segments' fields for `SegmentReplay.push`; they outlive the next `begin`."""
        return {
            "states": self.states.clone(),
            "actions": self.actions,
            "rewards": self.rewards,
            "flipped": self.flipped,
            "goal": self.goal_at_start,
            "length": self.phase,
        }
