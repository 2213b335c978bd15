"""MuJoCo Warp, on the CPU, against the CPU engine."""

import pytest
import torch

from isaachrl.compat.isaacgym import gymapi, gymtorch
from isaachrl.compat.isaacgym.settings import SETTINGS
from tests.compat.scenes import BALL, GYM, HINGE, fill, load, new_sim, numbers, options, set_drives, transform

unwrap = gymtorch.unwrap_tensor
STATES = ("actor_root_state", "dof_state", "rigid_body_state", "net_contact_force", "force_sensor", "dof_force")


@pytest.fixture
def engine(monkeypatch):
    pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    return lambda name: monkeypatch.setattr(SETTINGS, "engine", name)


def play(tmp_path, steps):
    """Two actors with drives, a fixed and a floating one, a force and a reset; all states after it."""
    scene = new_sim(ground=True, substeps=2)
    limb, arm = load(scene, tmp_path, BALL), load(scene, tmp_path, HINGE, fix_base_link=True)
    block = GYM.create_box(scene.sim, 0.2, 0.2, 0.2, options(angular_damping=0.5))
    GYM.create_asset_force_sensor(block, 0, transform(x=0.1))
    fill(
        scene,
        [(limb, transform(z=3), None, 1), (arm, transform(x=3, z=1), None, 0), (block, transform(y=3, z=0.1), None, 0)],
    )
    set_drives(scene, 0, driveMode=gymapi.DOF_MODE_POS, stiffness=200.0, damping=5.0)
    set_drives(scene, 1, driveMode=gymapi.DOF_MODE_EFFORT)
    for env in scene.envs:
        GYM.enable_actor_dof_force_sensors(env, 0)
    bodies = GYM.get_actor_rigid_body_properties(scene.envs[1], 2)
    bodies[0].mass *= 2
    GYM.set_actor_rigid_body_properties(scene.envs[1], 2, bodies)
    scene.prepare()
    states = {name: scene.wrap(name) for name in STATES}
    targets = torch.linspace(-0.4, 0.4, 8)
    GYM.set_dof_position_target_tensor(scene.sim, unwrap(targets))
    force = torch.zeros(2, 5, 3)
    force[1, 4] = torch.tensor([3.0, 1.0, 0.0])
    for _ in range(steps):
        GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(targets))
        GYM.apply_rigid_body_force_tensors(scene.sim, unwrap(force), None, gymapi.ENV_SPACE)
        scene.step()
    root = states["actor_root_state"]
    scene.refresh("actor_root_state")
    root[3, 2], root[4, 2] = 4.0, 2.0
    GYM.set_actor_root_state_tensor_indexed(scene.sim, unwrap(root), numbers(3, 4), 2)
    for name in STATES:
        scene.refresh(name)
    return {name: values.clone() for name, values in states.items()}


@pytest.mark.slow
def test_both_engines_give_the_same_states(tmp_path, engine):
    engine("mujoco")
    cpu = play(tmp_path, 10)
    engine("mujoco_warp")
    gpu = play(tmp_path, 10)
    for name in STATES:
        tolerance = 2e-2 if name in ("net_contact_force", "force_sensor", "dof_force") else 1e-4
        scale = cpu[name].abs().clamp_min(1.0)
        assert ((cpu[name] - gpu[name]).abs() / scale).max() < tolerance, name


def test_a_diverged_world_is_put_back_on_warp_too(engine):
    engine("mujoco_warp")
    scene = new_sim(gravity=0.0)
    fill(scene, [(GYM.create_sphere(scene.sim, 0.1, options()), transform(x=3), None, 0)], 3).prepare()
    root = scene.wrap("actor_root_state")
    root[1, 7] = 1e12
    GYM.set_actor_root_state_tensor(scene.sim, unwrap(root))
    scene.step()
    scene.refresh("actor_root_state")
    assert torch.allclose(root[:, 0], torch.full((3,), 3.0)) and torch.isfinite(root).all()
    assert scene.sim.physics.worlds.num_diverged.tolist() == [0, 1, 0]
