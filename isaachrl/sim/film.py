"""Films of a world: frames are drawn by threads, and encoded as mp4."""

import logging
import tempfile
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, Self

import imageio_ffmpeg
import numpy as np

from isaachrl.errors import RenderError
from isaachrl.files import write_atomically
from isaachrl.processors import usable_cores
from isaachrl.sim import load_robot
from isaachrl.sim.cameras import ChaseCamera, View, camera_scale, model_camera
from isaachrl.sim.compiler import Source, model_of
from isaachrl.sim.floor_plan import FloorPlan, Rectangle
from isaachrl.sim.render import SceneRenderer, any_thread_draws
from isaachrl.sim.scene import Scene

log = logging.getLogger(__name__)

HEIGHT, WIDTH = 480, 640
FPS = 30  # about, since there is a whole number of steps between frames
MAX_PAINTERS = 4
TOLD_FRAMES = 300  # drawn by software they take a minute

Picture = Future[np.ndarray]


class VideoWriter:
    """Context manager that encodes an mp4 in a temporary folder of the system and writes it when it is complete.

    Args:
        path: of the mp4.
        size: width and height, pixels.
        fps: frames per second.

    Raises:
        RenderError: the encoder fails or the temporary file cannot be written.
        WriteError: the complete file cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: Fraction | int) -> None:
        self.path, self.frames = path, 0
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="isaachrl-")
        except OSError as error:
            raise RenderError(f"the video {path} could not be started ({error}); type video=false") from error
        self._partial = Path(self._folder.name) / path.name
        rate: Any = fps  # fractions are valid, but not annotated
        self._sink: Generator[None, Any, None] = imageio_ffmpeg.write_frames(
            str(self._partial),
            size,
            fps=rate,
            codec="libx264",
            quality=6,
            macro_block_size=2,
            ffmpeg_log_level="error",
            output_params=["-preset", "superfast"],  # half the time of the default, for a slightly larger file
        )

    def add(self, frame: np.ndarray) -> None:
        """Append a frame `(height, width, 3)` uint8."""
        try:
            if self.frames == 0:
                self._sink.send(None)
            self._sink.send(np.ascontiguousarray(frame))
        except OSError as error:
            raise RenderError(f"the video {self.path} could not be written ({error}); type video=false") from error
        self.frames += 1
        if self.frames % TOLD_FRAMES == 0:
            log.info("%d frames drawn", self.frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._folder:
            self._sink.close()
            if kind is None and self.frames and self._partial.exists():
                write_atomically(self.path, self._partial.read_bytes())


class _SynchronousExecutor(Executor):
    """An executor that runs each call in the calling thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call; returns a finished future."""
        result: Future[Any] = Future()
        try:
            result.set_result(fn(*args, **kwargs))
        except Exception as error:
            result.set_exception(error)
        return result


class Painter:
    """A renderer in a thread of its own, since an OpenGL context belongs to a thread.

    On platforms where only the main thread can have a context, it renders in the calling thread.

    Args:
        source: the scene or its compiled model.

    Raises:
        RenderError: no OpenGL works here.
    """

    def __init__(self, source: Source) -> None:
        self._thread: Executor = ThreadPoolExecutor(1, "painter") if any_thread_draws() else _SynchronousExecutor()
        try:
            self._renderer = self._thread.submit(SceneRenderer, source, WIDTH, HEIGHT).result()
        except Exception:
            self._thread.shutdown()
            raise

    def paint(self, qpos: np.ndarray, mocap_w: np.ndarray, view: View, beside: np.ndarray | None) -> Picture:
        """A future frame, with the image `beside` on its right."""

        def work() -> np.ndarray:
            picture = self._renderer.frame(qpos, mocap_w, view)
            return picture if beside is None else np.concatenate((picture, beside), axis=1)

        return self._thread.submit(work)

    def close(self) -> None:
        """Finish pending frames and free the renderer."""
        self._thread.submit(self._renderer.close).result()
        self._thread.shutdown()


class Stage:
    """Renders the robot from behind and, with `overview`, a map with its path on the right.

    Args:
        scene: the scene, or a model of any bodies.
        overview: x min, x max, y min, y max of the map, metres.

    Raises:
        RenderError: no OpenGL works here.
    """

    def __init__(self, scene: Source, overview: Rectangle | None = None) -> None:
        model = model_of(scene)
        self._camera = (
            _scene_camera(scene, overview) if isinstance(scene, Scene) else model_camera(model, WIDTH / HEIGHT)
        )
        self._map = FloorPlan(model, overview, HEIGHT, HEIGHT) if overview else None
        self._painters = _painters(model)
        self.behind = 2 * len(self._painters)  # pending frames that keep all painters busy
        self._turn = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame."""
        return WIDTH + (HEIGHT if self._map else 0), HEIGHT

    def restart(self) -> None:
        """Start a new episode: reset the camera and the path on the map."""
        self._camera.restart()
        if self._map is not None:
            self._map.restart()

    def draw(self, qpos: np.ndarray, mocap_w: np.ndarray) -> Picture:
        """A future frame of the world with coordinates `(nq,)` and mocap bodies at `(M, 3)`, or poses `(M, 7)`.

        Camera and map have a state, so they are updated here, in order; painters render in parallel.
        """
        view = self._camera.view(qpos[:3], qpos[3:7], WIDTH / HEIGHT)
        beside = None if self._map is None else self._map.draw(qpos, mocap_w[:, :3])
        self._turn = (self._turn + 1) % len(self._painters)
        return self._painters[self._turn].paint(qpos.copy(), mocap_w.copy(), view, beside)

    def close(self) -> None:
        """Free the renderers."""
        for painter in self._painters:
            painter.close()


