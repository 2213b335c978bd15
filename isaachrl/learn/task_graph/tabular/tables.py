"""A task graph on a tabular MDP as tensors: which child may be called in which state, and where a subtask is done."""

import torch
from torch import Tensor

from isaachrl.envs.env import Env
from isaachrl.envs.tabular import TabularEnv, TabularMdp
from isaachrl.envs.task_graph import Subtask, TaskGraph
from isaachrl.errors import ConfigError, nearest


class GraphTables:
    """The tensors for executing and learning a task graph.

    G subtasks in the graph's order, S states, A actions, at most C children. Nodes are numbered: the subtasks first,
    then the actions.

    Attributes:
        num_subtasks, num_states, width: G, S and C.
        child: `(G, C)` node of each child; -1 beyond the last one.
        level: distance of each subtask from the root, along the longest chain of calls.
        done: `(G, S)` bool, the subtask is over in this state.
        startable: `(G, S)` bool, the subtask may be called in this state.
        allowed: `(G, S, C)` bool, the child may be called in this state.
        row: `(G, S)` row of the parameters for each subtask and state; states with the same abstract state share one.
        rows: number of rows.
        row_subtask: `(rows,)` subtask of each row.
        row_allowed: `(rows, C)` bool, `allowed` of each row.

    Args:
        graph: the decomposition.
        mdp: the decomposed task.
        abstract: let subtasks observe only the columns they declare; else all of them observe the whole state.

    Raises:
        ConfigError: an unknown column; a subtask that cannot end from some state; or a child that is allowed in one
            state and not in another with the same abstract state.
    """

    def __init__(self, graph: TaskGraph, mdp: TabularMdp, abstract: bool = True) -> None:
        self.graph, self.mdp = graph, mdp
        self.device = mdp.obs.device
        self.states = mdp.states
        self.num_states = len(self.states)
        names = [subtask.name for subtask in graph.subtasks]
        self.num_subtasks = len(names)
        nodes = [*names, *graph.actions]
        self.width = max(len(subtask.children) for subtask in graph.subtasks)
        self.child = torch.full((self.num_subtasks, self.width), -1, device=self.device)
        for g, subtask in enumerate(graph.subtasks):
            for c, name in enumerate(subtask.children):
                self.child[g, c] = nodes.index(name)
        deepest = {path[-1]: len(path) - 1 for path in graph.paths()}
        self.level = [deepest[name] for name in names]
        self.done = torch.stack([self._done(subtask) for subtask in graph.subtasks])
        self.startable = torch.stack([self._startable(g) for g in range(self.num_subtasks)])
        self.allowed = self._allowed()
        for g in range(1, self.num_subtasks):
            self._check_end(g)
        self.row, self.rows = self._rows(abstract)
        subtasks = torch.arange(self.num_subtasks, device=self.device)
        self.row_subtask = torch.zeros(self.rows, dtype=torch.long, device=self.device)
        self.row_subtask[self.row.flatten()] = subtasks.repeat_interleave(self.num_states)
        self.row_allowed = self._row_allowed()

    def _done(self, subtask: Subtask) -> Tensor:
        """`(S,)` bool: states in which a subtask is over."""
        if subtask.done is None:
            return torch.zeros(self.num_states, dtype=torch.bool, device=self.device)
        return subtask.done(self.states)

    def _startable(self, g: int) -> Tensor:
        """`(S,)` bool: states in which subtask g may be called."""
        may_start = self.graph.subtasks[g].may_start
        return ~self.done[g] if may_start is None else may_start(self.states) & ~self.done[g]

    def _allowed(self) -> Tensor:
        """`(G, S, C)` bool. Where no child may be called all are allowed, so that there is always an action."""
        actions = torch.ones(len(self.graph.actions), self.num_states, dtype=torch.bool, device=self.device)
        startable = torch.cat((self.startable, actions))[self.child.clamp_min(0)]  # (G, C, S)
        exists = (self.child >= 0).unsqueeze(1)
        allowed = startable.movedim(1, 2) & exists
        return torch.where(allowed.any(-1, keepdim=True), allowed, exists.expand_as(allowed))

    def primitives(self, g: int) -> list[int]:
        """Numbers of the actions that subtask g can take, directly or through its children."""
        found: set[int] = set()
        for node in self.child[g].tolist():
            if node >= self.num_subtasks:
                found.add(node - self.num_subtasks)
            elif node >= 0:
                found.update(self.primitives(node))
        return sorted(found)

    def _check_end(self, g: int) -> None:
        """Raise if a state in which subtask g may start cannot lead to an end (assumption A2 of the HPG paper)."""
        actions = self.primitives(g)
        next_state = self.mdp.next_state[:, actions]
        terminated = self.mdp.terminated[:, actions].any(-1)
        ends = self.done[g]
        while not torch.equal(more := ends | terminated | ends[next_state].any(-1), ends):
            ends = more
        stuck = self.startable[g] & ~ends
        if bool(stuck.any()):
            state = self.states[stuck][0].tolist()
            raise ConfigError(
                f"task graph: {self.graph.subtasks[g].name} cannot terminate from the state {state}: none of its"
                " actions leads to where it is done; give it more children, or a may_start= that leaves such states out"
            )

    def _rows(self, abstract: bool) -> tuple[Tensor, int]:
        """Row of the parameters for each subtask and state `(G, S)`, and the number of rows."""
        columns = [factor.name for factor in self.mdp.factors]
        rows: list[Tensor] = []
        total = 0
        for subtask in self.graph.subtasks:
            for name in subtask.sees:
                if name not in columns:
                    raise ConfigError(f"task graph: {subtask.name} sees {name!r}{nearest(name, columns)}")
            observed = [columns.index(name) for name in (subtask.sees if abstract and subtask.sees else columns)]
            classes, inverse = torch.unique(self.states[:, observed], dim=0, return_inverse=True)
            rows.append(inverse + total)
            total += len(classes)
        return torch.stack(rows), total

    def _row_allowed(self) -> Tensor:
        """`(rows, C)` bool. States in which the subtask is done, and unreachable ones, are not considered."""
        row_allowed = torch.ones(self.rows, self.width, dtype=torch.bool, device=self.device)
        considered = ~self.done & ~self._unreachable()
        row, allowed = self.row[considered], self.allowed[considered]
        states = torch.bincount(row, minlength=self.rows)
        for c in range(self.width):
            permitting = torch.zeros(self.rows, device=self.device).index_add(0, row, allowed[:, c].float())
            ambiguous = (permitting > 0) & (permitting < states)
            if bool(ambiguous.any()):
                subtask = self.graph.subtasks[int(self.row_subtask[ambiguous][0])]
                raise ConfigError(
                    f"task graph: {subtask.name} may call {subtask.children[c]} in some states only, and cannot tell"
                    " them from others; add the columns that decide it to its sees="
                )
            row_allowed[:, c] = (permitting > 0) | (states == 0)
        exists = (self.child >= 0)[self.row_subtask]
        row_allowed = row_allowed & exists
        return torch.where(row_allowed.any(-1, keepdim=True), row_allowed, exists)

    def _unreachable(self) -> Tensor:
        """`(S,)` bool: states that no episode passes through; one may end there."""
        reached = torch.zeros(self.num_states, dtype=torch.bool, device=self.device)
        reached[self.mdp.starts] = True
        while True:
            going_on = (reached.unsqueeze(-1) & ~self.mdp.terminated).flatten()
            more = reached.clone()
            more[self.mdp.next_state.flatten()[going_on]] = True
            if torch.equal(more, reached):
                return ~reached
            reached = more


def tabular(env: Env, learner: str) -> TabularEnv:
    """The environment as a `TabularEnv`.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(env, TabularEnv):
        raise ConfigError(f"train={learner} needs a task with few discrete states, such as TaxiFuel")
    return env


def graph_of(env: TabularEnv, learner: str) -> TaskGraph:
    """The task graph of an environment.

    Raises:
        ConfigError: it has none.
    """
    if env.mdp.task_graph is None:
        raise ConfigError(f"train={learner} needs a task that declares a task graph, such as TaxiFuel")
    return env.mdp.task_graph
