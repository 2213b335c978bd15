"""Videos: what one environment's robot does, frame by frame, into an mp4."""

import logging
import math
import os
import tempfile
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import imageio_ffmpeg
import numpy as np

from isaachrl.envs.env import Env
from isaachrl.envs.task_env import TaskEnv
from isaachrl.errors import RenderError
from isaachrl.files import write_atomically
from isaachrl.run.recording.stills import Stills
from isaachrl.sim.cameras import ChaseCamera, View
from isaachrl.sim.compiler import compile_scene
from isaachrl.sim.floor_plan import FloorPlan, Rectangle
from isaachrl.sim.render import SceneRenderer, Source, any_thread_draws
from isaachrl.sim.scene import Scene

log = logging.getLogger(__name__)

HEIGHT, WIDTH = 480, 640
MOST_FPS = 30
MOST_PAINTERS = 4

Picture = Future[np.ndarray]


class VideoWriter:
    """An mp4 that appears under its name when it is complete, and until then grows in the system's folder for temporary
    files, where what a killed process leaves belongs. Use it in a `with` statement.

    Args:
        path: where it goes.
        size: width and height, pixels.
        fps: frames a second.

    Raises:
        RenderError: the encoder fails or the disk refuses the file.
        WriteError: the disk refuses the complete file.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: Fraction | int) -> None:
        self.path, self.frames = path, 0
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="isaachrl-")
        except OSError as error:
            raise RenderError(f"the video {path} could not be begun ({error}); type video=false") from error
        self._partial = Path(self._folder.name) / path.name
        rate: Any = fps  # the encoder takes fractions, its annotations do not
        self._sink: Generator[None, Any, None] = imageio_ffmpeg.write_frames(
            str(self._partial),
            size,
            fps=rate,
            codec="libx264",
            quality=6,
            macro_block_size=2,
            ffmpeg_log_level="error",
            output_params=["-preset", "superfast"],  # half the time of the usual one for a file hardly larger
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
        with self._folder:
            self._sink.close()
            if kind is None and self.frames and self._partial.exists():
                write_atomically(self.path, self._partial.read_bytes())


class _AtOnce(Executor):
    """Does what it is given in the calling thread, before it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that is done."""
        result: Future[Any] = Future()
        try:
            result.set_result(fn(*args, **kwargs))
        except Exception as error:
            result.set_exception(error)
        return result


class Painter:
    """A renderer in a thread of its own: OpenGL contexts belong to threads, and while one draws another can.

    Where only the main thread can have a context, it is made in the calling thread, which then draws.

    Args:
        source: what stands in the world.

    Raises:
        RenderError: no OpenGL works here.
    """

    def __init__(self, source: Source) -> None:
        self._thread: Executor = ThreadPoolExecutor(1, "painter") if any_thread_draws() else _AtOnce()
        try:
            self._renderer = self._thread.submit(SceneRenderer, source, WIDTH, HEIGHT).result()
        except Exception:
            self._thread.shutdown()
            raise

    def paint(self, qpos: np.ndarray, mocap_pos_w: np.ndarray, view: View, beside: np.ndarray | None) -> Picture:
        """A picture to come, with another one on its right."""

        def work() -> np.ndarray:
            picture = self._renderer.frame(qpos, mocap_pos_w, view)
            return picture if beside is None else np.concatenate((picture, beside), axis=1)

        return self._thread.submit(work)

    def close(self) -> None:
        """Free what drawing holds, once what was asked for is drawn."""
        self._thread.submit(self._renderer.close).result()
        self._thread.shutdown()


class Stage:
    """Draws the robot from behind; where a map is given, the map and the way walked on its right.

    Args:
        scene: what stands in the world.
        overview: x from, x to, y from, y to in metres of the map.

    Raises:
        RenderError: no OpenGL works here.
    """

    def __init__(self, scene: Scene, overview: Rectangle | None = None) -> None:
        model = compile_scene(scene)
        self._camera = ChaseCamera(elevation_deg=-32.0, distance_m=4.6) if overview else ChaseCamera()
        self._map = FloorPlan(model, overview, HEIGHT, HEIGHT) if overview else None
        self._painters = _painters(model)
        self.behind = 2 * len(self._painters)  # pictures to come that keep all painters busy
        self._turn = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a picture."""
        return WIDTH + (HEIGHT if self._map else 0), HEIGHT

    def restart(self) -> None:
        """A new episode: forget the way walked so far."""
        self._camera.restart()
        if self._map is not None:
            self._map.restart()

    def draw(self, qpos: np.ndarray, mocap_pos_w: np.ndarray) -> Picture:
        """A picture to come of the world with coordinates `(nq,)` and boxes and markers at `(M, 3)`.

        Camera and map remember what was before, so they are asked here and now; the rest is left to the painters.
        """
        view = self._camera.view(qpos[:3], qpos[3:7], WIDTH / HEIGHT)
        beside = None if self._map is None else self._map.draw(qpos, mocap_pos_w)
        self._turn = (self._turn + 1) % len(self._painters)
        return self._painters[self._turn].paint(qpos.copy(), mocap_pos_w.copy(), view, beside)

    def close(self) -> None:
        """Free what drawing holds."""
        for painter in self._painters:
            painter.close()


