"""Cameras by hand-worked numbers, the choice of OpenGL, and the error where there is none."""

import math

import numpy as np
import pytest

from isaachrl.errors import RenderError
from isaachrl.sim import Box, Scene, render
from isaachrl.sim.cameras import ChaseCamera, TopCamera
from isaachrl.sim.headless import choose
from isaachrl.sim.render import SceneRenderer

UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("variable", "there", "expected"),
    [
        (None, {"egl", "osmesa"}, "egl"),
        (None, {"osmesa"}, "osmesa"),
        (None, set(), "disable"),
        ("osmesa", {"egl", "osmesa"}, "osmesa"),
        ("OSMesa", {"egl"}, "egl"),  # what was asked for is missing, and MuJoCo could not even be imported
        ("nonsense", {"egl"}, "egl"),
        ("glfw", {"egl"}, "glfw"),
        ("disable", {"egl"}, "disable"),
    ],
)
def test_choice_of_opengl(variable, there, expected):
    environment = {} if variable is None else {"MUJOCO_GL": variable}
    assert choose(environment, there.__contains__) == expected


def test_map_fits_the_rectangle_whichever_side_is_long():
    wide = TopCamera((0.0, 8.0, -1.0, 1.0), margin=0.0).view(np.zeros(3), UPRIGHT, aspect=2.0)
    assert wide.height_m == 4.0 and wide.lookat_w.tolist() == [4.0, 0.0, 0.0]
    high = TopCamera((0.0, 1.0, 0.0, 6.0), margin=0.1).view(np.zeros(3), UPRIGHT, aspect=2.0)
    assert high.height_m == pytest.approx(7.2)


def test_chase_starts_behind_the_robot_and_follows_with_a_lag():
    camera = ChaseCamera(side_deg=30.0, lag=0.5, height_m=1.0)
    left = np.array([math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4)])  # heading along y
    view = camera.view(np.array([1.0, 2.0, 0.9]), left, aspect=1.0)
    assert view.lookat_w.tolist() == [1.0, 2.0, 1.0]
    assert view.azimuth_deg == pytest.approx(90.0 + 30.0, abs=1e-3)
    view = camera.view(np.array([2.0, 2.0, 0.9]), left, aspect=1.0)
    assert view.lookat_w.tolist() == [1.75, 2.0, 1.0]  # a quarter of the way is left
    camera.restart()
    assert camera.view(np.array([9.0, 9.0, 0.9]), UPRIGHT, aspect=1.0).azimuth_deg == pytest.approx(30.0)


def test_chase_climbs_with_who_stands_on_a_roof_and_not_with_who_sways_or_jumps():
    camera = ChaseCamera(lag=0.0, height_m=0.85)
    heights = [float(camera.view(np.array([0.0, 0.0, z]), UPRIGHT, 1.0).lookat_w[2]) for z in (0.1, 0.9, 1.2, 5.0)]
    assert heights == [0.85, 0.85, 0.85, 4.6]


def test_chase_does_not_turn_round_a_body_that_lies():
    camera = ChaseCamera(side_deg=0.0, lag=0.0)
    place, half = np.array([0.0, 0.0, 0.1]), math.sqrt(0.5)
    camera.view(place, UPRIGHT, aspect=1.0)
    turned = np.array([0.0, 0.0, 0.0, 1.0])  # the other way, upright
    on_its_back = np.array([0.0, half, 0.0, half])  # the other way, feet ahead
    assert camera.view(place, on_its_back, aspect=1.0).azimuth_deg == pytest.approx(0.0, abs=1e-3)
    assert abs(camera.view(place, turned, aspect=1.0).azimuth_deg) == pytest.approx(90.0, abs=1e-3)


def test_map_is_to_scale_and_boxes_stand_where_they_are_put():
    renderer = SceneRenderer(Scene(boxes=(Box("box", (1.0, 0.5, 0.5), rgba=(1.0, 0.0, 0.0, 1.0)),)), 320, 160)
    qpos = renderer.model.qpos0.copy()
    qpos[0] = 50.0  # out of the picture
    top = TopCamera((-8.0, 8.0, -4.0, 4.0), margin=0.0)  # 20 pixels a metre
    picture = renderer.frame(qpos, np.array([[4.0, 2.0, 0.5]]), top).astype(int)
    renderer.close()
    rows, columns = (picture[..., 0] > picture[..., 1] + 60).nonzero()
    assert picture.shape == (160, 320, 3)
    assert np.ptp(columns) + 1 == pytest.approx(40, abs=1) and np.ptp(rows) + 1 == pytest.approx(20, abs=1)
    assert columns.mean() == pytest.approx(160 + 80, abs=1) and rows.mean() == pytest.approx(80 - 40, abs=1)


def test_without_opengl_the_error_says_what_to_install(monkeypatch):
    def broken(*_):
        raise AttributeError("eglQueryString")

    monkeypatch.setattr(render.mujoco, "Renderer", broken)
    with pytest.raises(RenderError, match="no renderer works here.*eglQueryString.*install libegl1.*osmesa"):
        SceneRenderer(Scene())
