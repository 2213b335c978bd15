import pytest
import torch

from isaachrl.sim import Scene, make_sim
from isaachrl.sim.bare import BareEngine, BareWarp, bare_engine
from tests.sim.worlds import SCENE, make_on, run


def test_the_bare_engine_takes_the_very_same_steps():
    sim = make_sim(Scene(contact_bodies=("left_foot",)), 3, "mujoco", torch.device("cpu"), threads=1)
    bare = BareEngine(sim.worlds)
    for start in range(2):
        for _ in range(4):
            sim.ctrl.copy_(0.3 * torch.randn(sim.ctrl.shape))
            sim.step(2)
        bare.follow()
        assert (bare.engine_state == sim.worlds.engine_state).all()
        for i in range(4):
            sim.ctrl.copy_(0.3 * torch.randn(sim.ctrl.shape))
            bare.step(sim.ctrl, 2)
            assert not (bare.engine_state == sim.worlds.engine_state).all()
            sim.step(2)
            assert (bare.engine_state == sim.worlds.engine_state).all(), (start, i)


def test_the_bare_gpu_engine_takes_the_very_same_steps():
    pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    sim = make_on("mujoco_warp", SCENE, 2)
    bare = bare_engine(sim)
    assert isinstance(bare, BareWarp)
    run(sim, 2)
    bare.follow()
    assert torch.equal(bare.qpos, sim.qpos)
    bare.step(sim.ctrl, 2)
    assert not torch.equal(bare.qpos, sim.qpos)
    sim.step(2)
    assert torch.equal(bare.qpos, sim.qpos)
