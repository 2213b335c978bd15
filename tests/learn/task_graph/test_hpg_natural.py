"""The natural gradient of HPG by hand, and the decay of its entropy by level."""

import pytest
import torch
from torch.testing import assert_close

from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.task_graph import make_hpg
from isaachrl.learn.task_graph.tabular.config import HpgCfg
from tests.small_mdp import corridor


def hpg(num_envs=1, **values):
    return make_hpg(corridor(num_envs), config.build(HpgCfg, values), 0)


def plain_gradient(algorithm, row, child, weight):
    """The plain gradient, all choices made by the present policy."""
    return algorithm.gradient(row, child, weight, algorithm.probabilities(0).unsqueeze(0), torch.zeros_like(row))


def none(learner):
    """No entropy in any row."""
    return torch.zeros(learner.tables.rows, 1)


def test_each_child_moves_by_its_own_mean_advantage():
    learner = hpg()
    row = torch.tensor([3, 3, 3, 5])
    child = torch.tensor([0, 0, 1, 1])
    advantage, weight = torch.tensor([2.0, 4.0, -1.0, 8.0]), torch.ones(4)
    moved = learner.algorithm.natural_gradient(row, child, advantage, weight, none(learner))
    # two calls of the first child: 6 / 3; one of the second: -1 / 2
    assert moved[3].tolist() == pytest.approx([2.0, -0.5])
    assert moved[5].tolist() == pytest.approx([0.0, 4.0])
    assert moved.abs().sum().item() == pytest.approx(6.5), "nothing else moves"


def test_rarely_and_often_visited_states_move_alike():
    learner = hpg()
    row = torch.cat((torch.full((1000,), 3), torch.full((10,), 5)))
    child = torch.zeros(1010, dtype=torch.long)
    advantage, weight = torch.full((1010,), 1.0), torch.ones(1010)
    moved = learner.algorithm.natural_gradient(row, child, advantage, weight, none(learner))
    assert moved[3, 0].item() == pytest.approx(1000 / 1001) and moved[5, 0].item() == pytest.approx(10 / 11)
    plain = plain_gradient(learner.algorithm, row, child, advantage)
    assert plain[3, 0] / plain[5, 0] == pytest.approx(100.0), "the plain gradient moves them a hundred times apart"


def test_natural_gradient_is_the_gradient_times_the_inverse_fisher_matrix():
    """In one state, with mean zero advantages: F natural = plain, F = diag(p) - p p' times the number of choices."""
    learner = hpg()
    algorithm = learner.algorithm
    at = int(learner.tables.row[1, 6])  # Fetch at place 3 may call both of its children
    algorithm.theta[at] = torch.tensor([0.4, -0.3])
    p = algorithm.probabilities(0)[at]
    many = 20_000
    child = (torch.arange(many) >= p[0] * many).long()  # as often as the policy says
    q = torch.tensor([1.5, -2.0])
    advantage = (q - (p * q).sum())[child]
    row, weight = torch.full((many,), at), torch.ones(many)
    natural = algorithm.natural_gradient(row, child, advantage, weight, none(learner))[at]
    assert 0.2 < p[0] < 0.8 and natural.abs().min() > 0.5
    fisher = torch.diag(p) - torch.outer(p, p)
    plain = plain_gradient(algorithm, row, child, advantage)[at] / many
    assert_close(fisher @ natural, plain, atol=1e-3, rtol=0)


def test_the_entropy_changes_visited_states_only():
    learner = hpg()
    algorithm = learner.algorithm
    algorithm.theta[3], algorithm.theta[5] = torch.tensor([2.0, -2.0]), torch.tensor([2.0, -2.0])
    share = torch.full((learner.tables.rows, 1), 0.25)
    nothing = torch.zeros(1)
    moved = algorithm.natural_gradient(torch.tensor([3]), torch.tensor([0]), nothing, torch.ones(1), share)
    assert moved[3].tolist() == [-0.5, 0.5] and moved[5].tolist() == [0.0, 0.0]
    # decisions of weight 0 are no visits
    moved = algorithm.natural_gradient(torch.tensor([3]), torch.tensor([0]), nothing, nothing, share)
    assert moved.abs().max() == 0.0


def test_with_a_constant_entropy_coefficient_it_converges_to_a_softmax_of_the_values():
    """The fixed point of theta <- theta + rate (q - share theta) is q / share."""
    learner = hpg()
    algorithm = learner.algorithm
    share = torch.full((learner.tables.rows, 1), 0.5)
    at = int(learner.tables.row[1, 6])  # Fetch at place 3 may call both of its children
    row, child = torch.full((4000,), at), torch.arange(4000) % 2
    q = torch.tensor([1.0, -1.0])
    for _ in range(200):
        moved = algorithm.natural_gradient(row, child, q[child], torch.ones(4000), share)
        algorithm.theta = algorithm.theta + 0.2 * moved
    assert_close(algorithm.theta[at], q / 0.5, atol=1e-2, rtol=0)
    assert_close(algorithm.probabilities(0)[at], (q / 0.5).softmax(-1), atol=1e-2, rtol=0)


def test_the_entropy_decays_first_on_the_lower_levels():
    cfg = config.build(HpgCfg, {"entropy": 0.8, "entropy_end": 0.2, "entropy_iterations": 100, "entropy_share": 0.5})
    assert [cfg.entropy_at(0, k) for k in (0, 50, 100, 500)] == pytest.approx([0.8, 0.5, 0.2, 0.2])
    assert [cfg.entropy_at(1, k) for k in (0, 25, 50)] == pytest.approx([0.8, 0.4, 0.0])
    assert cfg.entropy_at(2, 25) == pytest.approx(0.0)
    learner = make_hpg(corridor(1), cfg, 0)
    weight = learner.algorithm._entropy_coefficient(25)[learner.tables.row[:, 0], 0]
    # Root; Fetch and Carry below it; ToKey below Fetch
    assert weight.tolist() == pytest.approx([0.65, 0.4, 0.0, 0.4], abs=1e-6)


def test_decisions_of_weight_zero_do_not_change_the_update():
    learner = hpg(horizon=8)
    before = learner.algorithm.theta.clone()
    row = torch.zeros(6, dtype=torch.long)
    moved = learner.algorithm.natural_gradient(row, row, torch.zeros(6), torch.zeros(6), none(learner))
    assert torch.equal(before + moved, before)


def test_a_share_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="entropy_share"):
        config.build(HpgCfg, {"entropy_share": 1.5})
    with pytest.raises(ConfigError, match="entropy_share"):
        config.build(HpgCfg, {"entropy_share": 0.0})
