"""Departures from the model: pushes, masses, friction, an uneven floor, gains, delays and sensor noise."""

import pytest
import torch

import isaachrl
from isaachrl import config
from isaachrl.envs.disturbance import GRAVITY_MPS2, Disturbance, DisturbanceCfg
from isaachrl.errors import ConfigError
from isaachrl.sim import Scene, make_sim

CPU = torch.device("cpu")

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


def test_pushes_fade_and_come_back():
    env = make(200, **PUSHED)
    largest = 0.3 * env.sim.robot.mass_kg * GRAVITY_MPS2
    for share in (0.0, 0.2, 1.0):
        env.disturbance.fade(share)
        env.disturbance.reset(torch.ones(200, dtype=torch.bool))
        size = forces_over_time(env, 100).norm(dim=-1)
        assert 0.95 * share * largest <= size.max().item() <= share * largest * 1.0001


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


def needs(engine):
    if engine == "mujoco_warp":
        pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')


@pytest.mark.parametrize("engine", ["mujoco", "mujoco_warp"])
def test_each_world_keeps_its_own_mass_and_friction(engine):
    needs(engine)
    cfg, sims = DisturbanceCfg(mass=0.2, friction=0.5), [make_sim(Scene(), 64, of, CPU) for of in (engine, "mujoco")]
    one, other = (Disturbance(cfg, sim, 1 / 30, torch.Generator().manual_seed(0)) for sim in sims)
    assert torch.equal(one.scale["geom_friction"], other.scale["geom_friction"]), "not by the seed"
    sim, model = sims[0], sims[0].model
    share = sim.model_field("body_mass")[:, 1:].sum(1) / model.body_mass[1:].sum()
    assert torch.allclose(share.float(), one.scale["body_mass"], atol=1e-5)
    assert 0.8 <= share.min() < 0.83 and 1.17 < share.max() <= 1.2
    inertia = sim.model_field("body_inertia")[:, 1, 0] / model.body_inertia[1, 0]
    assert torch.allclose(inertia, share)
    friction = sim.model_field("geom_friction")
    sliding = friction[:, 0, 0] / model.geom_friction[0, 0]
    assert 0.5 <= sliding.min() < 0.55 and 1.45 < sliding.max() <= 1.5
    assert torch.allclose(friction[:, 0, 1].double(), torch.tensor(model.geom_friction[0, 1])), "only sliding differs"


@pytest.mark.parametrize("engine", ["mujoco", "mujoco_warp"])
def test_each_motor_of_each_world_has_its_own_gain(engine):
    needs(engine)
    sim, generator = make_sim(Scene(), 3, engine, CPU), torch.Generator().manual_seed(0)
    before = {name: sim.model_field(name)[0].clone() for name in ("actuator_gainprm", "actuator_biasprm")}
    scale = Disturbance(DisturbanceCfg(gains=0.2), sim, 1 / 30, generator).scale["gains"]
    assert scale.shape == (3, 28) and 0.8 <= scale.min() < 0.83 and 1.17 < scale.max() <= 1.2
    gain, bias = sim.model_field("actuator_gainprm"), sim.model_field("actuator_biasprm")
    torch.testing.assert_close(gain[..., 0], before["actuator_gainprm"][:, 0] * scale.to(gain))
    assert torch.equal(gain[..., 0], -bias[..., 1]), "else the error of a ball joint is not wrapped"
    torch.testing.assert_close(bias[..., 2], before["actuator_biasprm"][:, 2] * scale.to(bias))
    assert not gain[..., 1:].any() and not bias[..., 0].any() and not bias[..., 3:].any()
    # the torque of a motor below its limit is that of its own stiffness
    knee = sim.robot.dof_names.index("right_knee")
    qpos = sim.robot.qpos0.expand(3, -1).clone()
    qpos[:, 2] = 3.0
    sim.reset(torch.ones(3, dtype=torch.bool), qpos, torch.zeros_like(sim.qvel))
    sim.motor_torque  # noqa: B018  from now on the CPU engine copies it out
    sim.ctrl.zero_()
    sim.ctrl[:, knee] = 0.1
    sim.step(1)
    torch.testing.assert_close(sim.motor_torque[:, knee], 30.0 * scale[:, knee], rtol=1e-4, atol=1e-4)


