"""One level: targets and networks by hand, noise by its statistics, and the contexts of acting."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from isaachrl.envs.statistics import Means
from isaachrl.learn.goals.config import CriticCfg, ExplorationCfg, GoalsCfg, Inputs, LevelCfg
from isaachrl.learn.goals.contract import NetworkInputs
from isaachrl.learn.goals.learner import GoalsLearner
from isaachrl.learn.goals.off_policy.actor_critic import Batch
from isaachrl.learn.goals.off_policy.exploration import Exploration
from isaachrl.learn.goals.off_policy.networks import LAST_LAYER_RANGE, Actor, Critic, exact_copy
from isaachrl.learn.goals.off_policy.td3 import Td3
from isaachrl.nn import Precision, Rounding
from tests.learn.goals.plane import Plane

CPU = torch.device("cpu")
PLAIN = Rounding(Precision.float32, CPU)
LIMITS = torch.tensor([10.0, 0.5])


def make(raw=True, **values):
    cfg = LevelCfg(hidden=[8, 8], **values)
    return Td3(3, LIMITS, raw, cfg, PLAIN, torch.Generator().manual_seed(0))


def batch(n=4, **values):
    torch.manual_seed(1)
    filled = {
        "features": torch.randn(n, 3), "action": torch.rand(n, 2) * 2 - 1, "reward": torch.arange(float(n)),
        "discount": torch.full((n,), 0.9), "next_features": torch.randn(n, 3), "weight": torch.ones(n),
    }  # fmt: skip
    return Batch(**filled | values)


def constant(module, value):
    """Make a network constant."""
    nn.init.zeros_(module.last.weight)
    nn.init.constant_(module.last.bias, value)


def test_the_target_is_the_smaller_value_unless_terminated():
    td3 = make()
    constant(td3.targets[1].q1, 5.0), constant(td3.targets[1].q2, 3.0)
    discount = torch.tensor([0.9, 0.9, 0.0, 0.9])
    assert_close(td3.target(batch(discount=discount)), torch.tensor([2.7, 3.7, 2.0, 5.7]))


@pytest.mark.parametrize(("huber", "settles_at"), [(False, -10.0), (True, -1.0 / 9.0)])
def test_a_huber_critic_underestimates_rare_costs_and_a_squared_one_does_not(huber, settles_at):
    # nine returns in ten are 0 and one is -100: the mean is -10. With the linear loss the rare one pulls
    # with a slope of 1 however bad it is, which nine errors of 1/9 balance
    reward = torch.zeros(10)
    reward[0] = -100.0
    slopes = []
    for value in (settles_at - 0.05, settles_at, settles_at + 0.05):
        td3 = make(critic=CriticCfg(huber=huber))
        constant(td3.critics.q1, value), constant(td3.critics.q2, value)
        td3.update(batch(10, reward=reward, discount=torch.zeros(10)), Means())
        slopes.append(td3.critics.q1.last.bias.grad.item())
    per_unit = 0.9 if huber else 2.0  # the mean over rows of what changes with the value
    assert slopes == pytest.approx([-0.05 * per_unit, 0.0, 0.05 * per_unit], abs=1e-4)


class Recorder(nn.Module):
    """Replaces the target critics and records the actions."""

    def forward(self, features, action):
        self.action = action
        return torch.zeros(len(action)), torch.zeros(len(action))


@pytest.mark.parametrize(
    ("raw", "spread"),
    # raw: 0.2 in the action's own units, cut off at 0.5; else shares of the half range
    [(True, [0.02, 0.4]), (False, [0.2, 0.2])],
)
def test_smoothing_noise_is_measured_in_raw_units_or_in_shares(raw, spread):
    td3 = make(hiro_details=raw)
    constant(td3.targets[0], 0.0)
    td3.targets[1] = Recorder()
    td3.target(batch(4000, next_features=torch.zeros(4000, 3)))
    smoothed = td3.targets[1].action
    most = torch.tensor([0.05, 1.0] if raw else [0.5, 0.5])
    assert (smoothed.abs() <= most + 1e-6).all()
    # what is cut off at 2.5 deviations takes about 2 % of the deviation
    assert_close(smoothed.std(0), torch.tensor(spread), rtol=0.06, atol=0)


def test_smoothed_actions_leave_the_range_unless_they_are_kept_in():
    found = []
    for clip in (False, True):
        td3 = make(hiro_details=not clip)
        constant(td3.targets[0], 5.0)  # tanh: the upper end
        td3.targets[1] = Recorder()
        td3.target(batch(200))
        found.append(bool((td3.targets[1].action > 1.0).any()))
    assert found == [True, False]


def test_rows_of_weight_zero_do_not_change_the_update():
    one, other = make(), make()
    other.load_state_dict(one.state_dict())
    weight = torch.tensor([1.0, 1.0, 0.0, 0.0])
    wild = torch.tensor([0.0, 1.0, 1e6, -1e6])
    for td3, reward in ((one, torch.arange(4.0)), (other, wild)):
        td3.generator.manual_seed(7)
        for _ in range(2):
            td3.update(batch(weight=weight, reward=reward), Means())
    for a, b in zip(one.critics.parameters(), other.critics.parameters(), strict=True):
        assert torch.equal(a, b)


def test_without_target_networks_the_targets_are_the_present_networks():
    td3 = make(target_rate=1.0)
    constant(td3.critics.q1, 5.0), constant(td3.critics.q2, 3.0)
    assert_close(td3.target(batch()), torch.tensor([2.7, 3.7, 4.7, 5.7]))
    td3.update(batch(), Means())
    changed = torch.minimum(*td3.critics(torch.zeros(1, 3), torch.zeros(1, 2)))
    assert changed != 3.0 and torch.equal(torch.minimum(*td3.targets[1](torch.zeros(1, 3), torch.zeros(1, 2))), changed)


def test_weight_decay_is_added_to_the_step_of_adam():
    plain, decayed = make(), make(weight_decay=0.5)
    decayed.load_weights(plain.weights())
    before = [parameter.detach().clone() for parameter in plain.critics.parameters()]
    for td3 in (plain, decayed):
        td3.generator.manual_seed(7)
        td3.update(batch(), Means())
    for old, one, other in zip(before, plain.critics.parameters(), decayed.critics.parameters(), strict=True):
        assert_close(other - one, -plain.cfg.critic_learning_rate * 0.5 * old, rtol=1e-3, atol=1e-7)


def test_critics_may_have_other_widths_than_the_actor():
    td3 = make(critic=CriticCfg(hidden=[16, 4, 12]))
    assert [layer.out_features for layer in td3.actor.hidden] == [8, 8]
    assert [layer.out_features for layer in td3.critics.q2.hidden] == [16, 4, 12]


def test_critics_see_actions_in_their_own_units_and_twice():
    torch.manual_seed(0)
    critic = Critic(3, LIMITS, LevelCfg(hidden=[8, 8]), PLAIN)
    assert [layer.in_features for layer in critic.hidden] == [3 + 2, 8 + 2]
    features, action = torch.randn(5, 3), torch.rand(5, 2)
    shown = action * LIMITS
    x = torch.relu(critic.hidden[0](torch.cat((features, shown), 1)))
    x = torch.relu(critic.hidden[1](torch.cat((x, shown), 1)))
    assert_close(critic(features, action), critic.last(x)[:, 0])
    once = Critic(3, torch.ones(2), LevelCfg(hidden=[8, 8], hiro_details=False), PLAIN)
    assert [layer.in_features for layer in once.hidden] == [5, 8]


def test_last_layers_start_small_as_published():
    actor = Actor(3, 2, LevelCfg(), PLAIN)
    assert actor.last.weight.abs().max() <= LAST_LAYER_RANGE
    assert all((layer.bias == 0).all() for layer in actor.hidden)
    # uniform with a third over the fan-in as variance: up to the root of one over it
    first = actor.hidden[1].weight
    assert first.abs().max() <= 300**-0.5 and first.var().item() == pytest.approx(1 / 900, rel=0.05)


def test_rounded_networks_stay_close_to_exact_ones():
    rounded = Actor(3, 2, LevelCfg(small_last_layer=False), Rounding(Precision.mixed, CPU))
    features = torch.randn(64, 3)
    with torch.no_grad():
        here, there = rounded(features), exact_copy(rounded)(features)
    assert here.dtype == torch.float32 and not torch.equal(here, there)
    assert (here - there).abs().max() < 0.02


def noise(num_envs=3, hiro_details=False, **values):
    cfg = LevelCfg(hiro_details=hiro_details, exploration=ExplorationCfg(**{"low": 0.01, "high": 1.0} | values))
    return Exploration(cfg, LIMITS, num_envs, torch.Generator().manual_seed(0))


def test_noise_is_log_uniform_and_redrawn_with_the_episode():
    explore = noise(num_envs=4000)
    scale = explore.std[:, 0]
    shares = [(scale < bound).float().mean().item() for bound in (0.01, 0.0316, 0.1, 0.316, 1.0001)]
    assert shares == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0], abs=0.03)
    ended = torch.arange(4000) < 1000
    before = explore.std.clone()
    explore.restart(ended)
    assert torch.equal((explore.std != before).all(1), ended)
    published = noise(hiro_details=True, low=1.0)
    assert_close(published.std, torch.tensor([[0.1, 2.0]]).expand(3, 2))


def ranks(values):
    return values.argsort().argsort().double()


def test_levels_explore_independently_of_each_other():
    level = LevelCfg(exploration=ExplorationCfg(low=0.01))
    learner = GoalsLearner(Plane(num_envs=1000), GoalsCfg(goal_size=2, worker=level, manager=level), seed=0)
    worker, manager = (ranks(noise.std[:, 0]) for noise in learner.collector.explorations)
    assert torch.corrcoef(torch.stack((worker, manager)))[0, 1].abs() < 0.1


def test_noise_is_correlated_in_half_of_the_episodes():
    explore = noise(num_envs=400, correlation=0.9)
    every = torch.ones(400, dtype=torch.bool)
    correlated = explore.correlation[:, 0] > 0
    assert correlated.float().mean().item() == pytest.approx(0.5, abs=0.1)
    explore(torch.zeros(400, 2), every)
    before = explore.noise.clone()
    for _ in range(200):  # it neither grows nor dies away
        last = explore.noise.clone()
        explore(torch.zeros(400, 2), every)
    assert explore.noise[correlated].std().item() == pytest.approx(1.0, abs=0.1)
    product = (last * explore.noise).mean(1)
    assert product[correlated].mean().item() == pytest.approx(0.9, abs=0.15)
    assert product[~correlated].mean().item() == pytest.approx(0.0, abs=0.15)
    assert not torch.equal(before, explore.noise)


def test_noise_moves_on_only_where_a_new_action_is_taken():
    explore, where = noise(correlation=0.5), torch.tensor([True, False, True])
    explore(torch.zeros(3, 2), torch.ones(3, dtype=torch.bool))
    before = explore.noise.clone()
    explore(torch.zeros(3, 2), where)
    assert (explore.noise == before).all(1).tolist() == [False, True, False]


def test_a_share_of_actions_is_uniform():
    explore = noise(num_envs=2000, low=1e-6, high=1e-6, uniform_share=0.25)
    action = explore(torch.zeros(2000, 2), torch.ones(2000, dtype=torch.bool))
    drawn = action.abs().amax(1) > 1e-3
    assert drawn.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert action.abs().amax() > 0.95


def test_only_the_worker_does_not_get_the_position():
    env = Plane(num_envs=1)
    state, goal, context = torch.tensor([[8.0, 4.0, 0.3, 0.7]]), torch.tensor([[1.5, -3.0]]), torch.tensor([[3.0, 1.0]])
    raw = NetworkInputs(env, Inputs.raw, True, torch.tensor([3.0, 3.0]))
    assert_close(raw.worker(state, goal), torch.tensor([[0.0, 0.0, 0.3, 0.7, 1.5, -3.0]]))
    assert_close(raw.top(state, context), torch.tensor([[8.0, 4.0, 0.3, 0.7, 3.0, 1.0]]))
    scaled = NetworkInputs(env, Inputs.scaled, False, torch.tensor([3.0, 3.0]))
    assert_close(scaled.worker(state, goal), torch.tensor([[2.0, 1.0, 0.3, 0.7, 0.5, -1.0]]))
    assert_close(scaled.top(state, context), torch.tensor([[2.0, 1.0, 0.3, 0.7, 0.3, 0.1, -0.5, -0.3]]))
    assert (raw.top_size, scaled.top_size, raw.lower_size) == (6, 8, 6)
