"""A map of a scene from above: boxes, markers, objects, the robot and its path."""

import mujoco
import numpy as np

from isaachrl.sim.ground import CHECK, FLOOR
from isaachrl.sim.shadows import box_shade, capsules, object_geoms

Rectangle = tuple[float, float, float, float]

MARGIN = 0.04  # share of the rectangle's size
PATH_RGB = (25, 115, 230)
PATH_M, PATH_PX = 0.06, 1.6  # half width of the path: in metres, and at least in pixels
ROBOT_M, ROBOT_PX = 0.3, 6.0  # radius of the robot's dot: in metres, and at least in pixels
MARKER_PX = 5.0  # least radius of a marker
RIM_PX = 1.5  # a dot's darker edge
SHADE = 0.6  # strength of shadows, so that they do not hide the path
STEP_M = 0.1  # the path is drawn in segments of this length


class FloorPlan:
    """Draws the map of one world from its generalised positions: x to the right, y up.

    Args:
        model: of the world.
        rectangle: x min, x max, y min, y max in metres; completely visible.
        width, height: of the pictures, pixels.
    """

    def __init__(self, model: mujoco.MjModel, rectangle: Rectangle, width: int, height: int) -> None:
        x0, x1, y0, y1 = rectangle
        self.scale = min(width / (x1 - x0), height / (y1 - y0)) / (1.0 + 2.0 * MARGIN)  # pixels a metre
        self._size, self._centre = (width, height), ((x0 + x1) / 2, (y0 + y1) / 2)
        self._model, self._data = model, mujoco.MjData(model)
        self._objects = object_geoms(model)
        self._ends, self._radius = capsules(model, self._objects)
        fixed = (model.body_rootid[model.geom_bodyid] != 1) & (model.geom_bodyid > 0) & (model.geom_rgba[:, 3] > 0)
        fixed[self._objects] = False
        self._boxes = np.flatnonzero(fixed & (model.geom_type == mujoco.mjtGeom.mjGEOM_BOX))
        self._balls = np.flatnonzero(fixed & (model.geom_type == mujoco.mjtGeom.mjGEOM_SPHERE))
        self._box_key = b""
        self._background = self._with_path = np.zeros((height, width, 3), np.float32)
        self.restart()

    def restart(self) -> None:
        """Erase the path."""
        self._last: np.ndarray | None = None
        self._path = np.zeros(self._size[::-1], np.float32)  # opacity
        self._with_path = self._background.copy()

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Column and row of a point in m, in pixels from the upper left corner."""
        width, height = self._size
        return width / 2 + self.scale * (x - self._centre[0]), height / 2 - self.scale * (y - self._centre[1])

    def draw(self, qpos: np.ndarray, mocap_pos_w: np.ndarray) -> np.ndarray:
        """The map `(height, width, 3)` uint8 for `qpos (nq,)` and `mocap_pos_w (M, 3)`."""
        self._data.qpos[:] = qpos
        if self._model.nmocap:
            self._data.mocap_pos[:] = mocap_pos_w
        mujoco.mj_kinematics(self._model, self._data)
        self._update_background()
        here = np.array(qpos[:2])
        if self._last is None or np.linalg.norm(here - self._last) >= STEP_M:
            self._extend_path(self._last if self._last is not None else here, here)
            self._last = here
        picture = self._with_path.astype(np.uint8)
        for ball in self._balls:
            x, y, z = self._data.geom_xpos[ball]
            radius = float(self._model.geom_size[ball, 0])
            if z > -radius:  # unused markers are kept below the floor
                rgb = 255.0 * self._model.geom_rgba[ball, :3]
                self._bar(picture, np.array([[x, y], [x, y]]), max(radius * self.scale, MARKER_PX), rgb)
        for geom, ends, radius in zip(self._objects, self._ends, self._radius, strict=True):
            ends_w = self._data.geom_xpos[geom] + ends @ self._data.geom_xmat[geom].reshape(3, 3).T
            self._bar(picture, ends_w[:, :2], radius * self.scale, 255.0 * self._model.geom_rgba[geom, :3])
        self._bar(picture, np.stack((here, here)), max(ROBOT_M * self.scale, ROBOT_PX), np.array(PATH_RGB, float))
        return picture

    def _update_background(self) -> None:
        """Redraw floor and boxes if a box has moved."""
        middle, half = self._data.geom_xpos[self._boxes], self._model.geom_size[self._boxes]
        if self._box_key == (key := middle.tobytes() + b"."):  # never empty: a map without boxes is drawn once, too
            return
        self._box_key = key
        width, height = self._size
        x = (np.arange(width) + 0.5 - width / 2) / self.scale + self._centre[0]
        y = (height / 2 - np.arange(height) - 0.5) / self.scale + self._centre[1]
        light = (
            1.0 + CHECK * np.where(np.floor(x) % 2 == 0, 1.0, -1.0) * np.where(np.floor(y) % 2 == 0, 1.0, -1.0)[:, None]
        )
        visible = np.flatnonzero(middle[:, 2] + half[:, 2] > 0.0)
        visible = visible[np.argsort((middle + half)[visible, 2], kind="stable")]  # the highest last
        if len(visible):
            shade = box_shade((middle - half)[visible], (middle + half)[visible], 1.0 / self.scale)
            light *= 1.0 - SHADE * shade.at(*(axis.astype(np.float32) for axis in np.meshgrid(x, y)))
        self._background = (light[..., None] * FLOOR).astype(np.float32)
        for box in visible:
            (left, low), (right, high) = (self.pixel(*(middle + sign * half)[box, :2]) for sign in (-1, 1))
            columns, rows = (
                slice(*np.clip(np.rint(ends), 0, size).astype(int))  # whole pixels: no gap between adjacent boxes
                for ends, size in (((left, right), width), ((high, low), height))
            )
            self._background[rows, columns] = 255.0 * self._model.geom_rgba[self._boxes[box], :3]
        self._paint_path(slice(None), slice(None))

    def _extend_path(self, start: np.ndarray, end: np.ndarray) -> None:
        """Add a segment between two points in m."""
        radius = max(PATH_M * self.scale, PATH_PX)
        rows, columns, distance = self._around(np.stack((start, end)), radius)
        path = self._path[rows, columns]
        np.maximum(path, np.clip(radius + 0.5 - distance, 0.0, 1.0), out=path)
        self._paint_path(rows, columns)

    def _paint_path(self, rows: slice, columns: slice) -> None:
        """Blend the path over the background."""
        below, colour = self._background[rows, columns], np.array(PATH_RGB, np.float32)
        self._with_path[rows, columns] = below + self._path[rows, columns, None] * (colour - below)

    def _bar(self, picture: np.ndarray, ends: np.ndarray, radius: float, rgb: np.ndarray) -> None:
        """Draw a round bar between `ends (2, 2)` in m, or a disc, with a darker rim; `radius` in pixels."""
        rows, columns, distance = self._around(ends, radius)
        inside, inner = (np.clip(edge + 0.5 - distance, 0.0, 1.0)[..., None] for edge in (radius, radius - RIM_PX))
        below = picture[rows, columns]
        below[:] = below + inside * (rgb * (0.65 + 0.35 * inner) - below)

    def _around(self, ends: np.ndarray, margin: float) -> tuple[slice, slice, np.ndarray]:
        """Rows and columns around a segment between `ends (2, 2)` in m, and distances from it, in pixels."""
        width, height = self._size
        (x0, y0), (x1, y1) = (self.pixel(*end) for end in ends)
        columns, rows = (
            slice(int(np.clip(min(pair) - margin - 1, 0, size)), int(np.clip(max(pair) + margin + 2, 0, size)))
            for pair, size in (((x0, x1), width), ((y0, y1), height))
        )
        x, y = np.arange(width)[columns] + 0.5 - x0, np.arange(height)[rows, None] + 0.5 - y0
        along = (x1 - x0, y1 - y0)
        part = np.clip((x * along[0] + y * along[1]) / max(along[0] ** 2 + along[1] ** 2, 1e-9), 0.0, 1.0)
        return rows, columns, np.hypot(x - part * along[0], y - part * along[1])
