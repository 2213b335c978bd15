"""Replayed steps are the steps as written: with a tape in place of CUDA graphs on the CPU, and on a GPU with graphs."""

import logging
import re
import warnings
from collections import deque

import numpy as np
import pytest
import torch

import isaachrl
import tasks
from isaachrl.envs import registry
from isaachrl.envs.cuda_graph import WARM_UP, Slots, StepGraph, use_cuda_graph
from isaachrl.envs.registry import World
from isaachrl.envs.task import TaskCfg
from isaachrl.errors import ConfigError, RecordError
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv
from isaachrl.sim.cuda_graph import Recorder, recording
from isaachrl.sim.worlds import CpuWorlds
from tests.run.point import Point, PointCfg
from tests.tape import TapeRecorder

assert tasks
every_task = pytest.mark.parametrize("name", registry.names())
SIMULATED = [name for name in registry.names() if issubclass(registry.entry(name).cfg_type, TaskCfg)]
every_simulated_task = pytest.mark.parametrize("name", SIMULATED)


def taped(env):
    """The environment with steps from a tape, and the recorders that were made."""
    made = []

    def make():
        made.append(TapeRecorder(env))
        return made[-1]

    env.step_graph = StepGraph(env, make)
    return env, made


def numbers(result):
    """Everything a step gives, by name."""
    flat = {name: getattr(result, name) for name in ("reward", "terminated", "truncated", "discount_steps")}
    for group in ("obs", "terminal_obs", "terms", "metrics"):
        flat |= {f"{group}/{name}": value for name, value in getattr(result, group).items()}
    return flat


def assert_same(one, other):
    for name, value in numbers(one).items():
        torch.testing.assert_close(value, numbers(other)[name], rtol=0, atol=0, equal_nan=True, msg=name)


def actions(env, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.rand(env.num_envs, env.action_size, generator=generator) - 1 for _ in range(steps)]


@pytest.mark.slow
@every_task
def test_replayed_steps_are_the_steps_as_written(on_warp, name):
    steps = 14
    (env, made), plain = taped(on_warp(name, num_envs=4, episode_steps=6)), on_warp(name, num_envs=4, episode_steps=6)
    ends = 0
    for action in actions(env, steps):  # some of these steps reset, at random
        result = env.step(action)
        ends += int(result.done.sum())
        assert_same(result, plain.step(action))
    assert made[0].replays == steps - WARM_UP
    assert ends >= 4


@pytest.mark.parametrize("outside", ["reset", "step", "load"])
def test_changes_between_replays_are_seen_by_the_next_replay(on_warp, outside):
    name = "HumanoidHRLMaze"  # it binds new tensors in its steps and resets
    (env, _), plain = taped(on_warp(name, num_envs=3)), on_warp(name, num_envs=3)
    stored = plain.state_dict()
    for action in actions(env, WARM_UP + 2):
        env.step(action), plain.step(action)
    for one in (env, plain):
        if outside == "reset":
            one.reset()
        elif outside == "step":
            one.step_eagerly(actions(env, 1, seed=5)[0])
        else:
            one.load_state_dict(stored)
    for action in actions(env, 2, seed=6):
        assert_same(env.step(action), plain.step(action))


def test_pushes_delays_and_noise_go_on_in_replays(on_warp):
    disturb = {"push": 0.3, "push_s": 0.1, "push_every_s": 0.2, "delay_steps": 2, "noise": 1.0, "gains": 0.1}

    def build():
        task = {"motion": "walk", "disturb": disturb}
        return isaachrl.make("HumanoidAMP", 4, sim="mujoco_warp", device="cpu", seed=0, cfg={"task": task})

    (env, made), plain = taped(build()), build()
    for action in actions(env, 10):
        assert_same(env.step(action), plain.step(action))
        assert torch.equal(env.disturbance.force_w, plain.disturbance.force_w)
    assert made[0].replays > 0 and env.disturbance.force_w.any()


class Counter:
    """Something with tensors that are bound anew."""

    def __init__(self):
        self.a, self.b, self.name = torch.zeros(2), torch.ones(2), "counter"


def test_graph_slots_copy_back_swapped_tensors():
    counter = Counter()
    slots, a, b = Slots([counter]), counter.a, counter.b
    counter.a, counter.b = counter.b, counter.a
    slots.synchronize()
    assert counter.a is a and counter.b is b
    assert counter.a.tolist() == [1.0, 1.0] and counter.b.tolist() == [0.0, 0.0]
    counter.a = counter.a + 4
    slots.restore()
    assert counter.a is a and counter.a.tolist() == [1.0, 1.0]


class Failing(TapeRecorder):
    def record(self, work):
        super().record(work)
        raise RuntimeError("operation not permitted when\nstream is capturing")


