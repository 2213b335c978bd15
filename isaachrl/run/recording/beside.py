"""A retargeted motion on its robot, with the skeleton that it was made of beside it: a film, and a strip of stills."""

import contextlib
import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from isaachrl.motion import kinematics
from isaachrl.retarget.body import RobotBody
from isaachrl.retarget.convert import Retargeted
from isaachrl.sim.cameras import ChaseCamera, View
from isaachrl.sim.film import FPS, VideoWriter
from isaachrl.sim.render import SceneRenderer

APART = 1.1  # between robot and skeleton, in lengths of the robot's legs
FILM_SIZE, FILM_S = (640, 480), 10.0
STILLS, STILL_SIZE, DPI = 10, (150, 180), 100


class Beside:
    """Draws robot and skeleton together, from ahead and to the left.

    Args:
        made: the motion.
        body: its robot.
        size: width and height of a picture.

    Raises:
        RenderError: no OpenGL works here.
    """

    def __init__(self, made: Retargeted, body: RobotBody, size: tuple[int, int]) -> None:
        self._made, self._size = made, size
        clip, source = made.clip, made.source
        joints = kinematics.qpos_from_joint_quat(body.robot, torch.from_numpy(clip.joint_quat)).numpy()
        self._qpos = np.tile(body.model.qpos0, (clip.num_frames, 1))
        own = np.concatenate((clip.root_pos_w, clip.root_quat_w, joints), axis=1)
        self._qpos[:, : own.shape[1]] = own
        self._mocap = np.zeros((body.model.nmocap, 3))
        self._camera = ChaseCamera(distance_m=4.3 * body.leg_m, elevation_deg=-8.0, side_deg=118.0, lag=0.0,
                                   height_m=0.95 * body.leg_m)  # fmt: skip
        self._across = APART * body.leg_m
        self._points = made.targets.place(source.pos_w_m).numpy()
        self._bones = [(parent, node) for node, parent in enumerate(source.parents) if parent >= 0]
        self._renderer = SceneRenderer(body.model, *size)

    def draw(self, frame: int) -> np.ndarray:
        """The picture `(height, width, 3)` of a frame."""
        qpos = self._qpos[frame]
        view = self._camera.view(qpos[:3], qpos[3:7], self._size[0] / self._size[1])
        azimuth = np.deg2rad(view.azimuth_deg)
        right = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
        points = self._points[frame] - right * self._across
        segments = np.array([(points[a], points[b]) for a, b in self._bones])
        middle = View(view.lookat_w - 0.5 * self._across * right, view.distance_m, view.azimuth_deg, view.elevation_deg)
        return self._renderer.frame(qpos, self._mocap, middle, segments)

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()


def film(made: Retargeted, body: RobotBody, path: Path, on_frame: Callable[[], None] = lambda: None) -> None:
    """Write a video of the first seconds.

    Raises:
        RenderError: no OpenGL or no encoder works here.
    """
    clip = made.clip
    every = max(round(clip.fps / FPS), 1)
    fps = Fraction(clip.fps / every).limit_denominator(1000)
    with contextlib.closing(Beside(made, body, FILM_SIZE)) as stage, VideoWriter(path, FILM_SIZE, fps) as writer:
        for frame in range(0, min(clip.num_frames, round(FILM_S * clip.fps)), every):
            writer.add(stage.draw(frame))
            on_frame()


def strip(made: Retargeted, body: RobotBody) -> bytes:
    """A row of evenly spaced stills over the whole motion, as PNG.

    Raises:
        RenderError: no OpenGL works here.
    """
    width, height = STILL_SIZE
    with contextlib.closing(Beside(made, body, STILL_SIZE)) as stage:
        frames = np.linspace(0, made.clip.num_frames - 1, STILLS).round().astype(int)
        pictures = [stage.draw(int(frame)) for frame in frames]
    figure = Figure(figsize=(STILLS * width / DPI, (height + 24) / DPI), dpi=DPI)
    axes = figure.add_axes((0.0, 0.0, 1.0, height / (height + 24)))
    axes.imshow(np.concatenate(pictures, axis=1), aspect="auto")
    axes.axis("off")
    for place, frame in enumerate(frames):
        axes.text(place * width + 6, height - 8, f"{frame / made.clip.fps:.2f} s", fontsize=7)
    said = f"{made.clip.name}: {made.clip.duration_s:.1f} s, {made.verdict}" + (
        f" ({made.reason})" if made.reason else ""
    )
    figure.text(0.005, 1.0 - 12 / (height + 24), said, va="center", fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
