"""Exported networks of tabular policies: the observation in, one score per child or one flag per subtask out."""

from torch import Tensor, nn

from isaachrl.envs.tabular import TabularMdp
from isaachrl.envs.task_graph import TaskGraph
from isaachrl.learn.learner import Exported
from isaachrl.learn.task_graph.tabular.tables import GraphTables

FLAT_USE = "take the action with the greatest score"
USE = (
    "an episode begins with the first of subtasks alone; call the child with the greatest score, and of a subtask its"
    " child in turn, down to an action; after every action ask `ends`, close the outermost open call that it gives 1"
    " together with those below it, and go on from the innermost call that is left"
)


class Lookup(nn.Module):
    """A table indexed by the observation.

    Args:
        obs: `(S, size)` observation of each state, all different.
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
    """One network per subtask: the observation in, the one-hot child to call out.

    Args:
        mdp: source of the observations.
        graph: its subtasks.
        row: `(G, S)` row of `best` for each subtask and state.
        best: `(rows, C)` one-hot.
    """
    flat = len(graph.subtasks) == 1
    files = {graph.root.name: "policy"} if flat else _files(graph)
    exported = []
    for g, subtask in enumerate(graph.subtasks):
        module = Lookup(mdp.obs, best[row[g], : len(subtask.children)])
        contract = {"subtask": subtask.name, "children": list(subtask.children)}
        contract |= {"use": FLAT_USE} if flat else {"subtasks": files, "use": USE}
        exported.append(_export(files[subtask.name], module, "scores", contract, mdp))
    return exported


def ends_export(mdp: TabularMdp, tables: GraphTables) -> Exported:
    """The termination conditions: the observation in, one number per subtask out, 1 if its call is over, else 0."""
    contract = {"subtasks": _files(tables.graph), "use": USE}
    return _export("ends", Lookup(mdp.obs, tables.done.T), "ended", contract, mdp)


def _files(graph: TaskGraph) -> dict[str, str]:
    """Names of the subtasks' files."""
    names = [subtask.name for subtask in graph.subtasks]
    return {name: "".join(c if c.isalnum() else "_" for c in name) for name in names}


def _export(name: str, module: nn.Module, output: str, contract: dict[str, object], mdp: TabularMdp) -> Exported:
    """A network of the observation, with the contract of observation and action added."""
    common = {"layout": {"policy_input": list(mdp.layout)}, "action": {"actions": list(mdp.actions)}}
    return Exported(name, module, {"policy_input": mdp.obs[mdp.starts[:1]]}, output, contract | common)
