"""Goals of a two-level hierarchy as pure functions of tensors (Nachum et al. 2018).

A goal is a wished change of the first d entries of the state. While a manager's goal is in force, it is carried
along so that state plus goal stays the same point.
"""

from collections.abc import Callable
from enum import Enum

import torch
from torch import Tensor

from isaachrl.errors import ConfigError

Actor = Callable[[Tensor, Tensor], Tensor]

ROOT_EPSILON = 1e-10  # under the root, as in the released code: the gradient at distance zero stays finite
CANDIDATES = 10  # of the off-policy correction: eight drawn ones, the change that came about, and the original
CANDIDATE_SPREAD = 0.5  # standard deviation of the drawn ones, in half ranges of the goal


class WorkerReward(Enum):
    """What a worker is paid for a step, with u = state + goal - next state (first d entries).

    `distance`: -|u| (the published one). `scaled`: the same with u in half ranges. `non_negative`: -|u| plus the
    length of the whole range, so that living longer never costs. `cosine`: the cosine between the goal and the
    change that came about (FeUdal networks). `progress`: |goal| - |u|, which over an episode of one goal sums to
    the same as `distance` up to discounting and a constant, but whose values stay near zero.
    """

    distance = "distance"
    scaled = "scaled"
    non_negative = "non_negative"
    cosine = "cosine"
    progress = "progress"


def check_goal_size(goal_size: int, state_size: int) -> None:
    """Refuse goals about more entries than a state has.

    Raises:
        ConfigError: naming both sizes.
    """
    if not 1 <= goal_size <= state_size:
        raise ConfigError(
            f"a goal of {goal_size} entries does not fit states of {state_size}; type train.goal_size="
            f"{min(max(goal_size, 1), state_size)} or less"
        )


def goal_transition(state: Tensor, goal: Tensor, next_state: Tensor) -> Tensor:
    """The goal `(…, d)` after a step from `state (…, S)` to `next_state`: state plus goal stays where it was."""
    check_goal_size(goal.shape[-1], state.shape[-1])
    size = goal.shape[-1]
    return state[..., :size] + goal - next_state[..., :size]


def intrinsic_reward(state: Tensor, goal: Tensor, next_state: Tensor) -> Tensor:
    """Minus the distance `(…)` between `next_state` and where the goal `(…, d)` wanted it, over the first d entries."""
    return -norm(goal_transition(state, goal, next_state))


def worker_reward(kind: WorkerReward, state: Tensor, goal: Tensor, next_state: Tensor, limits: Tensor) -> Tensor:
    """The worker's reward `(…)` of one kind; `limits (d,)` are the half ranges of the goal."""
    missing = goal_transition(state, goal, next_state)
    if kind is WorkerReward.progress:
        return norm(goal) - norm(missing)
    if kind is WorkerReward.cosine:
        change = next_state[..., : goal.shape[-1]] - state[..., : goal.shape[-1]]
        return (goal * change).sum(-1) / (norm(goal) * norm(change)).clamp_min(1e-6)
    if kind is WorkerReward.scaled:
        return -norm(missing / limits)
    offset = norm(2.0 * limits) if kind is WorkerReward.non_negative else 0.0
    return offset - norm(missing)


def norm(vector: Tensor) -> Tensor:
    """Length `(…)` of vectors `(…, d)`, never quite zero."""
    return (vector.square().sum(-1) + ROOT_EPSILON).sqrt()


def score_candidates(
    states: Tensor,
    actions: Tensor,
    candidates: Tensor,
    actor: Actor,
    action_scale: Tensor | float,
    valid: Tensor | None = None,
) -> Tensor:
    """How likely a deterministic worker is to have acted as it did under each candidate goal, up to a constant.

    Minus one half of the squared action errors, in units of `action_scale`, summed over the segment; each
    candidate is carried along by the goal transition (Nachum et al. 2018, Eq. 5).

    Args:
        states: `(B, c, S)` in which the worker acted.
        actions: `(B, c, A)` that it took.
        candidates: `(B, C, d)` goals in force at the first state.
        actor: `(state (…, S), goal (…, d)) -> action (…, A)`.
        action_scale: half range of the actions, a number or `(A,)`.
        valid: `(B, c)` bool, steps that count; None counts all. A segment cut short leaves the rest out.

    Returns:
        `(B, C)`, at most 0.
    """
    check_goal_size(candidates.shape[-1], states.shape[-1])
    batch, steps, _ = states.shape
    count, size = candidates.shape[1:]
    moved = states[:, :1, :size] - states[:, :, :size]
    goals = candidates.unsqueeze(2) + moved.unsqueeze(1)
    seen = states.unsqueeze(1).expand(batch, count, steps, -1)
    error = (actions.unsqueeze(1) - actor(seen, goals)) / action_scale
    squared = error.square().sum(-1)
    if valid is not None:
        squared = torch.where(valid.unsqueeze(1), squared, 0.0)
    return -0.5 * squared.sum(-1)


def candidate_goals(goal: Tensor, change: Tensor, limits: Tensor, generator: torch.Generator) -> Tensor:
    """HIRO's ten candidates `(B, 10, d)`, all within the goal's range: eight drawn, the change, the original.

    Args:
        goal: `(B, d)` the manager's own.
        change: `(B, d)` of the state over the segment.
        limits: `(d,)` half ranges of the goal.
        generator: of the eight, which are normal around the change.
    """
    drawn = torch.randn(
        len(goal), CANDIDATES - 2, goal.shape[-1], generator=generator, device=goal.device, dtype=goal.dtype
    )
    around = change.unsqueeze(1) + CANDIDATE_SPREAD * limits * drawn
    together = torch.cat((around, change.unsqueeze(1), goal.unsqueeze(1)), dim=1)
    return torch.maximum(torch.minimum(together, limits), -limits)


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
    """The off-policy correction: the goal that the present worker's past actions speak for most.

    Args:
        states, actions, actor, action_scale, valid: see `score_candidates`.
        end_state: `(B, S)` that the segment led to.
        goal: `(B, d)` the manager's own, at the first state.
        limits: `(d,)` half ranges of the goal.
        generator: of the drawn candidates.

    Returns:
        The goals `(B, d)`, and which of the ten candidates each one is, `(B,)`; of equal ones the first.
    """
    change = end_state[:, : goal.shape[-1]] - states[:, 0, : goal.shape[-1]]
    candidates = candidate_goals(goal, change, limits, generator)
    score = score_candidates(states, actions, candidates, actor, action_scale, valid)
    # the first of the best, on every device: argmax itself promises no order among equal ones
    order = torch.arange(CANDIDATES, device=score.device)
    best = torch.where(score == score.amax(1, keepdim=True), order, CANDIDATES).amin(1).clamp_max(CANDIDATES - 1)
    return candidates.gather(1, best[:, None, None].expand(-1, 1, goal.shape[-1])).squeeze(1), best


def feudal_goal(change: Tensor, limits: Tensor, generator: torch.Generator, spread: float = 0.1) -> Tensor:
    """Goals `(B, d)` by one draw around the change that came about: the simpler correction of the ablation."""
    drawn = torch.randn(change.shape, generator=generator, device=change.device, dtype=change.dtype)
    goal = change + spread * limits * drawn
    return torch.maximum(torch.minimum(goal, limits), -limits)
