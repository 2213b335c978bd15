"""Getting up: how trials are run and scored, and the clips that the search found."""

import numpy as np
import pytest
import torch

from isaachrl.errors import ClipError, ConfigError
from isaachrl.maths import rotations
from isaachrl.motion.sources import load_motion
from isaachrl.motion.synthesis import rising


@pytest.fixture(scope="module")
def trials():
    return rising.Trials("front", 2)


def follow(trials, keys, record=False):
    """Both bodies follow keyframes `(K, 9)`."""
    return trials.run(np.tile(keys, (2, 1, 1)), np.full((2, len(keys)), rising.SEGMENT_S), record)


def test_a_trial_begins_lying_on_its_front(trials):
    tried = follow(trials, np.tile(trials.lying, (2, 1)), record=True)
    first = tried.qpos[0]
    assert first[2] < 0.15
    assert rotations.axis_x(first[3:7])[2] < -0.95  # the chest looks at the floor
    assert tried.height.max() < 0.15 and tried.standing.max() < 0.01
    assert tried.effort.max() < 1.0


def test_who_is_put_on_his_feet_stands_still(trials, monkeypatch):
    upright = trials.sim.robot.qpos0.repeat(2, 1)
    monkeypatch.setattr(trials, "_start", (upright, torch.zeros_like(trials.sim.qvel)))
    monkeypatch.setattr(trials, "lying", np.array(rising.STAND, float))
    tried = follow(trials, np.tile(trials.lying, (2, 1)))
    assert tried.standing[:, :60].mean() > 0.8 and tried.height[:, 60].min() > 0.95  # balance is nobody's task here


def test_keyframes_are_the_same_on_both_sides(trials):
    names = trials.sim.robot.dof_names
    keys = np.zeros((1, len(rising.COLUMNS)))
    keys[0, list(rising.COLUMNS).index("arms close")] = -30.0
    follow(trials, keys)
    right, left = (float(trials.sim.ctrl[0, names.index(f"{side}_shoulder_x")]) for side in ("right", "left"))
    assert right == pytest.approx(np.deg2rad(-30.0)) and left == -right


def test_what_follows_the_highest_moment_leads_to_standing(trials):
    keys, seconds = np.tile(trials.lying, (7, 1)), np.full(7, rising.SEGMENT_S)
    led, times = rising._lead_to_standing(trials, keys, seconds)
    assert led.shape == keys.shape and len(times) == 8
    kept = int((led == trials.lying).all(1).sum())
    assert 1 <= kept <= 5
    way = np.concatenate((led[kept - 1 :], [rising.STAND]))  # from the last that is kept, in equal steps
    np.testing.assert_allclose(np.diff(way, axis=0), np.tile((way[-1] - way[0]) / (len(way) - 1), (8 - kept, 1)))


def test_a_search_that_finds_nothing_says_so():
    pytest.importorskip("cma")
    with pytest.raises(ClipError, match="found nothing that gets up from 'back'.*another seed or more generations"):
        rising.search("back", 0, (1, 1), 4)
    with pytest.raises(ConfigError, match="no pose 'side'"):
        rising.Trials("side", 1)


@pytest.mark.parametrize(("name", "chest"), [("rise_front", -1.0), ("rise_back", 1.0)])
def test_the_shipped_clips_begin_on_the_floor_and_end_standing(name, chest, robot):
    (clip,), _ = load_motion(name, robot)
    facing = rotations.axis_x(torch.from_numpy(clip.root_quat_w))[:, 2]
    assert clip.root_pos_w[0, 2] < 0.15 and facing[0] * chest > 0.9
    assert clip.root_pos_w[-1, 2] > 0.8 and abs(facing[-1]) < 0.2
    assert 2.0 < clip.duration_s < 5.0 and not clip.loop
    assert np.abs(np.diff(clip.root_pos_w[-10:], axis=0)).max() * clip.fps < 0.4
