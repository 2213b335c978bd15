"""The map: what stands where, in pixels worked out by hand."""

import numpy as np
import pytest

from isaachrl.sim import Box, FreeBody, Scene, Shape, compile_scene
from isaachrl.sim.floor_plan import MARGIN, FloorPlan

RED, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)


def plan(scene, rectangle, width, height):
    """A map whose free edge is undone, so that the rectangle fills it."""
    x0, x1, y0, y1 = np.array(rectangle) / (1.0 + 2.0 * MARGIN)
    model = compile_scene(scene)
    qpos = model.qpos0.copy()
    qpos[0] = 50.0  # the robot, out of the picture
    return FloorPlan(model, (x0, x1, y0, y1), width, height), qpos


def test_the_whole_rectangle_is_shown_whichever_side_is_long():
    model = compile_scene(Scene())
    wide, high = FloorPlan(model, (0.0, 8.0, -1.0, 1.0), 200, 100), FloorPlan(model, (0.0, 1.0, 0.0, 6.0), 200, 100)
    assert wide.scale == pytest.approx(200 / (8.0 * 1.08)) and high.scale == pytest.approx(100 / (6.0 * 1.08))
    assert wide.pixel(4.0, 0.0) == (100.0, 50.0) and high.pixel(0.5, 3.0) == (100.0, 50.0)
    column, row = high.pixel(1.0, 6.0)
    assert 100 < column < 200 and row == pytest.approx(100 * 0.04 / 1.08)


def test_boxes_cover_the_pixels_of_their_places_and_the_higher_one_the_lower():
    boxes = (
        Box("tower", (0.25, 0.25, 2.0), rgba=BLUE),
        Box("wall", (1.0, 0.5, 0.5), rgba=RED),
        Box("spare", (1, 1, 1)),
    )
    drawer, qpos = plan(Scene(boxes=boxes), (-8.0, 8.0, -4.0, 4.0), 320, 160)  # 20 pixels a metre
    picture = drawer.draw(qpos, np.array([[4.0, 2.0, 2.0], [4.0, 2.0, 0.5], [0.0, 0.0, -10.0]])).astype(int)
    assert picture.shape == (160, 320, 3)
    tower, wall = (picture == (0, 0, 255)).all(2), (picture == (255, 0, 0)).all(2)
    # the middle of both: column 160 + 4 * 20, row 80 - 2 * 20
    expected = np.zeros((160, 320), bool)
    expected[35:45, 235:245] = True
    assert (tower == expected).all()
    expected[30:50, 220:260] = True
    assert (tower | wall == expected).all()
    floor = picture[:, :150]
    assert (np.ptp(floor, axis=2) < 20).all(), "a box that waits under the floor is not shown"


def test_a_marker_is_a_disc_and_one_under_the_floor_is_not_shown():
    drawer, qpos = plan(Scene(markers=("goal", "other")), (-8.0, 8.0, -4.0, 4.0), 320, 160)
    picture = drawer.draw(qpos, np.array([[-3.0, 1.0, 0.5], [3.0, 1.0, -10.0]])).astype(int)
    rows, columns = (picture[..., 0] > picture[..., 1] + 60).nonzero()
    assert rows.mean() == pytest.approx(80 - 20 - 0.5, abs=0.5) and columns.mean() == pytest.approx(
        160 - 60 - 0.5, abs=0.5
    )
    assert len(rows) == pytest.approx(np.pi * (0.25 * 20) ** 2, rel=0.2)


def test_an_object_is_a_round_bar_that_turns_with_it():
    pillar = FreeBody("pillar", Shape.box, (0.25, 0.25, 1.0), 9.0, (3.0, 1.0, 1.0), rgba=RED)
    drawer, qpos = plan(Scene(objects=(pillar,)), (-8.0, 8.0, -4.0, 4.0), 320, 160)

    def red(pos, quat):
        qpos[-7:] = *pos, *quat
        picture = drawer.draw(qpos, np.zeros((0, 3))).astype(int)
        rows, columns = (picture[..., 0] > picture[..., 1] + 60).nonzero()
        return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1

    upright, fallen = red((3.0, 1.0, 1.0), (1, 0, 0, 0)), red((3.0, 1.0, 0.25), (0.5**0.5, 0, 0.5**0.5, 0))
    assert upright == pytest.approx((80 - 20 - 5, 80 - 20 + 5, 160 + 60 - 5, 160 + 60 + 5), abs=1)
    assert fallen == pytest.approx((80 - 20 - 5, 80 - 20 + 5, 160 + 60 - 20, 160 + 60 + 20), abs=1)  # along x


def test_the_way_leads_to_the_robot_until_a_new_episode_begins():
    drawer, qpos = plan(Scene(), (-8.0, 8.0, -4.0, 4.0), 320, 160)

    def blue(x, y):
        qpos[:2] = x, y
        picture = drawer.draw(qpos, np.zeros((0, 3))).astype(int)
        return picture[..., 2] > picture[..., 0] + 100

    for x in np.linspace(-6.0, 0.0, 31):
        blue(x, 0.0)
    for y in np.linspace(0.0, 3.0, 16):
        blue(0.0, y)
    shown = blue(0.0, 3.0)
    assert shown[80, 40:160].all() and shown[20:80, 160].all()
    rows, columns = shown.nonzero()
    assert (columns.min(), rows.max()) == (pytest.approx(160 - 120, abs=3), pytest.approx(80, abs=3))
    assert shown[:, 100].sum() == pytest.approx(2 * 1.6, abs=2), "as wide as the way"
    assert shown[20, 160 - 6 : 160 + 6].all(), "a dot at its end"
    drawer.restart()
    rows, columns = blue(-6.0, 3.0).nonzero()
    assert columns.max() < 50 and rows.max() < 30
