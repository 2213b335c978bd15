"""Exact solutions of tabular MDPs: the optimal policy, flat and within a task graph, and the value of any policy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isaachrl.envs.tabular import TabularMdp
from isaachrl.errors import ConfigError
from isaachrl.learn.task_graph.tabular.tables import GraphTables

TOLERANCE = 1e-9
MAX_SWEEPS = 200_000


@dataclass(frozen=True)
class PolicyMeans:
    """Means of a policy over all starts, without a time limit.

    Args:
        mean_return: undiscounted return.
        mean_length: steps per episode.
    """

    mean_return: float
    mean_length: float

    def as_dict(self) -> dict[str, float]:
        """Both means, and their ratio: the average reward per step."""
        return {
            "mean_return": self.mean_return,
            "mean_length": self.mean_length,
            "reward_per_step": self.mean_return / self.mean_length,
        }


def action_values(mdp: TabularMdp, value: Tensor, gamma: float = 1.0) -> Tensor:
    """One-step look-ahead `(S, A)` on state values `(S,)` float64."""
    continues = (~mdp.terminated).double()
    return mdp.reward.double() + gamma * continues * value[mdp.next_state]


def sweep(mdp: TabularMdp, value: Tensor, gamma: float = 1.0) -> Tensor:
    """One sweep of value iteration over all states `(S,)`."""
    return action_values(mdp, value, gamma).amax(-1)


def optimal_values(mdp: TabularMdp, gamma: float = 1.0) -> Tensor:
    """Value `(S,)` of the optimal policy, by value iteration.

    Raises:
        ConfigError: it does not converge, as with gamma 1 and a reward that can be collected without end.
    """
    value = torch.zeros(len(mdp.states), dtype=torch.float64, device=mdp.obs.device)
    for _ in range(MAX_SWEEPS):
        after = sweep(mdp, value, gamma)
        if bool((after - value).abs().max() < TOLERANCE):
            return after
        value = after
    raise ConfigError("value iteration does not converge; type train.gamma=0.99")


def greedy(values: Tensor) -> Tensor:
    """The greedy policy `(S, A)`, one-hot; of actions that are equal to 1e-7 it takes the first."""
    best = values >= values.amax(-1, keepdim=True) - 1e-7
    return torch.nn.functional.one_hot(best.long().argmax(-1), values.shape[-1]).double()


def uniform(mdp: TabularMdp) -> Tensor:
    """The uniformly random policy `(S, A)`."""
    return torch.full(mdp.next_state.shape, 1.0 / len(mdp.actions), dtype=torch.float64, device=mdp.obs.device)


def evaluate(mdp: TabularMdp, policy: Tensor) -> PolicyMeans:
    """Exact means of a stationary policy `(S, A)` over all starts.

    Raises:
        ConfigError: an episode from some start has a positive probability of never ending.
    """
    if bool(endless(mdp, policy)[mdp.starts].any()):
        raise ConfigError(
            "the policy never ends some of its episodes, so that they have no mean length; with gamma below 1 the best"
            " one prefers what ends sooner, type train.gamma=0.99"
        )
    continues = policy * (~mdp.terminated).double()
    reward = (policy * mdp.reward.double()).sum(-1)
    step = torch.stack((reward, torch.ones_like(reward)), dim=-1)  # reward and length of one step
    value = torch.zeros_like(step)
    for _ in range(MAX_SWEEPS):
        after = step + (continues.unsqueeze(-1) * value[mdp.next_state]).sum(1)
        if bool((after - value)[mdp.starts].abs().max() < TOLERANCE):
            mean = after[mdp.starts].mean(0).tolist()
            return PolicyMeans(mean[0], mean[1])
        value = after
    raise ConfigError("the policy's episodes are too long for their mean to be computed; type train.gamma=0.99")


def endless(mdp: TabularMdp, policy: Tensor) -> Tensor:
    """`(S,)` bool: states from which a stationary policy `(S, A)` can reach a state where it never ends."""
    taken = policy > 0.0
    ends = _backward_reachable((taken & mdp.terminated).any(-1), taken, mdp.next_state)
    return _backward_reachable(~ends, taken & ~mdp.terminated, mdp.next_state)


def _backward_reachable(marked: Tensor, taken: Tensor, next_state: Tensor) -> Tensor:
    """`(S,)` bool: states from which the actions of `taken (S, A)` can lead to a state of `marked (S,)`."""
    while not torch.equal(more := marked | (taken & marked[next_state]).any(-1), marked):
        marked = more
    return marked


@dataclass(frozen=True)
class Outcome:
    """Outcome of calling a subtask in each state, under its own optimal policy; each `(S,)`.

    Args:
        after: number of the state in which the call ends.
        reward: sum of the environment's rewards.
        steps: primitive steps.
        over: bool, the episode ended.
        child: position of the first child called.
    """

    after: Tensor
    reward: Tensor
    steps: Tensor
    over: Tensor
    child: Tensor


def recursive_optimum(tables: GraphTables) -> tuple[PolicyMeans, dict[str, Outcome]]:
    """The recursively optimal policy: each subtask is optimal for itself, given the policies of its children.

    MAXQ-Q converges to it (Dietterich 2000). Internal rewards count inside their subtask alone.
    """
    found: dict[str, Outcome] = {}
    for subtask in tables.graph.bottom_up():
        found[subtask.name] = _solve(tables, subtask.name, found)
    root, starts = found[tables.graph.root.name], tables.mdp.starts
    return PolicyMeans(float(root.reward[starts].mean()), float(root.steps[starts].mean())), found


def _solve(tables: GraphTables, name: str, below: dict[str, Outcome]) -> Outcome:
    """The outcome of one subtask's optimal policy, given the outcomes of its children."""
    mdp, graph = tables.mdp, tables.graph
    subtask = graph.by_name[name]
    g = graph.subtasks.index(subtask)
    choices = [_call(tables, child, below) for child in subtask.children]
    after, reward, steps, over, _ = (torch.stack(columns, dim=-1) for columns in zip(*choices, strict=True))
    stops = over | tables.done[g][after]
    inner = reward.clone()
    if subtask.internal_reward is not None:
        for c in range(after.shape[1]):
            inner[:, c] += subtask.internal_reward(tables.states, tables.states[after[:, c]])
    inner = inner.masked_fill(~tables.allowed[g][:, : after.shape[1]], -torch.inf)
    value = inner.new_zeros(len(mdp.states))
    for _ in range(MAX_SWEEPS):
        more = (inner + torch.where(stops, 0.0, value[after])).amax(-1).clamp_min(-1e12)
        change, value = (more - value).abs().max(), more
        if bool(change < TOLERANCE):
            break
    first = (inner + torch.where(stops, 0.0, value[after])).argmax(-1, keepdim=True)
    after, reward, steps, over, stops = (t.gather(1, first).squeeze(1) for t in (after, reward, steps, over, stops))
    return _follow(after, reward, steps, over, stops, first)


