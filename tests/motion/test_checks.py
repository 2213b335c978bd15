import numpy as np
import pytest

from isaachrl.motion.checks import check_clip, largest_slip_m
from isaachrl.sim.soles import robot_soles

STANDING_M = 0.4215 + 0.4099 + 0.05  # straight legs, soles on the floor


def straight(frames, step_m, height_m=STANDING_M):
    pos = np.zeros((frames, 3))
    pos[:, 0], pos[:, 2] = step_m * np.arange(frames), height_m
    return pos


@pytest.fixture
def measure(robot, make_clip):
    def measure(*args, **named):
        return check_clip(make_clip(*args, **named), robot, robot_soles(robot))

    return measure


def test_a_body_that_slides_on_its_soles_slips_all_the_way_but_the_ends(measure):
    checks = measure(straight(61, 0.01), fps=60.0)
    assert checks.length_s == pytest.approx(1.0)
    assert checks.speed_m_s == pytest.approx(0.6, abs=1e-5)
    assert checks.net_m_s == pytest.approx(0.6, abs=1e-5)
    assert checks.forward_m_s == pytest.approx(0.6, abs=1e-5)
    # 61 frames less four at either end: 52 steps of a centimetre
    assert checks.slip_cm == pytest.approx(52.0, abs=1e-2)


def test_walking_backward_has_a_negative_forward_speed(measure):
    checks = measure(straight(11, -0.1), fps=10.0)
    assert checks.forward_m_s == pytest.approx(-1.0, abs=1e-5)
    assert checks.speed_m_s == pytest.approx(1.0, abs=1e-5)


def test_soles_above_the_floor_neither_slip_nor_sink(measure):
    checks = measure(straight(61, 0.01, STANDING_M + 0.005), fps=60.0)
    assert checks.slip_cm == 0.0
    assert checks.penetration_mm == 0.0


def test_penetration_is_the_depth_of_the_deepest_corner(measure):
    assert measure(straight(11, 0.0, STANDING_M - 0.007)).penetration_mm == pytest.approx(7.0, abs=1e-2)


def test_a_full_turn_counts_whole(measure):
    checks = measure(straight(41, 0.0), np.linspace(0.0, 2.0 * np.pi, 41), fps=10.0)
    assert checks.turn_rad_s == pytest.approx(2.0 * np.pi / 4.0, abs=1e-5)
    assert checks.net_m_s == 0.0


def test_a_bent_back_elbow_is_outside_its_range(measure):
    checks = measure(straight(11, 0.0), elbow=np.full(11, 0.2))
    assert checks.margin_dof == "right_elbow"
    assert checks.margin_deg == pytest.approx(-np.degrees(0.2), abs=1e-3)


def test_straight_knees_and_elbows_stand_at_the_end_of_their_range(measure):
    checks = measure(straight(11, 0.0))
    assert checks.margin_deg == pytest.approx(0.0, abs=1e-4)
    assert checks.knee_deg == pytest.approx((0.0, 0.0), abs=1e-4)


def test_the_seam_of_a_loop_is_the_largest_joint_change_whatever_the_heading(measure):
    yaw, elbow = np.linspace(0.0, 1.0, 11), np.linspace(-0.5, -0.2, 11)
    assert measure(straight(11, 0.1), yaw, elbow, loop=True).seam_rad == pytest.approx(0.3, abs=1e-4)
    assert measure(straight(11, 0.1), yaw, loop=True).seam_rad == pytest.approx(0.0, abs=1e-4)
    assert measure(straight(11, 0.1), yaw, elbow).seam_rad == 0.0


def test_the_peak_speed_is_that_of_the_fastest_joint(measure):
    checks = measure(straight(11, 0.1), elbow=-0.1 * np.arange(11), fps=10.0)
    assert checks.peak_speed_rad_s == pytest.approx(1.0, abs=1e-3)


def test_only_unbroken_contacts_count_and_each_by_itself():
    points = np.zeros((60, 1, 3))
    points[:, 0, 0] = np.arange(60) * 0.001
    points[30, 0, 2] = 0.01  # lifted once: contacts of 30 and 29 frames
    assert largest_slip_m(points, 60.0) == (pytest.approx(0.021), 25)
    points[20:40, 0, 2] = 0.01
    assert largest_slip_m(points, 60.0)[0] == pytest.approx(0.011)
    points[:, 0, 2] = 0.01
    assert largest_slip_m(points, 60.0) == (0.0, 0)


def test_coming_back_does_not_undo_a_slip():
    points = np.zeros((60, 1, 3))
    points[:, 0, 1] = 0.01 * np.sin(np.linspace(0.0, 2.0 * np.pi, 60))
    # counted from the fifth frame on, which already lies 0.01 sin(8 pi / 59) aside
    away = 0.01 * (1.0 + np.sin(8.0 * np.pi / 59.0))
    assert largest_slip_m(points, 60.0)[0] == pytest.approx(away, rel=1e-2)
