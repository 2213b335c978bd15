"""Feet that stand are held; the rest of their path goes from one contact to the next."""

import numpy as np
import pytest
import torch

from isaachrl.maths import rotations
from isaachrl.retarget.contacts import Foot, hysteresis, lock_foot, shift_to_floor, spans, spread

SOLE = np.array([[x, y, -0.05] for x in (-0.04, 0.13) for y in (-0.045, 0.045)])
FPS = 60.0


def flat(pos) -> Foot:
    quat = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).repeat(len(pos), 1)
    return Foot(np.asarray(pos, np.float64), quat, SOLE)


def path(frames, **values):
    pos = np.zeros((frames, 3))
    pos[:, 2] = 0.05
    for axis, value in values.items():
        pos[:, "xyz".index(axis)] = value
    return pos


def test_contacts_begin_low_and_slow_and_end_later():
    height = np.array([0.1, 0.07, 0.05, 0.05, 0.08, 0.08, 0.1])
    speed = np.array([0.0, 0.0, 0.5, 0.2, 0.5, 0.7, 0.0])
    assert hysteresis(height, speed).tolist() == [False, False, False, True, True, False, False]
    assert spans(np.array([True, False, True, True])) == [(0, 1), (2, 4)]


def test_a_foot_that_creeps_is_held_where_it_is_on_average():
    placed, touches, moved = lock_foot(flat(path(60, x=np.linspace(0.0, 0.06, 60))), FPS, 1.0)
    assert touches.all() and moved.max() == pytest.approx(0.03, abs=1e-3)
    assert np.ptp(placed.pos, axis=0) == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)
    assert placed.pos[0, 0] == pytest.approx(0.03, abs=1e-3)


def test_a_foot_rolls_over_its_toes_without_sliding():
    angle = np.concatenate((np.zeros(20), np.linspace(0.0, 0.8, 30)))
    axis = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand(50, 3)
    quat = rotations.from_axis_angle(axis, torch.from_numpy(angle))
    placed, touches, _ = lock_foot(Foot(path(50), quat, SOLE), FPS, 1.0)
    points = placed.points() + placed.pos[:, None]
    assert points[touches, :, 2].min(1) == pytest.approx(0.0, abs=1e-9)
    toes = points[touches][-15:, 2:, :2]
    assert touches[:40].all() and np.ptp(toes, axis=0).max() < 2e-3, "its front edge stays"
    assert placed.pos[touches][-1, 0] > 0.02, "the ankle goes ahead and up"


def test_a_foot_turned_a_little_is_put_down_flat_and_one_in_the_air_is_lifted():
    pos = path(60)
    pos[20:40, 0], pos[40:, 0] = np.linspace(0.0, 0.6, 20), 0.6
    quat = rotations.from_axis_angle(
        torch.tensor([[1.0, 0.0, 0.0]]).double().expand(60, 3), torch.full((60,), 0.1).double()
    )
    placed, touches, _ = lock_foot(Foot(pos, quat, SOLE), FPS, 1.0)
    assert touches[:18].all() and touches[42:].all() and not touches[25:35].any()
    assert np.ptp((placed.points() + placed.pos[:, None])[:15, :, 2]) < 1e-3
    assert 0.01 < placed.height()[30] < 0.02
    assert np.abs(np.diff(placed.pos, axis=0)).max() < 0.05, "no jump"


def test_small_turns_of_a_standing_foot_are_taken_out_and_large_ones_kept():
    for most, left in ((0.1, 0.0), (0.9, 0.66)):
        yaw = torch.linspace(0.0, most, 90, dtype=torch.float64)
        placed, _, _ = lock_foot(Foot(path(90), rotations.from_yaw(yaw), SOLE), FPS, 1.0)
        turned = rotations.heading(placed.quat)
        assert float(turned.max() - turned.min()) == pytest.approx(left, abs=0.01)


def test_the_floor_is_where_the_feet_stand():
    feet = [flat(path(60, z=0.25)), flat(path(60, z=np.where(np.arange(60) < 3, 0.18, 0.25)))]
    assert shift_to_floor(feet, FPS, 1.0) == pytest.approx(-0.2, abs=1e-6), "three deep frames do not matter"


def test_feet_keep_apart():
    across = np.tile([0.0, 1.0, 0.0], (60, 1))
    left, right = spread([flat(path(60, y=0.02)), flat(path(60, y=-0.02))], across, FPS)
    assert (left.pos - right.pos)[:, 1] == pytest.approx(np.full(60, 0.1), abs=1e-9)
    ahead = spread([flat(path(60, y=0.02, x=0.4)), flat(path(60, y=-0.02))], across, FPS)
    assert (ahead[0].pos - ahead[1].pos)[:, 1] == pytest.approx(np.full(60, 0.04)), "one is ahead of the other"
