"""Departures from the model: pushes, masses, friction and an uneven floor."""

import pytest
import torch

import isaachrl
from isaachrl import config
from isaachrl.envs.disturbance import GRAVITY_MPS2, DisturbanceCfg
from isaachrl.errors import ConfigError

PUSHED = {"push": 0.3, "push_s": 0.5, "push_every_s": 2.0}


def make(num_envs=8, seed=0, engine="mujoco", **disturb):
    cfg = {"task": {"motion": "walk", "disturb": disturb}}
    return isaachrl.make("HumanoidAMP", num_envs, sim=engine, device="cpu", seed=seed, cfg=cfg)


def forces_over_time(env, steps):
    """`(steps, N, 3)` pushes, without the cost of physics."""
    env.sim.step = lambda _: None
    seen = []
    for _ in range(steps):
        env.advance(torch.zeros(env.num_envs, env.action_size))
        seen.append(env.disturbance.force_w.clone())
    return torch.stack(seen)


def test_nothing_is_disturbed_by_default():
    assert make().disturbance is None


def test_pushes_are_as_strong_as_long_and_as_frequent_as_configured():
    env = make(200, **PUSHED)
    force = forces_over_time(env, 300)
    size = force.norm(dim=-1)
    assert torch.equal(force[..., 2], torch.zeros_like(size))
    largest = 0.3 * env.sim.robot.mass_kg * GRAVITY_MPS2
    assert 0.95 * largest < size.max().item() <= largest * 1.0001
    assert (size > 0).float().mean().item() == pytest.approx(0.5 / 2.0, abs=0.03)
    begins = ((size[1:] != size[:-1]) & (size[1:] > 0))[:-20]
    at, world = begins.nonzero(as_tuple=True)
    for step, one in zip(at[:50].tolist(), world[:50].tolist(), strict=True):
        held = size[step + 1 : step + 16, one]  # 0.5 s are 15 control steps
        assert torch.equal(held, held[:1].expand(15)), "a push changes while it lasts"
    assert size[size > 0].mean().item() == pytest.approx(largest / 2, rel=0.1)
    assert force.sum((0, 1))[:2].norm().item() < 0.1 * size.sum().item(), "pushes prefer a direction"


def test_a_push_reaches_the_body_and_ends_with_the_episode():
    calm, pushed = make(4, seed=3), make(4, seed=3, **PUSHED)
    pushed.load_state_dict(calm.state_dict())
    pushed.disturbance.force_w[1, 1] = 140.0
    pushed.disturbance._steps_left.fill_(10)
    action = torch.zeros(4, calm.action_size)
    for _ in range(5):
        calm.advance(action), pushed.advance(action)
    sideways = (pushed.sim.root_linvel_w - calm.sim.root_linvel_w)[:, 1]
    assert sideways[1] > 0.2
    assert torch.equal(sideways[[0, 2, 3]], torch.zeros(3))
    pushed.reset_where(torch.tensor([False, True, False, False]))
    assert not pushed.disturbance.force_w.any()


def test_a_resumed_run_is_pushed_on_as_before():
    one, two = make(8, seed=1, **PUSHED), make(8, seed=1, **PUSHED)
    forces_over_time(one, 40)
    two.load_state_dict(one.state_dict())
    assert torch.equal(forces_over_time(one, 30), forces_over_time(two, 30))


def test_each_world_keeps_its_own_mass_and_friction():
    env = make(64, mass=0.2, friction=0.5)
    model = env.sim.model
    share = env.sim.model_field("body_mass")[:, 1:].sum(1) / model.body_mass[1:].sum()
    assert torch.allclose(share.float(), env.disturbance.scale["body_mass"], atol=1e-5)
    assert 0.8 <= share.min() < 0.83 and 1.17 < share.max() <= 1.2
    inertia = env.sim.model_field("body_inertia")[:, 1, 0] / model.body_inertia[1, 0]
    assert torch.allclose(inertia, share)
    friction = env.sim.model_field("geom_friction")
    sliding = friction[:, 0, 0] / model.geom_friction[0, 0]
    assert 0.5 <= sliding.min() < 0.55 and 1.45 < sliding.max() <= 1.5
    assert torch.equal(friction, make(64, mass=0.2, friction=0.5).sim.model_field("geom_friction")), "not by the seed"
    assert (friction[:, 0, 1] == model.geom_friction[0, 1]).all(), "only sliding friction differs"


@pytest.mark.parametrize("engine", ["mujoco", "mujoco_warp"])
def test_a_rough_floor_bears_the_body(engine):
    if engine == "mujoco_warp":
        pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    env = make(2, engine=engine, rough_m=0.02)
    for _ in range(10):
        result = env.advance(torch.zeros(2, env.action_size))
    assert not result.terminated.any()
    lowest = env.sim.body_pos_w[:, :, 2].amin()
    assert -0.01 < lowest < 0.15  # in free fall they would be half a metre below by now


def test_a_rough_floor_has_bumps_and_hollows_around_the_even_one():
    model = make(1, rough_m=0.02).sim.model
    heights = model.hfield_data * model.hfield_size[0, 2] + model.geom("floor").pos[2]
    assert heights.min() == pytest.approx(-0.01, abs=1e-3) and heights.max() == pytest.approx(0.01, abs=1e-3)
    assert heights.mean() == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"push": -0.1}, r"task\.disturb\.push=-0\.1: expected a number from 0 to 10"),
        ({"mass": 1.0}, r"mass=1\.0: expected a number from 0 to 0\.999"),
        ({"push_s": 5.0}, r"push_s=5\.0 must be below push_every_s=4\.0"),
    ],
)
def test_disturbances_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        config.build(DisturbanceCfg, changes, "task.disturb")
