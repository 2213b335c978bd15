"""Layouts and meanings of the API's tensors, against numbers known by hand, on both engines."""

import math

import numpy as np
import pytest
import torch

from isaachrl.compat.isaacgym import gymapi, gymtorch
from tests.compat.scenes import BALL, GYM, HINGE, fill, load, new_sim, numbers, options, set_drives, transform

unwrap = gymtorch.unwrap_tensor
pytestmark = pytest.mark.usefixtures("each_engine")


def box(scene, size=0.2, **values):
    return GYM.create_box(scene.sim, size, size, size, options(**values))


def test_a_pendulum_swings_with_its_period(tmp_path):
    scene = new_sim(dt=0.01, substeps=4)
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(z=2), None, 0)]).prepare()
    state = scene.wrap("dof_state")
    state[:, 0] = 0.05
    GYM.set_dof_state_tensor(scene.sim, unwrap(state))
    period_s = 2 * math.pi * math.sqrt((0.1 + 2 * 0.25) / (2 * 10 * 0.5))
    scene.step(round(period_s / 0.01 / 2))
    scene.refresh("dof_state")
    assert state[:, 0].tolist() == pytest.approx([-0.05] * 2, abs=1e-3)
    assert state.shape == (2, 2)


def test_states_are_env_major_and_relative_to_the_env_in_xyzw():
    scene = new_sim(gravity=0.0)
    quarter = gymapi.Quat.from_axis_angle(gymapi.Vec3(0, 0, 1), math.pi / 2)
    asset = box(scene)
    fill(scene, [(asset, transform(x=1), None, 0), (asset, transform(y=2, r=quarter), None, 0)], 3).prepare()
    root = scene.wrap("actor_root_state").view(3, 2, 13)
    assert root[:, 0, :7].tolist() == [[1, 0, 0, 0, 0, 0, 1]] * 3
    half = math.sqrt(0.5)
    assert root[2, 1, :7].tolist() == pytest.approx([0, 2, 0, 0, 0, half, half], abs=1e-6)
    assert GYM.get_env_origin(scene.envs[2]).y == 6.0  # the second row of two columns
    assert GYM.get_actor_index(scene.envs[1], 1, gymapi.DOMAIN_SIM) == 3


def test_an_indexed_setter_changes_these_actors_alone():
    scene = new_sim(gravity=0.0)
    asset = box(scene)
    fill(scene, [(asset, transform(x=1), None, 0), (asset, transform(x=2), None, 0)]).prepare()
    root = scene.wrap("actor_root_state")
    root[:, 2] = 7.0  # of all; the setter takes one
    assert GYM.set_actor_root_state_tensor_indexed(scene.sim, unwrap(root), numbers(3, 0), 1)
    scene.refresh("actor_root_state")
    assert root[:, 2].tolist() == [0.0, 0.0, 0.0, 7.0]


def test_the_velocity_is_that_of_the_centre_of_mass(tmp_path):
    text = """<mujoco><worldbody><body name="b"><inertial pos="0.3 0 0" mass="2" diaginertia="1 1 1"/>
    <geom size=".01" contype="0" conaffinity="0"/></body></worldbody></mujoco>"""
    scene = new_sim(gravity=0.0)
    fill(scene, [(load(scene, tmp_path, text), transform(), None, 0)], 1).prepare()
    root = scene.wrap("actor_root_state")
    root[0, 7:] = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 2.0])
    GYM.set_actor_root_state_tensor(scene.sim, unwrap(root))
    scene.refresh("actor_root_state")
    assert root[0, 7:].tolist() == pytest.approx([1, 0, 0, 0, 0, 2], abs=1e-6)
    scene.step(50)
    scene.refresh("actor_root_state")
    angle = 2 * 0.5
    origin = [0.3 + 0.5 - 0.3 * math.cos(angle), -0.3 * math.sin(angle)]  # the centre went straight on
    assert root[0, :2].tolist() == pytest.approx(origin, abs=5e-3)
    assert root[0, 7:].tolist() == pytest.approx([1, 0, 0, 0, 0, 2], abs=1e-2)


