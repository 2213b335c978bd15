"""Offscreen rendering of a scene."""

import os

import mujoco
import numpy as np

from isaachrl.errors import RenderError
from isaachrl.sim.cameras import Camera, View
from isaachrl.sim.compiler import Source, model_of
from isaachrl.sim.ground import Rays, floor_and_sky
from isaachrl.sim.headless import VARIABLE
from isaachrl.sim.shadows import SUN, Shade, body_shade, box_shade, capsules, object_geoms

INSTALL = (
    "install libegl1 (apt-get install libegl1 libgl1), or libosmesa6 for software rendering and set MUJOCO_GL=osmesa;"
    " video=false records none"
)
MAX_GEOMS = 4000
FINE = 2  # supersampling factor: cheaper than the renderer's own antialiasing
PLANES_M = (0.04, 1000.0)  # near and far clipping planes
LIGHTS = ((SUN, 0.5), (np.array([-0.6, -0.4, -0.5]), 0.25))  # direction and brightness of sun and sky
AMBIENT = 0.5
FLOOR_GREY = 0.8  # of the plain floor, which `floor_and_sky` replaces
FLOOR_BASE = 255 * FLOOR_GREY * (AMBIENT + sum(bright * -to[2] / np.linalg.norm(to) for to, bright in LIGHTS))
DEFAULT_RGBA = (0.5, 0.5, 0.5, 1.0)  # MuJoCo's default: only geoms of exactly this colour take their material's
LEVEL_M = 0.004  # tolerance for pixels to belong to a horizontal plane
STAND_M = 0.1  # least height of a box that the robot may stand on
SEGMENT_M, SEGMENT_RGBA = 0.015, np.array([0.15, 0.45, 0.3, 1.0], np.float32)  # radius and colour of a segment


def any_thread_draws() -> bool:
    """Whether OpenGL contexts work in any thread: offscreen ones do, GLFW's only in the main thread."""
    kind = getattr(mujoco, "GLContext", None)
    return kind is not None and kind.__module__.rsplit(".", 1)[-1] in ("egl", "osmesa", "cgl")