def test_steps_that_cannot_be_captured_run_eagerly_with_one_warning(on_cpu_engine, caplog):
    env = on_cpu_engine("HumanoidAMP", num_envs=2)
    env.step_graph = StepGraph(env, lambda: Failing(env))
    with caplog.at_level(logging.INFO):
        for action in actions(env, WARM_UP + 3):
            assert env.step(action).reward.isfinite().all()
    (line,) = [record.message for record in caplog.records if "graph" in record.message]
    assert line.endswith("cannot be recorded (operation not permitted when stream is capturing)")
    assert env.step_graph is None and recording() is None


class Inner:
    def __init__(self):
        self.total = torch.zeros(3)


class Forgetful(Point):
    """A point that keeps something of its state where a replay cannot change it, and is paid by it."""

    def __init__(self, kind):
        super().__init__(PointCfg(), World(3, "auto", torch.device("cpu"), torch.Generator().manual_seed(1)))
        self.kind, self.number, self.listed, self.inner = kind, 0, [torch.zeros(3), 1.5], Inner()
        self.array, self.visited, self.queue = np.array([0.0, np.nan]), {0}, deque([0.0, 1.0], maxlen=2)

    def advance(self, action):
        result = super().advance(action)
        if self.kind == "number":
            self.number += 1
        elif self.kind == "listed":
            self.listed[0] = self.listed[0] + 1
        elif self.kind == "inner":
            self.inner.total = self.inner.total + 1
        elif self.kind == "array":
            self.array[0] += 1
        elif self.kind == "visited":
            self.visited.add(len(self.visited))
        elif self.kind == "queue":
            self.queue.append(self.queue[-1] + 1)
        elif self.kind == "in place":
            self.listed[0].add_(1)
            self.inner.total.add_(1)
        kept = self.number + float(self.array[0]) + len(self.visited) + self.queue[0]
        result.reward = result.reward + kept + self.listed[0] + self.inner.total
        return result


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("number", "Forgetful.number"),
        ("listed", r"Forgetful.listed\[0\]"),
        ("inner", "inner.total"),
        ("array", "Forgetful.array"),
        ("visited", "Forgetful.visited"),
        ("queue", r"Forgetful.queue\[0\], Forgetful.queue\[1\]"),
    ],
)
def test_python_state_that_changes_disables_replay(caplog, kind, path):
    (env, made), plain = taped(Forgetful(kind)), Forgetful(kind)
    for action in actions(env, WARM_UP + 3):
        assert_same(env.step(action), plain.step(action))
    assert not made and env.step_graph is None
    (record,) = [one for one in caplog.records if "cuda_graph=auto" in one.getMessage()]
    assert record.levelno == logging.WARNING and re.search(rf"since they change \S*{path}, and", record.getMessage())


def test_in_place_changes_are_replayed():
    (env, made), plain = taped(Forgetful("in place")), Forgetful("in place")
    for action in actions(env, WARM_UP + 3):
        assert_same(env.step(action), plain.step(action))
    assert made[0].replays == 3