def test_a_fixed_base_moves_when_it_is_set_and_never_else(tmp_path):
    scene = new_sim()
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(z=2), None, 0)]).prepare()
    root = scene.wrap("actor_root_state")
    scene.step(3)
    scene.refresh("actor_root_state")
    assert root[:, 2].tolist() == [2.0, 2.0]
    root[1, 0] = 5.0
    GYM.set_actor_root_state_tensor_indexed(scene.sim, unwrap(root), numbers(1), 1)
    bodies = scene.wrap("rigid_body_state").view(2, 2, 13)
    assert bodies[:, 1, 0].tolist() == [0.0, 5.0]  # the arm came along


@pytest.mark.parametrize(
    ("groups", "filters", "touch"),
    [((0, 0), (0, 0), True), ((0, 0), (1, 1), False), ((0, 0), (1, 2), True), ((0, 1), (0, 0), False),
     ((-1, 1), (0, 0), True), ((0, 0), (3, 2), False)],
)  # fmt: skip
def test_groups_and_filters_decide_what_collides(groups, filters, touch):
    scene = new_sim()
    table = box(scene, fix_base_link=True)
    fill(
        scene, [(table, transform(), groups[0], filters[0]), (box(scene), transform(z=0.2), groups[1], filters[1])], 1
    ).prepare()
    scene.step(20)
    fallen = scene.wrap("actor_root_state")[1, 2] < 0.15
    assert bool(fallen) is not touch


def test_a_filter_stops_neither_the_ground_nor_adjacent_bodies(tmp_path):
    scene = new_sim(ground=True)
    fill(scene, [(box(scene), transform(z=0.1), None, 1)], 1).prepare()
    scene.step(50)
    assert scene.wrap("actor_root_state")[0, 2].item() == pytest.approx(0.1, abs=5e-3)


def test_contact_forces_carry_the_weight():
    scene = new_sim(ground=True)
    fill(scene, [(box(scene, density=1000.0), transform(z=0.1), None, 0)]).prepare()
    scene.step(60)
    force = scene.wrap("net_contact_force")
    assert force.shape == (2, 3)
    assert force[1].tolist() == pytest.approx([0, 0, 80], abs=0.5)


@pytest.mark.parametrize(("space", "axis"), [(gymapi.ENV_SPACE, 0), (gymapi.LOCAL_SPACE, 1)])
def test_a_force_on_a_body_acts_for_one_step(space, axis):
    scene = new_sim(gravity=0.0)
    quarter = gymapi.Quat.from_axis_angle(gymapi.Vec3(0, 0, 1), math.pi / 2)
    fill(scene, [(box(scene, density=250.0), transform(r=quarter), None, 0)]).prepare()  # 2 kg
    force = torch.zeros(2, 3)
    force[1, 0] = 4.0
    GYM.apply_rigid_body_force_tensors(scene.sim, unwrap(force), None, space)
    scene.step(2)
    velocity = scene.wrap("actor_root_state")[:, 7:10]
    expected = torch.zeros(2, 3)
    expected[1, axis] = 4.0 / 2.0 * 0.01
    assert torch.allclose(velocity, expected, atol=1e-6)


def test_a_force_at_a_point_turns_the_body():
    scene = new_sim(gravity=0.0)
    fill(scene, [(box(scene, density=250.0), transform(), None, 0)], 1).prepare()
    force, point = torch.tensor([[0.0, 3.0, 0.0]]), torch.tensor([[0.1, 0.0, 0.0]])
    GYM.apply_rigid_body_force_at_pos_tensors(scene.sim, unwrap(force), unwrap(point), gymapi.ENV_SPACE)
    scene.step()
    inertia = 2.0 / 6.0 * 0.2**2
    assert scene.wrap("actor_root_state")[0, 12].item() == pytest.approx(0.3 / inertia * 0.01, rel=1e-4)


