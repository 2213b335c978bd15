"""The hierarchical policy gradient (Ghavamzadeh and Mahadevan 2003, Algorithm 1 and Eq. 3)."""

from typing import ClassVar

import torch
from torch import Tensor

from isaachrl.learn.state import Stateful
from isaachrl.learn.task_graph.tabular.algorithm import mean_step, one_hot_best
from isaachrl.learn.task_graph.tabular.config import HpgCfg
from isaachrl.learn.task_graph.tabular.open_decisions import OpenDecisions
from isaachrl.learn.task_graph.tabular.stack import Tick
from isaachrl.learn.task_graph.tabular.tables import GraphTables

BASELINE_RATE = 0.1  # step size of the update with one decision; n decisions count as n such steps, see `mean_step`
SCALE_RATE = 1e-5  # the same, for `mean_square`
MIN_SCALE = 1e-3


class Hpg(Stateful):
    """REINFORCE in every subtask on its own reward-to-go, with a softmax policy of one logit per child and state.

    Eq. 3 keeps an eligibility trace z of the gradients of log mu since the call began, and at every reward R moves the
    parameters by alpha R z. Summed over a call, that is the gradient of each decision times the rewards that follow it
    within the call; this sum is applied here once the call has ended. Calls that a time limit cuts off are left out,
    since their reward-to-go is unknown.

    The parameters have one row per subtask and (abstract) state, and C columns, one per child; see `GraphTables.row`.
    M is the number of entries of the ring buffer `open`, one decision each. Only decisions whose call has ended in
    this iteration count; all others have weight 0.

    Attributes:
        policies: `(K, rows, C)` probabilities of the policies of the last K iterations: a call that ends now may have
            made its first decisions under the oldest. None with the natural gradient, which does not need them.
        open: ring buffer of the decisions, see `OpenDecisions`.

    Args:
        tables: the task graph.
        cfg: see `HpgCfg`.
        num_envs: N.
        longest: maximum number of ticks, that is primitive steps, of a call.
    """

    WEIGHTS: ClassVar = ("theta", "baseline", "mean_square")
    STATE: ClassVar = ("open", "policies")

    def __init__(self, tables: GraphTables, cfg: HpgCfg, num_envs: int, longest: int) -> None:
        self.tables, self.cfg, self.row = tables, cfg, tables.row
        device = tables.device
        self.theta = torch.zeros(tables.rows, tables.width, device=device)
        self.baseline = torch.zeros(tables.rows, device=device)
        self.mean_square = torch.ones(tables.num_subtasks, device=device)  # of the advantages of each subtask
        iterations = -(-longest // cfg.horizon) + 1
        shape = (iterations, tables.rows, tables.width)
        self.policies = None if cfg.natural else torch.zeros(shape, device=device)
        self.open = OpenDecisions(iterations * cfg.horizon, tables.graph.depth, num_envs, device)

    def probabilities(self, iteration: int) -> Tensor:
        """See `TabularAlgorithm.probabilities`."""
        return self.theta.masked_fill(~self.tables.row_allowed, -torch.inf).softmax(-1)

    def best(self) -> Tensor:
        """See `TabularAlgorithm.best`."""
        return one_hot_best(self.theta, self.tables.row_allowed)

    def learn(self, ticks: Tick, iteration: int) -> dict[str, float]:
        """See `TabularAlgorithm.learn`."""
        self._store(ticks, iteration)
        closed, reward_to_go = self.open.pop_closed()
        # all decisions in the ring; those that do not count (see the class; `counted` is 0) have reward-to-go 0, too
        row, child, counted = self.open.row.flatten(), self.open.child.flatten(), closed.float().flatten()
        reward_to_go = reward_to_go.flatten()
        advantage = reward_to_go - counted * self.baseline[row] if self.cfg.baseline else reward_to_go
        if self.cfg.normalize:
            advantage = advantage / self._scale(row, advantage, counted)
        entropy = self._entropy_coefficient(iteration)
        if self.policies is None:
            gradient = self.natural_gradient(row, child, advantage, counted, entropy)
        else:
            gradient = self.gradient(row, child, advantage, self.policies, self._policy_index())
            gradient = gradient + self._entropy_gradient(row, counted, entropy)
        self.theta = self.theta + self.cfg.decayed_rate(iteration) * gradient
        if self.cfg.baseline:
            self.baseline = mean_step(self.baseline, row, reward_to_go, counted, BASELINE_RATE)
        return {"policy/gradient": float(gradient.abs().mean())}

    def _scale(self, row: Tensor, advantage: Tensor, counted: Tensor) -> Tensor:
        """Running root mean square of the advantages in each decision's subtask `(M,)`, after an update with these."""
        subtask = self.tables.row_subtask[row]
        self.mean_square = mean_step(self.mean_square, subtask, advantage.square(), counted, SCALE_RATE)
        return self.mean_square.sqrt().clamp_min(MIN_SCALE)[subtask]

    def _entropy_coefficient(self, iteration: int) -> Tensor:
        """The coefficient `(rows, 1)` of the entropy in each row, by the level of its subtask."""
        coefficients = torch.tensor([self.cfg.entropy_at(level, iteration) for level in self.tables.level])
        return coefficients.to(self.theta.device)[self.tables.row_subtask].unsqueeze(-1)

    def _entropy_gradient(self, row: Tensor, counted: Tensor, coefficient: Tensor) -> Tensor:
        """`coefficient (rows, 1)` times the gradient of the entropy `(rows, C)`, once per counted decision."""
        policy = self.probabilities(0)  # the argument is not used: the probabilities depend on theta alone
        surprise = -policy.clamp_min(1e-12).log()
        count = torch.zeros(len(policy), device=policy.device).index_add(0, row, counted)
        return coefficient * count.unsqueeze(-1) * policy * (surprise - (policy * surprise).sum(-1, keepdim=True))

    def gradient(self, row: Tensor, child: Tensor, weight: Tensor, policies: Tensor, index: Tensor) -> Tensor:
        """Sum over decisions of `weight` times the gradient of the log probability, `(rows, C)`.

        The gradient is taken at the policy that made the decision, with probabilities `old`, not at the present policy,
        with probabilities `new`. The expected gradient of `log old` under `old`, with respect to the logits, is zero,
        so that equal weights cause no change on average. That of `log new` under `old` is `old - new`: negative weights
        would move the new policy further away from the old one, whatever the rewards.

        Args:
            row, child: `(M,)` row and child of each decision.
            weight: `(M,)` advantage of each decision; 0 for those that do not count.
            policies: `(K, rows, C)` probabilities.
            index: `(M,)` which of these policies made the decision.
        """
        rows, width = self.theta.shape
        zeros = torch.zeros(self.theta.numel(), device=self.theta.device)
        chosen = zeros.index_add(0, row * width + child, weight).view_as(self.theta)
        by_policy = zeros.new_zeros(len(policies) * rows).index_add(0, index * rows + row, weight)
        return chosen - (policies * by_policy.view(-1, rows, 1)).sum(0)

    def _policy_index(self) -> Tensor:
        """Which of `policies` made each decision in `open`, `(M,)`; each of them serves `horizon` consecutive ticks."""
        _, depth, num_envs = self.open.row.shape
        ticks = torch.arange(self.open.window, device=self.theta.device) // self.cfg.horizon
        return ticks.repeat_interleave(depth * num_envs)

    def natural_gradient(
        self, row: Tensor, child: Tensor, advantage: Tensor, weight: Tensor, coefficient: Tensor
    ) -> Tensor:
        """The gradient of reward-to-go and entropy times the inverse Fisher matrix, `(rows, C)`.

        For a tabular softmax the natural gradient is the mean advantage of each child (Kakade 2001), and that of the
        entropy is minus the logit, up to a constant per row. So rarely visited states and rarely called children learn
        as fast as all others. A mean of n samples is scaled by n / (n + 1), against the noise of single samples. Rows
        without a decision do not change.

        Args:
            row, child, advantage: `(M,)` of each decision.
            weight: `(M,)` 1 for decisions that count, else 0; their advantage must be 0 then.
            coefficient: `(rows, 1)` of the entropy.
        """
        parameter = row * self.tables.width + child
        zeros = torch.zeros(self.theta.numel(), device=self.theta.device)
        total, count = zeros.index_add(0, parameter, advantage), zeros.index_add(0, parameter, weight)
        visited = (count.view_as(self.theta).sum(-1, keepdim=True) > 0).float()
        return (total / (count + 1.0)).view_as(self.theta) - coefficient * visited * self.theta

    def _store(self, ticks: Tick, iteration: int) -> None:
        """Store the iteration's decisions, the policy that made them, and the calls that ended."""
        # where the root ended without `terminated`, a time limit cut off all calls except those whose own termination
        # condition holds (`done`)
        time_limit = (ticks.ended[:, 0] & ~ticks.terminated).unsqueeze(1)
        done = self.tables.done[ticks.task, ticks.next_state.unsqueeze(1).expand_as(ticks.task)]
        # `entry` is the state in which the subtask called its present child, so it selects the row of the decision
        slots = self.open.add(ticks, self.row[ticks.task, ticks.entry], ticks.ended & (done | ~time_limit))
        if self.policies is not None:
            horizon = self.cfg.horizon  # one policy made the decisions of all ticks of an iteration
            self.policies[slots[::horizon] // horizon] = self.probabilities(iteration)
