"""PPO of other libraries as learners, on a point; tests of a library are skipped where it is not installed."""

import sys

import pytest
import torch

from isaachrl import config
from isaachrl.adapters.agents.config import RslRlCfg, SkrlCfg
from isaachrl.errors import ConfigError
from isaachrl.learn import distributed
from isaachrl.learn.registry import learner_entry
from isaachrl.run.config.learners import load_learners
from tests.learn.test_ppo import point, saved

load_learners()
EXTRAS = {"rsl_rl": "rsl-rl", "skrl": "skrl"}
SMALL = {"hidden": [16], "horizon": 8, "minibatch": 64, "log_std": -1.0, "kl_target": 0.01, "learn_std": True}


def build(name, num_envs=32, seed=0, **changes):
    entry = learner_entry(name)
    return entry.build(point(num_envs), config.build(entry.cfg_type, SMALL | changes), seed)


@pytest.fixture(params=EXTRAS)
def name(request):
    pytest.importorskip(request.param, reason=f'not installed: pip install -e ".[{EXTRAS[request.param]}]"')
    return request.param


def test_a_seed_decides_everything_whatever_others_draw(name):
    a, b, other = (build(name, seed=seed) for seed in (4, 4, 5))
    before = torch.get_rng_state()
    first = a.iterate()
    assert torch.equal(torch.get_rng_state(), before), "nothing is drawn from the global generator"
    torch.rand(3)
    assert b.iterate() == first and other.iterate() != first


def test_stopped_and_continued_equals_uninterrupted(name):
    learner = build(name)
    learner.iterate()
    state = saved(learner)
    straight = [learner.iterate() for _ in range(2)]
    again = build(name, seed=9)
    again.env.load_state_dict(state["e"])
    again.load_state_dict(state["l"])
    assert [again.iterate() for _ in range(2)] == straight
    for key, weight in learner.networks.state_dict().items():
        assert torch.equal(weight, again.networks.state_dict()[key]), key
    assert (again.iteration, again.samples) == (3, 3 * 32 * 8)


def test_weights_go_to_another_number_of_environments_and_a_policy_is_a_copy(name):
    learner, other = build(name), build(name, num_envs=3, seed=1)
    policy, obs = learner.policy(), other.env.observe()
    before = policy.act(obs)
    learner.iterate()
    assert torch.equal(policy.act(obs), before) and not before.requires_grad
    other.load_weights(learner.weights())
    assert torch.equal(other.policy().act(obs), learner.policy().act(obs))
    assert not torch.equal(other.policy().act(obs), before) and "optimizer" not in learner.weights()


def test_the_exported_policy_is_the_mean_that_the_library_acts_around(name):
    learner = build(name, log_std=-12.0, learn_std=False)
    learner.iterate()
    (exported,) = learner.exports()
    taken = []
    step = learner.env.step
    seen = learner.env.policy_input(learner.env.observe())
    learner.env.step = lambda action: taken.append(action.clone()) or step(action)
    learner.iterate()
    torch.testing.assert_close(taken[0], exported.module(seen), atol=1e-4, rtol=0.0)


def test_the_learning_rate_follows_the_divergence_unless_it_is_fixed(name):
    for target, moves in ((1e-4, True), (0.0, False)):
        learner = build(name, kl_target=target, learning_rate=5e-4)
        rates = {learner.iterate()["policy/learning_rate"] for _ in range(2)}
        assert (rates != {5e-4}) == moves


def test_the_first_episodes_may_end_early(name, monkeypatch):
    generators = []
    monkeypatch.setattr("tests.run.point.Point.stagger", lambda env, generator: generators.append(generator))
    build(name)
    assert not generators
    build(name, stagger=True)
    assert len(generators) == 1


@pytest.mark.parametrize("library", EXTRAS)
def test_a_missing_library_is_answered_with_its_extra(library, monkeypatch):
    imported = [name for name in sys.modules if name.startswith(f"{library}.")]
    for module in (f"isaachrl.adapters.{library}", f"isaachrl.adapters.agents.{library}", *imported):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf'needs {library}[\w.]*; type pip install -e "\.\[{EXTRAS[library]}\]"'):
        build(library)


@pytest.mark.parametrize("library", EXTRAS)
def test_several_processes_are_refused_before_the_library_looks_for_them(library, monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 2)
    with pytest.raises(ConfigError, match=f"the learner {library} trains in one process; type train=ppo"):
        build(library)


def test_minibatches_have_at_most_their_size():
    assert [RslRlCfg(horizon=8, minibatch=rows).minibatches(32) for rows in (64, 100, 1000)] == [4, 3, 1]
    assert RslRlCfg(horizon=3, minibatch=1).minibatches(3) == 4, "of two rows or three, whose variance is known"
    with pytest.raises(ConfigError, match=r"unknown key train\.max_learning_rate"):
        config.build(RslRlCfg, {"max_learning_rate": 0.1}, "train")
    assert config.build(SkrlCfg, {"max_learning_rate": 0.1}, "train").max_learning_rate == 0.1
