"""A task graph on a tabular MDP, as tensors: who may call whom in which state, and where a subtask is done."""

import torch
from torch import Tensor

from isaachrl.envs.env import Env
from isaachrl.envs.tabular import TabularEnv, TabularMdp
from isaachrl.envs.task_graph import Subtask, TaskGraph
from isaachrl.errors import ConfigError, nearest


class GraphTables:
    """The tensors that executing and learning a task graph take.

    G subtasks in the graph's order, S states, A actions, at most C children. Nodes are numbered: first the subtasks,
    then the actions.

    Attributes:
        child: `(G, C)` number of each child's node; -1 where there are fewer.
        done: `(G, S)` bool, the subtask has ended there.
        allowed: `(G, S, C)` bool, the child may be called there.
        row: `(G, S)` row of the parameters that belongs to a subtask in a state; states that it cannot tell apart
            share one. `rows` is their number.
        row_allowed: `(rows, C)` what is allowed in each of them.

    Args:
        graph: the decomposition.
        mdp: what it decomposes.
        abstract: let subtasks see only the columns they declare; otherwise each sees the whole state.

    Raises:
        ConfigError: an unknown column, a subtask that can end from nowhere, or one that may call a child in one state
            and not in another that it cannot tell from it.
    """

    def __init__(self, graph: TaskGraph, mdp: TabularMdp, abstract: bool = True) -> None:
        self.graph, self.mdp = graph, mdp
        self.device = mdp.obs.device
        self.states = mdp.states
        self.num_states = len(self.states)
        names = [subtask.name for subtask in graph.subtasks]
        self.count = len(names)
        nodes = [*names, *graph.actions]
        self.width = max(len(subtask.children) for subtask in graph.subtasks)
        self.child = torch.full((self.count, self.width), -1, device=self.device)
        for g, subtask in enumerate(graph.subtasks):
            for c, name in enumerate(subtask.children):
                self.child[g, c] = nodes.index(name)
        self.done = torch.stack([self._done(subtask) for subtask in graph.subtasks])
        self.startable = torch.stack([self._startable(g) for g in range(self.count)])
        self.allowed = self._allowed()
        for g in range(1, self.count):
            self._check_end(g)
        self.row, self.rows = self._rows(abstract)
        self.row_allowed = self._row_allowed()

    def _done(self, subtask: Subtask) -> Tensor:
        """`(S,)` where a subtask has ended."""
        if subtask.done is None:
            return torch.zeros(self.num_states, dtype=torch.bool, device=self.device)
        return subtask.done(self.states)

    def _startable(self, g: int) -> Tensor:
        """`(S,)` where subtask g may be called."""
        may_start = self.graph.subtasks[g].may_start
        return ~self.done[g] if may_start is None else may_start(self.states) & ~self.done[g]

    def _allowed(self) -> Tensor:
        """`(G, S, C)`; where nothing could be called, every child is, so that there is always an action."""
        actions = torch.ones(len(self.graph.actions), self.num_states, dtype=torch.bool, device=self.device)
        open_to = torch.cat((self.startable, actions))[self.child.clamp_min(0)]  # (G, C, S)
        real = (self.child >= 0).unsqueeze(1)
        found = open_to.movedim(1, 2) & real
        return torch.where(found.any(-1, keepdim=True), found, real.expand_as(found))

    def primitives(self, g: int) -> list[int]:
        """Numbers of the actions that subtask g can take, itself or through others."""
        found: set[int] = set()
        for node in self.child[g].tolist():
            if node >= self.count:
                found.add(node - self.count)
            elif node >= 0:
                found.update(self.primitives(node))
        return sorted(found)

    def _check_end(self, g: int) -> None:
        """Refuse a subtask that some state it may start in cannot lead to an end (assumption A2)."""
        actions = self.primitives(g)
        ends = self.done[g].clone()
        after = self.mdp.next_state[:, actions]
        over = self.mdp.terminated[:, actions].any(-1)
        while True:
            more = ends | over | ends[after].any(-1)
            if torch.equal(more, ends):
                break
            ends = more
        stuck = self.startable[g] & ~ends
        if bool(stuck.any()):
            state = self.states[stuck][0].tolist()
            raise ConfigError(
                f"task graph: {self.graph.subtasks[g].name} cannot terminate from the state {state}: none of its"
                " actions leads to where it is done; give it more children, or a may_start= that leaves such states out"
            )

    def _rows(self, abstract: bool) -> tuple[Tensor, int]:
        """Rows of the parameters `(G, S)`, and how many there are."""
        columns = [factor.name for factor in self.mdp.factors]
        rows: list[Tensor] = []
        total = 0
        for subtask in self.graph.subtasks:
            for name in subtask.sees:
                if name not in columns:
                    raise ConfigError(f"task graph: {subtask.name} sees {name!r}{nearest(name, columns)}")
            seen = [columns.index(name) for name in (subtask.sees if abstract and subtask.sees else columns)]
            classes, inverse = torch.unique(self.states[:, seen], dim=0, return_inverse=True)
            rows.append(inverse + total)
            total += len(classes)
        return torch.stack(rows), total

    def _row_allowed(self) -> Tensor:
        """What is allowed in each row; done states have no say, since nothing is chosen there."""
        allowed = torch.ones(self.rows, self.width, dtype=torch.bool, device=self.device)
        counted = ~self.done & ~self._dead()
        row, found = self.row[counted], self.allowed[counted]
        for c in range(self.width):
            yes = torch.zeros(self.rows, device=self.device).index_add(0, row, found[:, c].float())
            all_of = torch.bincount(row, minlength=self.rows)
            if bool(((yes > 0) & (yes < all_of)).any()):
                g, name = self._subtask_of(int(((yes > 0) & (yes < all_of)).nonzero()[0])), ""
                name = self.graph.subtasks[g].children[c]
                raise ConfigError(
                    f"task graph: {self.graph.subtasks[g].name} may call {name} in some states only, and cannot tell"
                    " them from others; add the columns that decide it to its sees="
                )
            allowed[:, c] = (yes > 0) | (all_of == 0)
        real = self.child >= 0
        owner = torch.zeros(self.rows, dtype=torch.long, device=self.device)
        owner[self.row.flatten()] = torch.arange(self.count, device=self.device).repeat_interleave(self.num_states)
        allowed = allowed & real[owner]
        return torch.where(allowed.any(-1, keepdim=True), allowed, real[owner])

    def _dead(self) -> Tensor:
        """`(S,)` bool: states that only the end of an episode leads to."""
        reached = torch.zeros(self.num_states, dtype=torch.bool, device=self.device)
        reached[self.mdp.starts] = True
        while True:
            going = (reached.unsqueeze(-1) & ~self.mdp.terminated).flatten()
            more = reached.clone()
            more[self.mdp.next_state.flatten()[going]] = True
            if torch.equal(more, reached):
                return ~reached
            reached = more

    def _subtask_of(self, row: int) -> int:
        """The subtask that a row of the parameters belongs to."""
        return int((self.row == row).any(-1).nonzero()[0])


def tabular(env: Env, learner: str) -> TabularEnv:
    """The environment, if it is a tabular one.

    Raises:
        ConfigError: it is not.
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