@pytest.mark.parametrize(("k", "d"), [(40.0, 3.0), (1e6, 0.0), (0.0, 500.0), (4e4, 4e3)])
def test_a_drive_is_backward_euler(tmp_path, k, d):
    scene = new_sim(gravity=0.0, dt=0.02, substeps=2)
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)], 1)
    set_drives(scene, driveMode=gymapi.DOF_MODE_POS, stiffness=k, damping=d)
    scene.prepare()
    state = scene.wrap("dof_state")
    state[0] = torch.tensor([0.2, -1.0])
    GYM.set_dof_state_tensor(scene.sim, unwrap(state))
    GYM.set_dof_position_target_tensor(scene.sim, unwrap(torch.tensor([0.5])))
    scene.step(3)  # the target persists
    scene.refresh("dof_state")
    inertia, h, q, v = 0.1 + 2 * 0.25, 0.01, 0.2, -1.0
    for _ in range(6):
        v = (inertia * v + h * k * (0.5 - q)) / (inertia + h * d + h * h * k)
        q += h * v
    assert state[0].tolist() == pytest.approx([q, v], abs=2e-4)


def test_modes_decide_which_targets_act(tmp_path):
    scene = new_sim(gravity=0.0)
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)], 3)
    modes = (gymapi.DOF_MODE_VEL, gymapi.DOF_MODE_EFFORT, gymapi.DOF_MODE_NONE)
    for env, mode in zip(scene.envs, modes, strict=True):
        props = GYM.get_actor_dof_properties(env, 0)
        props["driveMode"], props["damping"] = mode, 1e4 if mode == gymapi.DOF_MODE_VEL else 0.0
        GYM.set_actor_dof_properties(env, 0, props)
    scene.prepare()
    GYM.set_dof_velocity_target_tensor(scene.sim, unwrap(torch.full((3,), 2.0)))
    GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(torch.full((3,), 6.0)))
    scene.step(2)
    velocity = scene.wrap("dof_state")[:, 1]
    assert velocity.tolist() == pytest.approx([2.0, 6.0 / 0.6 * 0.01, 0.0], abs=0.02)  # the effort acted once


def test_efforts_are_limited(tmp_path):
    scene = new_sim(gravity=0.0)
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)], 1)
    set_drives(scene, driveMode=gymapi.DOF_MODE_EFFORT, effort=3.0)
    scene.prepare()
    GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(torch.tensor([600.0])))
    scene.step()
    assert scene.wrap("dof_state")[0, 1].item() == pytest.approx(3.0 / 0.6 * 0.01, rel=1e-4)


def test_the_force_of_a_drive_holds_the_weight(tmp_path):
    scene = new_sim()
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)])
    set_drives(scene, driveMode=gymapi.DOF_MODE_POS, stiffness=1e5, damping=1e4)
    GYM.enable_actor_dof_force_sensors(scene.envs[0], 0)
    scene.prepare()
    state = scene.wrap("dof_state")
    state[:, 0] = math.pi / 2
    GYM.set_dof_state_tensor(scene.sim, unwrap(state))
    GYM.set_dof_position_target_tensor(scene.sim, unwrap(state[:, 0].contiguous()))
    scene.step(50)
    torque = scene.wrap("dof_force")
    assert abs(torque[0].item()) == pytest.approx(2 * 10 * 0.5, rel=1e-2)