def _call(tables: GraphTables, child: str, below: dict[str, Outcome]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The fields of `Outcome` for one call of a child, a subtask or a primitive action, in each state."""
    if child in below:
        outcome = below[child]
        return outcome.after, outcome.reward, outcome.steps, outcome.over, outcome.child
    mdp, action = tables.mdp, tables.graph.actions.index(child)
    reward = mdp.reward[:, action].double()
    after, over = mdp.next_state[:, action], mdp.terminated[:, action]
    return after, reward, torch.ones_like(reward), over, torch.zeros_like(after)


def _follow(after: Tensor, reward: Tensor, steps: Tensor, over: Tensor, stops: Tensor, first: Tensor) -> Outcome:
    """Compose a policy's single calls up to the end of its subtask, by repeated doubling."""
    for _ in range(64):
        go = ~stops
        reward = torch.where(go, reward + reward[after], reward)
        steps = torch.where(go, steps + steps[after], steps)
        over = torch.where(go, over[after], over)
        stops, after = torch.where(go, stops[after], stops), torch.where(go, after[after], after)
        if bool(stops.all()):
            break
        # the sums of calls that never end must not overflow
        reward, steps = reward.clamp(-1e12, 1e12), steps.clamp_max(1e12)
    return Outcome(after, reward, steps, over, first.squeeze(-1))


def hierarchical_optimum(tables: GraphTables, gamma: float = 1.0) -> float:
    """Mean return of the hierarchically optimal policy, the best that the graph can express.

    It is optimal in the MDP whose state is the environment's state together with the open calls.
    """
    graph = tables.graph
    paths = graph.paths()
    value = {path: torch.zeros(tables.num_states, dtype=torch.float64, device=tables.device) for path in paths}
    for _ in range(MAX_SWEEPS):
        change = torch.zeros((), dtype=torch.float64, device=tables.device)
        for path in reversed(paths):  # deepest first: callers use this sweep's values of their children
            after = _best_call(tables, path, value, gamma)
            change = torch.maximum(change, (after - value[path]).abs().max())
            value[path] = after
        if bool(change < TOLERANCE):
            return float(value[paths[0]][tables.mdp.starts].mean())
    raise ConfigError("value iteration does not converge inside the hierarchy")


def _best_call(
    tables: GraphTables, path: tuple[str, ...], value: dict[tuple[str, ...], Tensor], gamma: float
) -> Tensor:
    """Value `(S,)` of the best call in each state, with the calls of `path` open."""
    graph, mdp = tables.graph, tables.mdp
    g = graph.subtasks.index(graph.by_name[path[-1]])
    choices = []
    for child in graph.subtasks[g].children:
        if child in graph.by_name:
            choices.append(value[(*path, child)])
            continue
        a = graph.actions.index(child)
        after = mdp.next_state[:, a]
        future = value[path[:1]][after]
        open_still = torch.ones_like(mdp.terminated[:, a])
        for depth in range(2, len(path) + 1):  # control returns to the deepest call that is still open
            open_still = open_still & ~tables.done[graph.subtasks.index(graph.by_name[path[depth - 1]])][after]
            future = torch.where(open_still, value[path[:depth]][after], future)
        choices.append(mdp.reward[:, a].double() + gamma * torch.where(mdp.terminated[:, a], 0.0, future))
    table = torch.stack(choices, dim=-1)
    return table.masked_fill(~tables.allowed[g][:, : table.shape[1]], -torch.inf).amax(-1).clamp_min(-1e12)
