"""Videos of the robot of one environment, as mp4."""

from pathlib import Path
from typing import Any

from isaachrl.envs.env import Env, has_bodies, innermost, observable
from isaachrl.errors import RenderError
from isaachrl.run.recording.stills import Stills
from isaachrl.sim.film import Film, Stage, frame_rate


class Recorder:
    """Records environment 0 of a simulated task in real time, at control steps of the innermost environment.

    Args:
        env: the outermost environment.
        path: of the mp4.
        limit: maximum number of frames.

    Raises:
        RenderError: the task has no simulation, or no OpenGL works here.
    """

    def __init__(self, env: Env, path: Path, limit: int) -> None:
        bottom: Any = innermost(env)
        if not has_bodies(bottom):
            raise RenderError("this task has no body to film; video=false says so beforehand")
        self._sim = bottom.sim
        overview = getattr(getattr(bottom, "task", None), "overview", None)
        self._every, fps = frame_rate(bottom.step_s)
        self.stills = Stills()
        self._film = Film(Stage(bottom.sim.scene, overview() if overview else None), path, fps, limit, self.stills)
        self.writer = self._film.writer
        self._step = 0
        self._parent = observable(env)
        if self._parent is not None:
            self._parent.observer = self.shoot

    def shoot(self) -> None:
        """Add a frame of the present state if one is due at this step."""
        if self._step % self._every == 0:
            self._film.add(self._sim.qpos[0].cpu().numpy(), self._sim.mocap_pos_w[0].cpu().numpy())
        self._step += 1

    def begin(self) -> None:
        """Call before the first step of an episode."""
        self.shoot()

    def after_step(self, ended: bool) -> None:
        """Call after each step of the outermost environment; `ended` says whether the episode ended."""
        if self._parent is None:
            self.shoot()
        if ended:
            self._step = 0
            self._film.cut()

    def finish(self) -> None:
        """Write pending frames."""
        self._film.finish()

    def close(self) -> None:
        """Detach from the environment and free the renderers."""
        if self._parent is not None:
            self._parent.observer = None
        self._film.close()
