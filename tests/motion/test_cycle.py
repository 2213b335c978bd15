"""Where motions repeat."""

import dataclasses

import numpy as np
import pytest
import torch

from isaachrl.motion import clip as clips
from isaachrl.motion.cycle import NEAR, find_cycle
from isaachrl.motion.kinematics import posture_distance_m2
from isaachrl.motion.library import MotionLibrary
from isaachrl.shipped import ASSETS
from isaachrl.sim import load_robot

CPU = torch.device("cpu")


def library(*names: str) -> MotionLibrary:
    """A library of shipped clips, none of which loops."""
    loaded = [clips.load(ASSETS / "motions" / f"{name}.npz") for name in names]
    return MotionLibrary([dataclasses.replace(one, loop=False) for one in loaded], load_robot("humanoid"), CPU)


def test_a_part_that_ends_as_it_begins_is_found():
    walks = library("stand", "cmu/cmu_walk", "cmu/cmu_bend_and_rise")
    found = find_cycle(walks, 1)
    assert found is not None
    times = torch.tensor(found)
    assert float(times[1] - times[0]) > 1.0, "a stride"
    for lag_s in (0.0, 0.1):
        one, other = walks.postures(torch.ones(2, dtype=torch.long), times + lag_s)
        assert float(posture_distance_m2(one, other).sqrt()) < NEAR * walks.robot.height_m
    assert find_cycle(walks, 0) is None, "it hardly moves"


def joined(*parts: clips.Clip) -> clips.Clip:
    """Clips, one after the other."""
    names = ("root_pos_w", "root_quat_w", "joint_quat")
    rows = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return dataclasses.replace(parts[0], loop=False, **rows)


def test_standing_and_going_back_are_no_cycle():
    walk = clips.load(ASSETS / "motions" / "cmu" / "cmu_walk.npz")
    robot = load_robot("humanoid")
    names = ("root_pos_w", "root_quat_w", "joint_quat")
    back = dataclasses.replace(walk, **{name: getattr(walk, name)[::-1].copy() for name in names})
    still = dataclasses.replace(walk, **{name: getattr(walk, name)[:1].repeat(90, 0) for name in names})
    short = dataclasses.replace(walk, **{name: getattr(walk, name)[:20] for name in names})
    assert find_cycle(MotionLibrary([joined(still, short)], robot, CPU), 0) is None, "it stands, then moves"
    found = find_cycle(MotionLibrary([joined(walk, back)], robot, CPU), 0)
    assert found is not None and found[1] - found[0] < 1.5, "a stride, not the way forth and back"


@pytest.mark.parametrize("laps", [2, 5])
def test_a_loop_that_is_played_several_times_repeats_after_whole_strides(laps):
    walk = clips.load(ASSETS / "motions" / "walk.npz")
    lap = walk.num_frames - 1
    rows = [0] + [1 + i % lap for i in range(laps * lap)]
    several = dataclasses.replace(
        walk, loop=False, **{part: getattr(walk, part)[rows] for part in ("root_pos_w", "root_quat_w", "joint_quat")}
    )
    found = find_cycle(MotionLibrary([several], load_robot("humanoid"), CPU), 0)
    assert found is not None
    strides = (found[1] - found[0]) / (lap / walk.fps / 4)  # a lap is four of them
    assert strides == pytest.approx(round(strides), abs=0.04) and round(strides) == 4 * laps - 1