def test_three_hinges_are_a_rotation_vector_with_velocities_in_the_child(tmp_path):
    scene = new_sim(gravity=0.0)
    asset = load(scene, tmp_path, BALL, fix_base_link=True)
    assert GYM.get_asset_dof_names(asset) == ["x", "y", "z"]
    fill(scene, [(asset, transform(), None, 0)]).prepare()
    state = scene.wrap("dof_state")
    state[3:, 0] = torch.tensor([0.1, -0.2, 0.15])
    state[3:, 1] = torch.tensor([0.3, 0.1, -0.4])
    given = state.clone()
    GYM.set_dof_state_tensor(scene.sim, unwrap(state))
    scene.refresh("dof_state")
    assert torch.allclose(state, given, atol=1e-6)
    body = scene.wrap("rigid_body_state").view(2, 2, 13)[1, 1]
    vector = torch.tensor([0.1, -0.2, 0.15])
    half = 0.5 * vector.norm()
    assert torch.allclose(body[3:7], torch.cat((vector / vector.norm() * half.sin(), half.cos()[None])), atol=1e-6)
    from isaachrl.compat.isaacgym.torch_utils import quat_rotate

    world = quat_rotate(body[None, 3:7], torch.tensor([[0.3, 0.1, -0.4]]))[0]
    assert torch.allclose(body[10:13], world, atol=1e-5)


def test_a_hinge_stays_within_its_limits(tmp_path):
    scene = new_sim(gravity=0.0)
    fill(scene, [(load(scene, tmp_path, HINGE.replace('axis="0 1 0"', 'axis="0 1 0" limited="true" range="-1 0.5"'),
                       fix_base_link=True), transform(), None, 0)], 1)  # fmt: skip
    set_drives(scene, driveMode=gymapi.DOF_MODE_EFFORT)
    scene.prepare()
    for _ in range(80):
        GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(torch.tensor([5.0])))
        scene.step()
    assert scene.wrap("dof_state")[0, 0].item() == pytest.approx(0.5, abs=0.02)


def test_a_force_sensor_reads_0_at_rest_and_the_weight_in_free_fall():
    scene = new_sim(ground=True)
    asset = box(scene, density=250.0)  # 2 kg
    about_x = gymapi.Quat.from_axis_angle(gymapi.Vec3(1, 0, 0), math.pi / 2)
    assert GYM.create_asset_force_sensor(asset, 0, transform(x=0.1, r=about_x)) == 0
    assert GYM.create_asset_force_sensor(asset, 3, transform()) == -1
    fill(scene, [(asset, transform(z=0.1), None, 0), (asset, transform(x=3, z=50), None, 0)], 1).prepare()
    scene.step(60)
    sensors = scene.wrap("force_sensor")
    assert sensors.shape == (2, 6)
    assert sensors[0].tolist() == pytest.approx([0.0] * 6, abs=0.05)
    # -20 N along z is along -y of the sensor; the centre of mass is 0.1 m behind it
    assert sensors[1].tolist() == pytest.approx([0, -20, 0, 0, 0, 2.0], abs=0.02)


def test_friction_is_the_average_of_shape_and_ground():
    scene = new_sim(ground=True, friction=0.0, substeps=10)  # at large steps a sliding body hops
    flat = GYM.create_box(scene.sim, 0.4, 0.4, 0.04, options())  # does not rock
    fill(scene, [(flat, transform(z=0.02), None, 0)])
    for env, friction in zip(scene.envs, (0.4, 0.2), strict=True):
        shapes = GYM.get_actor_rigid_shape_properties(env, 0)
        shapes[0].friction = friction
        GYM.set_actor_rigid_shape_properties(env, 0, shapes)
    scene.prepare()
    scene.step(20)
    root = scene.wrap("actor_root_state")
    root[:, 7] = 1.0
    GYM.set_actor_root_state_tensor(scene.sim, unwrap(root))
    scene.step(10)
    scene.refresh("actor_root_state")
    assert root[:, 7].tolist() == pytest.approx([1 - 0.2 * 10 * 0.1, 1 - 0.1 * 10 * 0.1], abs=0.03)


