"""Exported networks of tile-coded policies: the state, or a subtask's view of it, in; the action or scores out."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.envs.env import Env
from isaachrl.learn.learner import Exported
from isaachrl.learn.task_graph.continuous.frames import SubtaskFrames
from isaachrl.learn.task_graph.continuous.tiles import TileCoder

Contract = dict[str, Any]

USE = (
    "when an episode begins, ask `root`, and keep its scores and the state, which is the entry; every step show scores,"
    " entry and state to `view`, and what it gives to the network of the kind of the child with the greatest score:"
    " that is the action; before every further step show `ends` the view of the present state, and if it gives 1 for"
    " that kind, or after call_steps steps, ask `root` again"
)


class TiledMean(nn.Module):
    """The mean action of a Gaussian policy on tiles.

    Args:
        coder: its tiles.
        weights: `(K,)`.
        extent: least and greatest action.
    """

    weights: Tensor

    def __init__(self, coder: TileCoder, weights: Tensor, extent: tuple[float, float]) -> None:
        super().__init__()
        self.coder, self.extent = on_cpu(coder), extent
        self.register_buffer("weights", weights.clone())

    def forward(self, state: Tensor) -> Tensor:
        """Action `(n, 1)` at states or views `(n, F)`."""
        low, high = self.extent
        return low + (high - low) * self.weights[self.coder(state)].sum(-1, keepdim=True).sigmoid()


class CellScores(nn.Module):
    """A table indexed by the grid cell of the state.

    Args:
        grid: one tiling, states `(n, F)` -> cells `(n, 1)`.
        scores: `(cells, C)`.
    """

    scores: Tensor

    def __init__(self, grid: TileCoder, scores: Tensor) -> None:
        super().__init__()
        self.grid = on_cpu(grid)
        self.register_buffer("scores", scores.clone())

    def forward(self, state: Tensor) -> Tensor:
        """Scores `(n, C)` of states `(n, F)`."""
        return self.scores[self.grid(state).squeeze(-1)]


class View(nn.Module):
    """The view of the called subtask, which is given by its scores since inputs must be floats."""

    def __init__(self, frames: SubtaskFrames) -> None:
        super().__init__()
        self.frames = on_cpu(frames)

    def forward(self, scores: Tensor, entry: Tensor, state: Tensor) -> Tensor:
        """View `(n, F)` of `state` for the subtask of the greatest score `(n, T)`, called at `entry (n, F)`."""
        return self.frames(scores.argmax(-1), entry, state)


class ViewEnds(nn.Module):
    """The termination conditions of all kinds of subtasks."""

    def __init__(self, frames: SubtaskFrames) -> None:
        super().__init__()
        self.frames = on_cpu(frames)

    def forward(self, view: Tensor) -> Tensor:
        """1 where a subtask of the kind would be over, else 0, `(n, kinds)`, of views `(n, F)`."""
        kind = torch.zeros_like(view[:, 0], dtype=torch.long)  # not by len(view), which an export would fix
        ends = [self.frames.ends(kind + number, view)[0] for number in range(len(self.frames.kinds))]
        return torch.stack(ends, dim=-1).float()


def state_contract(env: Env) -> Contract:
    """The columns of the state, the meaning of the action and the duration of a step."""
    return {"layout": {"state": env.obs_layout.get("state", [])}, "action": env.action_contract, "step_s": env.step_s}


def action_export(name: str, module: TiledMean, input_name: str, contract: Contract) -> Exported:
    """A network from the state, or a view of it, to the action.

    Args:
        name: of the file.
        module: the policy.
        input_name: `state` or `view`.
        contract: see `Exported`.
    """
    return Exported(name, module, {input_name: module.coder.middle()}, "action", contract)


def call_exports(
    frames: SubtaskFrames, root: CellScores, middle: tuple[Tensor, Tensor], contract: Contract
) -> list[Exported]:
    """The networks that call subtasks: scores of the root, views of its subtasks, and termination conditions.

    Args:
        frames: of the root's subtasks.
        root: their scores.
        middle: `(1, F)` a state and a view in the middle of their extents.
        contract: see `Exported`.
    """
    state, view = middle
    contract = contract | {
        "children": [subtask.name for subtask in frames.subtasks],
        "kinds": frames.kinds,
        "kind_of_child": frames.kind.tolist(),
    }
    return [
        Exported("root", root, {"state": state}, "scores", contract),
        Exported("view", View(frames), {"scores": root(state), "entry": state, "state": state}, "view", contract),
        Exported("ends", ViewEnds(frames), {"view": view}, "ended", contract),
    ]


def on_cpu(thing: Any) -> Any:
    """A shallow copy of an object with its tensors on the CPU; tensors that are there already are shared."""
    found = copy.copy(thing)
    for name, value in vars(thing).items():
        if isinstance(value, Tensor):
            setattr(found, name, value.cpu())
    return found
