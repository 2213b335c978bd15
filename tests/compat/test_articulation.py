"""Jacobians and mass matrices against closed forms and the velocities of bodies, on both engines."""

import math

import pytest
import torch

from isaachrl.compat.isaacgym import gymapi, gymtorch
from isaachrl.errors import ConfigError
from tests.compat.scenes import BALL, GYM, fill, load, new_sim, options, set_drives, transform

unwrap = gymtorch.unwrap_tensor
pytestmark = pytest.mark.usefixtures("each_engine")
ARM = """<mujoco><worldbody><body name="base"><geom size=".05" mass="1"/>
<body name="upper"><joint name="shoulder" axis="0 0 1" armature="0.3"/>
<inertial pos="0.5 0 0" mass="2" diaginertia="0.1 0.1 0.1"/>
<body name="lower" pos="1 0 0"><joint name="elbow" axis="0 0 1"/>
<inertial pos="0.25 0 0" mass="3" diaginertia="0.2 0.2 0.2"/></body></body></body></worldbody></mujoco>"""


def of(scene, kind, name):
    return gymtorch.wrap_tensor(getattr(GYM, f"acquire_{kind}_tensor")(scene.sim, name))


def test_a_planar_arm_on_a_turned_base(tmp_path):
    scene = new_sim()
    quarter = gymapi.Quat.from_axis_angle(gymapi.Vec3(0, 0, 1), math.pi / 2)
    box = GYM.create_box(scene.sim, 0.1, 0.1, 0.1, options())
    arm = load(scene, tmp_path, ARM, fix_base_link=True)
    assert GYM.get_asset_joint_dict(arm) == {"shoulder": 0, "elbow": 1}
    fill(scene, [(box, transform(z=9), None, 0), (arm, transform(x=4, r=quarter), None, 0)])
    set_drives(scene, 1, driveMode=gymapi.DOF_MODE_POS, stiffness=500.0, damping=50.0)  # no part of the inertia
    scene.prepare()
    jacobian, mass = of(scene, "jacobian", "actor1"), of(scene, "mass_matrix", "actor1")
    state = scene.wrap("dof_state").view(2, 2, 2)
    a, b = 0.3, -0.7
    state[1, :, 0] = torch.tensor([a, b])
    GYM.set_dof_state_tensor(scene.sim, unwrap(state))
    assert jacobian.shape == (2, 2, 6, 2) and mass.shape == (2, 2, 2)
    scene_refresh(scene)
    first, second = a + math.pi / 2, a + b + math.pi / 2  # angles of the links in the world
    elbow = (-math.sin(first), math.cos(first))
    tip = (-0.25 * math.sin(second), 0.25 * math.cos(second))
    upper = [[0.5 * elbow[0], 0], [0.5 * elbow[1], 0], [0, 0], [0, 0], [0, 0], [1, 0]]
    lower = [[elbow[0] + tip[0], tip[0]], [elbow[1] + tip[1], tip[1]], [0, 0], [0, 0], [0, 0], [1, 1]]
    assert torch.allclose(jacobian[1], torch.tensor([upper, lower]), atol=1e-5)
    outer = 0.2 + 3 * 0.25**2
    coupling = outer + 3 * 0.25 * math.cos(b)
    inner = 0.3 + 0.1 + 2 * 0.5**2 + outer + 3 * 1.0 + 2 * 3 * 0.25 * math.cos(b)
    assert torch.allclose(mass[1], torch.tensor([[inner, coupling], [coupling, outer]]), atol=1e-5)


def scene_refresh(scene):
    GYM.refresh_jacobian_tensors(scene.sim)
    GYM.refresh_mass_matrix_tensors(scene.sim)


def test_a_floating_jacobian_maps_velocities_to_those_of_the_bodies(tmp_path):
    scene = new_sim()
    text = BALL.replace('<geom size=".02" mass="1"/>', '<inertial pos="0.1 0 0.2" mass="1" diaginertia="1 1 1"/>')
    fill(scene, [(load(scene, tmp_path, text), transform(z=3), None, 0)]).prepare()
    jacobian, mass = of(scene, "jacobian", "actor0"), of(scene, "mass_matrix", "actor0")
    root, dof = scene.wrap("actor_root_state"), scene.wrap("dof_state").view(2, 3, 2)
    generator = torch.Generator().manual_seed(0)
    root[:, 3:] = torch.randn(2, 10, generator=generator)
    root[:, 3:7] /= root[:, 3:7].norm(dim=1, keepdim=True)
    dof.copy_(0.3 * torch.randn(2, 3, 2, generator=generator))
    GYM.set_actor_root_state_tensor(scene.sim, unwrap(root))
    GYM.set_dof_state_tensor(scene.sim, unwrap(dof))
    scene_refresh(scene)
    assert jacobian.shape == (2, 2, 6, 9) and mass.shape == (2, 3, 3)
    velocity = torch.cat((root[:, 7:], dof[..., 1]), 1)
    bodies = scene.wrap("rigid_body_state").view(2, 2, 13)
    assert torch.allclose((jacobian @ velocity[:, None, :, None]).squeeze(-1), bodies[..., 7:], atol=1e-5)
    # the limb hangs 0.5 m below the joint: about it, in its axes, the inertia is diagonal
    assert torch.allclose(mass[0], torch.diag(torch.tensor([0.6, 0.6, 0.1])), atol=1e-5)


def test_an_unknown_actor_is_named(tmp_path):
    scene = new_sim()
    fill(scene, [(GYM.create_box(scene.sim, 1, 1, 1, options()), transform(), None, 0)]).prepare()
    with pytest.raises(ConfigError, match="'arm'.*valid: actor0"):
        GYM.acquire_jacobian_tensor(scene.sim, "arm")
