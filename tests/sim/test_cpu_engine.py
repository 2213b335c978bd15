"""The CPU engine against a plain loop of `mj_step` on one MjData for each world."""

import mujoco
import numpy as np
import pytest
import torch

from isaachrl.sim import Box, Control, Scene, make_sim
from tests.sim.worlds import CPU, FEET, SCENE, SUBSTEPS, assert_same_bits, mask, random_ctrl, run, snapshot


def make(scene=SCENE, n=3):
    return make_sim(scene, n, "mujoco", CPU, threads=1)


def contact_force(model, data, body):
    """Net contact force on a body in the world frame, summed over the contacts by hand."""
    total, wrench = np.zeros(3), np.zeros(6)
    for c in range(data.ncon):
        contact = data.contact[c]
        mujoco.mj_contactForce(model, data, c, wrench)
        force_w = contact.frame.reshape(3, 3).T @ wrench[:3]  # of the first geom on the second
        total += force_w * (model.geom_bodyid[contact.geom2] == body)
        total -= force_w * (model.geom_bodyid[contact.geom1] == body)
    return total


def body_velocity(model, data, body):
    velocity = np.zeros(6)
    mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 0)
    return velocity[3:], velocity[:3]


def assert_shows(sim, row, data, forces):
    """One world's tensors are the state of `data`, in float32; `forces` are those of its last physics step."""

    def as_tensor(expected):
        return torch.tensor(np.asarray(expected), dtype=torch.float32)

    def same(tensor, expected):
        assert torch.equal(tensor[row], as_tensor(expected))

    def close(tensor, expected, tolerance=1e-5):
        torch.testing.assert_close(tensor[row], as_tensor(expected), rtol=1e-5, atol=tolerance)

    bodies = range(1, 1 + sim.robot.num_bodies)
    linear, angular = zip(*(body_velocity(sim.model, data, b) for b in bodies), strict=True)
    same(sim.qpos, data.qpos)
    same(sim.qvel, data.qvel)
    same(sim.body_pos_w, data.xpos[1:16])
    same(sim.body_quat_w, data.xquat[1:16])
    close(sim.body_linvel_w, linear)
    close(sim.body_angvel_w, angular)
    same(sim.root_pos_w, data.xpos[1])
    same(sim.root_quat_w, data.xquat[1])
    close(sim.root_linvel_w, linear[0])
    close(sim.root_angvel_w, angular[0])
    same(sim.joint_pos, data.qpos[7:])
    same(sim.joint_vel, data.qvel[6:])
    close(sim.contact_force_w, forces, 1e-3)


@pytest.mark.parametrize("control", list(Control))
def test_many_steps_equal_a_plain_loop_over_worlds(control):
    scene = Scene(control=control, contact_bodies=(*FEET, "pelvis"))
    sim = make(scene)
    datas = [mujoco.MjData(sim.model) for _ in range(3)]
    ids = [sim.model.body(name).id for name in scene.contact_bodies]
    forces, largest = [], 0.0
    for i in range(60):
        sim.ctrl.copy_(random_ctrl(sim, i, 0.3 if control is Control.position else 5.0))
        sim.step(SUBSTEPS)
        forces = []
        for row, data in enumerate(datas):
            data.ctrl[:] = sim.ctrl[row].double().numpy()
            for _ in range(SUBSTEPS):
                mujoco.mj_step(sim.model, data)
            forces.append([contact_force(sim.model, data, body) for body in ids])
            largest = max(largest, np.abs(forces[-1]).max())
            mujoco.mj_fwdPosition(sim.model, data)  # the fresh state, not the one before the last physics step
            mujoco.mj_fwdVelocity(sim.model, data)
            assert_shows(sim, row, data, forces[-1])
    assert largest > 200.0  # the bodies did stand or fall on the floor
    assert not torch.equal(sim.qpos[0], sim.qpos[1])
    assert int(sim.num_diverged.sum()) == 0


def test_moving_the_boxes_of_one_world_does_not_round_those_of_another():
    box = Box("block", (0.1, 0.1, 0.1), (0.1, 0.0, 1.0 / 3.0))  # neither number is exact in float32
    sim, twin = make(Scene(boxes=(box,)), 2), make(Scene(boxes=(box,)), 2)
    sim.move_mocap(mask(False, True), torch.ones(2, 1, 3))
    run(sim, 5)
    run(twin, 5)
    state, other = sim.state_dict()["state"], twin.state_dict()["state"]
    assert torch.equal(state[0], other[0]) and not torch.equal(state[1], other[1])


def test_the_number_of_threads_changes_nothing():
    one, two = (make_sim(SCENE, 5, "mujoco", CPU, threads) for threads in (1, 2))
    run(one, 10)
    run(two, 10)
    assert_same_bits(snapshot(one), snapshot(two))


@pytest.mark.cuda
def test_tensors_on_a_gpu_show_the_same_worlds():
    scene = Scene(contact_bodies=FEET, boxes=(Box("block", (0.5, 0.5, 0.1), (0.1, 0.0, -10.0)),))
    gpu = torch.device("cuda", 0)
    sims = [make_sim(scene, 3, "mujoco", device, threads=1) for device in (CPU, gpu)]
    for sim in sims:
        sim.push(torch.tensor([[0.0, 0.0, 0.0], [40.0, 0.0, 0.0], [0.0, 40.0, 0.0]], device=sim.device))
        for i in range(4):
            sim.ctrl.copy_(random_ctrl(sims[0], i))
            sim.step(SUBSTEPS)
        some = mask(True, False, True).to(sim.device)
        sim.move_mocap(some, torch.ones(3, 1, 3, device=sim.device))
        sim.reset(some, sim.qpos.clone(), torch.zeros_like(sim.qvel))
        sim.load_state_dict(sim.state_dict())
    ours, theirs = (snapshot(sim) for sim in sims)
    assert all(value.device == gpu for value in theirs.values())
    assert_same_bits(ours, {name: value.cpu() for name, value in theirs.items()})
    down = torch.tensor([0.0, 0.0, -1.0], device=gpu).expand(3, 2, 3)
    torch.testing.assert_close(
        sims[1].rays(torch.full((3, 2, 3), 3.0, device=gpu), down), torch.full((3, 2), 3.0, device=gpu)
    )
    assert sims[1].motor_torque.device == gpu
