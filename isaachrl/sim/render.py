"""Pictures of a scene without a screen."""

import copy
import os

import mujoco
import numpy as np

from isaachrl.errors import RenderError
from isaachrl.sim.cameras import Camera, View
from isaachrl.sim.headless import VARIABLE
from isaachrl.sim.scene import Scene, compile_scene

INSTALL = (
    "install libegl1 (apt-get install libegl1 libgl1), or libosmesa6 for software rendering and set MUJOCO_GL=osmesa;"
    " video=false does without pictures"
)
PATH_RGBA = (0.1, 0.45, 0.9, 1.0)
PATH_RADIUS_M = 0.06
SHADOW_REACH_M = 7.0


class SceneRenderer:
    """Draws one world from its coordinates; it never touches a running simulation.

    Args:
        source: a compiled model (a copy of it is taken) or a scene.
        width: of the pictures, pixels.
        height: of the pictures, pixels.

    Raises:
        RenderError: no OpenGL works here; the message says what to install.
    """

    def __init__(self, source: mujoco.MjModel | Scene, width: int = 640, height: int = 480) -> None:
        self.model = compile_scene(source) if isinstance(source, Scene) else copy.copy(source)
        self.width, self.height = width, height
        visual = self.model.vis
        visual.global_.offwidth, visual.global_.offheight = max(width, 640), max(height, 480)
        visual.quality.shadowsize, visual.quality.offsamples = 1024, 2
        visual.map.shadowclip = SHADOW_REACH_M / max(self.model.stat.extent, 1e-3)
        visual.map.zfar = 200.0 / max(self.model.stat.extent, 1e-3)
        visual.headlight.ambient[:], visual.headlight.diffuse[:], visual.headlight.specular[:] = 0.38, 0.2, 0.0
        self.model.light_ambient[:] = 0.0  # it would be missing in shadows
        self.model.geom_rgba[self.model.geom_matid >= 0] = (
            1.0  # a material's own colours, whatever the robot's defaults
        )
        self._fovy = float(visual.global_.fovy)
        self._data = mujoco.MjData(self.model)
        self._renderer = self._create()

    def _create(self) -> mujoco.Renderer:
        """An OpenGL context, or an error that says how to get one."""
        chosen = os.environ.get(VARIABLE, "")
        try:
            return mujoco.Renderer(self.model, self.height, self.width)
        except Exception as error:  # each platform fails in its own way
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RenderError(f"no renderer works here (MUJOCO_GL={chosen}: {reason}); {INSTALL}") from error

    def frame(
        self,
        qpos: np.ndarray,
        mocap_pos_w: np.ndarray,
        camera: Camera,
        path_w: np.ndarray | None = None,
        beacon: bool = False,
    ) -> np.ndarray:
        """One picture `(height, width, 3)` uint8.

        Args:
            qpos: `(nq,)` coordinates; the robot's root first.
            mocap_pos_w: `(M, 3)` boxes and markers.
            camera: where it is taken from.
            path_w: `(P, 3)` points joined by a line.
            beacon: mark the root with a large dot, for views from far away.
        """
        self._data.qpos[:] = qpos
        if self.model.nmocap:
            self._data.mocap_pos[:] = mocap_pos_w
        mujoco.mj_kinematics(self.model, self._data)
        mujoco.mj_comPos(self.model, self._data)
        mujoco.mj_camlight(self.model, self._data)
        view = camera.view(np.asarray(qpos[:3]), np.asarray(qpos[3:7]), self.width / self.height)
        # shadows reach a few metres around a light: it goes along with the view
        self._data.light_xpos[:] = view.lookat_w - 15.0 * self._data.light_xdir
        self._renderer.update_scene(self._data, self._camera(view))
        # seen straight from above, shadows hide the ways between walls
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(view.height_m is None)
        if path_w is not None:
            self._add_path(path_w)
        if beacon:
            self._add_sphere(np.array([qpos[0], qpos[1], 1.5]), 0.3)
        return self._renderer.render().copy()

    def close(self) -> None:
        """Free the OpenGL context."""
        self._renderer.close()

    def _camera(self, view: View) -> mujoco.MjvCamera:
        """MuJoCo's form of a view; width of sight and kind of projection are set on the model."""
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = view.lookat_w
        camera.distance, camera.azimuth, camera.elevation = view.distance_m, view.azimuth_deg, view.elevation_deg
        camera.orthographic = int(view.height_m is not None)
        self.model.vis.global_.fovy = view.height_m if view.height_m is not None else self._fovy
        return camera

    def _add_path(self, path_w: np.ndarray) -> None:
        """A tube along the points, as far as the scene has room for it."""
        scene = self._renderer.scene
        for start, end in zip(path_w[:-1], path_w[1:], strict=True):
            if scene.ngeom >= scene.maxgeom:
                return
            geom = self._blank(mujoco.mjtGeom.mjGEOM_CAPSULE)
            mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, PATH_RADIUS_M, np.float64(start), np.float64(end))

    def _add_sphere(self, pos_w: np.ndarray, radius_m: float) -> None:
        """A dot."""
        if self._renderer.scene.ngeom < self._renderer.scene.maxgeom:
            geom = self._blank(mujoco.mjtGeom.mjGEOM_SPHERE)
            geom.pos[:] = pos_w
            geom.size[:] = radius_m

    def _blank(self, kind: mujoco.mjtGeom) -> mujoco.MjvGeom:
        """The next free drawing element of the scene."""
        scene = self._renderer.scene
        geom = scene.geoms[scene.ngeom]
        mujoco.mjv_initGeom(geom, kind, np.zeros(3), np.zeros(3), np.eye(3).flatten(), np.array(PATH_RGBA, np.float32))
        scene.ngeom += 1
        return geom
