"""What every engine has to do, run on each of them."""

import mujoco
import numpy as np
import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim import Box, Scene
from tests.sim.worlds import BOX, FEET, SCENE, SUBSTEPS, assert_same_bits, mask, run, snapshot


def test_the_feet_of_a_standing_robot_carry_its_weight(make):
    sim = make(Scene(contact_bodies=FEET), 1)
    for _ in range(10):
        sim.step(SUBSTEPS)
    assert float(sim.contact_force_w[..., 2].sum()) == pytest.approx(9.81 * sim.robot.mass_kg, rel=0.02)


def test_the_velocities_of_bodies_are_the_differences_of_their_positions(make):
    sim = make(Scene(timestep_s=1e-4), 1)
    qvel = 0.5 * torch.randn(sim.qvel.shape)
    sim.reset(mask(True), sim.qpos + torch.tensor([0.0, 0.0, 1.0] + [0.0] * 40), qvel)
    before, velocity = sim.body_pos_w.clone(), sim.body_linvel_w.clone()
    sim.step(10)
    torch.testing.assert_close(
        (sim.body_pos_w - before) / 1e-3, 0.5 * (velocity + sim.body_linvel_w), atol=2e-2, rtol=0
    )


def test_what_a_step_shows_belongs_to_its_last_state(make):
    """`forward` on the same state changes nothing: no field lags behind."""
    sim = make()
    run(sim, 5)
    shown = snapshot(sim)
    sim.load_state_dict(sim.state_dict())
    assert_same_bits(shown, snapshot(sim))


def test_a_masked_reset_leaves_the_other_worlds_alone(make):
    sim, twin = make(), make()
    run(sim, 8)
    run(twin, 8)
    before = snapshot(sim)
    qpos, qvel = torch.randn_like(sim.qpos), torch.randn_like(sim.qvel)
    qpos[1] = sim.robot.qpos0
    qpos[1, 2] = 2.0
    sim.reset(mask(False, True, False), qpos, qvel)
    assert_same_bits(before, snapshot(sim), [0, 2])
    assert torch.equal(sim.qpos[1], qpos[1]) and torch.equal(sim.qvel[1], qvel[1])
    torch.testing.assert_close(sim.body_pos_w[1, 0], torch.tensor([0.0, 0.0, 2.0]))  # derived fields follow at once
    torch.testing.assert_close(sim.body_linvel_w[1, 0], qvel[1, :3])
    assert not sim.ctrl[1].any() and not sim.contact_force_w[1].any()
    run(sim, 8, seed=50)
    run(twin, 8, seed=50)
    assert_same_bits(snapshot(twin), snapshot(sim), [0, 2])


def test_a_reset_forgets_the_past_of_a_world(make):
    """Warm start, controls and clock are those of a new world: both go on bit for bit alike."""
    used, fresh = make(), make()
    run(used, 10)
    qpos, qvel = fresh.qpos.clone(), 0.1 * torch.randn(fresh.qvel.shape)
    for sim in (used, fresh):
        sim.reset(mask(True, True, True), qpos, qvel)
    assert_same_bits(snapshot(fresh), snapshot(used))
    for _ in range(5):
        used.step(SUBSTEPS)
        fresh.step(SUBSTEPS)
    assert_same_bits(snapshot(fresh), snapshot(used))


def test_an_empty_reset_changes_nothing(make):
    sim = make()
    run(sim, 3)
    before = snapshot(sim)
    sim.reset(mask(False, False, False), torch.zeros_like(sim.qpos), torch.zeros_like(sim.qvel))
    assert_same_bits(before, snapshot(sim))


def test_a_box_stands_elsewhere_in_each_world_and_carries_a_robot(make):
    sim = make(Scene(boxes=(BOX,), markers=("goal",), contact_bodies=FEET), 2)
    places = torch.tensor([[[0.0, 0.0, -10.0], [3.0, 0.0, 1.0]], [[0.0, 0.0, 0.4], [4.0, 0.0, 1.0]]])
    sim.move_mocap(mask(True, True), places)
    assert torch.equal(sim.mocap_pos_w, places)
    qpos = sim.qpos.clone()
    qpos[:, 2] += 0.5  # over the block, whose top is half a metre high
    sim.reset(mask(True, True), qpos, torch.zeros_like(sim.qvel))
    for _ in range(10):
        sim.step(SUBSTEPS)
    assert float(sim.root_pos_w[1, 2]) == pytest.approx(1.39, abs=0.02)
    assert float(sim.root_pos_w[0, 2]) < 1.0  # has fallen by half a g t^2, 0.54 m
    assert float(sim.contact_force_w[1, :, 2].sum()) == pytest.approx(9.81 * sim.robot.mass_kg, rel=0.1)


