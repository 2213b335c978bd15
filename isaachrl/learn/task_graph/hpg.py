"""The hierarchical policy gradient (Ghavamzadeh and Mahadevan 2003, Algorithm 1 and Eq. 3)."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.learn.task_graph.algorithms import like, mean_step, one_hot_best
from isaachrl.learn.task_graph.config import HpgCfg
from isaachrl.learn.task_graph.stack import Tick
from isaachrl.learn.task_graph.tables import GraphTables

SCALE_RATE = 1e-5  # of one choice; an iteration has thousands
LEAST_SCALE = 1e-3


class Hpg:
    """Every subtask follows the gradient of its own reward-to-go; one softmax parameter a child and state.

    Eq. 3 adds to a trace z the gradient of every choice's log probability and moves the parameters by alpha R z at
    every reward. With the parameters at rest over a call, the sum of these moves is the gradient of each choice times
    the rewards that come after it in the same call, so that is what is added here once a call is over. A call that is
    cut off by time teaches nothing: its reward-to-go is not known. With `natural` it is the natural gradient.

    Args:
        tables: the graph.
        cfg: see `HpgCfg`.
        num_envs: N.
        longest: ticks that a call can last at most.
    """

    _WEIGHTS = ("theta", "baseline", "square")
    _LOG = ("row_of", "child", "before", "start", "waiting", "total", "closed")

    def __init__(self, tables: GraphTables, cfg: HpgCfg, num_envs: int, longest: int) -> None:
        self.tables, self.cfg, self.row = tables, cfg, tables.row
        device = tables.device
        self.theta = torch.zeros(tables.rows, tables.width, device=device)
        self.baseline = torch.zeros(tables.rows, device=device)
        self.square = torch.ones(tables.count, device=device)
        self._owner = torch.zeros(tables.rows, dtype=torch.long, device=device)
        self._owner[tables.row.flatten()] = torch.arange(tables.count, device=device).repeat_interleave(
            tables.num_states
        )
        level = {path[-1]: len(path) - 1 for path in tables.graph.paths()}
        self._level = [level[subtask.name] for subtask in tables.graph.subtasks]
        self.window = (-(-longest // cfg.horizon) + 1) * cfg.horizon
        shape = (self.window, tables.graph.depth, num_envs)
        self.row_of, self.child, self.start = (torch.zeros(shape, dtype=torch.long, device=device) for _ in range(3))
        calls = (self.window + 1, *shape[1:])
        self.before, self.total = torch.zeros(shape, device=device), torch.zeros(calls, device=device)
        self.waiting = torch.zeros(shape, dtype=torch.bool, device=device)
        self.closed = torch.zeros(calls, dtype=torch.bool, device=device)
        self._tick = 0

    def probabilities(self, iteration: int) -> Tensor:
        """See `Algorithm.probabilities`."""
        return self.theta.masked_fill(~self.tables.row_allowed, -torch.inf).softmax(-1)

    def best(self) -> Tensor:
        """See `Algorithm.best`."""
        return one_hot_best(self.theta, self.tables.row_allowed)

    def learn(self, ticks: Tick, iteration: int) -> dict[str, float]:
        """See `Algorithm.learn`."""
        self._write(ticks)
        start = self.start % self.window
        known = self.waiting & self.closed.gather(0, start)
        to_go = (self.total.gather(0, start) - self.before) * known
        self.waiting = self.waiting & ~known
        row, child, weight = self.row_of.flatten(), self.child.flatten(), known.float().flatten()
        to_go = to_go.flatten()
        advantage = to_go - weight * self.baseline[row] if self.cfg.baseline else to_go
        if self.cfg.normalize:
            advantage = advantage / self._scale(row, advantage, weight)
        share = self._entropy_weight(iteration)
        if self.cfg.natural:
            gradient = self.natural_gradient(row, child, advantage, weight, share)
        else:
            gradient = self.gradient(row, child, advantage) + self._entropy(row, weight, share)
        self.theta = self.theta + self.cfg.decayed(self.cfg.learning_rate, iteration) * gradient
        if self.cfg.baseline:
            self.baseline = mean_step(self.baseline, row, to_go, weight, self.cfg.baseline_rate)
        return {"policy/gradient": float(gradient.abs().mean())}

    def _scale(self, row: Tensor, advantage: Tensor, weight: Tensor) -> Tensor:
        """Root mean square `(M,)` of the advantages of each choice's subtask, after taking this iteration in."""
        owner = self._owner[row]
        size = advantage.square()
        self.square = mean_step(self.square, owner, size, weight, SCALE_RATE)
        return self.square.sqrt().clamp_min(LEAST_SCALE)[owner]

    def _entropy_weight(self, iteration: int) -> Tensor:
        """The weight `(rows, 1)` of the entropy in each row, which is that of its subtask's level."""
        weights = torch.tensor([self.cfg.entropy_weight(level, iteration) for level in self._level])
        return weights.to(self.theta.device)[self._owner].unsqueeze(-1)

    def _entropy(self, row: Tensor, weight: Tensor, share: Tensor) -> Tensor:
        """`share (rows, 1)` of the entropy's gradient `(rows, C)`, once for every choice that counts."""
        policy = self.probabilities(0)
        surprise = -policy.clamp_min(1e-12).log()
        count = torch.zeros(len(policy), device=policy.device).index_add(0, row, weight)
        return share * count.unsqueeze(-1) * policy * (surprise - (policy * surprise).sum(-1, keepdim=True))

    def gradient(self, row: Tensor, child: Tensor, weight: Tensor) -> Tensor:
        """Sum over choices of `weight` times the gradient of the choice's log probability, `(rows, C)`.

        Args:
            row, child: `(M,)` row and position of each choice.
            weight: `(M,)`.
        """
        width = self.tables.width
        chosen = torch.zeros(self.theta.numel(), device=self.theta.device)
        chosen = chosen.index_add(0, row * width + child, weight).view_as(self.theta)
        return chosen - self.probabilities(0) * chosen.sum(-1, keepdim=True)

    def natural_gradient(self, row: Tensor, child: Tensor, advantage: Tensor, weight: Tensor, share: Tensor) -> Tensor:
        """The gradient of rewards-to-go and entropy, times the inverse of the Fisher matrix, `(rows, C)`.

        For one softmax parameter a child it is the child's mean advantage (Kakade 2001), less `share` of the logarithm
        of its probability, to which a constant of the row may be added; here the parameters' mean is drawn to 0. A
        state that is seldom met, and a child that is seldom called there, then learn as fast as the others. A mean
        of n counts as n / (n + 1) of itself, or single ones would make too much noise. Where nothing was called
        nothing moves.

        Args:
            row, child, advantage: `(M,)` of each choice.
            weight: `(M,)` 1 for those that count, else 0; the advantages of these are 0.
            share: `(rows, 1)` weight of the entropy.
        """
        entry = row * self.tables.width + child
        none = torch.zeros(self.theta.numel(), device=self.theta.device)
        total, count = none.index_add(0, entry, advantage), none.index_add(0, entry, weight)
        met = (count.view_as(self.theta).sum(-1, keepdim=True) > 0).float()
        return (total / (count + 1.0)).view_as(self.theta) - share * met * self.theta

    def _write(self, ticks: Tick) -> None:
        """Note the iteration's choices and the calls that ended in it."""
        length = len(ticks.after)
        slots = torch.arange(self._tick, self._tick + length, device=self.theta.device) % self.window
        self._tick += length
        self.row_of[slots] = self.row[ticks.task, ticks.entry]
        self.child[slots], self.before[slots], self.start[slots] = ticks.child, ticks.before, ticks.start
        self.waiting[slots], self.closed[slots] = ticks.decided, False
        # what time cut off is not closed
        over = (ticks.ended[:, 0] & ~ticks.terminated).unsqueeze(1)
        done = self.tables.done[ticks.task, ticks.after.unsqueeze(1).expand_as(ticks.task)]
        ended = ticks.ended & (done | ~over)
        # all others are written to a slot that nobody reads
        start = torch.where(ended, ticks.start % self.window, self.window)
        self.total.scatter_(0, start, ticks.total)
        self.closed.scatter_(0, start, ended)

    def state_dict(self) -> dict[str, Any]:
        """See `Algorithm.state_dict`."""
        state = {name: getattr(self, name).clone() for name in (*self._WEIGHTS, *self._LOG)}
        return state | {"tick": self._tick}

    def weights(self) -> dict[str, Any]:
        """See `Algorithm.weights`."""
        return {name: getattr(self, name).clone() for name in self._WEIGHTS}

    def load_weights(self, state: dict[str, Any]) -> None:
        """See `Algorithm.load_weights`."""
        for name in self._WEIGHTS:
            setattr(self, name, like(getattr(self, name), state[name], name))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Algorithm.load_state_dict`."""
        self.load_weights(state)
        for name in self._LOG:
            setattr(self, name, like(getattr(self, name), state[name], name))
        self._tick = state["tick"]
