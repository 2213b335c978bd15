"""MuJoCo's own interactive window."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from isaachrl.errors import RenderError
from isaachrl.sim.compiler import Source, model_of

AMBIENT, DIFFUSE = 0.4, 0.5  # light from the camera: scenes have no lamps
CLOSING_S = 3.0


def has_display() -> bool:
    """Whether a window can be opened: macOS and Windows always have a display, Linux one that is named."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Window:
    """A window that shows one world. The camera follows the robot.

    Args:
        scene: the content of the world.
        on_key: called with the GLFW code of each key that is pressed, in the window's thread.

    Raises:
        RenderError: no window can be opened.
    """

    def __init__(self, scene: Source, on_key: Callable[[int], None]) -> None:
        import mujoco.viewer  # needs GLFW, which not every machine has

        self._model = model_of(scene)
        self._data = mujoco.MjData(self._model)
        headlight = self._model.vis.headlight
        headlight.ambient[:], headlight.diffuse[:] = AMBIENT, DIFFUSE
        try:
            self._viewer: Any = mujoco.viewer.launch_passive(
                self._model, self._data, key_callback=on_key, show_left_ui=False, show_right_ui=False
            )
        except RuntimeError as error:
            raise RenderError(f"no window can be opened ({error}); type view=web for a page in the browser") from error
        with self._viewer.lock():
            camera = self._viewer.cam
            camera.type, camera.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, 1
            camera.distance, camera.elevation = 4.0, -15.0

    @property
    def is_open(self) -> bool:
        """Whether the user has not closed it."""
        return self._viewer.is_running()

    def show(self, qpos: np.ndarray, mocap_pos_w: np.ndarray, text: str) -> None:
        """Show a world in the state `qpos (nq,)` and `mocap_pos_w (M, 3)`, with a text in the corner."""
        with self._viewer.lock():
            self._data.qpos[:], self._data.mocap_pos[:] = qpos, mocap_pos_w
            mujoco.mj_forward(self._model, self._data)
        self._viewer.set_texts((mujoco.mjtFontScale.mjFONTSCALE_150, mujoco.mjtGridPos.mjGRID_TOPLEFT, text, ""))
        self._viewer.sync()

    def close(self) -> None:
        """Close it, and wait for its thread, which would draw into a window that is gone."""
        self._viewer.close()
        end = time.monotonic() + CLOSING_S
        while self._viewer.is_running() and time.monotonic() < end:
            time.sleep(0.02)
