"""Pictures of a scene without a screen."""

import copy
import os

import mujoco
import numpy as np

from isaachrl.errors import RenderError
from isaachrl.sim.cameras import Camera, View
from isaachrl.sim.compiler import compile_scene
from isaachrl.sim.ground import Rays, floor_and_sky
from isaachrl.sim.headless import VARIABLE
from isaachrl.sim.scene import Scene
from isaachrl.sim.shadows import SUN, Shade, body_shade, box_shade, capsules

INSTALL = (
    "install libegl1 (apt-get install libegl1 libgl1), or libosmesa6 for software rendering and set MUJOCO_GL=osmesa;"
    " video=false does without pictures"
)
MAX_GEOMS = 4000
FINE = 2  # drawn so many times larger, then averaged: smooth edges for less than the renderer's own
PLANES_M = (0.04, 1000.0)  # nearest and farthest that is drawn
LIGHTS = ((SUN, 0.5), (np.array([-0.6, -0.4, -0.5]), 0.25))  # where they shine to, how bright: sun and sky
AMBIENT = 0.5
FLOOR_GREY = 0.8  # of the plain floor that the painted one replaces
FLOOR_BASE = 255 * FLOOR_GREY * (AMBIENT + sum(share * -way[2] / np.linalg.norm(way) for way, share in LIGHTS))
DEFAULT_RGBA = (0.5, 0.5, 0.5, 1.0)  # MuJoCo's: only a geom of exactly this colour has that of its material
LEVEL_M = 0.004  # what is less high than that is floor
STAND_M = 0.1  # a box is underfoot if its top is higher than the floor by that much


Source = mujoco.MjModel | Scene


def any_thread_draws() -> bool:
    """Whether contexts can be made in any thread: offscreen ones can; those of GLFW are the main thread's alone."""
    kind = getattr(mujoco, "GLContext", None)
    return kind is not None and kind.__module__.rsplit(".", 1)[-1] in ("egl", "osmesa", "cgl")