def test_a_moved_box_stops_a_robot_from_the_next_step_on(make):
    wall = Box("wall", (0.1, 2.0, 2.0))
    sim = make(Scene(boxes=(wall,)), 2)
    qvel = torch.zeros_like(sim.qvel)
    qvel[:, 0] = 2.0
    sim.reset(mask(True, True), sim.qpos.clone(), qvel)
    sim.move_mocap(mask(False, True), torch.tensor([[[9.0, 9.0, 9.0]], [[0.5, 0.0, 2.0]]]))
    assert sim.mocap_pos_w[:, 0].tolist() == [[0.0, 0.0, -10.0], [0.5, 0.0, 2.0]]
    for _ in range(12):
        sim.step(SUBSTEPS)
    assert float(sim.root_pos_w[0, 0]) > 0.5  # free
    assert float(sim.body_pos_w[1, :, 0].max()) < 0.45  # stopped at the near face, 0.4 m


def test_rays_meet_boxes_and_floor_but_not_the_robot(make):
    scene = Scene(boxes=(Box("near", (0.5, 0.5, 0.5)), Box("far", (0.5, 5.0, 5.0))), markers=("goal",))
    sim = make(scene, 2)
    sim.move_mocap(
        mask(True, True),
        torch.tensor(
            [
                [[3.0, 0.0, 1.0], [6.0, 0.0, 1.0], [1.0, 0.0, 1.0]],
                [[3.0, 2.0, 1.0], [6.0, 0.0, 1.0], [1.0, 0.0, 1.0]],
            ]
        ),
    )
    sim.step(1)
    slope = 2**-0.5
    rays = [
        # origin, direction, expected in each world
        ([-1.0, 0.0, 1.0], [1.0, 0.0, 0.0], 3.5, 6.5),  # through robot and marker to a box
        ([0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], np.inf, np.inf),  # nothing there
        ([0.0, 5.0, 1.0], [0.0, 0.0, -1.0], 1.0, 1.0),  # the floor below
        ([-5.0, 0.0, 1.0], [slope, 0.0, -slope], 2**0.5, 2**0.5),  # the floor, slanting
        ([-5.0, 0.0, 1.0], [0.0, 0.0, 1.0], np.inf, np.inf),  # the sky
        ([3.0, 0.0, 5.0], [0.0, 0.0, -1.0], 3.5, 5.0),  # a box's roof, or the floor where there is none
        ([300.0, 0.0, 2.0], [0.0, 0.0, -1.0], 2.0, 2.0),  # the floor has no edge
        ([-5.0, 0.0, -1.0], [0.0, 0.0, -1.0], np.inf, np.inf),  # nothing below it
    ]
    origin = torch.tensor([ray[0] for ray in rays]).repeat(2, 1, 1)
    direction = torch.tensor([ray[1] for ray in rays]).repeat(2, 1, 1)
    expected = torch.tensor([[ray[2] for ray in rays], [ray[3] for ray in rays]])
    torch.testing.assert_close(sim.rays(origin, direction), expected, rtol=1e-5, atol=1e-5)


def test_rays_do_not_disturb_the_worlds(make):
    sim, twin = make(Scene(boxes=(BOX,)), 2), make(Scene(boxes=(BOX,)), 2)
    for i in range(6):
        sim.rays(torch.ones(2, 1, 3), torch.tensor([[[1.0, 0.0, 0.0]]]).repeat(2, 1, 1))
        run(sim, 1, i)
        run(twin, 1, i)
    assert_same_bits(snapshot(twin), snapshot(sim))


@pytest.mark.parametrize("name", ["body_mass", "opt.gravity", "geom_friction"])
def test_a_model_field_changes_only_its_world(make, name):
    sim, twin = make(), make()
    field = sim.model_field(name)
    assert len(field) == 3
    field[1] *= 0.5
    sim.apply_model_fields()
    twin.model_field(name)
    twin.apply_model_fields()
    run(sim, 15)
    run(twin, 15)
    ours, theirs = snapshot(sim), snapshot(twin)
    assert_same_bits(theirs, ours, [0, 2])
    assert not torch.equal(ours["qpos"][1], theirs["qpos"][1])


def test_half_the_gravity_falls_half_as_far(make):
    sim = make(Scene(), 2)
    sim.model_field("opt.gravity")[1] *= 0.5
    sim.apply_model_fields()
    qpos = sim.qpos.clone()
    qpos[:, 2] = 5.0
    sim.reset(mask(True, True), qpos, torch.zeros_like(sim.qvel))
    sim.step(24)
    # semi-implicit Euler: sum of i g dt^2 over 24 steps = 300 g dt^2
    dropped = 300 * 9.81 / 120**2
    torch.testing.assert_close(5.0 - sim.root_pos_w[:, 2], torch.tensor([dropped, dropped / 2]), rtol=2e-2, atol=0)


