"""The hierarchical policy gradient (Ghavamzadeh and Mahadevan 2003, Algorithm 1 and Eq. 3)."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.learn.task_graph.algorithms import like, mean_step, one_hot_best
from isaachrl.learn.task_graph.config import HpgCfg
from isaachrl.learn.task_graph.open_decisions import OpenDecisions
from isaachrl.learn.task_graph.stack import Tick
from isaachrl.learn.task_graph.tables import GraphTables

SCALE_RATE = 1e-5  # of one choice; an iteration has thousands
LEAST_SCALE = 1e-3


class Hpg:
    """Every subtask follows the gradient of its own reward-to-go; one softmax parameter a child and state.

    Eq. 3 adds to a trace z the gradient of every choice's log probability, as the parameters are when it is made, and
    moves them by alpha R z at every reward. Summed over a call these moves are the gradient of each choice times the
    rewards that come after it in the same call, so that is what is added here once a call is over. A call that is
    cut off by time teaches nothing: its reward-to-go is not known. With `natural` it is the natural gradient.

    Attributes:
        policies: `(K, rows, C)` probabilities by which the choices of the last K iterations were drawn; with `natural`,
            which does not ask for them, none.

    Args:
        tables: the graph.
        cfg: see `HpgCfg`.
        num_envs: N.
        longest: ticks that a call can last at most.
    """

    _WEIGHTS = ("theta", "baseline", "square")

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
        kept = -(-longest // cfg.horizon) + 1  # iterations in which a call that ends now can have chosen
        self.policies = torch.zeros(0 if cfg.natural else kept, tables.rows, tables.width, device=device)
        self.open = OpenDecisions(kept * cfg.horizon, tables.graph.depth, num_envs, device)

    def probabilities(self, iteration: int) -> Tensor:
        """See `Algorithm.probabilities`."""
        return self.theta.masked_fill(~self.tables.row_allowed, -torch.inf).softmax(-1)

    def best(self) -> Tensor:
        """See `Algorithm.best`."""
        return one_hot_best(self.theta, self.tables.row_allowed)

    def learn(self, ticks: Tick, iteration: int) -> dict[str, float]:
        """See `Algorithm.learn`."""
        self._note(ticks, iteration)
        known, to_go = self.open.take()
        row, child, weight = self.open.row.flatten(), self.open.child.flatten(), known.float().flatten()
        to_go = to_go.flatten()
        advantage = to_go - weight * self.baseline[row] if self.cfg.baseline else to_go
        if self.cfg.normalize:
            advantage = advantage / self._scale(row, advantage, weight)
        share = self._entropy_weight(iteration)
        if self.cfg.natural:
            gradient = self.natural_gradient(row, child, advantage, weight, share)
        else:
            gradient = self.gradient(row, child, advantage, self._drawn_by()) + self._entropy(row, weight, share)
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

    def gradient(self, row: Tensor, child: Tensor, weight: Tensor, drawn_by: Tensor) -> Tensor:
        """Sum over choices of `weight` times the gradient of the choice's log probability, `(rows, C)`.

        The gradient is that of the policy that made the choice. That of a later one would not be zero in the mean:
        where all weights are negative, it reinforces whatever changed since.

        Args:
            row, child: `(M,)` row and position of each choice.
            weight: `(M,)`.
            drawn_by: `(M,)` which of `policies` made it.
        """
        rows, width = self.theta.shape
        none = torch.zeros(self.theta.numel(), device=self.theta.device)
        chosen = none.index_add(0, row * width + child, weight).view_as(self.theta)
        drawn = none.new_zeros(len(self.policies) * rows).index_add(0, drawn_by * rows + row, weight)
        return chosen - (self.policies * drawn.view(-1, rows, 1)).sum(0)

    def _drawn_by(self) -> Tensor:
        """Which of `policies` made each choice of the ring, `(M,)`: every iteration has its own part of it."""
        _, depth, num_envs = self.open.row.shape
        ticks = torch.arange(self.open.window, device=self.theta.device) // self.cfg.horizon
        return ticks.repeat_interleave(depth * num_envs)

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

    def _note(self, ticks: Tick, iteration: int) -> None:
        """Note the iteration's choices, by which policy they were made, and the calls that ended in it."""
        # what time cut off is not closed
        over = (ticks.ended[:, 0] & ~ticks.terminated).unsqueeze(1)
        done = self.tables.done[ticks.task, ticks.after.unsqueeze(1).expand_as(ticks.task)]
        slots = self.open.add(ticks, self.row[ticks.task, ticks.entry], ticks.ended & (done | ~over))
        if not self.cfg.natural:
            horizon = self.cfg.horizon
            self.policies[slots[::horizon] // horizon] = self.probabilities(iteration)

    def state_dict(self) -> dict[str, Any]:
        """See `Algorithm.state_dict`."""
        state = self.weights() | {"open": self.open.state_dict()}
        return state if self.cfg.natural else state | {"policies": self.policies.clone()}

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
        if not self.cfg.natural:
            self.policies = like(self.policies, state["policies"], "policies")
        self.open.load_state_dict(state["open"])