class SceneRenderer:
    """Draws one world from its generalised positions, independently of any simulation.

    Use and close a renderer in the thread that created it, to which its OpenGL context belongs.

    Args:
        source: a compiled model, which is copied, or a scene.
        width, height: of the pictures, pixels.

    Raises:
        RenderError: no OpenGL works; the message says what to install.
    """

    def __init__(self, source: Source, width: int = 640, height: int = 480) -> None:
        self.model = model_of(source)
        self.width, self.height = width, height
        self._prepare()
        self._data = mujoco.MjData(self.model)
        self._scene = mujoco.MjvScene(self.model, MAX_GEOMS)
        for flag in ("SHADOW", "REFLECTION", "SKYBOX", "FOG", "HAZE"):
            self._scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}")] = 0
        self._gl, self._context = self._create()
        self._colour = np.empty((FINE * height, FINE * width, 3), np.uint8)
        self._depth = np.empty((FINE * height, FINE * width), np.float32)
        self._shades: list[tuple[bytes, Shade | None]] = [(b"", None), (b"", None)]

    def _prepare(self) -> None:
        """Set the rendering options of the copied model, and sort its geoms."""
        model = self.model
        visual, extent = model.vis, max(model.stat.extent, 1e-3)
        visual.global_.offwidth, visual.global_.offheight = FINE * self.width, FINE * self.height
        visual.quality.shadowsize, visual.quality.offsamples, visual.quality.numquads = 0, 0, 1
        visual.map.znear, visual.map.zfar = (plane / extent for plane in PLANES_M)
        visual.headlight.active = 0
        flat = (model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE) & (model.geom_bodyid == 0)
        self._is_flat = bool(flat.any())
        self._floor_tolerance_m = LEVEL_M if self._is_flat else float(model.hfield_size[:, 2].max(initial=LEVEL_M))
        model.geom_matid[flat], model.geom_rgba[flat] = -1, (*3 * (FLOOR_GREY,), 1.0)
        model.geom_size[flat] = 2.0 * PLANES_M[1]  # an infinite plane ends before the far clipping plane in a corner
        alpha = model.geom_rgba[:, 3].copy()
        textured = np.flatnonzero((model.geom_matid >= 0) & (alpha > 0))
        alpha[textured] = model.mat_rgba[model.geom_matid[textured], 3]
        model.geom_rgba[textured] = DEFAULT_RGBA  # let the material's colour win over the robot's default rgba
        drawn = (model.geom_group < 3) & (alpha > 0) & (model.geom_bodyid > 0)
        robot = model.body_rootid[model.geom_bodyid] == 1
        self._body = np.flatnonzero(drawn & robot)
        objects = object_geoms(model)
        fixed = drawn & ~robot & (model.geom_type == mujoco.mjtGeom.mjGEOM_BOX)
        self._boxes = np.setdiff1d(np.flatnonzero(fixed), objects)  # never rotated
        is_mocap = model.body_mocapid[model.geom_bodyid[self._boxes]] >= 0
        self._fixed_boxes, self._sliding_boxes = self._boxes[is_mocap], self._boxes[~is_mocap]
        self._casters = [(geoms, *capsules(model, geoms)) for geoms in (self._body, *objects[:, None]) if len(geoms)]

    def _create(self) -> tuple[mujoco.GLContext, mujoco.MjrContext]:
        """Create the OpenGL and MuJoCo contexts."""
        try:
            gl = mujoco.GLContext(FINE * self.width, FINE * self.height)
            gl.make_current()
            context = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except Exception as error:  # each platform fails in its own way
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            backend = os.environ.get(VARIABLE, "")
            raise RenderError(f"no renderer works here (MUJOCO_GL={backend}: {reason}); {INSTALL}") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
        context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        return gl, context

    def frame(
        self, qpos: np.ndarray, mocap_w: np.ndarray, camera: Camera, segments_w: np.ndarray | None = None
    ) -> np.ndarray:
        """One picture `(height, width, 3)` uint8.

        Args:
            qpos: `(nq,)` generalised positions; the robot's root first.
            mocap_w: `(M, 3)` positions of boxes and markers, or `(M, 7)` with quaternions w, x, y, z after them.
            camera: gives the view.
            segments_w: `(S, 2, 3)` ends of segments that are drawn, too, as a skeleton.
        """
        self._data.qpos[:] = qpos
        if self.model.nmocap:
            self._data.mocap_pos[:] = mocap_w[:, :3]
            if mocap_w.shape[1] > 3:
                self._data.mocap_quat[:] = mocap_w[:, 3:]
        mujoco.mj_kinematics(self.model, self._data)
        view = camera.view(np.asarray(qpos[:3]), np.asarray(qpos[3:7]), self.width / self.height)
        self._draw(view, np.zeros((0, 2, 3)) if segments_w is None else segments_w)
        return self._complete()

    def close(self) -> None:
        """Free the OpenGL context."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def _draw(self, view: View, segments_w: np.ndarray) -> None:
        """Render bodies and segments with a plain floor and sky."""
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = view.lookat_w
        camera.distance, camera.azimuth, camera.elevation = view.distance_m, view.azimuth_deg, view.elevation_deg
        scene = self._scene
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, self._data, mujoco.MjvOption(), None, camera, everything, scene)
        for start, end in segments_w[: scene.maxgeom - scene.ngeom]:
            geom, kind = scene.geoms[scene.ngeom], mujoco.mjtGeom.mjGEOM_CAPSULE
            mujoco.mjv_initGeom(geom, kind, np.zeros(3), np.zeros(3), np.eye(3).ravel(), SEGMENT_RGBA)
            mujoco.mjv_connector(geom, kind, SEGMENT_M, start, end)
            scene.ngeom += 1
        scene.nlight = len(LIGHTS)
        for light, (direction, brightness) in zip(scene.lights, LIGHTS, strict=False):
            light.type, light.headlight, light.castshadow = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, 0, 0
            light.dir[:] = direction / np.linalg.norm(direction)
            light.diffuse[:], light.ambient[:], light.specular[:] = brightness, AMBIENT / len(LIGHTS), 0.0
        self._gl.make_current()
        whole = mujoco.MjrRect(0, 0, FINE * self.width, FINE * self.height)
        mujoco.mjr_render(whole, scene, self._context)
        mujoco.mjr_readPixels(self._colour, self._depth, whole, self._context)

    def _complete(self) -> np.ndarray:
        """Downsample the rendering, and add floor, sky and shadows."""
        camera, size = self._scene.camera[0], (self.width, self.height)
        tangent = float(camera.frustum_top / camera.frustum_near)
        pos_w = (self._scene.camera[0].pos + self._scene.camera[1].pos) / 2  # MuJoCo has a stereo pair
        rays, fine = (
            Rays(pos_w, camera.forward, camera.up, tangent, (times * size[0], times * size[1])) for times in (1, FINE)
        )
        picture = _downsample(self._colour[::-1])
        depth = self._depth[::-1]
        background = depth <= (self._depth_values(fine.nearness(LEVEL_M)) if self._is_flat else 0.0)
        plain = np.where(fine.nearness(0.0) > 1.0 / PLANES_M[1], FLOOR_BASE, 0.0) if self._is_flat else 0.0
        floor = floor_and_sky(rays, self._box_shades())
        floor -= np.broadcast_to(plain, FINE * self.height).reshape(-1, FINE).mean(1).astype(np.float32)[:, None]
        floor *= _downsample(background[..., None])[0]
        picture += floor
        for height_m in self._ground_heights_m():
            self._add_body_shadows(picture, depth, rays, fine, height_m)
        picture += 0.5
        np.clip(picture, 0.0, 255.0, out=picture)
        result = np.empty((self.height, self.width, 3), np.uint8)
        for channel in range(3):
            result[..., channel] = picture[channel]
        return result

    def _depth_values(self, nearness: np.ndarray) -> np.ndarray:
        """Depth buffer values `(H, 1)` for the inverse depth of each row."""
        near, far = PLANES_M
        return np.maximum(near / (far - near) * (far * nearness - 1.0), 0.0).astype(np.float32)[:, None]

    def _box_shades(self) -> list[Shade]:
        """Shadows of fixed and of sliding boxes on an even floor, cached until one moves."""
        for index, boxes in enumerate((self._fixed_boxes, self._sliding_boxes) if self._is_flat else ()):
            middle, half = self._data.geom_xpos[boxes], self.model.geom_size[boxes]
            key, _ = self._shades[index]
            if key != middle.tobytes():
                visible = middle[:, 2] + half[:, 2] > 0.0  # unused boxes are kept below the floor
                low, high = (middle - half)[visible], (middle + half)[visible]
                self._shades[index] = (middle.tobytes(), box_shade(low, high) if len(low) else None)
        return [shade for _, shade in self._shades if shade is not None]

    def _ground_heights_m(self) -> list[float]:
        """Heights of the planes with the body's shadow: the floor, and the top of a box below the root."""
        root, middle = self._data.xpos[1], self._data.geom_xpos[self._boxes]
        half = self.model.geom_size[self._boxes]
        under = (np.abs(root - middle)[:, :2] < half[:, :2]).all(1) & (middle[:, 2] + half[:, 2] < root[2])
        top = float((middle + half)[under, 2].max(initial=0.0))
        return [0.0, top] if top > STAND_M else [0.0]

    def _add_body_shadows(
        self, picture: np.ndarray, depth: np.ndarray, rays: Rays, fine: Rays, height_m: float
    ) -> None:
        """Add the shadows of the robot and of each object."""
        for geoms, ends, radius in self._casters:
            pos, rot = self._data.geom_xpos[geoms], self._data.geom_xmat[geoms].reshape(-1, 1, 3, 3)
            shade = body_shade(pos[:, None] + (rot @ ends[..., None])[..., 0], radius, height_m)
            self._add_shadow(picture, depth, rays, fine, height_m, shade)

    def _add_shadow(
        self, picture: np.ndarray, depth: np.ndarray, rays: Rays, fine: Rays, height_m: float, shade: Shade
    ) -> None:
        """Darken `picture (3, H, W)` where a shadow falls on the visible part of a horizontal plane."""
        corners = np.pad(shade.corners(), ((0, 0), (0, 1)), constant_values=height_m)
        rows, columns = rays.window(corners)
        if rows.start == rows.stop or columns.start == columns.stop:
            return
        fine_rows, fine_columns = (slice(FINE * part.start, FINE * part.stop) for part in (rows, columns))
        tolerance_m = self._floor_tolerance_m if height_m == 0.0 else LEVEL_M
        part = depth[fine_rows, fine_columns]
        on_plane = part >= self._depth_values(fine.nearness(height_m - tolerance_m))[fine_rows]
        on_plane &= part <= self._depth_values(fine.nearness(height_m + tolerance_m))[fine_rows]
        shadow = shade.at(*rays.points(rows, columns, height_m)) * _downsample(on_plane[..., None])[0]
        picture[:, rows, columns] *= 1.0 - shadow


def _downsample(picture: np.ndarray) -> np.ndarray:
    """Means over squares of `FINE` x `FINE` pixels: `(2H, 2W, C)` uint8 or bool to `(C, H, W)`."""
    height, width, channels = picture.shape
    rows = picture[0::FINE].astype(np.uint16)
    rows += picture[1::FINE]
    rows = rows.reshape(height // FINE, width // FINE, FINE * channels)
    result = np.empty((channels, height // FINE, width // FINE), np.float32)
    for channel in range(channels):
        np.multiply(rows[..., channel] + rows[..., channels + channel], np.float32(1.0 / FINE**2), out=result[channel])
    return result