def test_masses_differ_between_environments_and_follow_later_changes():
    scene = new_sim(gravity=0.0)
    fill(scene, [(box(scene, density=250.0), transform(), None, 0)])
    bodies = GYM.get_actor_rigid_body_properties(scene.envs[0], 0)
    bodies[0].mass *= np.array([4.0])  # randomisation leaves arrays of one number
    GYM.set_actor_rigid_body_properties(scene.envs[0], 0, bodies, True)
    scene.prepare()
    torque = torch.full((2, 3), 0.1)
    GYM.apply_rigid_body_force_tensors(scene.sim, unwrap(torch.ones(2, 3)), unwrap(torque), gymapi.ENV_SPACE)
    scene.step()
    root = scene.wrap("actor_root_state")
    assert root[:, 7].tolist() == pytest.approx([0.01 / 8, 0.01 / 2], rel=1e-4)
    assert (root[1, 10] / root[0, 10]).item() == pytest.approx(4.0, rel=1e-3)  # the inertia followed the mass
    GYM.set_actor_rigid_body_properties(scene.envs[0], 0, GYM.get_actor_rigid_body_properties(scene.envs[1], 0))
    root[:, 7:] = 0.0
    GYM.set_actor_root_state_tensor(scene.sim, unwrap(root))
    GYM.apply_rigid_body_force_tensors(scene.sim, unwrap(torch.ones(2, 3)), None, gymapi.ENV_SPACE)
    scene.step()
    scene.refresh("actor_root_state")
    assert root[:, 7].tolist() == pytest.approx([0.01 / 2] * 2, rel=1e-4)


def test_gravity_can_change_and_be_off_for_an_asset():
    scene = new_sim()
    fill(scene, [(box(scene), transform(), None, 0), (box(scene, disable_gravity=True), transform(x=2), None, 0)], 1)
    scene.prepare()
    params = GYM.get_sim_params(scene.sim)
    params.gravity = gymapi.Vec3(0, 0, -3.0)
    GYM.set_sim_params(scene.sim, params)
    scene.step(10)
    assert scene.wrap("actor_root_state")[:, 9].tolist() == pytest.approx([-0.3, 0.0], abs=1e-5)


def test_angular_damping_slows_a_spin():
    scene = new_sim(gravity=0.0)
    fill(scene, [(box(scene, angular_damping=0.5, linear_damping=0.2), transform(), None, 0)], 1).prepare()
    root = scene.wrap("actor_root_state")
    root[0, 7], root[0, 12] = 1.0, 2.0
    GYM.set_actor_root_state_tensor(scene.sim, unwrap(root))
    scene.step(100)
    scene.refresh("actor_root_state")
    assert (root[0, 7].item(), root[0, 12].item()) == pytest.approx((math.exp(-0.2), 2 * math.exp(-0.5)), rel=1e-2)


def test_an_attractor_holds_a_point_of_a_body():
    scene = new_sim()
    fill(scene, [(box(scene), transform(z=1), None, 0)], 1)
    props = gymapi.AttractorProperties()
    props.stiffness, props.damping, props.axes, props.rigid_handle = 5e6, 5e3, gymapi.AXIS_TRANSLATION, 0
    props.offset.p.z, props.target.p.z = 0.1, 1.1
    assert GYM.create_rigid_body_attractor(scene.envs[0], props) == 0
    scene.prepare()
    scene.step(60)
    assert scene.wrap("actor_root_state")[0, 2].item() == pytest.approx(1.0, abs=0.02)


def test_a_diverged_world_is_put_back_to_its_start():
    scene = new_sim(gravity=0.0)
    fill(scene, [(box(scene), transform(x=3), None, 0)], 3).prepare()
    root = scene.wrap("actor_root_state")
    root[1, 7] = 1e12
    GYM.set_actor_root_state_tensor(scene.sim, unwrap(root))
    scene.step()
    scene.refresh("actor_root_state")
    assert torch.allclose(root[:, 0], torch.full((3,), 3.0)) and torch.isfinite(root).all()
    assert scene.sim.physics.worlds.num_diverged.tolist() == [0, 1, 0]
