"""Tables and tiles as networks: what is seen of a state in, one score a choice or an action out; where calls end."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.envs.env import Env
from isaachrl.envs.tabular import TabularMdp
from isaachrl.envs.task_graph import TaskGraph
from isaachrl.learn.learner import Exported
from isaachrl.learn.task_graph.tables import GraphTables
from isaachrl.learn.task_graph.tiles import TileCoder
from isaachrl.learn.task_graph.views import Views

Contract = dict[str, Any]

USE_ALONE = "take the action with the greatest score"
USE = (
    "an episode begins with the first of subtasks alone; call the child with the greatest score, and of a subtask its"
    " child in turn, down to an action; after every action ask `ends`, close the outermost open call that it gives 1"
    " together with those below it, and go on from the innermost call that is left"
)
CALLS = (
    "when an episode begins, ask `root`, and keep its scores and the state, which is the entry; every step show scores,"
    " entry and state to `view`, and what it gives to the network of the kind of the child with the greatest score:"
    " that is the action; before every further step show `ends` the view of the present state, and if it gives 1 for"
    " that kind, or after call_steps steps, ask `root` again"
)


class Lookup(nn.Module):
    """The row of a table that belongs to an observation.

    Args:
        obs: `(S, size)` what is seen of each state, no two alike.
        scores: `(S, C)`.
    """

    obs: Tensor
    squares: Tensor
    scores: Tensor

    def __init__(self, obs: Tensor, scores: Tensor) -> None:
        super().__init__()
        self.register_buffer("obs", obs.float().clone())
        self.register_buffer("squares", obs.float().square().sum(-1))
        self.register_buffer("scores", scores.float().clone())

    def forward(self, policy_input: Tensor) -> Tensor:
        """Scores `(n, C)` of the state nearest to each observation `(n, size)`."""
        distance = self.squares - 2.0 * policy_input @ self.obs.T
        return self.scores[distance.argmin(-1)]


def table_exports(mdp: TabularMdp, graph: TaskGraph, row: Tensor, best: Tensor) -> list[Exported]:
    """One network a subtask: the observation in, a one at the child that it calls.

    Args:
        mdp: whose observations.
        graph: its subtasks.
        row: `(G, S)` row of the choices of each subtask in each state.
        best: `(rows, C)` one-hot.
    """
    flat = len(graph.subtasks) == 1
    files = {subtask.name: "policy" if flat else _stem(subtask.name) for subtask in graph.subtasks}
    found = []
    for g, subtask in enumerate(graph.subtasks):
        module = Lookup(mdp.obs, best[row[g], : len(subtask.children)])
        contract = {"subtask": subtask.name, "children": list(subtask.children)}
        contract |= {"use": USE_ALONE} if flat else {"subtasks": files, "use": USE}
        found.append(_of_state(files[subtask.name], module, "scores", contract, mdp))
    return found


def ends_export(mdp: TabularMdp, tables: GraphTables) -> Exported:
    """A network that says of each subtask whether its call is over: the observation in, ones and zeros out."""
    files = {subtask.name: _stem(subtask.name) for subtask in tables.graph.subtasks}
    return _of_state("ends", Lookup(mdp.obs, tables.done.T), "ended", {"subtasks": files, "use": USE}, mdp)


def _stem(subtask: str) -> str:
    """A subtask's name as that of a file."""
    return "".join(c if c.isalnum() else "_" for c in subtask)


def _of_state(name: str, module: nn.Module, output: str, contract: Contract, mdp: TabularMdp) -> Exported:
    """A network of what is seen of a state, and what that is."""
    told = {"layout": {"policy_input": list(mdp.layout)}, "action": {"actions": list(mdp.actions)}}
    return Exported(name, module, {"policy_input": mdp.obs[mdp.starts[:1]]}, output, contract | told)


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
        """Action `(n, 1)` at states `(n, F)`, or at views of a subtask."""
        low, high = self.extent
        return low + (high - low) * self.weights[self.coder(state)].sum(-1, keepdim=True).sigmoid()


class CellScores(nn.Module):
    """The row of a table that belongs to the cell a state lies in.

    Args:
        cell: number `(n,)` of the cells of states `(n, F)`.
        scores: `(cells, C)`.
    """

    scores: Tensor

    def __init__(self, cell: Callable[[Tensor], Tensor], scores: Tensor) -> None:
        super().__init__()
        self.cell = on_cpu(cell)
        self.register_buffer("scores", scores.clone())

    def forward(self, state: Tensor) -> Tensor:
        """Scores `(n, C)` of states `(n, F)`."""
        return self.scores[self.cell(state)]


class View(nn.Module):
    """How a subtask sees a state from where it was called. Which subtask, the root's scores say: inputs are floats."""

    def __init__(self, views: Views) -> None:
        super().__init__()
        self.views = on_cpu(views)

    def forward(self, scores: Tensor, entry: Tensor, state: Tensor) -> Tensor:
        """View `(n, F)` that the subtask of the greatest score `(n, T)`, called at `entry (n, F)`, has of `state`."""
        return self.views(scores.argmax(-1), entry, state)


class ViewEnds(nn.Module):
    """Where the subtasks of each kind are over."""

    def __init__(self, views: Views) -> None:
        super().__init__()
        self.views = on_cpu(views)

    def forward(self, view: Tensor) -> Tensor:
        """1 where a subtask of a kind is over, else 0, `(n, kinds)`, of views `(n, F)`."""
        kind = torch.zeros_like(view[:, 0], dtype=torch.long)  # not by len(view), which an export would fix
        ends = [self.views.ends(kind + number, view)[0] for number in range(len(self.views.kinds))]
        return torch.stack(ends, dim=-1).float()


def told_of(env: Env) -> dict[str, Any]:
    """What the columns of the state are, what the action does, and how long a step is."""
    return {"layout": {"state": env.obs_layout.get("state", [])}, "action": env.action_contract, "step_s": env.step_s}


def tile_export(name: str, module: TiledMean, seen: str, contract: Contract) -> Exported:
    """A network from what is seen, the state or a view of it, to the action.

    Args:
        name: of the file.
        module: the policy.
        seen: name of the input.
        contract: what the numbers mean.
    """
    return Exported(name, module, {seen: module.coder.middle()}, "action", contract)


def call_exports(views: Views, root: CellScores, middle: tuple[Tensor, Tensor], contract: Contract) -> list[Exported]:
    """What the calls of a root need: its scores, the views of its subtasks, and where they are over.

    Args:
        views: of the root's subtasks.
        root: their scores.
        middle: `(1, F)` a state and a view in the middle of their extents.
        contract: what the columns of a state are, and when calls are made.
    """
    state, view = middle
    contract = contract | {
        "children": [subtask.name for subtask in views.subtasks],
        "kinds": views.kinds,
        "kind_of_child": views.kind.tolist(),
    }
    return [
        Exported("root", root, {"state": state}, "scores", contract),
        Exported("view", View(views), {"scores": root(state), "entry": state, "state": state}, "view", contract),
        Exported("ends", ViewEnds(views), {"view": view}, "ended", contract),
    ]


def on_cpu(thing: Any) -> Any:
    """The same object with the tensors that it holds on the CPU; on the CPU they are shared."""
    found = copy.copy(thing)
    for name, value in vars(thing).items():
        if isinstance(value, Tensor):
            setattr(found, name, value.cpu())
    return found
