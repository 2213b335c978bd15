"""Joint friction, velocity limits and scales against numbers known by hand, on both engines."""

import pytest
import torch

from isaachrl.compat.isaacgym import gymapi, gymtorch
from tests.compat.scenes import GYM, HINGE, fill, load, new_sim, set_drives, transform

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
