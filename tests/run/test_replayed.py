"""Evaluations and trainings whose steps are replayed, here from a tape, are those of steps as they are written."""

import copy

import pytest
import torch

import isaachrl
import tasks
from isaachrl.envs.cuda_graph import WARM_UP, StepGraph
from isaachrl.envs.registry import World
from isaachrl.run.rollout import RandomPolicy, run_episodes
from tests.run.point import Greedy, GreedyCfg, Point, PointCfg
from tests.tape import TapeRecorder

assert tasks


def taped(env):
    """The environment with steps from a tape, and the recorders that were made."""
    made = []

    def make():
        made.append(TapeRecorder(env))
        return made[-1]

    env.step_graph = StepGraph(env, make)
    return env, made


def make_point():
    return Point(PointCfg(lengths=[2, 5, 7]), World(3, "auto", torch.device("cpu"), torch.Generator().manual_seed(3)))


def assert_same(one, other):
    """Two evaluations, bit for bit."""
    for name in ("returns", "lengths"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.metrics.keys() == other.metrics.keys() and one.metrics
    for name, values in one.metrics.items():
        assert torch.equal(values.nan_to_num(-1.0), other.metrics[name].nan_to_num(-1.0)), name


def test_an_evaluation_from_replays_is_that_of_steps_as_written():
    (env, made), plain = taped(make_point()), make_point()
    assert_same(*(run_episodes(one, RandomPolicy(one, 5), per_env=4) for one in (env, plain)))
    assert made[0].replays > 10


def test_so_is_one_of_a_simulated_task():
    pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    cfg = {"task": {"episode_steps": 5, "motion": "walk"}}
    make = lambda: isaachrl.make("HumanoidAMP", 3, sim="mujoco_warp", device="cpu", seed=2, cfg=cfg)  # noqa: E731
    (env, made), plain = taped(make()), make()
    assert_same(*(run_episodes(one, RandomPolicy(one, 5), per_env=2) for one in (env, plain)))
    assert made[0].replays >= 10 - WARM_UP


def test_observe_between_step_and_reset_returns_the_terminal_state():
    env, made = taped(make_point())
    times = []
    run_episodes(env, RandomPolicy(env, 5), 2, on_step=lambda result: times.append(env.time[result.done].tolist()))
    assert not made
    assert [2] in times and [0] not in times  # an episode of two steps, before it begins anew


def test_a_training_from_replays_that_is_resumed_is_the_uninterrupted_one():
    def begun():
        torch.manual_seed(1)
        env, made = taped(make_point())
        return Greedy(env, GreedyCfg(), 0), made

    whole, _ = begun()
    whole.iterate(), whole.iterate()
    state = copy.deepcopy([whole.env.state_dict(), whole.state_dict(), torch.get_rng_state()])
    expected = [whole.iterate()["reward/mean"] for _ in range(3)]
    resumed, made = begun()
    for _ in range(2):  # so that there is a recording by now, which goes on in the restored state
        resumed.iterate()
    resumed.env.load_state_dict(state[0])
    resumed.load_state_dict(state[1])
    torch.set_rng_state(state[2])
    assert [resumed.iterate()["reward/mean"] for _ in range(3)] == expected
    assert made[0].replays > 12
