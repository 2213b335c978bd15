"""Tables as networks: what is seen of a state in, one score a choice out."""

import torch
from torch import Tensor, nn

from isaachrl.envs.tabular import TabularMdp
from isaachrl.envs.task_graph import TaskGraph
from isaachrl.learn.learner import Exported


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
