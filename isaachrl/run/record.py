"""Videos: what one environment's robot does, frame by frame, into an mp4."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, Self

import imageio_ffmpeg
import numpy as np

from isaachrl.envs.env import Env
from isaachrl.envs.task_env import TaskEnv
from isaachrl.errors import RenderError
from isaachrl.run.stills import Stills
from isaachrl.sim.cameras import ChaseCamera, Rectangle, TopCamera
from isaachrl.sim.render import SceneRenderer
from isaachrl.sim.scene import Scene

HEIGHT, WIDTH = 480, 640
MAP_EVERY = 3  # frames between two pictures of the map, on which little moves
PATH_STEP_M = 0.1


class VideoWriter:
    """An mp4 that appears under its name when it is complete. Use it in a `with` statement.

    Args:
        path: where it goes.
        size: width and height, pixels.
        fps: frames a second.

    Raises:
        RenderError: the encoder fails or the disk refuses the file.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: int) -> None:
        self.path, self._partial, self.frames = path, path.with_name(f".{path.stem}.partial{path.suffix}"), 0
        self._sink: Generator[None, Any, None] = imageio_ffmpeg.write_frames(
            str(self._partial), size, fps=fps, codec="libx264", quality=7, macro_block_size=2, ffmpeg_log_level="error"
        )

    def add(self, frame: np.ndarray) -> None:
        """Append a picture `(height, width, 3)` uint8."""
        try:
            if self.frames == 0:
                self._sink.send(None)
            self._sink.send(np.ascontiguousarray(frame))
        except OSError as error:
            raise RenderError(f"the video {self.path} could not be written ({error}); type video=false") from error
        self.frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._sink.close()
        if kind is None and self.frames and self._partial.exists():
            self._partial.replace(self.path)
        self._partial.unlink(missing_ok=True)


class Stage:
    """Draws the robot from behind; where a map is given, the map and the way walked on its right.

    Args:
        scene: what stands in the world.
        overview: x from, x to, y from, y to in metres of the map.

    Raises:
        RenderError: no OpenGL works here.
    """

    def __init__(self, scene: Scene, overview: Rectangle | None = None) -> None:
        self._chase = SceneRenderer(scene, WIDTH, HEIGHT)
        self._camera = ChaseCamera(elevation_deg=-32.0, distance_m=4.6) if overview else ChaseCamera()
        self._map = SceneRenderer(scene, HEIGHT, HEIGHT) if overview else None
        self._top = TopCamera(overview) if overview else None
        self._path: list[np.ndarray] = []
        self._drawn: np.ndarray | None = None
        self._count = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a picture."""
        return WIDTH + (HEIGHT if self._map else 0), HEIGHT

    def restart(self) -> None:
        """A new episode: forget the way walked so far."""
        self._path, self._drawn = [], None
        self._camera.restart()

    def draw(self, qpos: np.ndarray, mocap_pos_w: np.ndarray) -> np.ndarray:
        """One picture of the world with coordinates `(nq,)` and boxes and markers at `(M, 3)`."""
        picture = self._chase.frame(qpos, mocap_pos_w, self._camera)
        if self._map is None or self._top is None:
            return picture
        here = np.array([qpos[0], qpos[1], 0.1])
        if not self._path or np.linalg.norm(here - self._path[-1]) >= PATH_STEP_M:
            self._path.append(here)
        if self._drawn is None or self._count % MAP_EVERY == 0:
            self._drawn = self._map.frame(qpos, mocap_pos_w, self._top, np.array(self._path), beacon=True)
        self._count += 1
        return np.concatenate((picture, self._drawn), axis=1)

    def close(self) -> None:
        """Free what drawing holds."""
        self._chase.close()
        if self._map is not None:
            self._map.close()


def innermost(env: Env) -> Env:
    """The environment at the bottom of a hierarchy: the one that has the physics."""
    while isinstance(inner := getattr(env, "inner", None), Env):
        env = inner
    return env


class Recorder:
    """Films environment 0 of a simulated task, at every step of the physics' own environment.

    Args:
        env: the outermost environment; levels in between are asked to call after each of their inner steps.
        path: of the mp4.
        limit: frames after which it stops filming.

    Raises:
        RenderError: there is nothing to film, or no OpenGL works here.
    """

    def __init__(self, env: Env, path: Path, limit: int) -> None:
        bottom = innermost(env)
        if not isinstance(bottom, TaskEnv):
            raise RenderError("this task has no body to film; video=false says so beforehand")
        self._sim, self._limit = bottom.sim, limit
        overview = getattr(bottom.task, "overview", None)
        self._stage = Stage(bottom.sim.scene, overview() if overview else None)
        self.writer = VideoWriter(path, self._stage.size, round(1.0 / bottom.task.cfg.step_s))
        self.stills = Stills()
        self._above = _level_above(env, bottom)
        if self._above is not None:
            self._above.observer = self.shoot

    def shoot(self) -> None:
        """Add a picture of the present moment."""
        if self.writer.frames < self._limit:
            frame = self._stage.draw(self._sim.qpos[0].cpu().numpy(), self._sim.mocap_pos_w[0].cpu().numpy())
            self.writer.add(frame)
            self.stills.add(frame)

    def begin(self) -> None:
        """An episode is about to begin."""
        self.shoot()

    def after_step(self, ended: bool) -> None:
        """A step of the outermost environment was taken; `ended` tells whether the episode on film is over."""
        if self._above is None:
            self.shoot()
        if ended:
            self._stage.restart()
            self.stills.end_episode()

    def close(self) -> None:
        """Stop listening and free what drawing holds."""
        if self._above is not None:
            self._above.observer = None
        self._stage.close()


def _level_above(env: Env, bottom: Env) -> Any:
    """The level that drives the bottom one, None if the bottom is driven directly."""
    if env is bottom:
        return None
    while getattr(env, "inner", bottom) is not bottom:
        env = env.inner  # pyright: ignore[reportAttributeAccessIssue]
    return env
