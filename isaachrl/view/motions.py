"""Motion clips in the browser, without physics: a time slider, contacts of the soles, and the checks of each clip."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from isaachrl.motion import kinematics
from isaachrl.motion.checks import CONTACT_M, ClipChecks, check_clip
from isaachrl.motion.clip import Clip
from isaachrl.motion.library import MotionLibrary, to_qpos_qvel
from isaachrl.sim import Robot, Scene
from isaachrl.sim.geometry import Geometry
from isaachrl.sim.soles import robot_soles
from isaachrl.view.bodies import ROOT, Bodies
from isaachrl.view.extra import serve, trimesh

log = logging.getLogger(__name__)

FRAME_S = 1.0 / 30.0
DOT_M = 0.02  # radius of the mark on a corner of a sole
TOUCHING_RGB, FREE_RGB = (220, 40, 40), (120, 120, 120)
CAMERA_M, LOOK_AT_M = (2.6, -2.6, 1.4), (0.0, 0.0, 0.8)


class MotionView:
    """A page on which clips are played.

    Args:
        clips: the motions.
        robot: their robot; one without feet has no contacts and no checks.
        port: of the server; 0 takes any free one.

    Attributes:
        server: viser's.
        gui: the page's elements by name, for tests.
        touching: bool for each corner of a sole: it is on the floor.

    Raises:
        ConfigError: viser is not installed, or the port is taken.
    """

    def __init__(self, clips: Sequence[Clip], robot: Robot, port: int) -> None:
        self._clips, self._robot = list(clips), robot
        self._library = MotionLibrary(self._clips, robot, "cpu")
        try:
            self._soles = robot_soles(robot)
        except ConfigError:
            self._soles = {}
        self.server = serve(port, "motions")
        try:
            self._fill()
        except BaseException:
            self.server.stop()
            raise

    def _fill(self) -> None:
        """Add the body, the marks on its soles, and the elements."""
        self._bodies = Bodies(self.server.scene, Geometry(Scene(robot=self._robot.file)), 1)
        self.server.initial_camera.position, self.server.initial_camera.look_at = CAMERA_M, LOOK_AT_M
        self.touching = np.zeros(sum(len(corners) for corners in self._soles.values()), bool)
        self._dots: Any = self._add_dots() if self._soles else None
        self.gui: dict[str, Any] = {}
        self._add_gui()

    def _add_dots(self) -> Any:
        """Marks on the corners of the soles."""
        ball, count = trimesh().creation.icosphere(subdivisions=1, radius=DOT_M), len(self.touching)
        return self.server.scene.add_batched_meshes_simple(
            f"{ROOT}/soles", np.asarray(ball.vertices, np.float32), np.asarray(ball.faces, np.uint32),
            batched_wxyzs=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
            batched_positions=np.zeros((count, 3), np.float32),
            batched_colors=np.full((count, 3), FREE_RGB, np.uint8), lod="off",
        )  # fmt: skip

    def _add_gui(self) -> None:
        gui, names = self.server.gui, self._library.names
        clip = self.gui["clip"] = gui.add_dropdown("clip", names)
        self.gui["time"] = gui.add_slider("s", 0.0, 1.0, 0.01, 0.0)
        self.gui["play"] = gui.add_checkbox("play", True)
        self.gui["speed"] = gui.add_slider("speed", 0.1, 2.0, 0.1, 1.0)
        self.gui["follow"] = gui.add_checkbox("follow", True)
        self.gui["contacts"] = gui.add_markdown("")
        with gui.add_folder("checks"):
            self.gui["checks"] = gui.add_markdown("")
        clip.on_update(lambda _: self._choose())
        self._choose()

    def _choose(self) -> None:
        """Begin the chosen clip."""
        index = self._library.names.index(self.gui["clip"].value)
        self.gui["time"].value = 0.0
        self.gui["time"].max = round(float(self._library.durations_s[index]), 2)
        if self._soles:
            self.gui["checks"].content = _as_text(check_clip(self._clips[index], self._robot, self._soles))

    def draw(self) -> None:
        """Show the chosen clip at the time of the slider."""
        index = torch.tensor([self._library.names.index(self.gui["clip"].value)])
        state = self._library.state(index, torch.tensor([float(self.gui["time"].value)]))
        qpos, _ = to_qpos_qvel(self._robot, state)
        with self.server.atomic():
            self._bodies.move(qpos.numpy(), np.zeros((1, 0, 3)), np.zeros((1, 2), np.float32))
            x, y = qpos[0, :2].tolist() if self.gui["follow"].value else (0.0, 0.0)
            self._bodies.root.position = (-x, -y, 0.0)
            if self._dots is not None:
                self._mark_contacts(state)

    def _mark_contacts(self, state: Any) -> None:
        """Colour the corners of the soles that touch the floor."""
        pos, quat = kinematics.forward(self._robot, state.root_pos_w, state.root_quat_w, state.joint_quat)
        corners = []
        for name, sole_b in self._soles.items():
            body = self._robot.body_names.index(name)
            corners.append(pos[0, body] + rotations.rotate(quat[0, body].expand(len(sole_b), 4), sole_b))
        points = torch.cat(corners).numpy()
        self.touching = points[:, 2] < CONTACT_M
        self._dots.batched_positions = points
        self._dots.batched_colors = np.where(self.touching[:, None], TOUCHING_RGB, FREE_RGB).astype(np.uint8)
        by_foot = zip(self._soles, self.touching.reshape(len(self._soles), -1), strict=True)
        on = [name for name, corners in by_foot if corners.any()]
        self.gui["contacts"].content = f"on the floor: {', '.join(on) or 'nothing'}"

    def advance(self, seconds: float) -> None:
        """Move the time slider on, from the end back to the beginning."""
        slider = self.gui["time"]
        later = slider.value + seconds * self.gui["speed"].value
        slider.value = later if later <= slider.max else 0.0

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Play until `stop()`."""
        log.info("open http://%s:%d", self.server.get_host(), self.server.get_port())
        last = time.monotonic()
        while not stop():
            self.draw()
            time.sleep(FRAME_S)
            now = time.monotonic()
            if self.gui["play"].value:
                self.advance(now - last)
            last = now

    def close(self) -> None:
        """Stop the server."""
        self.server.stop()


def _as_text(checks: ClipChecks) -> str:
    """The checks as a table in Markdown."""
    rows = {
        "duration": f"{checks.length_s:.2f} s", "speed": f"{checks.speed_m_s:.2f} m/s",
        "turn": f"{checks.turn_rad_s:.2f} rad/s", "slip of the soles": f"{checks.slip_cm:.2f} cm",
        "below the floor": f"{checks.penetration_mm:.1f} mm",
        "joint margin": f"{checks.margin_deg:.1f} deg ({checks.margin_dof})",
        "knees": "{:.0f} to {:.0f} deg".format(*checks.knee_deg), "seam": f"{checks.seam_rad:.0e} rad",
        "fastest joint": f"{checks.peak_speed_rad_s:.1f} rad/s",
    }  # fmt: skip
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())
