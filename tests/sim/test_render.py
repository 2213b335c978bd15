"""Cameras by hand-worked numbers, the choice of OpenGL, and the error where there is none."""

import math

import mujoco
import numpy as np
import pytest

from isaachrl.errors import RenderError
from isaachrl.sim import Box, FreeBody, Scene, Shape, render
from isaachrl.sim.cameras import ChaseCamera, View
from isaachrl.sim.headless import choose
from isaachrl.sim.render import SceneRenderer
from isaachrl.sim.shadows import SLANT

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


@pytest.mark.parametrize(
    ("module", "expected"),
    [("mujoco.egl", True), ("mujoco.osmesa", True), ("mujoco.cgl", True), ("mujoco.glfw", False), (None, False)],
)
def test_only_offscreen_contexts_are_made_in_any_thread(monkeypatch, module, expected):
    if module is None:  # as with MUJOCO_GL=disable
        monkeypatch.delattr(render.mujoco, "GLContext", raising=False)
    else:
        monkeypatch.setattr(render.mujoco, "GLContext", type("GLContext", (), {"__module__": module}), raising=False)
    assert render.any_thread_draws() is expected


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


def from_above(renderer, qpos, boxes=()):
    """Straight down from 20 m: x to the right and y up, `pixel` to the metre on the floor."""
    picture = renderer.frame(qpos, np.reshape(boxes, (-1, 3)), View(np.zeros(3), 20.0, 90.0, -90.0)).astype(int)
    pixel = renderer.height / (2 * 20.0 * math.tan(math.radians(22.5)))

    def at(x, y):
        return picture[round(renderer.height / 2 - pixel * y), round(renderer.width / 2 + pixel * x)]

    return at


def test_floor_has_fields_of_a_metre_and_the_body_throws_a_shadow_on_it():
    renderer = SceneRenderer(Scene(), 320, 240)
    away, high = renderer.model.qpos0.copy(), renderer.model.qpos0.copy()
    away[0], high[2] = 100.0, 3.0
    bare, shaded = from_above(renderer, away), from_above(renderer, high)
    renderer.close()
    fields = {(x, y): bare(x + 0.5, y + 0.5)[1] for x in (-2, -1, 0, 1, 4) for y in (-3, -2, 0, 1)}
    light = {place for place, green in fields.items() if green > min(fields.values()) + 10}
    assert light == {(x, y) for x, y in fields if (x + y) % 2 == 0}
    there = 3.0 * SLANT
    assert bare(*there)[1] - shaded(*there)[1] > 30
    assert abs(bare(*-there)[1] - shaded(*-there)[1]) <= 1


def test_the_shadow_of_a_box_goes_where_the_box_goes():
    renderer = SceneRenderer(Scene(boxes=(Box("box", (0.5, 0.5, 1.0)),)), 320, 240)
    qpos = renderer.model.qpos0.copy()
    qpos[0] = 100.0
    under, one, other = (from_above(renderer, qpos, place) for place in ((-3, 0, -10), (-3, 0, 1), (3, 0, 1)))
    renderer.close()
    for x in (-3, 3):
        beside = x + 0.5 + 0.4, 0.3  # the box is 2 m high, the shadow 0.9 m long
        darker = [int(under(*beside)[1] - view(*beside)[1]) for view in (one, other)]
        assert (darker[0] > 30) == (x == -3) and (darker[1] > 30) == (x == 3) and min(darker) < 3


def test_an_object_is_drawn_and_throws_its_own_shadow():
    ball = FreeBody("ball", Shape.ball, (0.3,), 0.5, (0.0, 0.0, 3.0), rgba=(1.0, 0.0, 0.0, 1.0))
    renderer = SceneRenderer(Scene(objects=(ball,)), 320, 240)
    qpos = renderer.model.qpos0.copy()
    qpos[0] = 100.0
    shaded = from_above(renderer, qpos)
    qpos[-7] = 50.0
    bare = from_above(renderer, qpos)
    renderer.close()
    there = 3.0 * SLANT
    assert shaded(0.0, 0.0)[0] > shaded(0.0, 0.0)[1] + 60 and bare(0.0, 0.0)[0] < bare(0.0, 0.0)[1] + 20
    assert bare(*there)[1] - shaded(*there)[1] > 30
    assert abs(bare(*-there)[1] - shaded(*-there)[1]) <= 1


def test_far_fields_fade_and_do_not_flicker():
    renderer = SceneRenderer(Scene(), 320, 240)
    qpos = renderer.model.qpos0.copy()
    qpos[0] = -100.0
    frames = [
        renderer.frame(qpos, np.zeros((0, 3)), View(np.array([step, 0.0, 0.8]), 3.6, 35.0, -14.0)).astype(int)
        for step in (0.0, 0.037)
    ]
    renderer.close()
    sky, far, near = (frames[0][rows] for rows in (slice(0, 40), slice(50, 58), slice(200, 240)))
    assert np.ptp(near[..., 1]) > 10 > 6 > np.ptp(far[..., 1], axis=1).max()
    assert np.ptp(sky, axis=1).max() <= 1 and (sky[..., 2] > sky[..., 0] + 5).all()
    assert np.abs(frames[1] - frames[0])[:80].max() <= 3


def test_the_floor_reaches_the_horizon_in_every_direction():
    renderer = SceneRenderer(Scene(), 640, 480)
    qpos, mocap = renderer.model.qpos0.copy(), np.zeros((renderer.model.nmocap, 3))
    qpos[0] = -100.0
    for azimuth in range(5, 90, 5):
        far = renderer.frame(qpos, mocap, View(np.array([0.3, 0.2, 0.5]), 4.0, azimuth, -15.0))[:100].astype(int)
        assert (np.abs(far - np.median(far, axis=1, keepdims=True)) < 30).all(), azimuth
    renderer.close()


def test_without_opengl_the_error_says_what_to_install(monkeypatch):
    def broken(*_):
        raise AttributeError("eglQueryString")

    monkeypatch.setattr(render.mujoco, "GLContext", broken)
    with pytest.raises(RenderError, match="no renderer works here.*eglQueryString.*install libegl1.*osmesa"):
        SceneRenderer(Scene())


BALLS = """
<mujoco>
  <default><geom type="sphere" size="1" rgba="{defaults}"/></default>
  <asset><material name="red" rgba="1 0 0 1"/><material name="glass" rgba="0 1 0 0"/></asset>
  <worldbody>
    <geom type="plane" size="9 9 1"/>
    <body pos="0 0 1"><freejoint/><geom material="red"/>{hidden}</body>
  </worldbody>
</mujoco>
"""
HIDDEN = '<geom pos="-3 0 0" material="red" rgba="1 0 0 0"/><geom pos="3 0 0" material="glass"/>'


@pytest.mark.parametrize("defaults", ["0.5 0.5 0.5 1", "0 0 1 1"])
def test_a_ball_has_the_colour_of_its_material_and_a_clear_one_is_not_drawn(defaults):
    pictures = []
    for hidden in ("", HIDDEN):
        renderer = SceneRenderer(
            mujoco.MjModel.from_xml_string(BALLS.format(defaults=defaults, hidden=hidden)), 320, 240
        )
        view = View(np.zeros(3), 20.0, 90.0, -90.0)
        pictures.append(renderer.frame(renderer.model.qpos0, np.zeros((0, 3)), view).astype(int))
        renderer.close()
    red, green, blue = pictures[0][120, 160]
    assert red > 100 and green < 20 and blue < 20
    assert np.array_equal(*pictures), "neither the clear balls nor shadows of them"
