"""Joint friction, velocity limits and scales against numbers known by hand, on both engines."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from isaachrl.compat.isaacgym import gymapi, gymtorch
from tests.compat.scenes import BALL, GYM, HINGE, fill, load, new_sim, options, set_drives, transform

unwrap = gymtorch.unwrap_tensor
pytestmark = pytest.mark.usefixtures("each_engine")
INERTIA = 0.1 + 2 * 0.5**2  # of the arm about its hinge


def test_joint_friction_stops_and_holds_an_arm(tmp_path):
    scene = new_sim(gravity=0.0)
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)], 3)
    set_drives(scene, driveMode=gymapi.DOF_MODE_EFFORT)
    for env, friction in zip(scene.envs, (0.0, 2.0, 2.0), strict=True):
        props = GYM.get_actor_dof_properties(env, 0)
        props["friction"] = friction
        GYM.set_actor_dof_properties(env, 0, props)
    scene.prepare()
    for _ in range(20):
        GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(torch.tensor([5.0, 5.0, 1.9])))
        scene.step()
    velocity = scene.wrap("dof_state")[:, 1]
    assert velocity.tolist() == pytest.approx([5 / INERTIA * 0.2, 3 / INERTIA * 0.2, 0.0], abs=0.06)


def test_velocities_are_limited(tmp_path):
    scene = new_sim(gravity=0.0)
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)], 2)
    set_drives(scene, driveMode=gymapi.DOF_MODE_EFFORT)
    props = GYM.get_actor_dof_properties(scene.envs[1], 0)
    props["velocity"] = 0.5
    GYM.set_actor_dof_properties(scene.envs[1], 0, props)
    scene.prepare()
    dof, bodies = scene.wrap("dof_state"), scene.wrap("rigid_body_state").view(2, 2, 13)
    for _ in range(10):
        GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(torch.full((2,), 12.0)))
        scene.step()
    scene.refresh("dof_state")
    scene.refresh("rigid_body_state")
    assert dof[:, 1].tolist() == pytest.approx([12 / INERTIA * 0.1, 0.5], rel=1e-4)
    assert bodies[:, 1, 11].tolist() == pytest.approx(dof[:, 1].tolist(), rel=1e-4)


TWO_SHAPES = """<mujoco><worldbody><body name="b"><geom size=".1" pos=".3 0 0"/><geom size=".1" pos="-.3 0 0"/>
<body name="c" pos="0 0 .2"><joint name="j" type="slide" axis="0 0 1" pos="0 0 .1" range="0 .1" limited="true"/>
<inertial pos="0 0 .1" mass="1" diaginertia=".1 .1 .1"/></body></body></worldbody></mujoco>"""


def test_an_actor_is_scaled_at_constant_density(tmp_path):
    scene = new_sim(ground=True)
    table = GYM.create_box(scene.sim, 4.0, 4.0, 0.2, options(fix_base_link=True))
    asset = load(scene, tmp_path, TWO_SHAPES)
    fill(scene, [(table, transform(z=0.1), None, 0), (asset, transform(z=0.35), None, 0)], 2)
    GYM.set_actor_scale(scene.envs[1], 1, 1.5)
    assert GYM.get_actor_scale(scene.envs[1], 1) == 1.5
    assert GYM.get_actor_dof_properties(scene.envs[1], 1)["upper"][0] == pytest.approx(0.15)
    set_drives(scene, 1, driveMode=gymapi.DOF_MODE_POS, stiffness=1e5, damping=1e4)
    scene.prepare()
    scene.step(60)
    bodies = scene.wrap("rigid_body_state").view(2, 3, 13)
    assert bodies[:, 1, 2].tolist() == pytest.approx([0.3, 0.35], abs=5e-3)  # the shapes rest on the table
    assert (bodies[:, 2, 2] - bodies[:, 1, 2]).tolist() == pytest.approx([0.2, 0.3], abs=2e-3)
    weight = 10 * (1 + 2 * 1000 * 4 / 3 * math.pi * 0.1**3)
    force = scene.wrap("net_contact_force").view(2, 3, 3)[:, 1, 2]
    assert force.tolist() == pytest.approx([weight, 1.5**3 * weight], rel=2e-2)


def test_a_joint_with_an_empty_range_stays_where_it_is_and_one_of_the_root_is_none(tmp_path):
    scene = new_sim(gravity=0.0)
    locked = HINGE.replace('axis="0 1 0"', 'axis="0 1 0" limited="true" range="0 0"')
    locked = locked.replace("<geom", '<joint name="root" limited="true" range="0 0"/><geom', 1)
    asset = load(scene, tmp_path, locked, fix_base_link=True)
    assert GYM.get_asset_dof_names(asset) == ["swing"]
    assert GYM.get_asset_dof_properties(asset)[["hasLimits", "upper"]].tolist() == [(True, 0.0)]
    fill(scene, [(asset, transform(), None, 0)], 1)
    set_drives(scene, driveMode=gymapi.DOF_MODE_EFFORT)
    scene.prepare()
    for _ in range(20):
        GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(torch.ones(1)))
        scene.step()
    assert abs(scene.wrap("dof_state")[0, 0].item()) < 5e-3


class Calls(TorchDispatchMode):
    """Counts operations on tensors."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_randomised_bodies_are_uploaded_at_once(tmp_path):
    scene = new_sim(gravity=0.0)
    fill(scene, [(load(scene, tmp_path, HINGE, fix_base_link=True), transform(), None, 0)], 3)
    scene.prepare()
    with Calls() as calls:
        for number, env in enumerate(scene.envs):
            props = GYM.get_actor_rigid_body_properties(env, 0)
            props[1].mass = 1.0 + number
            GYM.set_actor_rigid_body_properties(env, 0, props)
    assert calls.count == 0, "they would be a copy to the device for each environment"
    GYM.refresh_mass_matrix_tensors(scene.sim)
    assert scene.sim.physics.properties.mass[:, 1].tolist() == [1.0, 2.0, 3.0]


def test_each_axis_of_a_ball_joint_stays_within_its_limits(tmp_path):
    scene = new_sim(gravity=0.0)
    fill(scene, [(load(scene, tmp_path, BALL, fix_base_link=True), transform(), None, 0)], 4)
    set_drives(scene, driveMode=gymapi.DOF_MODE_EFFORT)
    scene.prepare()
    effort = torch.tensor([[8.0, 0, 0], [0, 8.0, 0], [0, -8.0, 0], [0, 0, -2.0]])
    for _ in range(100):
        GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(effort))
        scene.step()
    state = scene.wrap("dof_state").view(4, 3, 2)
    limits = [[30, 0, 0], [0, 20, 0], [0, -40, 0], [0, 0, -10]]
    assert torch.allclose(state[..., 0], torch.tensor(limits) * math.pi / 180, atol=0.01)
    assert state[..., 1].abs().max() < 0.05
    for _ in range(5):
        GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(-effort))
        scene.step()
    scene.refresh("dof_state")
    free = torch.tensor([INERTIA, INERTIA, INERTIA, 0.1])  # of the joint about x, y and z
    assert torch.allclose((state[..., 1] * effort).sum(-1) / effort.square().sum(-1), -0.05 / free, rtol=0.2)