class SceneRenderer:
    """Draws one world from its coordinates; it never touches a running simulation.

    An OpenGL context belongs to the thread that made it: use and close a renderer where it was made.

    Args:
        source: a compiled model (a copy of it is taken) or a scene.
        width: of the pictures, pixels.
        height: of the pictures, pixels.

    Raises:
        RenderError: no OpenGL works here; the message says what to install.
    """

    def __init__(self, source: Source, width: int = 640, height: int = 480) -> None:
        self.model = compile_scene(source) if isinstance(source, Scene) else copy.copy(source)
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
        """Set the copied model up for drawing, and sort its geoms."""
        model = self.model
        visual, extent = model.vis, max(model.stat.extent, 1e-3)
        visual.global_.offwidth, visual.global_.offheight = FINE * self.width, FINE * self.height
        visual.quality.shadowsize, visual.quality.offsamples, visual.quality.numquads = 0, 0, 1
        visual.map.znear, visual.map.zfar = (plane / extent for plane in PLANES_M)
        visual.headlight.active = 0
        flat = (model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE) & (model.geom_bodyid == 0)
        self._even = bool(flat.any())
        self._level = LEVEL_M if self._even else float(model.hfield_size[:, 2].max(initial=LEVEL_M))
        model.geom_matid[flat], model.geom_rgba[flat], model.geom_size[flat] = -1, (*3 * (FLOOR_GREY,), 1.0), 0.0
        alpha = model.geom_rgba[:, 3].copy()
        made_of = np.flatnonzero((model.geom_matid >= 0) & (alpha > 0))
        alpha[made_of] = model.mat_rgba[model.geom_matid[made_of], 3]
        model.geom_rgba[made_of] = DEFAULT_RGBA  # the material's own colours, whatever the robot's defaults
        drawn = (model.geom_group < 3) & (alpha > 0) & (model.geom_bodyid > 0)
        robot = model.body_rootid[model.geom_bodyid] == 1
        self._body = np.flatnonzero(drawn & robot)
        self._boxes = np.flatnonzero(drawn & ~robot & (model.geom_type == mujoco.mjtGeom.mjGEOM_BOX))
        stands = model.body_mocapid[model.geom_bodyid[self._boxes]] >= 0
        self._standing, self._sliding = self._boxes[stands], self._boxes[~stands]
        self._ends, self._radius = capsules(model, self._body)

    def _create(self) -> tuple[mujoco.GLContext, mujoco.MjrContext]:
        """An OpenGL context, or an error that says how to get one."""
        chosen = os.environ.get(VARIABLE, "")
        try:
            gl = mujoco.GLContext(FINE * self.width, FINE * self.height)
            gl.make_current()
            context = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except Exception as error:  # each platform fails in its own way
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RenderError(f"no renderer works here (MUJOCO_GL={chosen}: {reason}); {INSTALL}") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
        context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        return gl, context

    def frame(self, qpos: np.ndarray, mocap_pos_w: np.ndarray, camera: Camera) -> np.ndarray:
        """One picture `(height, width, 3)` uint8.

        Args:
            qpos: `(nq,)` coordinates; the robot's root first.
            mocap_pos_w: `(M, 3)` boxes and markers.
            camera: where it is taken from.
        """
        self._data.qpos[:] = qpos
        if self.model.nmocap:
            self._data.mocap_pos[:] = mocap_pos_w
        mujoco.mj_kinematics(self.model, self._data)
        view = camera.view(np.asarray(qpos[:3]), np.asarray(qpos[3:7]), self.width / self.height)
        self._draw(view)
        return self._complete()

    def close(self) -> None:
        """Free the OpenGL context."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def _draw(self, view: View) -> None:
        """Let OpenGL draw bodies, and a floor and a sky of one colour each."""
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = view.lookat_w
        camera.distance, camera.azimuth, camera.elevation = view.distance_m, view.azimuth_deg, view.elevation_deg
        scene = self._scene
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, self._data, mujoco.MjvOption(), None, camera, everything, scene)
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
        """Make the drawing smaller, and put floor, sky and shadows into it."""
        camera, size = self._scene.camera[0], (self.width, self.height)
        tangent = float(camera.frustum_top / camera.frustum_near)
        pos_w = (self._scene.camera[0].pos + self._scene.camera[1].pos) / 2  # of two eyes
        rays, fine = (
            Rays(pos_w, camera.forward, camera.up, tangent, (times * size[0], times * size[1])) for times in (1, FINE)
        )
        picture = _smaller(self._colour[::-1])
        near = self._depth[::-1]
        bare = near <= (self._stored(fine.nearness(LEVEL_M)) if self._even else 0.0)
        plain = np.where(fine.nearness(0.0) > 1.0 / PLANES_M[1], FLOOR_BASE, 0.0) if self._even else 0.0
        floor = floor_and_sky(rays, self._box_shades())
        floor -= np.broadcast_to(plain, FINE * self.height).reshape(-1, FINE).mean(1).astype(np.float32)[:, None]
        floor *= _smaller(bare[..., None])[0]
        picture += floor
        for height_m in self._grounds():
            self._throw(picture, near, rays, fine, height_m)
        picture += 0.5
        np.clip(picture, 0.0, 255.0, out=picture)
        result = np.empty((self.height, self.width, 3), np.uint8)
        for channel in range(3):
            result[..., channel] = picture[channel]
        return result

    def _stored(self, nearness: np.ndarray) -> np.ndarray:
        """What the depth buffer holds `(H, 1)` for one over the depth of each row."""
        near, far = PLANES_M
        return np.maximum(near / (far - near) * (far * nearness - 1.0), 0.0).astype(np.float32)[:, None]

    def _box_shades(self) -> list[Shade]:
        """Light that boxes take from the floor: of those that stand, and of those that slide; kept while none moves."""
        for index, boxes in enumerate((self._standing, self._sliding) if self._even else ()):
            middle, half = self._data.geom_xpos[boxes], self.model.geom_size[boxes]
            place, _ = self._shades[index]
            if place != middle.tobytes():
                there = middle[:, 2] + half[:, 2] > 0.0  # what is not needed waits under the floor
                low, high = (middle - half)[there], (middle + half)[there]
                self._shades[index] = (middle.tobytes(), box_shade(low, high) if len(low) else None)
        return [shade for _, shade in self._shades if shade is not None]

    def _grounds(self) -> list[float]:
        """Heights of what the body's shadow falls on: the floor, and the top of a box underfoot."""
        root, middle = self._data.xpos[1], self._data.geom_xpos[self._boxes]
        half = self.model.geom_size[self._boxes]
        under = (np.abs(root - middle)[:, :2] < half[:, :2]).all(1) & (middle[:, 2] + half[:, 2] < root[2])
        top = float((middle + half)[under, 2].max(initial=0.0))
        return [0.0, top] if top > STAND_M else [0.0]

    def _throw(self, picture: np.ndarray, near: np.ndarray, rays: Rays, fine: Rays, height_m: float) -> None:
        """Darken `picture (3, H, W)` where the body's shadow falls on a level plane, as far as that is seen."""
        if not len(self._body):
            return
        pose, turn = self._data.geom_xpos[self._body], self._data.geom_xmat[self._body].reshape(-1, 1, 3, 3)
        ends = pose[:, None] + (turn @ self._ends[..., None])[..., 0]
        shade = body_shade(ends, self._radius, height_m)
        corners = np.pad(shade.corners(), ((0, 0), (0, 1)), constant_values=height_m)
        rows, columns = rays.window(corners)
        if rows.start == rows.stop or columns.start == columns.stop:
            return
        finer = [slice(FINE * one.start, FINE * one.stop) for one in (rows, columns)]
        level = self._level if height_m == 0.0 else LEVEL_M
        seen = near[finer[0], finer[1]]
        there = seen >= self._stored(fine.nearness(height_m - level))[finer[0]]
        there &= seen <= self._stored(fine.nearness(height_m + level))[finer[0]]
        taken = shade.at(*rays.points(rows, columns, height_m)) * _smaller(there[..., None])[0]
        picture[:, rows, columns] *= 1.0 - taken


def _smaller(picture: np.ndarray) -> np.ndarray:
    """Means over squares of four pixels: `(2H, 2W, C)` uint8 or bool to `(C, H, W)`."""
    height, width, channels = picture.shape
    rows = picture[0::FINE].astype(np.uint16)
    rows += picture[1::FINE]
    rows = rows.reshape(height // FINE, width // FINE, FINE * channels)
    result = np.empty((channels, height // FINE, width // FINE), np.float32)
    for channel in range(channels):
        np.multiply(rows[..., channel] + rows[..., channels + channel], np.float32(1.0 / FINE**2), out=result[channel])
    return result
