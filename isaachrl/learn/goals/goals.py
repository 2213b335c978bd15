"""Goals, rewards of the worker and off-policy correction as pure functions of tensors (HIRO, Nachum et al. 2018).

A goal is a desired change of the first d entries of the state. From step to step the goal transition carries it along:
state plus goal stays the same point.
"""

import math
from collections.abc import Callable
from enum import Enum

import torch
from torch import Tensor

from isaachrl.errors import ConfigError

Actor = Callable[[Tensor, Tensor], Tensor]

NORM_EPSILON = 1e-10  # under the root, as in the released code: keeps the gradient at distance zero finite
CANDIDATES = 10  # eight random ones, then these two
CANDIDATE_CHANGE = 8  # index of the observed change of the state
CANDIDATE_ORIGINAL = 9  # index of the goal that the manager set
CANDIDATE_STD = 0.5  # standard deviation of the random ones, in half ranges of the goal


class WorkerReward(Enum):
    """Intrinsic reward of a step, with u = state + goal - next state (first d entries).

    `distance`: -|u|, as published. `progress`: |goal| - |u|, which without a limit sums over a segment to the
    same as `distance` up to discounting and a constant, with values near zero.
    """

    distance = "distance"
    progress = "progress"


def check_goal_size(goal_size: int, state_size: int) -> None:
    """Check that a goal has no more entries than the state.

    Raises:
        ConfigError: it has; both sizes are named.
    """
    if goal_size > state_size:
        raise ConfigError(
            f"a goal of {goal_size} entries does not fit: goals can be about {state_size} entries of the state; type"
            f" train.goal_size={state_size} or less"
        )


def goal_transition(state: Tensor, goal: Tensor, next_state: Tensor) -> Tensor:
    """The goal `(…, d)` after a step from `state (…, S)` to `next_state`: state plus goal stays the same point."""
    check_goal_size(goal.shape[-1], state.shape[-1])
    size = goal.shape[-1]
    return state[..., :size] + goal - next_state[..., :size]


def intrinsic_reward(state: Tensor, goal: Tensor, next_state: Tensor) -> Tensor:
    """Minus the distance `(…)` between `next_state` and `state` plus the goal `(…, d)`, over the first d entries."""
    return -norm(goal_transition(state, goal, next_state))


def worker_reward(
    kind: WorkerReward, state: Tensor, goal: Tensor, next_state: Tensor, limit: float = math.inf
) -> Tensor:
    """The worker's reward `(…)` of one kind; `progress` counts up to `limit`. Else see `intrinsic_reward`."""
    reward = intrinsic_reward(state, goal, next_state)
    return (norm(goal) + reward).clamp_max(limit) if kind is WorkerReward.progress else reward


def norm(vector: Tensor) -> Tensor:
    """Length `(…)` of vectors `(…, d)`, bounded away from zero."""
    return (vector.square().sum(-1) + NORM_EPSILON).sqrt()


def score_candidates(
    states: Tensor,
    actions: Tensor,
    candidates: Tensor,
    actor: Actor,
    action_scale: Tensor | float,
    valid: Tensor | None = None,
) -> Tensor:
    """Log-likelihood of the worker's actions under each candidate goal, up to a constant (Nachum et al. 2018, Eq. 5).

    Minus half of the squared action errors, in units of `action_scale`, summed over the segment. Candidates are carried
    along by the goal transition.

    Args:
        states: `(B, c, S)` in which the worker acted.
        actions: `(B, c, A)` that it took.
        candidates: `(B, C, d)` goals at the first state.
        actor: the deterministic worker, `(state (…, S), goal (…, d)) -> action (…, A)`.
        action_scale: half range of the actions, a number or `(A,)`.
        valid: `(B, c)` bool, steps that count; None counts all.

    Returns:
        `(B, C)`, at most 0.
    """
    check_goal_size(candidates.shape[-1], states.shape[-1])
    batch, steps, _ = states.shape
    count, size = candidates.shape[1:]
    moved = states[:, :1, :size] - states[:, :, :size]
    goals = candidates.unsqueeze(2) + moved.unsqueeze(1)
    expanded = states.unsqueeze(1).expand(batch, count, steps, -1)
    error = (actions.unsqueeze(1) - actor(expanded, goals)) / action_scale
    squared = error.square().sum(-1)
    if valid is not None:
        squared = torch.where(valid.unsqueeze(1), squared, 0.0)
    return -0.5 * squared.sum(-1)


def candidate_goals(goal: Tensor, change: Tensor, limits: Tensor, generator: torch.Generator) -> Tensor:
    """HIRO's ten candidates `(B, 10, d)`: eight random ones, the change, the original; clipped to the goal's range.

    Args:
        goal: `(B, d)` that the manager set.
        change: `(B, d)` of the state over the segment, the mean of the random ones.
        limits: `(d,)` half ranges of the goal.
        generator: of the random ones.
    """
    noise = torch.randn(
        len(goal), CANDIDATES - 2, goal.shape[-1], generator=generator, device=goal.device, dtype=goal.dtype
    )
    sampled = change.unsqueeze(1) + CANDIDATE_STD * limits * noise
    candidates = torch.cat((sampled, change.unsqueeze(1), goal.unsqueeze(1)), dim=1)
    return torch.maximum(torch.minimum(candidates, limits), -limits)


@torch.no_grad()
def relabel(
    states: Tensor,
    actions: Tensor,
    end_state: Tensor,
    goal: Tensor,
    actor: Actor,
    action_scale: Tensor | float,
    limits: Tensor,
    generator: torch.Generator,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Off-policy correction: the candidate goal under which the current worker most likely takes the replayed actions.

    Args:
        states, actions, actor, action_scale, valid: see `score_candidates`.
        end_state: `(B, S)` at the end of the segment.
        goal: `(B, d)` that the manager set at the first state.
        limits: `(d,)` half ranges of the goal.
        generator: of the random candidates.

    Returns:
        The goals `(B, d)` and their candidate indices `(B,)`; ties go to the first.
    """
    change = end_state[:, : goal.shape[-1]] - states[:, 0, : goal.shape[-1]]
    candidates = candidate_goals(goal, change, limits, generator)
    score = score_candidates(states, actions, candidates, actor, action_scale, valid)
    # argmax does not say which of several equal scores it takes
    order = torch.arange(CANDIDATES, device=score.device)
    best = torch.where(score == score.amax(1, keepdim=True), order, CANDIDATES).amin(1).clamp_max(CANDIDATES - 1)
    return candidates.gather(1, best[:, None, None].expand(-1, 1, goal.shape[-1])).squeeze(1), best
