"""Floor and shadows by numbers worked out by hand."""

import math

import numpy as np
import pytest

from isaachrl.sim.ground import CHECK, FLOOR, HAZE_M, SKY, Rays, floor_and_sky
from isaachrl.sim.shadows import DARKEST, FOOT, body_shade, box_shade

HALF = math.sqrt(0.5)


def looking_down(size, height=2.0):
    """From above the origin along +x and 45 degrees down; the picture is 2 tan(45 deg) high per metre of depth."""
    return Rays(np.array([0.0, 0.0, height]), np.array([HALF, 0.0, -HALF]), np.array([HALF, 0.0, HALF]), 1.0, size)


def test_a_pixel_sees_the_point_of_the_floor_that_its_ray_meets():
    rays = looking_down((3, 3))
    assert rays.right.tolist() == pytest.approx([0.0, -1.0, 0.0])
    assert rays.nearness(0.0)[1] == pytest.approx(1.0 / (2.0 * math.sqrt(2.0)))
    x, y = rays.points(slice(1, 3), slice(0, 3), 0.0)
    depth = 2.0 * math.sqrt(2.0)
    assert x[0].tolist() == pytest.approx([2.0] * 3) and y[0].tolist() == pytest.approx(
        [2 * depth / 3, 0, -2 * depth / 3]
    )
    # a row below, the ray falls by HALF * (1 + 2/3) and goes on by HALF * (1 - 2/3) for a metre of depth
    assert x[1, 1] == pytest.approx(2.0 * (1 / 3) / (5 / 3))
    on_a_box = rays.points(slice(1, 2), slice(1, 2), 1.0)
    assert on_a_box[0].item() == pytest.approx(1.0)


def test_a_window_holds_what_its_points_see_and_nothing_beside_the_camera():
    rays = looking_down((300, 300))
    rows, columns = rays.window(np.array([[2.0, -0.1, 0.0], [2.0, 0.1, 0.0]]))
    wide = 150 * 0.1 / (2 * math.sqrt(2.0))
    assert (rows.start, rows.stop) == (150, 150) or (rows.start, rows.stop) == (149, 150) or rows.stop == 151
    assert columns.start == int(150 - wide) and columns.stop == math.ceil(150 + wide)
    behind = rays.window(np.array([[2.0, 0.0, 0.0], [-5.0, 0.0, 0.0]]))
    assert behind == (slice(0, 0), slice(0, 0))


def test_fields_are_light_and_dark_near_by_and_even_far_away():
    rays = looking_down((400, 400))
    picture = floor_and_sky(rays, [])
    x, y = rays.points(slice(200, 400), slice(0, 400), 0.0)
    inside = (abs(x % 1 - 0.5) < 0.4) & (abs(y % 1 - 0.5) < 0.4)
    clear = np.exp(-1.0 / (HAZE_M * rays.nearness(0.0)[200:]))[:, None]
    sign = np.where((np.floor(x) + np.floor(y)) % 2 == 0, 1.0, -1.0)
    expected = clear * FLOOR[1] * (1 + CHECK * sign) + (1 - clear) * SKY[1][1]
    assert np.abs(picture[1, 200:] - expected)[inside].max() < 0.1
    low = Rays(np.array([0.3, 0.0, 1.0]), np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), 0.4, (100, 100))
    horizon = floor_and_sky(low, [])[1]
    assert np.ptp(horizon[51]) < 0.5 and np.ptp(horizon[99]) > 15  # 125 m away, and 2.5 m
    assert horizon[49].tolist() == pytest.approx([SKY[1][1]] * 100, abs=12)


def test_shadow_of_a_ball_lies_where_the_sun_throws_it_with_a_soft_edge():
    ball = np.array([[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]])
    shade = body_shade(ball, np.array([0.2]), 0.0)
    x = 1.0 + 0.45 + np.array([0.0, 0.2, 0.3, 0.2 + 0.035])
    share = shade.at(x.astype(np.float32), np.full(4, 2.25, np.float32))
    # the edge is 0.02 + 0.05 * 1 m to both sides of the radius
    assert share.tolist() == pytest.approx([DARKEST, 0.5 * DARKEST, 0.0, 0.25 * DARKEST], abs=0.02)
    on_a_box = body_shade(ball, np.array([0.2]), 1.0)
    assert on_a_box.at(np.ones(1, np.float32), np.full(1, 2.0, np.float32)).tolist() == pytest.approx([DARKEST])


def test_shadow_of_a_box_is_as_long_as_the_sun_is_low_and_its_foot_is_dark():
    shade = box_shade(np.array([[0.0, 0.0, 0.0]]), np.array([[1.0, 1.0, 1.0]]))
    points = np.array([[1.2, 0.6], [1.6, 0.6], [-0.3, 0.5], [-1.4, -1.4]], np.float32)
    behind, beyond, before, far = shade.at(points[:, 0], points[:, 1]).tolist()
    foot = [FOOT[0] * math.exp(-away / FOOT[1]) for away in (0.2, 0.6, 0.3)]
    assert behind == pytest.approx(1 - (1 - DARKEST) * (1 - foot[0]), abs=0.01)
    assert beyond == pytest.approx(foot[1], abs=0.01) and before == pytest.approx(foot[2], abs=0.01)
    assert far < 0.01
