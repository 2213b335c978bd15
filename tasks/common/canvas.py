"""Plain pictures of flat worlds, painted into an array."""

import numpy as np

Colour = tuple[int, int, int]
Point = tuple[float, float]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (40, 40, 40)
GREY: Colour = (215, 215, 215)
RED: Colour = (214, 69, 65)
GREEN: Colour = (38, 166, 91)
BLUE: Colour = (65, 131, 215)
YELLOW: Colour = (244, 208, 63)
ORANGE: Colour = (230, 126, 34)


class Canvas:
    """An image `(height, width, 3)` uint8 whose coordinates run from the lower left corner, x right and y up.

    Args:
        width, height: extent in the world's units.
        scale: pixels a unit.
    """

    def __init__(self, width: float, height: float, scale: float) -> None:
        self.scale, self.height = scale, height
        self.image = np.full((round(height * scale), round(width * scale), 3), WHITE, dtype=np.uint8)
        rows, columns = self.image.shape[:2]
        self._x = (np.arange(columns) + 0.5) / scale
        self._y = height - (np.arange(rows)[:, None] + 0.5) / scale

    def box(self, low: Point, high: Point, colour: Colour) -> None:
        """Fill a rectangle between two corners."""
        inside = (self._x >= low[0]) & (self._x <= high[0]) & (self._y >= low[1]) & (self._y <= high[1])
        self.image[inside] = colour

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.image[np.hypot(self._x - centre[0], self._y - centre[1]) <= radius] = colour

    def line(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """Draw a segment with round ends."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = max(dx * dx + dy * dy, 1e-12)
        along = np.clip(((self._x - start[0]) * dx + (self._y - start[1]) * dy) / length, 0.0, 1.0)
        away = np.hypot(self._x - start[0] - along * dx, self._y - start[1] - along * dy)
        self.image[away <= width / 2] = colour
