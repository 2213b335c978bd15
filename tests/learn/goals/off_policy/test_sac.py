"""Soft actor-critic: densities against an integral and by hand, targets by hand, the temperature's two directions."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from isaachrl import config
from isaachrl.envs.statistics import Means
from isaachrl.errors import ConfigError
from isaachrl.learn.goals import GoalsCfg
from isaachrl.learn.goals.config import Algorithm, EntropyCfg, ExplorationCfg, LevelCfg
from isaachrl.learn.goals.off_policy.actor_critic import Batch
from isaachrl.learn.goals.off_policy.exploration import Exploration
from isaachrl.learn.goals.off_policy.networks import LOG_STD_RANGE, GaussianActor, exact_copy, squashed_log_density
from isaachrl.learn.goals.off_policy.sac import Sac
from isaachrl.nn import Precision, Rounding

PLAIN = Rounding(Precision.float32, torch.device("cpu"))
LIMITS = torch.tensor([10.0, 0.5])


def make(limits=LIMITS, seed=0, **values):
    torch.manual_seed(seed)
    cfg = LevelCfg(**{"algorithm": Algorithm.sac, "hidden": [8, 8], "policy_delay": 1} | values)
    return Sac(3, limits, True, cfg, PLAIN, torch.Generator().manual_seed(seed))


def batch(n=4, **values):
    torch.manual_seed(1)
    filled = {
        "features": torch.randn(n, 3), "action": torch.rand(n, 2) * 2 - 1, "reward": torch.arange(float(n)),
        "discount": torch.full((n,), 0.9), "next_features": torch.randn(n, 3), "weight": torch.ones(n),
    }  # fmt: skip
    return Batch(**filled | values)


def fixed(actor, mean, spread):
    """Make an actor draw from one normal whatever it sees."""
    for layer, value in ((actor.last, mean), (actor.log_std, math.log(spread))):
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, value)


def log_density(action, mean, spread):
    drawn = torch.atanh(action)
    return squashed_log_density(drawn, (drawn - mean) / spread, torch.as_tensor(spread).log().expand_as(drawn))


def test_density_of_one_action_by_hand():
    # u = 0.5 under N(0.2, 0.8): noise 0.375. -0.375^2 / 2 - ln 0.8 - ln(2 pi) / 2 = -0.0703125 + 0.2231436 - 0.9189385
    # 1 - tanh(0.5)^2 = 0.7864477, whose logarithm is -0.2402290
    value = squashed_log_density(torch.tensor([0.5]), torch.tensor([0.375]), torch.tensor([math.log(0.8)]))
    assert value.item() == pytest.approx(-0.7661075 + 0.2402290, abs=1e-5)


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 0.5), (0.7, 0.9), (-1.0, 0.3)])
def test_density_over_all_actions_is_one(mean, spread):
    count = 200_000
    action = ((torch.arange(count, dtype=torch.float64) + 0.5) * 2 / count - 1).unsqueeze(1)
    assert log_density(action, mean, spread).exp().mean().item() * 2 == pytest.approx(1.0, abs=1e-5)


def test_densities_of_several_entries_multiply_and_stay_finite_at_the_ends():
    one, other = torch.tensor([[0.3]]), torch.tensor([[-0.6]])
    together = log_density(torch.cat((one, other), 1), 0.1, 0.7)
    assert_close(together, log_density(one, 0.1, 0.7) + log_density(other, 0.1, 0.7))
    far = squashed_log_density(torch.tensor([30.0, -30.0]), torch.zeros(2), torch.zeros(2))
    # 1 - tanh(30)^2 = 4 e^-60 to seven digits
    assert far.item() == pytest.approx(2 * (60 - math.log(4) - 0.5 * math.log(2 * math.pi)), rel=1e-5)


def test_an_actor_called_gives_the_tangent_of_the_mean_and_draws_around_it():
    actor = GaussianActor(3, 2, LevelCfg(hidden=[8]), PLAIN)
    fixed(actor, 0.4, 0.5)
    features = torch.zeros(20_000, 3)
    assert_close(actor(features[:1]), torch.tanh(torch.full((1, 2), 0.4)))
    action, density = actor.sample(features, torch.Generator().manual_seed(0))
    drawn = torch.atanh(action)
    assert drawn.mean().item() == pytest.approx(0.4, abs=0.01) and drawn.std().item() == pytest.approx(0.5, abs=0.01)
    assert_close(density, log_density(action, 0.4, 0.5), rtol=1e-3, atol=1e-3)
    assert_close(exact_copy(actor)(features[:1]), actor(features[:1]))


def test_spreads_are_kept_within_bounds():
    actor = GaussianActor(3, 1, LevelCfg(hidden=[8]), PLAIN)
    for bias, limit in ((-100.0, LOG_STD_RANGE[0]), (100.0, LOG_STD_RANGE[1])):
        fixed(actor, 0.0, 1.0)
        nn.init.constant_(actor.log_std.bias, bias)
        generator = torch.Generator().manual_seed(3)
        noise = torch.randn(5, 1, generator=generator.manual_seed(3))
        action, _ = actor.sample(torch.zeros(5, 3), generator.manual_seed(3))
        assert_close(action, torch.tanh(math.exp(limit) * noise))


def constant(critic, value):
    nn.init.zeros_(critic.last.weight)
    nn.init.constant_(critic.last.bias, value)


def test_the_target_is_the_smaller_value_plus_entropy_unless_terminated():
    sac = make(entropy=EntropyCfg(0.5))
    constant(sac.targets[0].q1, 5.0), constant(sac.targets[0].q2, 3.0)
    rows = batch(discount=torch.tensor([0.9, 0.9, 0.0, 0.9]))
    state = sac.generator.get_state()
    _, density = sac.actor.sample(rows.next_features, sac.generator)
    sac.generator.set_state(state)
    expected = rows.reward + torch.tensor([0.9, 0.9, 0.0, 0.9]) * (3.0 - 0.5 * density)
    assert_close(sac.target(rows), expected.detach())
    assert sac.target(rows)[2] == 2.0


def test_the_actors_loss_is_the_entropy_term_minus_the_smaller_value():
    sac = make(entropy=EntropyCfg(0.5))
    constant(sac.critics.q1, 5.0), constant(sac.critics.q2, 3.0)
    state = sac.generator.get_state()
    action, loss = sac.policy_loss(batch(), Means())
    sac.generator.set_state(state)
    again, density = sac.actor.sample(batch().features, sac.generator)
    assert torch.equal(action, again)
    assert_close(loss, 0.5 * density - 3.0)


@pytest.mark.parametrize(("spread", "grows"), [(0.01, True), (0.9, False)])
def test_the_temperature_grows_for_certain_policies_and_shrinks_for_random_ones(spread, grows):
    sac = make()
    assert sac.target_entropy == -2.0
    fixed(sac.actor, 0.0, spread)
    sac.policy_loss(batch(200), Means())
    assert (sac.log_temperature.item() > 0) == grows and sac.log_temperature.item() != 0


def test_a_temperature_can_be_kept():
    sac = make(entropy=EntropyCfg(0.2, 0.0))
    sac.update(batch(), Means())
    assert sac.log_temperature.exp().item() == pytest.approx(0.2)


def test_rows_of_weight_zero_do_not_change_the_update():
    one, other = make(), make()
    weight = torch.tensor([1.0, 1.0, 0.0, 0.0])
    for sac, reward in ((one, torch.arange(4.0)), (other, torch.tensor([0.0, 1.0, 1e6, -1e6]))):
        for _ in range(3):
            sac.update(batch(weight=weight, reward=reward), Means())
    for a, b in zip(one.critics.parameters(), other.critics.parameters(), strict=True):
        assert torch.equal(a, b)


def learned(seed: int) -> float:
    """Minus how far off action and entropy are, in units of 0.1 and 0.25, after 1600 updates of a task of one step.

    The reward is -2 |a - (0.5, -0.3)|^2 and the target entropy is -2. The larger of both errors counts.
    """
    sac = make(torch.ones(2), seed, hidden=[32, 32], actor_learning_rate=3e-3, critic_learning_rate=3e-3,
               entropy=EntropyCfg(0.1, 3e-3), small_last_layer=False, target_rate=0.05)  # fmt: skip
    best, means = torch.tensor([0.5, -0.3]), Means()
    for step in range(1600):
        action = 2 * torch.rand(128, 2, generator=sac.generator) - 1
        reward = -2 * (action - best).square().sum(1)
        rows = {"features": torch.zeros(128, 3), "next_features": torch.zeros(128, 3), "discount": torch.zeros(128)}
        sac.update(batch(128, action=action, reward=reward, **rows), means)
        if step == 1400:
            means.read()
    error = (sac.actor(torch.zeros(1, 3))[0] - best).abs().max().item()
    return -max(error / 0.1, abs(means.read()["entropy"] + 2.0) / 0.25)


@pytest.mark.learn
def test_it_finds_the_best_action_and_the_target_entropy(seed, reached):
    """Ten seeds: -0.88 to -0.21, median -0.34; the bound leaves a margin of 0.22."""
    reached(learned(seed), -1.1)


def test_random_policies_get_no_noise_but_their_share_of_uniform():
    cfg = LevelCfg(algorithm=Algorithm.sac, exploration=ExplorationCfg(uniform_share=0.25))
    explore = Exploration(cfg, LIMITS, 2000, torch.Generator().manual_seed(0))
    action = explore(torch.zeros(2000, 2), torch.ones(2000, dtype=torch.bool))
    assert (action != 0).any(1).float().mean().item() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"worker": {"algorithm": "ppo"}}, "worker.algorithm"),
        ({"worker": {"entropy": {"temperature": 0.0}}}, "temperature=0.0"),
        ({"manager": {"entropy": {"learning_rate": -1.0}}}, "entropy.learning_rate=-1.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        config.build(GoalsCfg, values, "train")
