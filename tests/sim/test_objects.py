"""Free bodies in the scene, on both engines."""

import math
from dataclasses import replace
from types import SimpleNamespace

import mujoco
import pytest
import torch

from isaachrl.maths import rotations
from isaachrl.sim import Block, FreeBody, Scene, Shape, make_sim
from tests.sim.worlds import FEET, SUBSTEPS, assert_same_bits, make_on, mask, random_ctrl, run, snapshot
from tests.tape import TapeRecorder

G, DT = 9.81, 1.0 / 120.0
PILLAR = FreeBody("pillar", Shape.box, (0.2, 0.2, 0.9), 8.64, (3.0, 0.0, 0.9))
BALL = FreeBody("ball", Shape.ball, (0.1,), 0.5, (0.0, 3.0, 0.1))
CRATE = FreeBody("crate", Shape.box, (0.25, 0.25, 0.25), 5.0, (0.0, -2.0, 0.25), friction=0.5)
LOG = FreeBody("log", Shape.capsule, (0.08, 0.3), 2.0, (-2.0, 0.0, 0.08), (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0))
# on the engine for GPUs every number of degrees of freedom compiles kernels of its own: its tests have two objects
SCENE = Scene(objects=(PILLAR, BALL), contact_bodies=FEET, object_contact_bodies=("torso", "left_foot"))
AGREE = ("qpos", "qvel", "body_pos_w", "pos_w", "quat_w", "linvel_w", "angvel_w")
UPRIGHT = torch.tensor([1.0, 0.0, 0.0, 0.0])


