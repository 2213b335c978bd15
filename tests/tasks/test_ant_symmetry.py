"""The ant's symmetries: physics and the worker's inputs do not change with the direction or the numbers of the legs."""

import math

import pytest
import torch
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl.maths import rotations
from isaachrl.sim import Control, Scene, make_sim
from tasks.common.ant_symmetry import AntSymmetry

assert tasks


def random_states(count, seed=0, tilt=10.0):
    """States `(count, 30)` near the ground at the origin, of ants tilted by up to anything, goals, actions."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    state = torch.zeros(count, 30)
    state[:, 2] = 0.6
    quat = draw(count, 4) * torch.tensor([1.0, tilt, tilt, 1.0])
    state[:, 3:7] = torch.nn.functional.normalize(quat, dim=1)
    middle = torch.tensor([0.0, 0.87, 0.0, -0.87, 0.0, -0.87, 0.0, 0.87])
    state[:, 7:15] = middle + 0.1 * draw(count, 8)
    state[:, 15:29] = draw(count, 14)
    state[:, 29] = 0.123
    return state, 3.0 * draw(count, 2), draw(count, 8).clamp(-1, 1)


def turned(state, goal, angle):
    """The same with the world turned by an angle in rad about the vertical."""
    turn = rotations.from_yaw(torch.full(state.shape[:1], angle))
    flat = torch.cat((goal, torch.zeros_like(goal[:, :1])), 1)
    quat, velocity = rotations.multiply(turn, state[:, 3:7]), rotations.rotate(turn, state[:, 15:18])
    return torch.cat((state[:, :3], quat, state[:, 7:15], velocity, state[:, 18:]), 1), rotations.rotate(turn, flat)[
        :, :2
    ]


def test_a_turn_of_the_world_changes_neither_the_canonical_state_nor_the_action():
    state, goal, action = random_states(32)
    symmetry = AntSymmetry()
    expected = symmetry.canonical(state, goal)
    for angle in (0.3, math.pi / 2, 2.0, math.pi, -1.0):
        found = symmetry.canonical(*turned(state, goal, angle))
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, atol=2e-5, rtol=1e-5)
        assert_close(symmetry.to_canonical(action, found[2]), symmetry.to_canonical(action, expected[2]))


def test_the_goal_lies_ahead_and_to_the_left_and_all_eight_changes_occur():
    state, goal, action = random_states(256)
    symmetry = AntSymmetry()
    canonical, canonical_goal, change = symmetry.canonical(state, goal)
    assert_close(canonical_goal.norm(dim=1), goal.norm(dim=1))
    angle = torch.atan2(canonical_goal[:, 1], canonical_goal[:, 0])
    assert float(angle.min()) >= 0.0 and float(angle.max()) <= math.pi / 4 + 1e-6
    assert set(change.tolist()) == set(range(8))
    assert_close(canonical[:, 6], torch.zeros(256))  # what is left of the quaternion is a tilt
    assert_close(symmetry.from_canonical(symmetry.to_canonical(action, change), change), action)
    # the canonical of a canonical state is itself
    again, goal_again, unchanged = symmetry.canonical(canonical, canonical_goal)
    assert int(unchanged.max()) == 0
    assert_close(again, canonical)
    assert_close(goal_again, canonical_goal)


def test_the_engine_moves_the_canonical_ant_as_it_moves_the_ant():
    """Steps and then the canonical state equal the canonical state and then steps."""
    scene = Scene(robot="ant", control=Control.torque, timestep_s=0.02)
    state, goal, action = random_states(64, tilt=0.2)
    symmetry = AntSymmetry()
    canonical, _, change = symmetry.canonical(state, goal)

    def after_steps(start, torque):
        sim = make_sim(scene, 64, "mujoco", torch.device("cpu"))
        sim.reset(torch.ones(64, dtype=torch.bool), start[:, :15].contiguous(), start[:, 15:29].contiguous())
        sim.ctrl.copy_(30.0 * torque)
        sim.step(10)
        return sim.qpos.clone(), sim.qvel.clone()

    qpos, qvel = after_steps(state, action)
    canonical_qpos, canonical_qvel = after_steps(canonical, symmetry.to_canonical(action, change))
    assert_close(canonical_qpos[:, 2], qpos[:, 2], atol=1e-4, rtol=1e-4)
    assert_close(canonical_qpos[:, 7:], symmetry.to_canonical(qpos[:, 7:], change), atol=1e-4, rtol=1e-4)
    assert_close(canonical_qvel[:, 6:], symmetry.to_canonical(qvel[:, 6:], change), atol=1e-3, rtol=1e-3)
    assert_close(canonical_qvel[:, :2].norm(dim=1), qvel[:, :2].norm(dim=1), atol=1e-3, rtol=1e-3)
    assert float((qpos[:, 7:] - state[:, 7:15]).abs().mean()) > 0.1  # they moved


@pytest.mark.parametrize("name", ["AntMaze", "AntGather"])
def test_what_is_not_the_ants_own_is_left_out(name):
    env = isaachrl.make(name, 4, device="cpu", seed=0)
    state = env.observe()["state"]
    changed = state.clone()
    changed[:, :2] += 5.0
    changed[:, 30:] += 1.0
    goal = torch.ones(4, 2)
    for a, b in zip(env.task.symmetry.canonical(state, goal), env.task.symmetry.canonical(changed, goal), strict=True):
        assert_close(a, b)
    assert env.task.symmetry.canonical(state, goal)[0].shape == state.shape


def test_a_height_in_the_goal_stays():
    state, goal, _ = random_states(4)
    tall = torch.cat((goal, torch.full((4, 1), 2.5)), 1)
    _, found, _ = AntSymmetry().canonical(state, tall)
    assert_close(found[:, 2], torch.full((4,), 2.5))
