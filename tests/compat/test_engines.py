"""MuJoCo Warp, on the CPU, against the CPU engine."""

import functools

import mujoco
import pytest
import torch

from isaachrl.compat.isaacgym import gymapi, gymtorch
from isaachrl.compat.isaacgym.settings import SETTINGS
from tests.compat.scenes import BALL, GYM, HINGE, fill, load, new_sim, numbers, options, set_drives, transform
from tests.envs.test_no_sync import HostWaits

unwrap = gymtorch.unwrap_tensor
STATES = ("actor_root_state", "dof_state", "rigid_body_state", "net_contact_force", "force_sensor", "dof_force")


@pytest.fixture
def engine(monkeypatch):
    pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    return lambda name: monkeypatch.setattr(SETTINGS, "engine", name)


def build(tmp_path):
    """Drives, a fixed base, a block on a block, all sensors."""
    scene = new_sim(ground=True, substeps=2)
    limb, arm = load(scene, tmp_path, BALL), load(scene, tmp_path, HINGE, fix_base_link=True)
    block = GYM.create_box(scene.sim, 0.2, 0.2, 0.2, options(angular_damping=0.5))
    GYM.create_asset_force_sensor(block, 0, transform(x=0.1))
    fill(
        scene,
        [(limb, transform(z=3), None, 1), (arm, transform(x=3, z=1), None, 0),
         (block, transform(y=3, z=0.0999), None, 0), (block, transform(y=3.03, z=0.2995), None, 0)],
    )  # fmt: skip
    set_drives(scene, 0, driveMode=gymapi.DOF_MODE_POS, stiffness=20.0, damping=1.0)
    set_drives(scene, 1, driveMode=gymapi.DOF_MODE_EFFORT)
    for env in scene.envs:
        GYM.enable_actor_dof_force_sensors(env, 0)
    bodies = GYM.get_actor_rigid_body_properties(scene.envs[1], 2)
    bodies[0].mass *= 2
    GYM.set_actor_rigid_body_properties(scene.envs[1], 2, bodies)
    scene.prepare()
    return scene, {name: scene.wrap(name) for name in STATES}


def step(scene, root, dof):
    """A step from a state with targets, efforts and a force on a block."""
    GYM.set_actor_root_state_tensor(scene.sim, unwrap(root))
    GYM.set_dof_state_tensor(scene.sim, unwrap(dof))
    targets = torch.linspace(-0.4, 0.4, 8)
    GYM.set_dof_position_target_tensor(scene.sim, unwrap(targets))
    GYM.set_dof_actuation_force_tensor(scene.sim, unwrap(targets))
    force = torch.zeros(2, 6, 3)
    force[1, 4] = torch.tensor([3.0, 1.0, 0.0])
    GYM.apply_rigid_body_force_tensors(scene.sim, unwrap(force), None, gymapi.ENV_SPACE)
    scene.step()
    root = root.clone()
    root[6, 2] = 4.0
    GYM.set_actor_root_state_tensor_indexed(scene.sim, unwrap(root), numbers(6), 1)
    for name in STATES:
        scene.refresh(name)


@pytest.mark.slow
def test_both_engines_give_the_same_states(tmp_path, engine):
    """From the same state in each step, since contacts amplify rounding.

    The scale of forces is the largest contact force of the environment, since a force sensor reads what is left of
    contact forces and weight. Measured: forces within 4e-6 of it, states within 7e-6; a float32 at 3 m resolves
    0.2 µm, and 0.2 mm of penetration carry these 80 N.
    """
    engine("mujoco")
    cpu, expected = build(tmp_path)
    engine("mujoco_warp")
    warp, found = build(tmp_path)
    worst = dict.fromkeys(STATES, 0.0)
    for _ in range(10):
        start = [expected[name].clone() for name in ("actor_root_state", "dof_state")]
        step(cpu, *start)
        step(warp, *start)
        largest = expected["net_contact_force"].view(2, -1).norm(dim=-1).clamp_min(1.0)
        for name in STATES:
            error = (expected[name] - found[name]).abs().view(2, -1).amax(1)
            scale = largest if "force" in name else expected[name].view(2, -1).abs().amax(1).clamp_min(1.0)
            worst[name] = max(worst[name], (error / scale).max().item())
    assert max(worst.values()) < 1e-4, worst


def test_no_step_or_reset_waits_for_the_device(tmp_path, engine, monkeypatch):
    engine("mujoco_warp")
    scene, states = build(tmp_path)
    worlds = scene.sim.physics.worlds
    monkeypatch.setattr(
        worlds, "model_field", functools.cache(worlds.model_field)
    )  # views, whose making looks like copies
    root, dof = states["actor_root_state"].clone(), states["dof_state"].clone()
    targets, one = torch.linspace(-0.4, 0.4, 8), numbers(6)

    def step_and_reset():
        GYM.set_dof_position_target_tensor(scene.sim, unwrap(targets))
        scene.step()
        GYM.set_actor_root_state_tensor_indexed(scene.sim, unwrap(root), one, 1)
        GYM.set_dof_state_tensor(scene.sim, unwrap(dof))
        for name in STATES:
            scene.refresh(name)

    step_and_reset()  # shares arrays with PyTorch
    worlds._exceeded = None  # read from the host's own memory
    with HostWaits() as waits:
        step_and_reset()
    assert waits.found == []


def test_capacities_grow_where_contacts_were_left_out(engine, monkeypatch, caplog):
    engine("mujoco_warp")
    from isaachrl.sim import worlds as layer
    from isaachrl.sim.worlds import warp

    monkeypatch.setattr(layer, "room", lambda model: (1, 8))
    monkeypatch.setattr(warp, "POOL_SLACK", 0)
    scene = new_sim(ground=True)
    fill(scene, [(GYM.create_box(scene.sim, 0.2, 0.2, 0.2, options()), transform(z=0.1), None, 0)]).prepare()
    scene.step(40)
    worlds = scene.sim.physics.worlds
    assert (worlds.nconmax, worlds.njmax) == (4, 16) and "nconmax=4" in caplog.text
    assert scene.wrap("net_contact_force")[:, 2].tolist() == pytest.approx([80.0] * 2, rel=1e-2)
    monkeypatch.setattr(worlds, "_limits", {})
    worlds._overflow.fill_(-1)
    scene.step(2)
    assert "hfield, nconmax, njmax exceeded" in caplog.text


def test_capacities_follow_from_the_scene(engine):
    from isaachrl.sim.worlds import room

    boxes = "".join(f'<body pos="{i} 0 1"><freejoint/><geom size=".1"/></body>' for i in range(3))
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><worldbody><geom type="plane" size="1 1 1"/>{boxes}
        <body><geom size=".1" contype="0" conaffinity="0"/></body></worldbody></mujoco>"""
    )
    assert room(model) == (8 * 6, 4 * 8 * 6 + 2 * 18)
