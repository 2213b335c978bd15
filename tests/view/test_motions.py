"""Clips on a page: the slider sets the pose, and the soles that touch the floor are marked."""

import numpy as np
import pytest

from isaachrl.motion.checks import check_clip
from isaachrl.motion.sources import load_motion
from isaachrl.sim import load_robot
from isaachrl.sim.soles import robot_soles
from isaachrl.view.motions import MotionView


@pytest.fixture
def page():
    pytest.importorskip("viser", reason="the extra view is not installed")
    robot = load_robot("humanoid")
    clips = [clip for name in ("stand", "walk") for clip in load_motion(name, robot)[0]]
    view = MotionView(clips, robot, 0)
    yield view, clips, robot
    view.close()


def test_the_slider_sets_the_pose_and_the_contacts(page):
    view, clips, robot = page
    view.draw()
    assert view.touching.all() and view.gui["contacts"].content == "on the floor: right_foot, left_foot"
    view.gui["clip"].value = "walk"
    view._choose()
    seen, places = [], []
    for time_s in np.linspace(0.0, clips[1].duration_s, 12):
        view.gui["time"].value = float(time_s)
        view.draw()
        seen.append(view.touching.reshape(2, 4).any(1))
        places.append(view._bodies._handles[0].batched_positions.copy())
    assert {True, False} == set(np.array(seen)[:, 0].tolist()), "each foot is lifted once a cycle"
    assert np.linalg.norm(places[-1] - places[0]) > 0.5


def test_the_checks_are_those_of_the_clip(page):
    view, clips, robot = page
    view.gui["clip"].value = "walk"
    view._choose()
    speed = check_clip(clips[1], robot, robot_soles(robot)).speed_m_s
    assert f"| speed | {speed:.2f} m/s |" in view.gui["checks"].content


def test_time_goes_on_and_begins_again(page):
    view, clips, _ = page
    view.gui["speed"].value = 0.5
    view.advance(0.4)
    assert view.gui["time"].value == pytest.approx(0.2)
    view.advance(2.5 * clips[0].duration_s)
    assert view.gui["time"].value == 0.0