def test_a_field_that_cannot_vary_is_refused(make):
    with pytest.raises(ConfigError, match=r"'body_masss' cannot differ between worlds; did you mean .*body_mass"):
        make(n=1).model_field("body_masss")


@pytest.mark.parametrize("speed", [1e9, 1e12, float("nan"), float("inf")])
def test_a_broken_world_is_flagged_every_time_and_its_neighbours_do_not_notice(make, speed):
    sim, twin = make(), make()
    run(sim, 3)
    run(twin, 3)
    for time in (1, 2, 3):
        qvel = torch.zeros_like(sim.qvel)
        qvel[1, 10] = speed
        sim.reset(mask(False, True, False), sim.qpos.clone(), qvel)
        run(sim, 1, seed=time)
        run(twin, 1, seed=time)
        assert sim.diverged.tolist() == [False, True, False]
        assert sim.num_diverged.tolist() == [0, time, 0]
        assert all(bool(tensor.isfinite().all()) for tensor in snapshot(sim).values())
        run(sim, 1, seed=time)
        run(twin, 1, seed=time)
        assert not sim.diverged.any()  # said once
        assert_same_bits(snapshot(twin), snapshot(sim), [0, 2])


def test_a_broken_start_that_is_reset_again_before_a_step_is_forgotten(make):
    sim = make(n=1)
    good = torch.zeros_like(sim.qvel)
    sim.reset(mask(True), sim.qpos.clone(), torch.full_like(good, torch.nan))
    sim.reset(mask(True), sim.robot.qpos0.unsqueeze(0), good)
    sim.step(SUBSTEPS)
    assert not sim.diverged.any() and not sim.num_diverged.any()


def test_the_boxes_of_a_broken_world_are_shown_where_they_are(make):
    sim = make(Scene(boxes=(BOX,)), 2)
    sim.move_mocap(mask(True, True), torch.ones(2, 1, 3))
    sim.reset(mask(False, True), sim.qpos.clone(), torch.full_like(sim.qvel, 1e9))
    sim.step(SUBSTEPS)
    default = torch.tensor(BOX.pos_m)
    torch.testing.assert_close(sim.mocap_pos_w, torch.stack((torch.ones(1, 3), default.unsqueeze(0))))


def test_a_loaded_state_continues_bit_for_bit(make):
    scene = Scene(boxes=(BOX,), contact_bodies=FEET)
    sim, other = make(scene), make(scene)
    sim.move_mocap(mask(True, False, True), torch.rand(3, 1, 3) - torch.tensor([0.0, 0.0, 9.0]))
    run(sim, 20)
    state = {name: tensor.clone() for name, tensor in sim.state_dict().items()}
    kept = snapshot(sim)
    run(sim, 20, seed=100)
    other.load_state_dict(state)
    assert_same_bits(kept, snapshot(other))
    run(other, 20, seed=100)
    assert_same_bits(snapshot(sim), snapshot(other))
    sim.load_state_dict(state)
    run(sim, 20, seed=100)
    assert_same_bits(snapshot(other), snapshot(sim))


def test_the_tensors_are_filled_in_place(make):
    sim = make()
    held = {name: getattr(sim, name) for name in snapshot(sim)} | {"root": sim.root_pos_w, "diverged": sim.diverged}
    pointers = {name: tensor.data_ptr() for name, tensor in held.items()}
    run(sim, 2)
    sim.reset(mask(True, False, True), sim.qpos.clone(), sim.qvel.clone())
    held_now = {name: getattr(sim, name) for name in snapshot(sim)} | {"root": sim.root_pos_w, "diverged": sim.diverged}
    assert {name: tensor.data_ptr() for name, tensor in held_now.items()} == pointers
    assert all(tensor.dtype is torch.float32 for name, tensor in held_now.items() if name != "diverged")


def test_a_push_acts_as_the_force_on_the_root_that_mujoco_knows(make):
    sim = make(SCENE, 2)
    data = mujoco.MjData(sim.model)
    force = torch.zeros(2, 3)
    force[1] = torch.tensor([30.0, -50.0, 20.0])
    sim.push(force)
    data.xfrc_applied[1, :3] = force[1].numpy()
    for _ in range(10):
        sim.step(SUBSTEPS)
        mujoco.mj_step(sim.model, data, SUBSTEPS)
    assert torch.allclose(sim.qpos[1], torch.tensor(data.qpos).float(), atol=1e-4)
    assert (sim.qpos[1] - sim.qpos[0]).abs().max() > 0.01
    sim.push(torch.zeros(2, 3))
    data.xfrc_applied[:] = 0.0
    sim.step(SUBSTEPS)
    mujoco.mj_step(sim.model, data, SUBSTEPS)
    assert torch.allclose(sim.qvel[1], torch.tensor(data.qvel).float(), atol=2e-3)
