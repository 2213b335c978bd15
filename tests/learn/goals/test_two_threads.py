"""The worker learns on a thread of its own: as deterministic as on one, and what the threads share changes at joins."""

from contextlib import contextmanager

import pytest
import torch

from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.learn.goals import GoalsCfg
from isaachrl.learn.goals import learner as learner_module
from tests.learn.goals.plane import SMALL, SOFT, Plane, equal, goes_on_alike, make_learner, weights

TWO = {"threads": 2, "stagger": True, "pool_sets": 2}
VARIANTS = [TWO, TWO | SOFT, TWO | {"correction": "none", "connection": {"mode": "paper", "weight": 0.1}}]


def trained(iterations=5, **changes):
    learner = make_learner(Plane(num_envs=4, lengths=(5, 8, 12, 12)), **changes)
    signals = [learner.iterate() for _ in range(iterations)]
    return signals, weights(learner)


@contextmanager
def work_first(work):
    work()
    yield


@contextmanager
def work_last(work):
    yield
    work()


@pytest.mark.parametrize("changes", VARIANTS)
def test_the_order_in_which_the_threads_run_makes_no_difference(changes, monkeypatch):
    signals, found = trained(**changes)
    for order in (work_first, work_last):
        monkeypatch.setattr(learner_module, "beside", order)
        others, other = trained(**changes)
        assert others == signals and equal(other, found)


def test_runs_with_the_same_seed_are_equal_and_differ_from_one_thread():
    found = trained(**TWO)
    again = trained(**TWO)
    assert again[0] == found[0] and equal(again[1], found[1])
    assert not equal(trained(**TWO | {"threads": 1})[1], found[1])


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_stored_learner_continues_bit_for_bit(changes):
    straight, other = (make_learner(**changes, seed=seed) for seed in (0, 1))
    goes_on_alike(straight, other)


def test_manager_and_acting_see_the_worker_and_the_replay_of_the_last_meta_step(monkeypatch):
    learner = make_learner(Plane(num_envs=4, episode_steps=12), **TWO)
    learner.iterate()
    seen = []

    @contextmanager
    def watching(work):
        before = int(learner.replays[0].written)
        with work_first(work):
            learning, acting = (
                levels[0].actor.last.weight.clone() for levels in (learner.levels.all, learner.levels.acting)
            )
            yield
        seen.append((torch.equal(learning, acting), int(learner.replays[0].written) - before))

    monkeypatch.setattr(learner_module, "beside", watching)
    learner.iterate()
    assert seen == [(False, 0)] * 2, "two meta steps; the worker has learned, and nothing is stored before the join"
    assert int(learner.replays[0].written) == 16
    learner.levels.refresh()
    assert equal(*(level.actor.parameters() for level in (learner.levels.all[0], learner.levels.acting[0])))


def test_the_worker_gets_as_many_updates_as_on_one_thread():
    updates = []
    for threads in (1, 2):
        learner = make_learner(**TWO | {"threads": threads}, worker={"updates_per_step": 0.75})
        for _ in range(4):
            learner.iterate()
        updates.append([level.updates for level in learner.levels.all])
    assert updates[0] == updates[1]


def test_an_error_in_the_workers_update_ends_the_iteration(monkeypatch):
    learner = make_learner(**TWO)
    learner.iterate()
    monkeypatch.setattr(learner.trainers[0].update, "step", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        learner.iterate()


@pytest.mark.parametrize("wrong", [{"meta_periods": [2, 2], "correction": "none"}, {"steps_per_iteration": 6}])
def test_it_takes_one_manager_and_whole_meta_steps(wrong):
    with pytest.raises(ConfigError, match="threads=2"):
        config.build(GoalsCfg, SMALL | {"threads": 2} | wrong)
