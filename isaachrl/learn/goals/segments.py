"""Segments under way: what one manager's goals have led to so far, in N environments."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.learn.goals.goals import goal_transition
from isaachrl.learn.goals.replay import SegmentReplay


class OpenSegments:
    """The present segment of each environment. It begins with a goal and is over when the goal has served its time.

    Args:
        num_envs: N.
        replay: where segments go that are over; it knows their sizes.

    Attributes:
        goal: `(N, d)` in force.
        phase: `(N,)` steps that it has been in force for.
    """

    BUFFERS = ("goal", "phase", "states", "actions", "rewards", "flipped", "goal_at_start")

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
        """`(N,)` bool: the goal has served its time."""
        return self.phase == self.sizes.steps

    def begin(self, mask: Tensor, state: Tensor, goal: Tensor) -> None:
        """Set goals `(N, d)` in the environments of `mask (N,)`, in the states `(N, S)`."""
        wide = mask.unsqueeze(1)
        self.goal = torch.where(wide, goal, self.goal).detach()
        self.goal_at_start = torch.where(wide, self.goal, self.goal_at_start)
        self.states[:, 0] = torch.where(wide, state, self.states[:, 0])
        self.phase = self.phase.masked_fill(mask, 0)

    def add(self, action: Tensor, reward: Tensor, flipped: Tensor, state: Tensor, after: Tensor) -> None:
        """One step from `state (N, S)` to `after`, under the pursuing level's present action; the goal is carried."""
        self.actions[self._rows, self.phase // self.sizes.stride] = action
        self.rewards[self._rows, self.phase] = reward
        self.flipped[self._rows, self.phase] = flipped
        self.states[self._rows, self.phase + 1] = after
        self.goal = goal_transition(state, self.goal, after)
        self.phase = self.phase + 1

    def snapshot(self) -> dict[str, Tensor]:
        """The fields of a segment as they are now, whatever begins next."""
        return {
            "states": self.states.clone(),
            "actions": self.actions,
            "rewards": self.rewards,
            "flipped": self.flipped,
            "goal": self.goal_at_start,
            "length": self.phase,
        }

    def state_dict(self, suffix: str) -> dict[str, Any]:
        """All of it; names end with `suffix`."""
        return {name + suffix: getattr(self, name).clone() for name in self.BUFFERS}

    def load_state_dict(self, state: dict[str, Any], suffix: str) -> None:
        """Continue from `state_dict`."""
        for name in self.BUFFERS:
            setattr(self, name, state[name + suffix].to(self.replay.stamp.device, copy=True))
