"""Tables as networks: what is seen of a state in, one score a choice out."""

import copy

from torch import Tensor, nn

from isaachrl.envs.tabular import TabularMdp
from isaachrl.envs.task_graph import TaskGraph
from isaachrl.learn.learner import Exported
from isaachrl.learn.task_graph.tiles import TileCoder


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
    found = []
    for g, subtask in enumerate(graph.subtasks):
        module = Lookup(mdp.obs, best[row[g], : len(subtask.children)])
        contract = {"subtask": subtask.name, "children": list(subtask.children)}
        name = "policy" if len(graph.subtasks) == 1 else "".join(c if c.isalnum() else "_" for c in subtask.name)
        found.append(Exported(name, module, {"policy_input": mdp.obs[mdp.starts[:1]]}, "scores", contract))
    return found


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
        self.coder, self.extent = copy.deepcopy(coder), extent
        self.register_buffer("weights", weights.clone())

    def forward(self, state: Tensor) -> Tensor:
        """Action `(n, 1)` at states `(n, F)`, or at views of a subtask."""
        low, high = self.extent
        return low + (high - low) * self.weights[self.coder(state)].sum(-1, keepdim=True).sigmoid()


def tile_exports(policies: dict[str, tuple[TileCoder, Tensor]], extent: tuple[float, float]) -> list[Exported]:
    """One network a policy, from the state, or a subtask's view of it, to the action.

    Args:
        policies: tiles and weights by name.
        extent: least and greatest action.
    """
    found = []
    for name, (coder, weights) in policies.items():
        module = TiledMean(coder, weights, extent).cpu()
        contract = {"action": {"least": extent[0], "greatest": extent[1]}}
        found.append(Exported(name, module, {"state": coder.middle().cpu()}, "action", contract))
    return found