def _scene_camera(scene: Scene, overview: Rectangle | None) -> ChaseCamera:
    """A camera behind the robot of a scene."""
    size = camera_scale(load_robot(scene.robot))
    if overview:
        return ChaseCamera(elevation_deg=-32.0, distance_m=4.6, size=size)
    if scene.objects:  # further away if there are things around the body
        return ChaseCamera(elevation_deg=-20.0, distance_m=5.5, size=size)
    return ChaseCamera(size=size)


class Frames(Protocol):
    """Gets the frames of episodes."""

    def add(self, frame: np.ndarray) -> None:
        """A frame `(height, width, 3)` uint8."""
        ...

    def end_episode(self) -> None:
        """The episode of the frames up to now has ended."""
        ...


class Film:
    """Writes the frames of a stage in order, as they are finished.

    Args:
        stage: renders the frames; closed with the film.
        path: of the mp4.
        fps: frames per second.
        limit: maximum number of frames.
        stills: also gets every frame.
    """

    def __init__(
        self, stage: Stage, path: Path, fps: Fraction, limit: int | None = None, stills: Frames | None = None
    ) -> None:
        self._stage, self._limit, self._stills = stage, limit, stills
        self.writer = VideoWriter(path, stage.size, fps)
        self._pending: deque[Picture | None] = deque()
        self._count = 0

    def add(self, qpos: np.ndarray, mocap_w: np.ndarray) -> None:
        """Add a frame, see `Stage.draw`."""
        if self._limit is None or self._count < self._limit:
            self._pending.append(self._stage.draw(qpos, mocap_w))
            self._count += 1
            self._write(self._stage.behind)

    def cut(self) -> None:
        """Start a new episode."""
        self._stage.restart()
        self._pending.append(None)

    def finish(self) -> None:
        """Wait for all frames and write them."""
        self._write(0)

    def _write(self, max_pending: int) -> None:
        """Write frames until at most `max_pending` are pending."""
        while len(self._pending) > max_pending:
            picture = self._pending.popleft()
            frame = None if picture is None else picture.result()
            if frame is not None:
                self.writer.add(frame)
            if self._stills is not None:
                self._stills.end_episode() if frame is None else self._stills.add(frame)

    def close(self) -> None:
        """Free the renderers."""
        self._stage.close()


def _painters(source: Source) -> list[Painter]:
    """A painter for each processor, up to `MAX_PAINTERS`; fewer if the driver allows fewer contexts.

    Raises:
        RenderError: not even one works.
    """
    result = [Painter(source)]
    for _ in range(1, min(len(usable_cores()), MAX_PAINTERS) if any_thread_draws() else 1):
        try:
            result.append(Painter(source))
        except RenderError as error:
            log.info("rendering with %d contexts: %s", len(result), error)
            break
    return result


def frame_rate(step_s: float) -> tuple[int, Fraction]:
    """Steps per frame, and frames per second for a video in real time: near `FPS`, 22.5 to 45, or one a longer step."""
    every = max(round(1.0 / (FPS * step_s)), 1)
    return every, Fraction(1.0 / (every * step_s)).limit_denominator(1000)