class Film:
    """Pictures of a stage, written in order as they are finished.

    Args:
        stage: draws them; closed with the film.
        path: of the mp4.
        fps: frames a second.
        limit: frames after which it stops filming.
        stills: shown every picture, too.
    """

    def __init__(
        self, stage: Stage, path: Path, fps: Fraction, limit: int | None = None, stills: Stills | None = None
    ) -> None:
        self._stage, self._limit, self._stills = stage, limit, stills
        self.writer = VideoWriter(path, stage.size, fps)
        self._coming: deque[Picture | None] = deque()
        self._count = 0

    def add(self, qpos: np.ndarray, mocap_pos_w: np.ndarray) -> None:
        """Another picture, see `Stage.draw`."""
        if self._limit is None or self._count < self._limit:
            self._coming.append(self._stage.draw(qpos, mocap_pos_w))
            self._count += 1
            self._write(self._stage.behind)

    def cut(self) -> None:
        """The next picture begins another episode."""
        self._stage.restart()
        self._coming.append(None)

    def finish(self) -> None:
        """Wait for all pictures and write them."""
        self._write(0)

    def _write(self, left: int) -> None:
        """Write finished pictures until so many are left."""
        while len(self._coming) > left:
            coming = self._coming.popleft()
            frame = None if coming is None else coming.result()
            if frame is not None:
                self.writer.add(frame)
            if self._stills is not None:
                self._stills.end_episode() if frame is None else self._stills.add(frame)

    def close(self) -> None:
        """Free what drawing holds."""
        self._stage.close()


def _painters(source: Source) -> list[Painter]:
    """As many as are of use, at least one; a driver may refuse further contexts, and fewer painters only take longer.

    Raises:
        RenderError: there is none at all.
    """
    result = [Painter(source)]
    for _ in range(1, min(processors(), MOST_PAINTERS) if any_thread_draws() else 1):
        try:
            result.append(Painter(source))
        except RenderError as error:
            log.info("pictures are drawn by %d at a time: %s", len(result), error)
            break
    return result


def processors() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def innermost(env: Env) -> Env:
    """The environment at the bottom of a hierarchy: the one that has the physics."""
    while isinstance(inner := getattr(env, "inner", None), Env):
        env = inner
    return env


class Recorder:
    """Films environment 0 of a simulated task, at steps of the physics' own environment, as fast as it really moves.

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
        self._sim = bottom.sim
        overview = getattr(bottom.task, "overview", None)
        self._every, fps = pace(bottom.task.cfg.step_s)
        self.stills = Stills()
        self._film = Film(Stage(bottom.sim.scene, overview() if overview else None), path, fps, limit, self.stills)
        self.writer = self._film.writer
        self._step = 0
        self._above = _level_above(env, bottom)
        if self._above is not None:
            self._above.observer = self.shoot

    def shoot(self) -> None:
        """A step is over: add a picture of the present moment, unless steps follow each other faster than pictures."""
        if self._step % self._every == 0:
            self._film.add(self._sim.qpos[0].cpu().numpy(), self._sim.mocap_pos_w[0].cpu().numpy())
        self._step += 1

    def begin(self) -> None:
        """An episode is about to begin."""
        self.shoot()

    def after_step(self, ended: bool) -> None:
        """A step of the outermost environment was taken; `ended` tells whether the episode on film is over."""
        if self._above is None:
            self.shoot()
        if ended:
            self._step = 0
            self._film.cut()

    def finish(self) -> None:
        """Write what is still being drawn."""
        self._film.finish()

    def close(self) -> None:
        """Stop listening and free what drawing holds."""
        if self._above is not None:
            self._above.observer = None
        self._film.close()


def pace(step_s: float) -> tuple[int, Fraction]:
    """Steps from one picture to the next, and pictures a second, so that a second of film is one of the simulation."""
    every = max(math.ceil(1.0 / (MOST_FPS * step_s) - 1e-6), 1)
    return every, Fraction(1.0 / (every * step_s)).limit_denominator(1000)


def _level_above(env: Env, bottom: Env) -> Any:
    """The level that drives the bottom one, None if the bottom is driven directly."""
    if env is bottom:
        return None
    while getattr(env, "inner", bottom) is not bottom:
        env = env.inner  # pyright: ignore[reportAttributeAccessIssue]
    return env
