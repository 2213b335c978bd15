"""A map of a scene, seen straight from above: boxes, markers, the robot's place and the way it went."""

import mujoco
import numpy as np

from isaachrl.sim.ground import CHECK, FLOOR
from isaachrl.sim.shadows import box_shade

Rectangle = tuple[float, float, float, float]

MARGIN = 0.04  # of the rectangle's size, left free around it
WAY_RGB = (25, 115, 230)
WAY_M, WAY_PX = 0.06, 1.6  # half the width of the way: m, and pixels at least
ROBOT_M, ROBOT_PX = 0.3, 6.0  # radius of the robot's dot
MARKER_PX = 5.0  # radius of a marker, at least
RIM_PX = 1.5  # a dot's darker edge
SHADE = 0.6  # of the shadows' depth, which are to hide no ways here
STEP_M = 0.1  # the way grows by pieces of this length


class FloorPlan:
    """Draws one world from its coordinates: x to the right, y up.

    Args:
        model: the world; what its robot looks like does not matter.
        rectangle: x from, x to, y from, y to in metres, shown whole.
        width: of the pictures, pixels.
        height: of the pictures, pixels.
    """

    def __init__(self, model: mujoco.MjModel, rectangle: Rectangle, width: int, height: int) -> None:
        x0, x1, y0, y1 = rectangle
        self.scale = min(width / (x1 - x0), height / (y1 - y0)) / (1.0 + 2.0 * MARGIN)  # pixels a metre
        self._size, self._centre = (width, height), ((x0 + x1) / 2, (y0 + y1) / 2)
        self._model, self._data = model, mujoco.MjData(model)
        others = (model.body_rootid[model.geom_bodyid] != 1) & (model.geom_bodyid > 0) & (model.geom_rgba[:, 3] > 0)
        self._boxes = np.flatnonzero(others & (model.geom_type == mujoco.mjtGeom.mjGEOM_BOX))
        self._balls = np.flatnonzero(others & (model.geom_type == mujoco.mjtGeom.mjGEOM_SPHERE))
        self._place = b""
        self._empty = self._walked = np.zeros((height, width, 3), np.float32)
        self.restart()

    def restart(self) -> None:
        """Forget the way walked so far."""
        self._last: np.ndarray | None = None
        self._way = np.zeros(self._size[::-1], np.float32)
        self._walked = self._empty.copy()

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Column and row of a point of the world, in pixels from the upper left corner."""
        width, height = self._size
        return width / 2 + self.scale * (x - self._centre[0]), height / 2 - self.scale * (y - self._centre[1])

    def draw(self, qpos: np.ndarray, mocap_pos_w: np.ndarray) -> np.ndarray:
        """The map `(height, width, 3)` uint8 of a world with coordinates `(nq,)` and boxes and markers at `(M, 3)`."""
        self._data.qpos[:] = qpos
        if self._model.nmocap:
            self._data.mocap_pos[:] = mocap_pos_w
        mujoco.mj_kinematics(self._model, self._data)
        self._set_up_boxes()
        here = np.array(qpos[:2])
        if self._last is None or np.linalg.norm(here - self._last) >= STEP_M:
            self._walk(self._last if self._last is not None else here, here)
            self._last = here
        picture = self._walked.astype(np.uint8)
        for ball in self._balls:
            x, y, z = self._data.geom_xpos[ball]
            radius = float(self._model.geom_size[ball, 0])
            if z > -radius:  # what is not needed waits under the floor
                rgb = 255.0 * self._model.geom_rgba[ball, :3]
                self._dot(picture, x, y, max(radius * self.scale, MARKER_PX), rgb)
        self._dot(picture, here[0], here[1], max(ROBOT_M * self.scale, ROBOT_PX), np.array(WAY_RGB, float))
        return picture

    def _set_up_boxes(self) -> None:
        """Draw floor and boxes, where a box is not where it was."""
        middle, half = self._data.geom_xpos[self._boxes], self._model.geom_size[self._boxes]
        if self._place == (place := middle.tobytes() + b"."):
            return
        self._place = place
        width, height = self._size
        x = (np.arange(width) + 0.5 - width / 2) / self.scale + self._centre[0]
        y = (height / 2 - np.arange(height) - 0.5) / self.scale + self._centre[1]
        light = (
            1.0 + CHECK * np.where(np.floor(x) % 2 == 0, 1.0, -1.0) * np.where(np.floor(y) % 2 == 0, 1.0, -1.0)[:, None]
        )
        there = np.flatnonzero(middle[:, 2] + half[:, 2] > 0.0)
        there = there[np.argsort((middle + half)[there, 2], kind="stable")]  # the highest last
        if len(there):
            shade = box_shade((middle - half)[there], (middle + half)[there], 1.0 / self.scale)
            light *= 1.0 - SHADE * shade.at(*(axis.astype(np.float32) for axis in np.meshgrid(x, y)))
        self._empty = (light[..., None] * FLOOR).astype(np.float32)
        for box in there:
            (left, low), (right, high) = (self.pixel(*(middle + sign * half)[box, :2]) for sign in (-1, 1))
            columns, rows = (
                slice(*np.clip(np.rint(ends), 0, size).astype(int))  # whole pixels: no seam where two boxes meet
                for ends, size in (((left, right), width), ((high, low), height))
            )
            self._empty[rows, columns] = 255.0 * self._model.geom_rgba[self._boxes[box], :3]
        self._paint_way(slice(None), slice(None))

    def _walk(self, start: np.ndarray, end: np.ndarray) -> None:
        """The way goes on from one point to another."""
        radius = max(WAY_M * self.scale, WAY_PX)
        (x0, y0), (x1, y1) = self.pixel(*start), self.pixel(*end)
        rows, columns, x, y = self._window(min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1), radius)
        along = (x1 - x0, y1 - y0)
        part = ((x - x0) * along[0] + (y - y0) * along[1]) / max(along[0] ** 2 + along[1] ** 2, 1e-9)
        part = np.clip(part, 0.0, 1.0)
        away = np.hypot(x - x0 - part * along[0], y - y0 - part * along[1])
        way = self._way[rows, columns]
        np.maximum(way, np.clip(radius + 0.5 - away, 0.0, 1.0), out=way)
        self._paint_way(rows, columns)

    def _paint_way(self, rows: slice, columns: slice) -> None:
        """Lay the way over floor and boxes."""
        below = self._empty[rows, columns]
        self._walked[rows, columns] = below + self._way[rows, columns, None] * (np.array(WAY_RGB, np.float32) - below)

    def _dot(self, picture: np.ndarray, x: float, y: float, radius: float, rgb: np.ndarray) -> None:
        """A disc with a darker rim; `radius` in pixels."""
        column, row = self.pixel(x, y)
        rows, columns, across, down = self._window(column, column, row, row, radius)
        away = np.hypot(across - column, down - row)
        inside, inner = (np.clip(reach + 0.5 - away, 0.0, 1.0)[..., None] for reach in (radius, radius - RIM_PX))
        below = picture[rows, columns]
        below[:] = below + inside * (rgb * (0.65 + 0.35 * inner) - below)

    def _window(
        self, left: float, right: float, top: float, bottom: float, reach: float
    ) -> tuple[slice, slice, np.ndarray, np.ndarray]:
        """Rows and columns around a rectangle of pixels, and the middles of them, x as a row and y as a column."""
        width, height = self._size
        columns, rows = (
            slice(int(np.clip(low - reach - 1, 0, size)), int(np.clip(high + reach + 2, 0, size)))
            for low, high, size in ((left, right, width), (top, bottom, height))
        )
        return rows, columns, np.arange(width)[columns] + 0.5, np.arange(height)[rows, None] + 0.5