def test_a_step_that_waits_is_never_recorded(monkeypatch, caplog):
    class Waiting(Forgetful):
        def advance(self, action):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)  # as PyTorch does when asked to
            return super().advance(action)

    modes = [0]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    (env, made), plain = taped(Waiting("")), Forgetful("")
    env.device = torch.device("cuda", 0)  # no tensor is there
    monkeypatch.setattr(Waiting, "check_action", lambda env, action: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for action in actions(env, WARM_UP + 3):
            assert_same(env.step(action), plain.step(action))  # the watched step was taken once, and whole
    assert not made and env.step_graph is None and modes == [0, "warn", 0]
    (line,) = [one.getMessage() for one in caplog.records if "cuda_graph=auto" in one.getMessage()]
    assert re.search(rf"since they wait for the device at {re.escape(__file__)}:\d+$", line)


def test_a_step_that_only_a_recording_refuses_is_taken_as_it_is_written(caplog):
    class Writing(Forgetful):
        def advance(self, action):
            if recording() is not None:
                raise RecordError("a step calls Sim.apply_model_fields, which cannot be captured in a CUDA graph")
            return super().advance(action)

    (env, made), plain = taped(Writing("")), Forgetful("")
    for action in actions(env, WARM_UP + 2):
        assert_same(env.step(action), plain.step(action))
    assert len(made) == 1 and env.step_graph is None and recording() is None
    assert "cannot be recorded (a step calls Sim.apply_model_fields" in caplog.text


def test_a_watched_step_is_not_replayed(on_cpu_engine):
    env, made = taped(on_cpu_engine("HumanoidHRLMaze", num_envs=2))
    assert isinstance(env, HierarchicalEnv)
    seen = []
    env.observer = lambda: seen.append(1)
    for action in actions(env, WARM_UP + 2):
        env.step(action)
    assert not made and len(seen) == (WARM_UP + 2) * env.cfg.steps


@every_task
def test_the_tasks_with_a_simulation_are_those_whose_steps_are_tried_as_graphs(on_cpu_engine, monkeypatch, name):
    env = on_cpu_engine(name, num_envs=1)
    env.device = torch.device("cuda", 0)  # only looked at
    monkeypatch.setattr("isaachrl.envs.cuda_graph.StepGraph", lambda env: "a graph")
    monkeypatch.setattr(CpuWorlds, "CAPTURABLE", True)
    assert (use_cuda_graph(env, "auto").step_graph == "a graph") == (name in SIMULATED)
    assert {"TaxiFuel", "FourRooms", "ShipSteering"}.isdisjoint(SIMULATED)


def test_on_the_cpu_nothing_is_recorded_and_a_wrong_mode_is_refused():
    env = isaachrl.make("HumanoidAMP", 1, device="cpu")
    assert env.step_graph is None
    assert use_cuda_graph(env, "off").step_graph is None
    with pytest.raises(ConfigError, match=r"cuda_graph=of is unknown; did you mean off\? \(valid: auto, off\)"):
        isaachrl.make("HumanoidAMP", 1, device="cpu", cuda_graph="of")


def test_a_failed_recording_leaves_nothing_open():
    class Quiet(Recorder):
        def _begin(self):
            self.open = True

        def _end(self):
            self.open = False
            raise RuntimeError("capture was invalidated")

    recorder = Quiet(torch.device("cpu"), torch.Generator())

    def work():
        assert recording() is recorder
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        recorder._record(work)
    assert recording() is None and not recorder.open


# ------------------------------------------------------------------------------------------------ on a GPU


@pytest.fixture
def on_gpu(skill_file):
    def make(name, graph, num_envs=64):
        cfg = {"episode_steps": 6} | ({"skill": skill_file} if "HRL" in name else {})
        return isaachrl.make(name, num_envs, sim="mujoco_warp", device="cuda:0", cuda_graph=graph, cfg={"task": cfg})

    return make


@pytest.mark.cuda
@every_simulated_task
def test_graphs_on_and_off_agree_on_a_gpu(on_gpu, name):
    env, plain, again = (on_gpu(name, graph) for graph in ("auto", "off", "off"))
    for i, action in enumerate(actions(env, 12)):
        result, expected, repeated = (one.step(action.cuda()) for one in (env, plain, again))
        assert env.step_graph is not None, "the recording failed: see the log"
        apart, twice = (
            float((env.policy_input(one.obs) - env.policy_input(expected.obs)).abs().amax(-1).median())
            for one in (result, repeated)
        )
        assert apart < max(1e-3, 3.0 * twice), f"step {i}"  # sums on a GPU are in no fixed order: worlds differ
        assert float((result.truncated == expected.truncated).float().mean()) > 0.9


@pytest.mark.cuda
@every_simulated_task
def test_the_cpu_engine_serves_a_gpu(skill_file, name):
    cfg = {"episode_steps": 6} | ({"skill": skill_file} if "HRL" in name else {})
    cfg |= {"disturb": {"push": 0.3, "mass": 0.2, "friction": 0.2}} if name == "HumanoidAMP" else {}
    env = isaachrl.make(name, 4, sim="mujoco", device="cuda:0", cfg={"task": cfg})
    assert env.step_graph is None
    for action in actions(env, 8):  # with ends and resets
        for label, value in numbers(env.step(action.cuda())).items():
            assert value.device == torch.device("cuda", 0) and not value.isinf().any(), label
    env.load_state_dict(env.state_dict())


@pytest.mark.cuda
def test_replays_draw_new_numbers_and_a_seed_repeats_them_on_a_gpu(on_gpu):
    env, again = on_gpu("HumanoidAMP", "auto"), on_gpu("HumanoidAMP", "auto")
    starts = []
    for _ in range(3):
        for action in actions(env, env.episode_steps):
            env.step(action.cuda()), again.step(action.cuda())
        starts.append(env.task.start_time_s.clone())
        assert torch.equal(starts[-1], again.task.start_time_s)
    assert not torch.equal(starts[0], starts[1]) and not torch.equal(starts[1], starts[2])


@pytest.mark.cuda
@every_simulated_task
def test_a_replayed_step_never_synchronizes_on_a_gpu(on_gpu, name):
    env = on_gpu(name, "auto")
    inputs = [action.cuda() for action in actions(env, 10)]
    for action in inputs[: WARM_UP + 2]:
        env.step(action)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for action in inputs[WARM_UP + 2 :]:
            env.step(action)
    finally:
        torch.cuda.set_sync_debug_mode("default")
