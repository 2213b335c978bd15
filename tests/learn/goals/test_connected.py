"""The connected gradient: against finite differences, term by term, and blind to the worker's parameters."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from isaachrl.errors import ConfigError
from isaachrl.learn.goals.config import ConnectionCfg
from isaachrl.learn.goals.connected import Connection, Multiplier, connected_gradient_loss, negative_distance

B, S, A, D = 5, 4, 3, 2
MODES = [Connection.paper, Connection.total, Connection.hbaselines]


class Worker(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.policy = nn.Sequential(nn.Linear(S + D, 8), nn.Tanh(), nn.Linear(8, A), nn.Tanh()).double()
        self.value = nn.Sequential(nn.Linear(S + D + A, 8), nn.Tanh(), nn.Linear(8, 1)).double()

    def act(self, state, goal):
        return self.policy(torch.cat((state, goal), -1))

    def sampled(self, state, goal):
        """A reparametrised action with an entropy bonus inside, as a maximum-entropy worker has."""
        mean = self.policy(torch.cat((state, goal), -1))
        noise = torch.Generator().manual_seed(0)
        return torch.tanh(mean + 0.3 * torch.randn(mean.shape, generator=noise, dtype=mean.dtype))

    def worth(self, state, goal, action):
        return self.value(torch.cat((state, goal, action), -1)).squeeze(-1)


@pytest.fixture
def data():
    torch.manual_seed(2)
    doubles = [torch.randn(B, size, dtype=torch.float64) for size in (D, S, A, S)]
    return Worker(), *doubles


def gradient(mode, worker, goal, state, action, after, actor=None):
    goal = goal.clone().requires_grad_(True)
    actor = actor or worker.act
    loss = connected_gradient_loss(mode, goal, state, action, after, actor, worker.worth, negative_distance)
    loss.sum().backward()
    return loss.detach(), goal.grad


def slope(function, goal, step=1e-6):
    """Central differences `(B, D)` of a function of the goals that treats every row apart."""
    columns = []
    for d in range(D):
        shift = torch.zeros_like(goal)
        shift[:, d] = step
        columns.append((function(goal + shift) - function(goal - shift)) / (2 * step))
    return torch.stack(columns, 1).detach()


def test_paper_terms_match_finite_differences(data):
    worker, goal, state, action, after = data
    loss, found = gradient(Connection.paper, *data)

    def success(moved):  # Eq. 14: the critic sees the old goal, only its action moves
        return negative_distance(state, moved, after) + worker.worth(state, goal, worker.act(state, moved))

    assert_close(found, -slope(success, goal), rtol=1e-5, atol=1e-7)
    assert_close(loss, -success(goal).detach())


def test_total_matches_finite_differences(data):
    worker, goal, state, _, _ = data
    _, found = gradient(Connection.total, *data)
    assert_close(found, -slope(lambda moved: worker.worth(state, moved, worker.act(state, moved)), goal), rtol=1e-5,
                 atol=1e-7)  # fmt: skip


def test_hbaselines_matches_finite_differences(data):
    worker, goal, state, action, after = data
    _, found = gradient(Connection.hbaselines, *data)

    def success(moved):
        error = state[:, :D] + moved - after[:, :D]
        return worker.worth(state, moved, action) - error.square().mean(-1)

    assert_close(found, -slope(success, goal), rtol=1e-5, atol=1e-7)


def test_the_three_modes_are_three_different_things(data):
    found = [gradient(mode, *data)[1] for mode in MODES]
    for one in range(3):
        for other in range(one):
            assert (found[one] - found[other]).abs().max() > 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_no_parameter_of_the_worker_gets_a_gradient(data, mode):
    worker = data[0]
    manager = nn.Linear(S, D).double()
    _, _, state, action, after = data
    loss = connected_gradient_loss(mode, manager(state), state, action, after, worker.act, worker.worth,
                                   negative_distance)  # fmt: skip
    loss.mean().backward()
    assert manager.weight.grad is not None and manager.weight.grad.abs().max() > 1e-6
    assert all(parameter.grad is None for parameter in worker.parameters())


def test_a_sampled_worker_serves_as_well(data):
    worker, goal, state, _, after = data
    _, found = gradient(Connection.total, *data, actor=worker.sampled)
    expected = slope(lambda moved: worker.worth(state, moved, worker.sampled(state, moved)), goal)
    assert_close(found, -expected, rtol=1e-5, atol=1e-7)


def test_an_exact_critic_makes_total_equal_to_the_papers_sum():
    """One step from the end: Q(s, g, a) = -|g - (p a)|, so dQ/dg holds the reward's own slope."""
    state, after = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    act = lambda state, goal: 0.5 * goal  # noqa: E731
    goal = torch.tensor([[2.0]], dtype=torch.float64)
    after = state + act(state, goal)  # where that action leads
    worth = lambda state, goal, action: -((state + goal - (state + action)).abs()).squeeze(-1)  # noqa: E731
    total = connected_gradient_loss(Connection.total, goal.clone().requires_grad_(True), state, act(state, goal),
                                    after, act, worth, negative_distance)  # fmt: skip
    slopes = {}
    for mode in (Connection.paper, Connection.total):
        leaf = goal.clone().requires_grad_(True)
        connected_gradient_loss(
            mode, leaf, state, act(state, goal), after, act, worth, negative_distance
        ).sum().backward()
        slopes[mode] = leaf.grad.item()
    assert total.item() == pytest.approx(1.0)
    # both: d/dg |g - g/2| = 1/2
    assert slopes[Connection.total] == pytest.approx(0.5)
    assert slopes[Connection.paper] == pytest.approx(0.5, abs=1e-6)


def test_without_connection_the_loss_is_zero(data):
    worker, goal, state, action, after = data
    loss = connected_gradient_loss(Connection.none, goal, state, action, after, worker.act, worker.worth,
                                   negative_distance)  # fmt: skip
    assert loss.tolist() == [0.0] * B


def test_the_multiplier_grows_while_the_worker_fails_and_shrinks_while_it_succeeds():
    weights = []
    for success in (1.0, -1.0):
        multiplier = Multiplier(target=0.0, learning_rate=3e-4, wait=2)
        start = float(multiplier.weight)
        assert start == pytest.approx(math.exp(-4.2))
        for _ in range(2):
            multiplier.update(torch.full((4,), success))
        assert float(multiplier.weight) == start, "it waits first"
        multiplier.update(torch.full((4,), success))
        weights.append(float(multiplier.weight) - start)
    assert weights[0] < 0 < weights[1]


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_weights_that_cannot_be_are_refused(weight):
    with pytest.raises(ConfigError, match="train.connection.weight"):
        ConnectionCfg(mode=Connection.paper, weight=weight)
