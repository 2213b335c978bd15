"""Pictures by hand: x to the right, y upwards."""

import pytest

from tasks.common.canvas import BLUE, GREEN, RED, WHITE, Canvas


@pytest.fixture
def canvas():
    return Canvas(4.0, 2.0, 10)


def at(canvas, x, y):
    """Colour at a place in the world's units."""
    return tuple(canvas.image[int((canvas.height - y) * 10), int(x * 10)].tolist())


def test_an_empty_canvas_is_white(canvas):
    assert canvas.image.shape == (20, 40, 3)
    assert (canvas.image == 255).all()


def test_a_box_fills_between_its_corners(canvas):
    canvas.box((1.0, 0.0), (2.0, 1.0), RED)
    assert at(canvas, 1.5, 0.5) == RED
    assert at(canvas, 1.5, 1.5) == WHITE
    assert at(canvas, 2.5, 0.5) == WHITE
    assert (canvas.image == RED).all(-1).sum() == 100


def test_a_disc_is_round(canvas):
    canvas.disc((2.0, 1.0), 0.5, GREEN)
    assert at(canvas, 2.0, 1.0) == GREEN
    assert at(canvas, 2.4, 1.0) == GREEN
    assert at(canvas, 2.45, 1.45) == WHITE, "the corner of its box"


def test_a_line_has_a_width_and_two_ends(canvas):
    canvas.line((1.0, 1.0), (3.0, 1.0), 0.4, BLUE)
    assert at(canvas, 2.0, 1.05) == BLUE
    assert at(canvas, 2.0, 1.35) == WHITE
    assert at(canvas, 0.7, 1.05) == WHITE
    assert at(canvas, 3.35, 1.05) == WHITE


def test_shapes_are_clipped_at_the_edge(canvas):
    canvas.disc((4.0, 2.0), 0.5, GREEN)
    canvas.line((-1.0, 0.05), (0.52, 0.05), 0.1, BLUE)
    canvas.box((5.0, 0.0), (6.0, 1.0), RED)
    assert at(canvas, 3.75, 1.75) == GREEN and at(canvas, 3.45, 1.95) == WHITE
    assert (canvas.image == GREEN).all(-1).sum() == 20, "a quarter of 25 pi, by counting"
    assert (canvas.image[-1, :6] == BLUE).all() and (canvas.image == BLUE).all(-1).sum() == 6
    assert not (canvas.image == RED).all(-1).any()


def test_a_small_mark_asks_few_pixels(canvas):
    image, x, y = canvas._near((1.0, 0.5), (1.5, 1.0))
    assert image.shape[:2] == (len(y), len(x)) and image.size <= 3 * 7 * 7
    assert x.min() <= 1.05 and x.max() >= 1.45 and y.min() <= 0.55 and y.max() >= 0.95


def test_a_line_without_length_is_a_dot(canvas):
    canvas.line((1.0, 1.0), (1.0, 1.0), 0.4, BLUE)
    assert at(canvas, 1.0, 1.0) == BLUE
    assert 4 <= (canvas.image == BLUE).all(-1).sum() <= 16
