"""Learners of values on a task graph: MAXQ-Q (Dietterich 2000) and, without a hierarchy, Q-learning."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.learn.task_graph.algorithms import epsilon_greedy, like, mean_step, one_hot_best
from isaachrl.learn.task_graph.config import ValueCfg
from isaachrl.learn.task_graph.stack import Tick
from isaachrl.learn.task_graph.tables import GraphTables


class Maxq:
    """MAXQ-Q: a subtask's value of a child is what the child itself will collect plus what comes after it.

    V(i, s) is the value of the child that looks best to subtask i, including the internal rewards that only it knows;
    C(i, s, a) is what i collects after its child a, and C~ the same with the internal rewards. Primitive actions keep
    the mean reward of each state.

    Args:
        tables: the graph.
        cfg: see `ValueCfg`.
    """

    def __init__(self, tables: GraphTables, cfg: ValueCfg) -> None:
        self.tables, self.cfg = tables, cfg
        device, count = tables.device, tables.count
        self.completion = torch.full((tables.rows * tables.width,), cfg.initial, device=device)
        self.inner = self.completion.clone()
        self.primitive = torch.zeros(tables.mdp.next_state.numel(), device=device)
        self.row = torch.arange(count * tables.num_states, device=device).view(count, -1)
        self._internal = any(subtask.internal_reward is not None for subtask in tables.graph.subtasks)
        self._order = [tables.graph.subtasks.index(subtask) for subtask in tables.graph.bottom_up()]
        level = {path[-1]: len(path) - 1 for path in tables.graph.paths()}
        self._level = [level[subtask.name] for subtask in tables.graph.subtasks]
        self._refresh()

    def _refresh(self) -> None:
        """Values of all calls in all states, `(G, S, C)` as the subtask sees them, and the value `(G, S)` of each."""
        tables = self.tables
        states, width = tables.num_states, tables.width
        nodes = torch.zeros(tables.count + len(tables.graph.actions), states, device=tables.device)
        nodes[tables.count :] = self.primitive.view(states, -1).T
        seen = torch.zeros(tables.count, states, width, device=tables.device)
        for g in self._order:
            below = nodes[tables.child[g].clamp_min(0)].T
            seen[g] = below + self.inner.view(-1, width)[tables.row[g]]
            best = seen[g].masked_fill(~tables.allowed[g], -torch.inf).argmax(-1, keepdim=True)
            value = below + self.completion.view(-1, width)[tables.row[g]] if self._internal else seen[g]
            nodes[g] = value.gather(1, best).squeeze(1)
        self.seen, self.value = seen, nodes[: tables.count]
        self._best = seen.masked_fill(~tables.allowed, -torch.inf).argmax(-1)
        self._nodes = nodes

    def probabilities(self, iteration: int) -> Tensor:
        """See `Algorithm.probabilities`."""
        seen, allowed = self.seen.flatten(0, 1), self.tables.allowed.flatten(0, 1)
        shares = [self.cfg.exploring_at(level, iteration) for level in self._level]
        epsilon = torch.tensor(shares, device=seen.device)
        return epsilon_greedy(seen, allowed, epsilon.repeat_interleave(self.tables.num_states).unsqueeze(-1))

    def best(self) -> Tensor:
        """See `Algorithm.best`."""
        return one_hot_best(self.seen.flatten(0, 1), self.tables.allowed.flatten(0, 1))

    def learn(self, ticks: Tick, iteration: int) -> dict[str, float]:
        """See `Algorithm.learn`."""
        tables, cfg = self.tables, self.cfg
        rate = cfg.decayed(cfg.learning_rate, iteration)
        after = ticks.after.unsqueeze(1).expand_as(ticks.task)
        at = ticks.at.unsqueeze(1).expand_as(ticks.task)
        where = (tables.row[ticks.task, at] * tables.width + ticks.child).flatten()
        # past its own end a subtask collects nothing; cut off by time, it would have gone on
        final = tables.done[ticks.task, after] | ticks.terminated.unsqueeze(1)
        comes = self.value[ticks.task, after].masked_fill(final, 0.0)
        target, counts = self._along_calls(ticks, comes)
        old = self.completion
        self.completion = mean_step(old, where, target.flatten(), counts.flatten(), rate)
        if self._internal:
            best = self._best[ticks.task, after]
            seen = self.seen[ticks.task, after].gather(-1, best.unsqueeze(-1)).squeeze(-1)
            paid = ticks.total - ticks.before - ticks.reward
            target, _ = self._along_calls(ticks, paid + seen.masked_fill(final, 0.0))
            self.inner = mean_step(self.inner, where, target.flatten(), counts.flatten(), rate)
        else:
            self.inner = self.completion
        taken = (ticks.at * len(tables.graph.actions) + ticks.action).flatten()
        paid = ticks.paid.flatten()
        self.primitive = mean_step(self.primitive, taken, paid, torch.ones_like(paid), rate)
        self._refresh()
        starts = self.value[0, tables.mdp.starts].mean()
        return {
            "value/starts": float(starts),
            "value/change": float((self.completion - old).abs().mean()),
            "policy/epsilon": cfg.exploring(iteration),
        }

    def _along_calls(self, ticks: Tick, worth: Tensor) -> tuple[Tensor, Tensor]:
        """What completes a call from every state on its way, not only from where it began.

        A child acts the same wherever on its way it is called, so that each state that it passed is a sample too: the
        sequence of states that MAXQ-Q hands up (Dietterich 2000, Table 4). What a call did before the first tick is
        left out.

        Args:
            ticks: D levels of T ticks.
            worth: `(T, D, N)` what follows where a child came back.

        Returns:
            The discounted worth `(T, D, N)` as seen from each tick, and 1 where the child came back later, else 0.
        """
        returned, cut = ticks.returned, self._cut(ticks)
        target, counts = torch.zeros_like(worth), torch.zeros_like(worth)
        follows, known = target[0], torch.zeros_like(returned[0])
        for t in range(len(worth) - 1, -1, -1):
            follows = self.cfg.gamma * torch.where(returned[t], worth[t], follows)
            known = torch.where(returned[t], ~cut[t], known)
            target[t], counts[t] = follows, known
            known = known & ~ticks.decided[t]  # before that tick the level was on another call
        return target, counts

    def _cut(self, ticks: Tick) -> Tensor:
        """`(T, D, N)` bool: the child came back only because time was up, before it was done."""
        after = ticks.after.unsqueeze(1).expand_as(ticks.task)
        done = self.tables.done[ticks.task, after] | ticks.terminated.unsqueeze(1)
        below = torch.cat((ticks.ended[:, 1:] & ~done[:, 1:], torch.zeros_like(done[:, :1])), dim=1)
        return below

    def state_dict(self) -> dict[str, Any]:
        """See `Algorithm.state_dict`."""
        return {name: getattr(self, name).clone() for name in ("completion", "inner", "primitive")}

    def weights(self) -> dict[str, Any]:
        """See `Algorithm.weights`: all there is."""
        return self.state_dict()

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Algorithm.load_weights`."""
        for name in ("completion", "inner", "primitive"):
            setattr(self, name, like(getattr(self, name), state[name], name))
        self._refresh()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Algorithm.load_state_dict`."""
        self.load_weights(state)


class FlatQ:
    """Tabular Q-learning on the primitive actions; its graph is a root alone.

    Args:
        tables: of the flat graph.
        cfg: see `ValueCfg`.
    """

    def __init__(self, tables: GraphTables, cfg: ValueCfg) -> None:
        self.tables, self.cfg, self.row = tables, cfg, tables.row
        self.q = torch.full((tables.rows, tables.width), cfg.initial, device=tables.device)

    def probabilities(self, iteration: int) -> Tensor:
        """See `Algorithm.probabilities`."""
        return epsilon_greedy(self.q, self.tables.row_allowed, self.cfg.exploring(iteration))

    def best(self) -> Tensor:
        """See `Algorithm.best`."""
        return one_hot_best(self.q, self.tables.row_allowed)

    def learn(self, ticks: Tick, iteration: int) -> dict[str, float]:
        """See `Algorithm.learn`."""
        width = self.tables.width
        future = torch.where(ticks.terminated, 0.0, self.q.amax(-1)[ticks.after])
        target = (ticks.paid + self.cfg.gamma * future).flatten()
        where = (ticks.at * width + ticks.action).flatten()
        rate = self.cfg.decayed(self.cfg.learning_rate, iteration)
        old = self.q
        self.q = mean_step(old.flatten(), where, target, torch.ones_like(target), rate).view_as(old)
        starts = self.q.amax(-1)[self.tables.mdp.starts].mean()
        return {
            "value/starts": float(starts),
            "value/change": float((self.q - old).abs().mean()),
            "policy/epsilon": self.cfg.exploring(iteration),
        }

    def state_dict(self) -> dict[str, Any]:
        """See `Algorithm.state_dict`."""
        return {"q": self.q.clone()}

    def weights(self) -> dict[str, Any]:
        """See `Algorithm.weights`: all there is."""
        return self.state_dict()

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Algorithm.load_weights`."""
        self.q = like(self.q, state["q"], "q")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Algorithm.load_state_dict`."""
        self.load_weights(state)
