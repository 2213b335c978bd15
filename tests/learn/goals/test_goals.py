"""Goals: values by hand, and relabelling against a plain loop over samples, candidates and steps."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from isaachrl.errors import ConfigError
from isaachrl.learn.goals.goals import (
    CANDIDATE_CHANGE,
    CANDIDATE_ORIGINAL,
    CANDIDATES,
    WorkerReward,
    candidate_goals,
    goal_transition,
    intrinsic_reward,
    relabel,
    score_candidates,
    worker_reward,
)

B, C_STEPS, S, A, D = 6, 10, 7, 3, 2
LIMITS = torch.tensor([10.0, 0.5])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class SmallActor(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(S + D, 16), nn.Tanh(), nn.Linear(16, A), nn.Tanh())

    def forward(self, state, goal):
        return self.net(torch.cat((state, goal), -1))


@pytest.fixture
def segments():
    torch.manual_seed(3)
    states = torch.randn(B, C_STEPS + 1, S).cumsum(1)
    return states, torch.rand(B, C_STEPS, A) * 2 - 1, torch.randn(B, D)


def test_goal_transition_and_reward_by_hand():
    state, goal, after = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([3.0, 4.0]), torch.tensor([2.0, 2.0, -5.0])
    assert goal_transition(state, goal, after).tolist() == [2.0, 4.0]
    assert_close(intrinsic_reward(state, goal, after), torch.tensor(-math.sqrt(20.0)))


def test_state_plus_goal_stays_the_same_point_over_a_meta_period(segments):
    states, _, goal = segments
    point = states[:, 0, :D] + goal
    for i in range(C_STEPS):
        goal = goal_transition(states[:, i], goal, states[:, i + 1])
        assert_close(states[:, i + 1, :D] + goal, point, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (WorkerReward.distance, -5.0),  # u = (3, 4)
        (WorkerReward.progress, math.hypot(4.0, 4.0) - 5.0),
    ],
)
def test_worker_rewards_by_hand(kind, expected):
    state, goal, after = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([4.0, 4.0]), torch.tensor([1.0, 0.0, 1.0])
    assert worker_reward(kind, state, goal, after).item() == pytest.approx(expected, abs=1e-5)


def test_progress_counts_up_to_a_limit_and_steps_back_count_whole():
    state, goal = torch.zeros(3, 2), torch.tensor([[4.0, 0.0]]).expand(3, 2)
    after = torch.tensor([[0.5, 0.0], [0.1, 0.0], [-0.5, 0.0]])
    limited = worker_reward(WorkerReward.progress, state, goal, after, limit=0.2)
    assert_close(limited, torch.tensor([0.2, 0.1, -0.5]))
    assert_close(worker_reward(WorkerReward.distance, state, goal, after, limit=0.2), torch.tensor([-3.5, -3.9, -4.5]))


def test_progress_sums_to_the_distance_covered_whatever_the_way(segments):
    states, _, goal = segments
    point, total = states[:, 0, :D] + goal, torch.zeros(B)
    for i in range(C_STEPS):
        total += worker_reward(WorkerReward.progress, states[:, i], point - states[:, i, :D], states[:, i + 1])
    assert_close(total, goal.norm(dim=-1) - (point - states[:, -1, :D]).norm(dim=-1), rtol=1e-4, atol=1e-4)


def test_reward_has_a_finite_slope_where_the_goal_is_reached():
    goal = torch.tensor([1.0, 0.0], requires_grad=True)
    intrinsic_reward(torch.zeros(3), goal, torch.tensor([1.0, 0.0, 0.0])).backward()
    assert goal.grad is not None and goal.grad.tolist() == [0.0, 0.0]


def loop_scores(states, actions, candidates, actor, scale, lengths, sign=-1.0, carry=True):
    """Scores by plain loops; `sign` and `carry` make the known wrong variants."""
    scores = torch.zeros(candidates.shape[:2])
    for b in range(len(states)):
        for k in range(candidates.shape[1]):
            for i in range(lengths[b]):
                goal = candidates[b, k].clone()
                if carry:
                    goal = goal + sign * (states[b, i, :D] - states[b, 0, :D])
                error = (actions[b, i] - actor(states[b, i], goal)) / scale
                scores[b, k] -= 0.5 * float((error**2).sum())
    return scores


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scores_equal_a_plain_loop_with_segments_cut_short(segments, seed):
    states, actions, goal = segments
    actor, lengths = SmallActor(seed), [10, 1, 3, 10, 7, 2]
    candidates = goal.unsqueeze(1) + torch.randn(B, 4, D)
    valid = torch.arange(C_STEPS) < torch.tensor(lengths).unsqueeze(1)
    scale = torch.tensor([1.0, 2.0, 0.5])
    with torch.no_grad():
        ours = score_candidates(states[:, :-1], actions, candidates, actor, scale, valid)
        assert_close(ours, loop_scores(states, actions, candidates, actor, scale, lengths), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wrong", [{"sign": 1.0}, {"carry": False}])
def test_the_wrong_drift_and_the_missing_drift_would_be_noticed(segments, wrong):
    states, actions, goal = segments
    actor, candidates = SmallActor(), goal.unsqueeze(1) + torch.randn(B, 4, D)
    with torch.no_grad():
        ours = score_candidates(states[:, :-1], actions, candidates, actor, 1.0)
        other = loop_scores(states, actions, candidates, actor, 1.0, [10] * B, **wrong)
    assert (ours - other).abs().max() > 0.05


def test_a_noiseless_workers_own_goal_wins_with_score_zero(segments):
    states, _, _ = segments
    actor, goal = SmallActor(), torch.rand(B, D) - 0.5
    own = goal.unsqueeze(1) + states[:, :1, :D] - states[:, :-1, :D]
    with torch.no_grad():
        actions = actor(states[:, :-1], own)
        chosen, which = relabel(states[:, :-1], actions, states[:, -1], goal, actor, 1.0, LIMITS, generator())
        score = score_candidates(states[:, :-1], actions, chosen.unsqueeze(1), actor, 1.0)
    assert which.tolist() == [CANDIDATE_ORIGINAL] * B
    assert torch.equal(chosen, goal)
    assert_close(score, torch.zeros(B, 1), rtol=0, atol=1e-9)


def test_relabelling_equals_a_plain_loop(segments):
    states, actions, goal = segments
    actor, change = SmallActor(4), states[:, -1, :D] - states[:, 0, :D]
    chosen, which = relabel(states[:, :-1], actions, states[:, -1], goal, actor, 1.0, LIMITS, generator(5))
    candidates = candidate_goals(goal, change, LIMITS, generator(5))
    with torch.no_grad():
        scores = loop_scores(states, actions, candidates, actor, 1.0, [C_STEPS] * B)
    for b in range(B):
        best = max(range(CANDIDATES), key=lambda k, b=b: float(scores[b, k]))
        assert which[b] == best and torch.equal(chosen[b], candidates[b, best])


def test_among_equal_candidates_the_first_wins(segments):
    states, actions, goal = segments
    blind = lambda state, goal: torch.zeros(*state.shape[:-1], A)  # noqa: E731
    _, which = relabel(states[:, :-1], actions, states[:, -1], goal, blind, 1.0, LIMITS, generator())
    assert which.tolist() == [0] * B


def test_there_are_ten_candidates_around_the_change_and_within_the_range():
    goal, change = torch.tensor([[3.0, 0.2]]).repeat(4000, 1), torch.tensor([[1.0, -0.1]]).repeat(4000, 1)
    candidates = candidate_goals(goal, change, LIMITS, generator())
    assert candidates.shape == (4000, 10, 2)
    assert torch.equal(candidates[:, CANDIDATE_ORIGINAL], goal) and torch.equal(candidates[:, CANDIDATE_CHANGE], change)
    assert (candidates.abs() <= LIMITS).all()
    drawn = candidates[:, :8, 0].flatten()
    assert drawn.mean().item() == pytest.approx(1.0, abs=0.15)
    inside = drawn[drawn.abs() < 9.9]
    assert inside.std().item() == pytest.approx(4.5, abs=0.4)  # 5, less what the range cuts off


def test_the_change_is_kept_within_the_range_too():
    far = torch.tensor([[100.0, -3.0]])
    assert candidate_goals(far, far, LIMITS, generator())[0, CANDIDATE_CHANGE].tolist() == [10.0, -0.5]


def test_goals_larger_than_the_state_are_refused():
    with pytest.raises(
        ConfigError,
        match=r"goal of 4 entries does not fit: goals can be about 3 entries of the state; type train.goal_size=3",
    ):
        goal_transition(torch.zeros(3), torch.zeros(4), torch.zeros(3))
