"""The connected gradient: against finite differences, and without gradients for the worker's parameters."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.goals.config import Connection, ConnectionCfg
from isaachrl.learn.goals.goals import intrinsic_reward
from isaachrl.learn.goals.updates.connected import Multiplier, WorkerSteps, connected_gradient_loss, worker_success
from tests.learn.goals.plane import SAC, SOFT, collect, connected_learner, equal, make_learner, weights

B, S, A, D = 5, 4, 3, 2
MODES = [Connection.paper, Connection.total]


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

    def q(self, state, goal, action):
        return self.value(torch.cat((state, goal, action), -1)).squeeze(-1)


@pytest.fixture
def data():
    torch.manual_seed(2)
    doubles = [torch.randn(B, size, dtype=torch.float64) for size in (D, S, S)]
    return Worker(), *doubles


def connected_loss(mode, goal, *step):
    return connected_gradient_loss(goal, lambda leaf: worker_success(mode, leaf, *step, intrinsic_reward))


def gradient(mode, worker, goal, state, after, actor=None):
    goal = goal.clone().requires_grad_(True)
    actor = actor or worker.act
    loss = connected_loss(mode, goal, state, after, actor, worker.q)
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
    worker, goal, state, after = data
    loss, found = gradient(Connection.paper, *data)

    def success(moved):  # Eq. 14: the critic sees the old goal, only its action moves
        return intrinsic_reward(state, moved, after) + worker.q(state, goal, worker.act(state, moved))

    assert_close(found, -slope(success, goal), rtol=1e-5, atol=1e-7)
    assert_close(loss, -success(goal).detach())


def test_total_matches_finite_differences(data):
    worker, goal, state, _ = data
    _, found = gradient(Connection.total, *data)
    assert_close(found, -slope(lambda moved: worker.q(state, moved, worker.act(state, moved)), goal), rtol=1e-5,
                 atol=1e-7)  # fmt: skip


def test_the_modes_differ(data):
    found = [gradient(mode, *data)[1] for mode in MODES]
    assert (found[0] - found[1]).abs().max() > 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_no_parameter_of_the_worker_gets_a_gradient(data, mode):
    worker = data[0]
    manager = nn.Linear(S, D).double()
    _, _, state, after = data
    loss = connected_loss(mode, manager(state), state, after, worker.act, worker.q)
    loss.mean().backward()
    assert manager.weight.grad is not None and manager.weight.grad.abs().max() > 1e-6
    assert all(parameter.grad is None for parameter in worker.parameters())


def test_a_sampled_worker_serves_as_well(data):
    worker, goal, state, after = data
    _, found = gradient(Connection.total, *data, actor=worker.sampled)
    expected = slope(lambda moved: worker.q(state, moved, worker.sampled(state, moved)), goal)
    assert_close(found, -expected, rtol=1e-5, atol=1e-7)


def test_an_exact_critic_makes_total_the_discounted_sum_of_the_papers_terms():
    """Two steps on a line, discount 0.8; the state is the position and the steps left; the worker goes half the way.

    Values: Q1(g, a) = -|g - a| of the last step, so V1(g) = -|g| / 2; Q2(g, a) = -|g - a| + 0.8 V1(g - a)
    = -1.4 |g - a| of the one before. At g = 2, a = 1, `total` is the slope of Q2(g, g / 2) = -0.7 |g|. The paper's
    terms there: the reward's slope -1, and through the action 0.5 * 1.4; at the second step, g = 1 and a = 0.5: -1 and
    0.5 * 1.
    """
    slopes_of_q = torch.tensor([0.0, 1.0, 1.4], dtype=torch.float64)

    def act(state, goal):
        return 0.5 * goal

    def q(state, goal, action):
        return -slopes_of_q[state[:, 1].long()] * (goal - action).abs().squeeze(-1)

    states = torch.tensor([[[3.0, 2.0]], [[4.0, 1.0]], [[4.5, 0.0]]], dtype=torch.float64)

    def slope_of(mode, step, goal):
        leaf = torch.tensor([[goal]], dtype=torch.float64, requires_grad=True)
        loss = connected_loss(mode, leaf, states[step], states[step + 1], act, q)
        (found,) = torch.autograd.grad(-loss.sum(), leaf)
        return found.item()

    first, second = slope_of(Connection.paper, 0, 2.0), slope_of(Connection.paper, 1, 1.0)
    assert (first, second) == pytest.approx((-0.3, -0.5))
    assert slope_of(Connection.total, 0, 2.0) == pytest.approx(-0.7) == first + 0.8 * second


def test_the_success_of_a_step_counts_its_progress_up_to_the_limit():
    def success(limit):
        learner = make_learner(
            correction="none", connection={"mode": "paper"}, worker_reward="progress", progress_limit=limit
        )
        collect(learner, 12)
        rows, draws = torch.arange(6), torch.Generator().manual_seed(0)
        steps = WorkerSteps(learner.cfg, learner.levels, learner.replays[0], rows, draws)
        return steps.success(torch.full((6, 2), 0.5)).detach()

    whole, limited = success(0.0), success(1e-4)
    assert (limited <= whole).all() and (limited < whole).any()


def test_the_multiplier_grows_while_the_worker_fails_and_shrinks_while_it_succeeds():
    weights = []
    for success in (1.0, -1.0):
        multiplier = Multiplier(target=0.0, learning_rate=3e-4, wait=2)
        start = float(multiplier.weight)
        assert start == pytest.approx(math.exp(-4.2))
        for _ in range(2):
            multiplier.update(torch.tensor(success))
        assert float(multiplier.weight) == start, "it waits first"
        multiplier.update(torch.tensor(success))
        weights.append(float(multiplier.weight) - start)
    assert weights[0] < 0 < weights[1]


def test_the_multiplier_moves_with_every_update_of_the_manager_after_the_first_thousand():
    assert Multiplier(target=0.0, learning_rate=1e-3).wait == 1000
    learner = connected_learner("paper", target=1e6)  # out of reach: the weight grows whenever it moves
    update, multiplier = learner.top_update, learner.top_update.multiplier
    multiplier.wait, found = 3, []
    for number in range(1, 7):
        update.step()
        assert multiplier.updates == learner.levels.top.updates == number
        found.append(multiplier.log_weight.item())
    assert found[0] == found[1] == found[2] == pytest.approx(-4.2)
    assert found[2] < found[3] < found[4] < found[5]


@pytest.mark.parametrize("levels", [{}, SOFT])
@pytest.mark.parametrize("mode", MODES)
def test_a_connection_of_weight_zero_is_bit_identical_to_none(mode, levels):
    learners = [
        connected_learner(name, weight=weight, **levels)
        for name, weight in (("none", 0.01), (mode.value, 0.0), (mode.value, 1.0))
    ]
    for learner in learners:
        for _ in range(2):  # actors wait for the second
            learner.top_update.step()
        learner.trainers[0].update.step()
    plain, zero, more = (weights(learner) for learner in learners)
    assert equal(plain, zero) and not equal(plain, more)


@pytest.mark.parametrize("levels", [{}, SOFT, {"worker": SAC}])
@pytest.mark.parametrize("mode", MODES)
def test_the_managers_loss_never_moves_the_worker(mode, levels):
    learner = connected_learner(mode.value, weight=1.0, **levels)
    worker = learner.levels.worker
    before = [p.detach().clone() for p in (*worker.actor.parameters(), *worker.critics.parameters())]
    for _ in range(4):
        learner.top_update.step()
    after = [*worker.actor.parameters(), *worker.critics.parameters()]
    assert equal(before, after) and all(p.grad is None for p in after)


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_weights_that_cannot_be_are_refused(weight):
    with pytest.raises(ConfigError, match="train.connection.weight"):
        config.build(ConnectionCfg, {"mode": "paper", "weight": weight}, "train.connection")
