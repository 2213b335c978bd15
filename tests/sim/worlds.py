"""What the tests of both engines share: a scene, random controls, and snapshots to compare."""

import torch

from isaachrl.sim import Box, Scene, make_sim

FEET = ("right_foot", "left_foot")
CPU = torch.device("cpu")
SUBSTEPS = 4
SCENE = Scene(contact_bodies=(*FEET, "pelvis"))
BOX = Box("block", (0.5, 0.5, 0.1), (0.1, 0.0, -10.0))


def make_on(engine, scene=SCENE, n=3):
    return make_sim(scene, n, engine, CPU, threads=1)


def mask(*bits):
    return torch.tensor(bits, dtype=torch.bool)


def snapshot(sim):
    """Copies of every tensor that shows the state."""
    names = ("qpos", "qvel", "root_linvel_w", "root_angvel_w", "joint_pos", "joint_vel", "body_pos_w", "body_quat_w")
    more = ("body_linvel_w", "body_angvel_w", "contact_force_w", "ctrl", "mocap_pos_w")
    return {name: getattr(sim, name).clone() for name in (*names, *more)}


def assert_same_bits(a, b, rows=slice(None)):
    for name in a:
        assert torch.equal(a[name][rows], b[name][rows]), name


def random_ctrl(sim, seed, scale=0.3):
    return scale * torch.randn(sim.ctrl.shape, generator=torch.Generator().manual_seed(seed))


def run(sim, steps, seed=0):
    for i in range(steps):
        sim.ctrl.copy_(random_ctrl(sim, seed + i))
        sim.step(SUBSTEPS)
