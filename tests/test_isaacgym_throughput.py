"""The benchmark of Isaac Gym tasks counts each second once; its numbers on real tasks are not checked here."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from isaachrl.compat.isaacgym import gymapi
from isaachrl.errors import ConfigError
from tests.compat.scenes import GYM, HINGE, fill, load, new_sim, set_drives, transform

PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "isaacgym_throughput.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("isaacgym_throughput", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Clock:
    """Time that passes where it is said."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def spend(self, seconds):
        self.now += seconds


class Task:
    """A control step of two simulations: 2 s of its own; in each 1 s of the API, 4 s of the engine; 3 s of resets."""

    def __init__(self, clock):
        self.clock, self.done = clock, 0
        batch = SimpleNamespace(step=lambda ids, n, stage: clock.spend(2.0 * n), warning=[])
        self.worlds = SimpleNamespace(_batch=batch, ctrl=torch.zeros(1, 1))
        self.worlds.step = lambda substeps: self.worlds._batch.step(None, substeps, 1)
        self.sim = SimpleNamespace(physics=SimpleNamespace(worlds=self.worlds))
        self.gym = SimpleNamespace(simulate=self.simulate, name="gym")

    def simulate(self, sim):
        self.clock.spend(1.0)
        self.worlds.step(2)

    def step(self, action):
        assert self.gym.name == "gym" and self.worlds._batch.warning == []  # what is no method stays
        self.clock.spend(2.0)
        self.worlds.ctrl.copy_(action)
        for _ in range(2):
            self.gym.simulate(self.sim)

    def reset_done(self):
        self.clock.spend(3.0)
        self.done += 1


@pytest.mark.parametrize(("resets", "own"), [(True, 2.0), (False, 5.0)])
def test_each_second_is_counted_once(benchmark, resets, own):
    clock, taken = Clock(), []
    task = Task(clock)
    bare = SimpleNamespace(follow=lambda: clock.spend(100.0))
    bare.step = lambda ctrl, substeps: (taken.append((ctrl.item(), substeps)), clock.spend(0.5 * substeps))
    measurement = benchmark.Measurement(task, bare, resets, clock)
    for _ in range(2):  # a block begins anew
        taken.clear()
        block = measurement.block([torch.full((1, 1), 7.0), torch.full((1, 1), 8.0)])
        assert (block.total, block.engine, block.api, block.bare) == (2 * (own + 10.0), 16.0, 4.0, 4.0)
        assert taken == [(7.0, 2), (7.0, 2), (8.0, 2), (8.0, 2)]
    assert task.done == (0 if resets else 4)


def test_figures_are_medians_over_blocks(benchmark):
    blocks = [benchmark.Block(total, total / 2, total / 4, 1.0) for total in (4.0, 2.0, 8.0)]
    assert benchmark.summary(blocks, num_envs=10, steps=6) == {
        "steps_per_s": 15.0, "bare_steps_per_s": 60.0, "ratio": 0.25, "engine": 0.5, "api": 0.25, "own": 0.25,
    }  # fmt: skip


def test_the_bare_engine_has_the_properties_of_the_worlds(benchmark, tmp_path):
    scene = new_sim()
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)])
    set_drives(scene, driveMode=gymapi.DOF_MODE_POS, stiffness=300.0, damping=20.0)
    physics = scene.prepare().sim.physics
    physics.set_targets("position", torch.tensor([0.3, -0.4]), torch.ones(2, 1, dtype=torch.bool), "test")
    bare = benchmark.Bare(physics.worlds, physics.num_dofs)
    bare.follow()
    scene.step(5)  # whose controls are constant
    for _ in range(5):
        bare.step(physics.worlds.ctrl, 1)
    expected = physics.worlds.engine_state
    assert abs(expected).max() > 0.1
    assert torch.allclose(torch.tensor(bare.engine_state), torch.tensor(expected), atol=1e-12)
    GYM.destroy_sim(scene.sim)


@pytest.mark.parametrize("words", [[], ["nowhere"], ["COPY", "only=Cartpole"], ["COPY", "word=1"]])
def test_bad_commands_are_refused(benchmark, words, tmp_path):
    (tmp_path / "isaacgymenvs" / "tasks").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"PATH, the folder|only=Cartpole: choose from Ant|unknown key word"):
        benchmark.main([str(tmp_path) if word == "COPY" else word for word in words])
