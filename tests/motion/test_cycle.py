"""Where motions repeat."""

import dataclasses

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


def test_the_longest_part_that_ends_as_it_begins_is_found():
    walks = library("stand", "cmu/cmu_walk", "cmu/cmu_bend_and_rise")
    found = find_cycle(walks, 1)
    assert found is not None
    times = torch.tensor(found)
    assert float(times[1] - times[0]) > 2.0, "two strides of a walk of 2.8 s"
    for lag_s in (0.0, 1 / 30):
        one, other = walks.postures(torch.ones(2, dtype=torch.long), times + lag_s)
        assert float(posture_distance_m2(one, other).sqrt()) < NEAR * walks.robot.height_m
    assert find_cycle(walks, 0) is None, "it hardly moves"


@pytest.mark.parametrize("laps", [2, 5])
def test_a_loop_that_is_played_several_times_repeats_after_whole_laps(laps):
    walk = clips.load(ASSETS / "motions" / "walk.npz")
    lap = walk.num_frames - 1
    rows = [0] + [1 + i % lap for i in range(laps * lap)]
    several = dataclasses.replace(
        walk, loop=False, **{part: getattr(walk, part)[rows] for part in ("root_pos_w", "root_quat_w", "joint_quat")}
    )
    found = find_cycle(MotionLibrary([several], load_robot("humanoid"), CPU), 0)
    assert found is not None
    laps_found = (found[1] - found[0]) / (lap / walk.fps)
    assert laps_found == pytest.approx(round(laps_found), abs=0.05) and round(laps_found) >= laps - 1