@pytest.fixture
def warp():
    return pytest.importorskip("warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')


def place(sim, index, pos=(0.0, 0.0, 0.0), quat=UPRIGHT, linvel=(0.0, 0.0, 0.0), angvel=(0.0, 0.0, 0.0), worlds=None):
    """Place one object; a vector for all worlds or one for each. What is not to be placed is given as NaN."""
    chosen = torch.zeros(sim.object_pos_w.shape[:2], dtype=torch.bool)
    chosen[:, index] = True if worlds is None else worlds
    given = []
    for values in (pos, quat, linvel, angvel):
        values = torch.as_tensor(values, dtype=torch.float32)
        wide = values.unsqueeze(-2).expand(*chosen.shape, values.shape[-1])
        given.append(wide.masked_fill(~chosen.unsqueeze(-1), torch.nan))
    sim.place_objects(chosen, *given)


def ram(sim, worlds=None, seed=0):
    """One control step in which the pillar hits the robot's chest."""
    place(sim, 0, (0.31, 0.0, 0.9), linvel=(-1.0, 0.0, 0.0), worlds=worlds)
    run(sim, 1, seed)


def objects(sim):
    """Copies of every tensor that shows objects."""
    names = ("pos_w", "quat_w", "linvel_w", "angvel_w", "touched", "contact")
    return {name: getattr(sim, f"object_{name}").clone() for name in names}


def everything(sim):
    return snapshot(sim) | objects(sim)


def up(sim):
    return rotations.axis_z(sim.object_quat_w)[..., 2]


def test_objects_begin_at_rest_at_their_places(make):
    sim = make(SCENE, 2)
    for row, item in enumerate(SCENE.objects):
        torch.testing.assert_close(sim.object_pos_w[:, row], torch.tensor([item.pos_m, item.pos_m]))
        torch.testing.assert_close(sim.object_quat_w[:, row], torch.tensor([item.quat, item.quat]))
    assert not sim.object_linvel_w.any() and not sim.object_angvel_w.any()
    assert sim.object_touched.shape == (2, 2) and sim.object_contact.shape == (2, 2, 2)
    assert not sim.object_touched.any() and not sim.object_contact.any()


def test_a_scene_without_objects_has_empty_tensors(make):
    sim = make(Scene(contact_bodies=FEET, object_contact_bodies=("torso",)), 2)
    shapes = {name: tuple(tensor.shape) for name, tensor in objects(sim).items()}
    assert shapes == {
        "pos_w": (2, 0, 3), "quat_w": (2, 0, 4), "linvel_w": (2, 0, 3), "angvel_w": (2, 0, 3), "touched": (2, 0),
        "contact": (2, 0, 1),
    }  # fmt: skip
    nothing = torch.zeros(2, 0, 3)
    sim.place_objects(torch.zeros(2, 0, dtype=torch.bool), nothing, torch.zeros(2, 0, 4), nothing, nothing)
    assert "object_contact" not in sim.state_dict()


def test_a_thrown_ball_flies_along_its_parabola_and_keeps_its_spin(make):
    sim = make(SCENE, 1)
    start, velocity, spin = torch.tensor([0.0, 3.0, 1.5]), torch.tensor([2.0, 3.0, 4.0]), torch.tensor([1.0, 9.0, -5.0])
    turned = rotations.normalize(torch.tensor([0.3, -0.5, 0.2, 0.7]))
    place(sim, 1, start, 2.0 * turned, velocity, spin)  # is normalised
    torch.testing.assert_close(sim.object_quat_w[0, 1], turned)
    for _ in range(15):
        sim.step(SUBSTEPS)
    n = 15 * SUBSTEPS
    time, fall = n * DT, G * DT**2 * n * (n + 1) / 2  # of semi-implicit Euler
    expected = start + velocity * time - torch.tensor([0.0, 0.0, fall])
    torch.testing.assert_close(sim.object_pos_w[0, 1], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        sim.object_linvel_w[0, 1], velocity - torch.tensor([0.0, 0.0, G * time]), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(sim.object_angvel_w[0, 1], spin, atol=1e-3, rtol=0)
    turn = rotations.from_rotvec(spin * time)
    off = rotations.multiply(rotations.multiply(turn, turned), rotations.conjugate(sim.object_quat_w[0, 1]))
    assert float(rotations.to_rotvec(off).norm()) < 1e-2


def test_things_that_lie_and_stand_on_the_floor_stay_there():
    sim = make_on("mujoco", Scene(objects=(PILLAR, BALL, CRATE, LOG)), 1)
    before = sim.object_pos_w.clone()
    for _ in range(30):
        sim.step(SUBSTEPS)
    assert float((sim.object_pos_w - before).abs().max()) < 2e-3
    assert float(sim.object_linvel_w.abs().max()) < 0.02
    assert not sim.object_touched.any()


def test_a_box_slides_and_a_ball_rolls_to_a_halt_as_their_coefficients_say(make):
    sim = make(Scene(objects=(CRATE, BALL)), 1)
    place(sim, 0, CRATE.pos_m, linvel=(1.5, 0.0, 0.0))
    place(sim, 1, BALL.pos_m, linvel=(1.5, 0.0, 0.0), angvel=(0.0, 15.0, 0.0))
    slowed = []
    for _ in range(30):
        sim.step(SUBSTEPS)
        slowed.append(1.5 - sim.object_linvel_w[0, :, 0])
    box, ball = torch.stack((slowed[5][0], slowed[29][1])).tolist()
    assert box == pytest.approx(6 * SUBSTEPS * DT * G * CRATE.friction, rel=0.1)
    assert ball == pytest.approx(30 * SUBSTEPS * DT * G * BALL.rolling / 1.4, rel=0.1)


def test_only_the_placed_object_notices(make):
    sim, twin = make(SCENE), make(SCENE)
    for one in (sim, twin):
        run(one, 4)
        ram(one)
    before = everything(sim)
    assert bool(sim.object_touched[:, 0].all())
    place(sim, 1, (5.0, 5.0, 1.0), linvel=(1.0, 2.0, 3.0), worlds=mask(False, True, False))
    after, kept = everything(sim), {"touched", "contact", "pos_w", "quat_w", "linvel_w", "angvel_w"}
    assert sim.object_pos_w[1, 1].tolist() == [5.0, 5.0, 1.0] and sim.object_linvel_w[1, 1].tolist() == [1.0, 2.0, 3.0]
    assert_same_bits(before, after, [0, 2])
    for name in before:  # in world 1, the pillar and the robot
        ours, theirs = (values[name][1] for values in (after, before))
        columns = {"qpos": slice(0, -7), "qvel": slice(0, -6)}.get(name, slice(None))
        assert torch.equal(*(values[0] if name in kept else values[columns] for values in (ours, theirs))), name
    run(sim, 5, seed=9)
    run(twin, 5, seed=9)
    assert_same_bits(everything(twin), everything(sim), [0, 2])
    assert float((sim.qpos[1, :-7] - twin.qpos[1, :-7]).abs().max()) < 1e-3  # far from the ball


def test_placing_rounds_nothing_but_the_placed_object():
    sim = make_on("mujoco", SCENE)
    run(sim, 5)
    before = sim.worlds.engine_state.copy()
    place(sim, 1, (5.0, 5.0, 1.0), linvel=(1.0, 2.0, 3.0), angvel=(1.0, 1.0, 1.0), worlds=mask(False, True, False))
    changed = (sim.worlds.engine_state != before).sum(1)
    assert changed[[0, 2]].tolist() == [0, 0] and 9 <= changed[1] <= 13


def test_a_placed_object_is_where_plain_mujoco_has_it_after_the_next_steps():
    sim = make_on("mujoco", SCENE, 1)
    data = mujoco.MjData(sim.model)
    for number in range(4):
        place(sim, 1, (1.0, 1.0, 1.0), linvel=(-2.0, -2.0, 0.5 * number))
        data.qpos[-7:] = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
        data.qvel[-6:] = [-2.0, -2.0, 0.5 * number, 0.0, 0.0, 0.0]
        sim.ctrl.copy_(random_ctrl(sim, number))
        data.ctrl[:] = sim.ctrl[0].double().numpy()
        sim.step(SUBSTEPS)
        mujoco.mj_step(sim.model, data, SUBSTEPS)
        assert torch.equal(sim.qpos[0], torch.tensor(data.qpos).float())
        assert torch.equal(sim.qvel[0], torch.tensor(data.qvel).float())


def test_a_reset_takes_the_robots_coordinates_alone(make):
    sim = make(Scene(objects=(CRATE, BALL)), 2)
    narrow_qpos, narrow_qvel = sim.qpos[:, :-14].clone(), torch.zeros_like(sim.qvel[:, :-12])
    narrow_qpos[:, 0], narrow_qvel[:, 3] = 3.0, 0.25
    for index in (0, 1):
        place(sim, index, (float(index), 2.0, 2.0), linvel=(1.0, 0.0, 0.0), angvel=(0.0, 1.0, 0.0))
    sim.step(1)
    before = everything(sim)
    sim.reset(mask(False, True), narrow_qpos, narrow_qvel)
    assert_same_bits(before, everything(sim), [0])
    assert torch.equal(sim.qpos[1, :-14], narrow_qpos[1]) and torch.equal(sim.qvel[1, :-12], narrow_qvel[1])
    torch.testing.assert_close(sim.object_pos_w[1], torch.tensor([CRATE.pos_m, BALL.pos_m]))
    torch.testing.assert_close(sim.object_quat_w[1], UPRIGHT.expand(2, 4))
    assert not sim.object_linvel_w[1].any() and not sim.object_angvel_w[1].any()
    qpos, qvel = sim.qpos.clone(), sim.qvel.clone()
    qpos[:, -7:] = torch.tensor([7.0, 8.0, 9.0, 1.0, 0.0, 0.0, 0.0])
    qvel[:, -3:] = torch.tensor([0.0, 0.0, 4.0])
    sim.reset(mask(True, True), qpos, qvel)  # of everything, as for any other scene
    assert torch.equal(sim.qpos, qpos) and sim.object_pos_w[:, 1].tolist() == 2 * [[7.0, 8.0, 9.0]]
    torch.testing.assert_close(sim.object_angvel_w[:, 1, 2], torch.full((2,), 4.0))


def test_a_reset_takes_the_coordinates_of_robot_and_blocks():
    block = Block("sled", (0.2, 0.2, 0.2), (0.0, 6.0, 0.2), 1.0, (("x", -1.0, 1.0),))
    sim = make_on("mujoco", Scene(objects=(BALL,), blocks=(block,)), 1)
    qpos = sim.qpos[:, :-7].clone()
    qpos[:, -1] = 0.5  # the block's, before the object's
    place(sim, 0, (1.0, 2.0, 2.0))
    sim.reset(mask(True), qpos, torch.zeros_like(sim.qvel))
    assert torch.equal(sim.qpos[:, :-7], qpos)
    torch.testing.assert_close(sim.object_pos_w[0, 0], torch.tensor(BALL.pos_m))


def test_a_robot_that_runs_into_a_pillar_touches_and_topples_it(make):
    sim = make(SCENE, 2)
    qvel = torch.zeros_like(sim.qvel)
    qvel[1, 0] = 2.5
    sim.reset(mask(True, True), sim.qpos.clone(), qvel)
    place(sim, 0, (0.45, 0.0, 0.9))
    touched, contact = torch.zeros(2, 2, dtype=torch.bool), torch.zeros(2, 2, 2, dtype=torch.bool)
    for _ in range(36):
        sim.step(SUBSTEPS)
        touched |= sim.object_touched
        contact |= sim.object_contact
        if bool((up(sim)[1, 0] < 0.2) & touched[1, 0]):
            break
    assert touched.tolist() == [[False, False], [True, False]]
    assert contact[1, 0, 0] and not contact[:, 1].any() and not contact[0].any()  # the torso
    assert float(up(sim)[1, 0]) < 0.2 and float(up(sim)[0, 0]) > 0.999
    assert sim.check_capacity() == {}
    sim.reset(mask(False, True), sim.robot.qpos0.expand(2, -1), torch.zeros(2, 34))
    assert not sim.object_touched[1].any() and not sim.object_contact[1].any()


def test_a_robot_pushes_a_crate_ahead(make):
    sim = make(Scene(objects=(CRATE, BALL)), 1)
    place(sim, 0, (0.6, 0.0, 0.25))
    qvel = torch.zeros_like(sim.qvel)
    qvel[:, 0] = 1.5
    sim.reset(mask(True), sim.qpos.clone(), qvel)
    sim.step(SUBSTEPS)
    assert not sim.object_touched.any()
    touched = torch.zeros(1, 2, dtype=torch.bool)
    for _ in range(20):
        sim.step(SUBSTEPS)
        touched |= sim.object_touched
    assert touched.tolist() == [[True, False]] and float(sim.object_pos_w[0, 0, 0]) > 0.65


def thrown_at(sim, target, speed, directions):
    """Throw a ball in each world at a point of the robot, from two metres away along a horizontal angle."""
    away = torch.stack((directions.cos(), directions.sin(), torch.zeros_like(directions)), -1)
    time = 2.0 / speed
    linvel = -speed * away + torch.tensor([0.0, 0.0, 0.5 * G * time])
    place(sim, 1, target + 2.0 * away, linvel=linvel)
    touched = torch.zeros(sim.num_envs, dtype=torch.bool)
    for _ in range(math.ceil(time / DT / SUBSTEPS) + 1):
        sim.step(SUBSTEPS)
        touched |= sim.object_touched[:, 1]
    return touched


@pytest.mark.parametrize("speed", [8.0, 15.0])
def test_no_thrown_ball_hits_unnoticed(make, speed):
    """A ball may touch and leave within a control step: sensed in its last physics step alone, some hits are missed."""
    bodies = ("torso", "head", "left_thigh", "right_lower_arm")
    sim = make(SCENE, 24)
    sim.step(SUBSTEPS)
    places = sim.body_pos_w[0, sim.robot.body_index(*bodies)].repeat(6, 1)
    directions = torch.arange(24) * (2.0 * math.pi / 24)
    assert thrown_at(sim, places, speed, directions).all()
    sim.reset(torch.ones(24, dtype=torch.bool), sim.robot.qpos0.expand(24, -1), torch.zeros(24, 34))
    beside = 0.6 * torch.stack((-directions.sin(), directions.cos(), torch.zeros(24)), -1)
    assert not thrown_at(sim, places + beside, speed, directions).any()


@pytest.mark.parametrize("every", [True, False])
def test_contacts_are_those_of_every_physics_step_or_of_the_last(every):
    sim = make_on("mujoco", replace(SCENE, sense_substeps=every), 1)
    data = mujoco.MjData(sim.model)
    robot, ids = range(1, 1 + sim.robot.num_bodies), [sim.model.body(name).id for name in ("pillar", "ball")]
    named = [sim.model.body(name).id for name in SCENE.object_contact_bodies]
    place(sim, 0, (0.35, 0.0, 0.9))
    place(sim, 1, (-1.0, 0.0, 1.2), linvel=(12.0, 0.0, 0.5))
    data.qpos[:], data.qvel[:] = sim.qpos[0].double().numpy(), sim.qvel[0].double().numpy()
    seen = torch.zeros(2, dtype=torch.long)
    for number in range(20):
        sim.ctrl.copy_(random_ctrl(sim, number, 0.6))
        data.ctrl[:] = sim.ctrl[0].double().numpy()
        sim.step(SUBSTEPS)
        pairs = set()
        for _ in range(SUBSTEPS):
            pairs = pairs if every else set()
            mujoco.mj_step(sim.model, data)
            for contact in data.contact[: data.ncon]:
                a, b = (int(sim.model.geom_bodyid[geom]) for geom in contact.geom)
                pairs |= {(a, b), (b, a)}
        touched = [any((item, body) in pairs for body in robot) for item in ids]
        assert sim.object_touched[0].tolist() == touched
        assert sim.object_contact[0].tolist() == [[(item, body) in pairs for body in named] for item in ids]
        seen += torch.tensor(touched)
    assert (seen > 0).all() and (seen < 20).all()


def test_a_loaded_state_with_objects_continues_bit_for_bit(make):
    sim, other = make(SCENE), make(SCENE)
    place(sim, 1, (1.5, 0.0, 1.0), linvel=(-9.0, 0.0, 1.0), angvel=(1.0, 2.0, 3.0), worlds=mask(True, False, True))
    run(sim, 6)
    ram(sim, mask(False, True, True))
    place(sim, 1, (1.5, 0.1, 1.0), (0.0, 0.6, 0.8, 0.0), (-9.0, 0.0, 1.0), (3.0, 2.0, 1.0), mask(True, True, False))
    state = {name: tensor.clone() for name, tensor in sim.state_dict().items()}
    kept = everything(sim)
    assert sim.object_touched.any()
    run(sim, 8, seed=100)
    other.load_state_dict(state)
    assert_same_bits(kept, everything(other))
    run(other, 8, seed=100)
    assert_same_bits(everything(sim), everything(other))


@pytest.mark.parametrize("speed", [1e12, math.nan])
def test_the_objects_of_a_broken_world_begin_anew(make, speed):
    sim, twin = make(SCENE, 2), make(SCENE, 2)
    for one in (sim, twin):
        run(one, 2)
    place(sim, 1, (1.0, 2.0, 3.0), linvel=(speed, 0.0, 0.0), worlds=mask(False, True))
    ram(sim)
    ram(twin)
    assert sim.diverged.tolist() == [False, True]
    assert_same_bits(everything(twin), everything(sim), [0])
    assert float((sim.object_pos_w[1] - torch.tensor([PILLAR.pos_m, BALL.pos_m])).abs().max()) < 1e-3
    assert sim.object_touched.tolist() == [[True, False], [False, False]]
    assert all(bool(tensor.isfinite().all()) for tensor in everything(sim).values())


def test_the_mass_of_an_object_differs_between_worlds(make):
    sim = make(Scene(objects=(CRATE, BALL)), 2)
    for name in ("body_mass", "body_inertia"):
        sim.model_field(name)[1, -1] *= 10.0  # the ball: the last body
    sim.apply_model_fields()
    place(sim, 1, (-1.0, -2.0, 0.3), linvel=(6.0, 0.0, 0.0))
    for _ in range(8):
        sim.step(SUBSTEPS)
    slow, fast = sim.object_linvel_w[:, 0, 0].tolist()
    assert fast > slow + 0.5


def test_rays_miss_objects(make):
    sim = make(SCENE, 1)
    distance = sim.rays(
        torch.tensor([[[-3.0, 0.0, 1.0], [3.0, 0.0, 3.0]]]), torch.tensor([[[1.0, 0, 0], [0, 0, -1.0]]])
    )
    assert distance.tolist() == [[math.inf, 3.0]]


@pytest.mark.parametrize("every", [True, False])
def test_both_engines_agree_about_objects(warp, every):
    sims = [make_on(engine, replace(SCENE, sense_substeps=every), 2) for engine in ("mujoco", "mujoco_warp")]
    for sim in sims:  # a box that stands exactly upright is on the verge of two contacts or four: this one is tilted
        tilt = rotations.from_rotvec(torch.tensor([0.05, -0.1, 0.3]))
        place(sim, 0, (0.48, 0.05, 0.96), tilt, angvel=(0.0, -1.0, 0.0), worlds=mask(True, False))  # falls on the robot
        place(sim, 1, (0.03, 1.5, 1.1), linvel=(0.0, -8.0, 1.0))
    touched = []
    for _ in range(15):
        for sim in sims:
            sim.step(SUBSTEPS)
        assert torch.equal(sims[0].object_touched, sims[1].object_touched)
        assert torch.equal(sims[0].object_contact, sims[1].object_contact)
        touched.append(sims[0].object_touched.clone())
    ours, theirs = (everything(sim) for sim in sims)
    apart = {name: float((ours[name].float() - theirs[name].float()).abs().max()) for name in AGREE}
    assert max(apart["qpos"], apart["body_pos_w"], apart["pos_w"], apart["quat_w"]) < 1e-3, apart
    assert max(apart["qvel"], apart["linvel_w"], apart["angvel_w"]) < 1e-2, apart
    assert torch.stack(touched).any(0).tolist() == [[True, True], [False, True]]


def test_placing_waits_for_nothing_and_is_recorded(warp, monkeypatch):
    sim = make_on("mujoco_warp", SCENE, 2)
    sim.step(SUBSTEPS)

    def waited(*args, **kwargs):
        raise AssertionError("something waited for the device")

    for owner, name in ((warp.array, "numpy"), (torch.Tensor, "cpu"), (torch.Tensor, "item")):
        monkeypatch.setattr(owner, name, waited)
    given = torch.zeros(2, 2, 3), UPRIGHT.expand(2, 2, 4), torch.zeros(2, 2, 3), torch.zeros(2, 2, 3)
    chosen = torch.tensor([[False, True], [False, False]])
    height = given[0][0, 1, 2:]
    recorder = TapeRecorder(SimpleNamespace(device=sim.device, generator=None))

    def work():
        sim.place_objects(chosen, *given)
        sim.step(SUBSTEPS)
        return sim.object_pos_w[0, 1].clone()

    height.fill_(1.0)
    shown = recorder.record(work)
    recorder.replay()  # the tape has computed while it recorded: its first replay does nothing
    for start in (2.0, 3.0):
        height.fill_(start)
        recorder.replay()
        fallen = G * DT**2 * SUBSTEPS * (SUBSTEPS + 1) / 2
        torch.testing.assert_close(shown, torch.tensor([0.0, 0.0, start - fallen]), atol=1e-5, rtol=0)


@pytest.mark.cuda
def test_a_gpu_throws_and_senses_as_the_cpu_engine_does_and_waits_for_nothing():
    sims = [make_on("mujoco", SCENE, 4), make_sim(SCENE, 4, "auto", torch.device("cuda", 0))]
    touched = []
    for sim in sims:
        given = torch.zeros(4, 2, 3), UPRIGHT.repeat(4, 2, 1), torch.zeros(4, 2, 3), torch.zeros(4, 2, 3)
        given[0][:, 1], given[2][:, 1] = torch.tensor([1.5, 0.03, 1.1]), torch.tensor([-8.0, 0.0, 1.0])
        chosen, *given = (values.to(sim.device) for values in (torch.tensor([[False, True]] * 4), *given))
        for _ in range(3):  # then steps are replayed as a graph
            sim.step(SUBSTEPS)
        torch.cuda.set_sync_debug_mode("error" if sim.device.type == "cuda" else "default")
        try:
            sim.place_objects(chosen, *given)
            for _ in range(8):
                sim.step(SUBSTEPS)
                touched.append(sim.object_touched.clone())
        finally:
            torch.cuda.set_sync_debug_mode("default")
    ours, theirs = torch.stack(touched[:8]), torch.stack(touched[8:]).cpu()
    assert torch.equal(ours, theirs) and bool(ours[:, :, 1].any(0).all())
    torch.testing.assert_close(sims[1].object_pos_w.cpu(), sims[0].object_pos_w, atol=2e-3, rtol=0)