def test_actions_arrive_late_by_a_number_of_steps_that_differs_by_world():
    env = make(64, delay_steps=2)
    delays = env.disturbance.delay_steps
    assert sorted(set(delays.tolist())) == [0, 1, 2]
    arrived, env.sim.step = [], lambda _: None
    env.task.apply = lambda action: arrived.append(action[:, 0].clone())

    def give(value):
        env.advance(torch.full((64, env.action_size), value))

    for value in (0.1, 0.2, 0.3, 0.4):
        give(value)
    given = torch.tensor([0.1, 0.2, 0.3, 0.4])
    for step in range(4):  # the first action arrives at once, and stays until the second does
        assert torch.equal(arrived[step], given[(step - delays).clamp_min(0)])
    env.reset_where(torch.arange(64) < 32)
    give(0.9)
    expected = torch.where(torch.arange(64) < 32, 0.9, torch.where(delays == 0, 0.9, given[(4 - delays).clamp(0, 3)]))
    torch.testing.assert_close(arrived[-1], expected)


def test_sensors_are_as_noisy_as_their_units_say_and_the_style_is_not():
    env, exact = make(256, noise=2.0), make(256)
    exact.load_state_dict(env.state_dict())
    env.sim.step = exact.sim.step = lambda _: None
    errors = []
    for _ in range(8):
        one, two = (e.advance(torch.zeros(256, e.action_size)).obs for e in (env, exact))
        assert torch.equal(one["style"], two["style"])
        assert torch.equal(one["proprioception"], env.observe()["proprioception"]), "noise belongs to the step"
        errors.append(one["proprioception"] - two["proprioception"])
    deviation, column = torch.stack(errors).std((0, 1)), 0
    for name, size, _ in env.obs_layout["proprioception"]:
        expected = {"root_height": 0.02, "body_pos_h": 0.02, "body_linvel_h": 0.2, "body_angvel_h": 0.4}.get(name, 0.04)
        part = deviation[column : column + size]
        assert part.mean().item() == pytest.approx(expected, rel=0.05), name
        column += size
    assert not torch.equal(errors[0], errors[1]) and torch.stack(errors).mean().abs() < 1e-3


def test_noise_needs_sensors():
    with pytest.raises(ConfigError, match=r"task\.disturb\.noise=1: the task does not observe 'proprioception'"):
        isaachrl.make("AntGather", 2, device="cpu", cfg={"task": {"disturb": {"noise": 1.0}}})


def test_what_is_not_asked_for_changes_nothing():
    first, second = make(4, seed=5, **PUSHED), make(4, seed=5, **PUSHED, gains=0.0, delay_steps=0, noise=0.0)
    third = make(4, seed=5, **PUSHED, delay_steps=1)
    assert set(first.state_dict()["disturbance"]) == {"force_w", "left"}
    assert torch.equal(first.generator.get_state(), second.generator.get_state())
    assert not torch.equal(first.generator.get_state(), third.generator.get_state())
    for _ in range(3):
        action = torch.full((4, first.action_size), 0.1)
        one, two = first.step(action), second.step(action)
        assert all(torch.equal(one.obs[group], two.obs[group]) for group in one.obs)
    assert torch.equal(first.sim.model_field("actuator_gainprm")[0], second.sim.model_field("actuator_gainprm")[3])


def test_a_resumed_run_has_the_same_delays_and_noise_and_may_switch_them():
    late = {"delay_steps": 3, "noise": 1.0, "gains": 0.1}
    one, two, pushed = make(8, seed=1, **late), make(8, seed=1, **late), make(8, seed=1, **PUSHED)
    actions = torch.rand(6, 8, one.action_size, generator=torch.Generator().manual_seed(0)) * 0.2
    for action in actions[:3]:
        one.step(action)
    two.load_state_dict(one.state_dict())
    for action in actions[3:]:
        seen = [env.step(action).obs["proprioception"] for env in (one, two)]
        assert torch.equal(*seen)
    pushed.load_state_dict(one.state_dict())
    assert torch.equal(pushed.sim.qpos, one.sim.qpos) and not pushed.disturbance.force_w.any()


@pytest.mark.parametrize("engine", ["mujoco", "mujoco_warp"])
def test_a_rough_floor_bears_the_body(engine):
    needs(engine)
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
        ({"gains": 1.0}, r"task\.disturb\.gains=1\.0: expected a number from 0 to 0\.999"),
        ({"delay_steps": -1}, r"delay_steps=-1: expected"),
        ({"mass": 1.0}, r"mass=1\.0: expected a number from 0 to 0\.999"),
        ({"push_s": 5.0}, r"push_s=5\.0 must be below push_every_s=4\.0"),
    ],
)
def test_disturbances_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        config.build(DisturbanceCfg, changes, "task.disturb")
