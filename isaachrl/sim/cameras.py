"""Camera poses: pure geometry, no renderer."""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Protocol

import mujoco
import numpy as np
import torch

from isaachrl.maths import rotations
from isaachrl.sim.robot import Robot

HUMANOID_M = 1.63  # height of the shipped humanoid
MARGIN = 1.1  # around what a fixed camera shows
RAISED_M = 0.4  # the camera rises with the root when the root is higher than this above its target


@dataclass(frozen=True)
class View:
    """A fixed camera in MuJoCo's parameters.

    Args:
        lookat_w: `(3,)` target point, m.
        distance_m: from target to camera.
        azimuth_deg: viewing direction about z; 0 is along x.
        elevation_deg: -90 is straight down.
    """

    lookat_w: np.ndarray
    distance_m: float
    azimuth_deg: float
    elevation_deg: float

    def view(self, root_pos_w: np.ndarray, root_quat_w: np.ndarray, aspect: float) -> "View":
        """See `Camera.view`."""
        return self

    def restart(self) -> None:
        """See `ChaseCamera.restart`: nothing to do."""


def camera_scale(robot: Robot) -> float:
    """Height of a humanoid relative to the shipped one, to two digits; 1 for other robots."""
    return round(robot.height_m / HUMANOID_M, 2) if robot.roles else 1.0


class Camera(Protocol):
    """Gives a view for the robot's root pose; may depend on earlier calls, for smooth motion."""

    def view(self, root_pos_w: np.ndarray, root_quat_w: np.ndarray, aspect: float) -> View:
        """The view for a root at `(3,)` m with orientation `(4,)`; `aspect` is width over height."""
        ...


class ChaseCamera:
    """Follows the robot from behind and a little to the side.

    Args:
        distance_m: to the robot.
        elevation_deg: negative looks down; use a steep view among walls.
        side_deg: angle from straight behind.
        lag: smoothing factor per frame, in [0, 1).
        height_m: of the target above the floor; more if the robot is on a box.
        size: the lengths are those for the shipped humanoid times this, see `camera_scale`.
    """

    def __init__(
        self,
        distance_m: float = 3.6,
        elevation_deg: float = -14.0,
        side_deg: float = 35.0,
        lag: float = 0.93,
        height_m: float = 0.85,
        size: float = 1.0,
    ) -> None:
        self.distance_m, self.elevation_deg, self.side_deg = size * distance_m, elevation_deg, side_deg
        self.lag, self.height_m, self.raised_m = lag, size * height_m, size * RAISED_M
        self._point: np.ndarray | None = None
        self._azimuth = 0.0

    def restart(self) -> None:
        """Jump to the robot in the next frame, without smoothing."""
        self._point = None

    def view(self, root_pos_w: np.ndarray, root_quat_w: np.ndarray, aspect: float) -> View:
        """See `Camera.view`."""
        quat = torch.as_tensor(np.asarray(root_quat_w, np.float32))
        heading, upright = float(rotations.heading(quat)), max(0.0, float(rotations.axis_z(quat)[2]))
        height = max(self.height_m, float(root_pos_w[2]) - self.raised_m)
        target = np.array([root_pos_w[0], root_pos_w[1], height])
        if self._point is None:
            self._point, self._azimuth = target, heading
        turn = math.remainder(heading - self._azimuth, 2 * math.pi)
        # turn slowly, since the root sways with each step, and less when tilted: a lying body has no clear heading
        self._azimuth += (1 - self.lag) * 0.5 * upright * turn
        self._point = target + 0.5 * self.lag * (self._point - target)
        return View(self._point, self.distance_m, math.degrees(self._azimuth) + self.side_deg, self.elevation_deg)


def model_camera(model: mujoco.MjModel, aspect: float = 4 / 3) -> ChaseCamera | View:
    """A camera for a model of any bodies: it follows the first one if that floats, else it shows all of them.

    Args:
        model: seen in its start pose.
        aspect: of the picture, width over height.
    """
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    floats = model.njnt > 0 and model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE and model.jnt_bodyid[0] == 1
    body = model.geom_bodyid
    shown = np.flatnonzero((model.body_rootid[body] == 1) if floats else body > 0)
    centre, reach = data.geom_xpos[shown], model.geom_rbound[shown, None] * np.ones(3)
    if not floats:  # what moves may turn within its bounding sphere; what does not move stays in its box
        turn, box = data.geom_xmat[shown].reshape(-1, 3, 3), model.geom_aabb[shown].reshape(-1, 2, 3, 1)
        still = (model.body_dofnum[model.body_weldid[body[shown]]] == 0)[:, None]
        centre = np.where(still, centre + (turn @ box[:, 0])[..., 0], centre)
        reach = np.where(still, (np.abs(turn) @ box[:, 1])[..., 0], reach)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    points_w = (centre[:, None] + reach[:, None] * signs).reshape(-1, 3) if len(shown) else 0.5 + 0.5 * signs
    low, high = points_w.min(0), points_w.max(0)
    size = float(np.linalg.norm(high - low))
    if floats:
        return ChaseCamera(1.6 * size, -20.0, height_m=0.3 * size, size=1.0)
    view = View((low + high) / 2, size, 135.0, -20.0)
    return replace(view, distance_m=MARGIN * fitting_distance(view, points_w, model.vis.global_.fovy, aspect))


def fitting_distance(view: View, points_w: np.ndarray, fov_deg: float, aspect: float) -> float:
    """The distance at which a camera with the target and the direction of a view just shows all points, m.

    Args:
        view: gives target and direction.
        points_w: `(P, 3)` m.
        fov_deg: vertical angle of the field of view.
        aspect: of the picture, width over height.
    """
    azimuth, elevation = math.radians(view.azimuth_deg), math.radians(view.elevation_deg)
    right = np.array([math.sin(azimuth), -math.cos(azimuth), 0.0])
    ahead = np.array([*(math.cos(elevation) * np.array([math.cos(azimuth), math.sin(azimuth)])), math.sin(elevation)])
    points = points_w - view.lookat_w
    height = math.tan(math.radians(fov_deg) / 2)  # half of the picture, 1 m ahead
    across = np.maximum(np.abs(points @ right) / (height * aspect), np.abs(points @ np.cross(right, ahead)) / height)
    return float((across - points @ ahead).max())
