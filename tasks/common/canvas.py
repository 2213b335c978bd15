"""Pictures of 2D worlds, drawn into an array."""

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
    """An image `(height, width, 3)` uint8 with the origin in the lower left corner, x right and y up.

    Args:
        width, height: extent in the world's units.
        scale: pixels per unit.
    """

    def __init__(self, width: float, height: float, scale: float) -> None:
        self.scale, self.height = scale, height
        self.image = np.full((round(height * scale), round(width * scale), 3), WHITE, dtype=np.uint8)
        rows, columns = self.image.shape[:2]
        self._x = (np.arange(columns) + 0.5) / scale
        self._y = height - (np.arange(rows)[:, None] + 0.5) / scale

    def _near(self, low: Point, high: Point) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The part of the image between two corners, as a view, with x and y of its pixels."""
        left, right = np.searchsorted(self._x, (low[0], high[0]), side="left")
        top, bottom = np.searchsorted(-self._y[:, 0], (-high[1], -low[1]), side="left")
        rows, columns = slice(top, bottom + 1), slice(left, right + 1)
        return self.image[rows, columns], self._x[columns], self._y[rows]

    def box(self, low: Point, high: Point, colour: Colour) -> None:
        """Fill a rectangle between two corners."""
        image, x, y = self._near(low, high)
        image[(x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])] = colour

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        cx, cy = centre
        image, x, y = self._near((cx - radius, cy - radius), (cx + radius, cy + radius))
        image[np.hypot(x - cx, y - cy) <= radius] = colour

    def line(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """Draw a segment with round ends."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length, half = max(dx * dx + dy * dy, 1e-12), width / 2
        low = (min(start[0], end[0]) - half, min(start[1], end[1]) - half)
        image, x, y = self._near(low, (max(start[0], end[0]) + half, max(start[1], end[1]) + half))
        along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / length, 0.0, 1.0)
        distance = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)
        image[distance <= half] = colour
