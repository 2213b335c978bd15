"""The coordinate frames of a root's subtasks on the plane, for N environments at once."""

import torch
from torch import Tensor

from isaachrl.envs.task_graph import Subtask, TaskGraph
from isaachrl.errors import ConfigError


class SubtaskFrames:
    """The frames of a root's T children as tensors, and the functions of the K kinds of policies they share.

    A view is the state in the frame of a subtask.

    Attributes:
        subtasks: the root's children.
        kinds: names of the shared policies.
        kind: `(T,)` kind of each child.
        extent, wraps: of the views, the same for all children; see `Subtask`.

    Args:
        graph: the task graph.
        device: of the tensors.

    Raises:
        ConfigError: a child has no frame, or another extent than the others.
    """

    def __init__(self, graph: TaskGraph, device: torch.device) -> None:
        self.subtasks = [graph.by_name[name] for name in graph.root.children if name in graph.by_name]
        frames = [subtask.frame for subtask in self.subtasks if subtask.frame is not None]
        if len(frames) != len(graph.root.children):
            raise ConfigError("the hybrid needs a root whose children all have a frame of their own, as ShipSteering's")
        self.extent, self.wraps = self.subtasks[0].extent, self.subtasks[0].wraps
        if any(subtask.extent != self.extent or subtask.wraps != self.wraps for subtask in self.subtasks):
            raise ConfigError("task graph: subtasks of one root need one extent of their views; give them the same")
        self.kinds = list(dict.fromkeys(subtask.shares or subtask.name for subtask in self.subtasks))
        kinds = [self.kinds.index(subtask.shares or subtask.name) for subtask in self.subtasks]
        self.kind = torch.tensor(kinds, device=device)
        self._models = [self.subtasks[kinds.index(k)] for k in range(len(self.kinds))]
        turn = torch.tensor([frame.turn_rad for frame in frames], device=device)
        self._turn, self._cos, self._sin = turn, turn.cos(), turn.sin()
        self._origin = torch.tensor([frame.origin for frame in frames], device=device)
        self._sign = torch.tensor([frame.heading_sign for frame in frames], device=device)

    def __call__(self, task: Tensor, entry: Tensor, state: Tensor) -> Tensor:
        """Views `(N, F)` of states `(N, F)` for subtasks `task (N,)` that were called at states `entry (N, F)`."""
        dx, dy = (state[:, :2] - entry[:, :2]).unbind(-1)
        cos, sin = self._cos[task], self._sin[task]
        origin = self._origin[task]
        heading = state[:, 2] - self._sign[task] * self._turn[task]
        heading = torch.remainder(heading + torch.pi, 2 * torch.pi) - torch.pi
        x, y = origin[:, 0] + cos * dx + sin * dy, origin[:, 1] - sin * dx + cos * dy
        return torch.cat((torch.stack((x, y, heading), dim=-1), state[:, 3:]), dim=-1)

    def ends(self, kind: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """Whether subtasks of kinds `(N,)` are done at these views, and whether they succeeded, both `(N,)` bool."""
        done, succeeded = torch.zeros_like(kind, dtype=torch.bool), torch.zeros_like(kind, dtype=torch.bool)
        for number, model in enumerate(self._models):
            mask, model_done = kind == number, _done(model, view)
            done = done | (mask & model_done)
            succeeded = succeeded | (mask & (model_done if model.succeeded is None else model.succeeded(view)))
        return done, succeeded

    def internal_reward(self, kind: Tensor, view: Tensor, next_view: Tensor) -> Tensor:
        """Internal rewards `(N,)` of subtasks of kinds `(N,)` for a step from one view to the next."""
        reward = torch.zeros(len(kind), device=kind.device)
        for number, model in enumerate(self._models):
            if model.internal_reward is not None:
                reward = torch.where(kind == number, model.internal_reward(view, next_view), reward)
        return reward


def _done(model: Subtask, view: Tensor) -> Tensor:
    """Whether a subtask is done; `TaskGraph` makes sure that all but the root have this function."""
    assert model.done is not None
    return model.done(view)
