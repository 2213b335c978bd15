"""Episodes as one HTML file that plays in any browser, without a server."""

from fractions import Fraction
from typing import Any

from isaachrl.envs.env import Env, has_bodies, innermost, observable
from isaachrl.errors import RenderError
from isaachrl.sim.geometry import Geometry
from isaachrl.view.bodies import Bodies, place_camera, side_by_side
from isaachrl.view.extra import serve


class PageRecorder:
    """Records environment 0 at control steps of the innermost environment.

    Args:
        env: the outermost environment.
        every, fps: steps per frame, and frames per second.
        limit: maximum number of frames.

    Attributes:
        frames: number of frames so far.

    Raises:
        ConfigError: viser is not installed.
        RenderError: the task has no bodies.
    """

    def __init__(self, env: Env, every: int, fps: Fraction, limit: int) -> None:
        bottom: Any = innermost(env)
        if not has_bodies(bottom):
            raise RenderError("this task has no bodies to record; without view=html its pictures are filmed")
        self._sim, self._every, self._frame_s, self._limit = bottom.sim, every, 1.0 / float(fps), limit
        self._server = serve(0, env.name)
        self._bodies = Bodies(self._server.scene, Geometry(bottom.sim.scene), 1)
        place_camera(self._server, bottom.sim.scene)
        self._serializer = self._server.get_scene_serializer()
        self._offset = side_by_side(1, 0.0)
        self.frames = self._step = 0
        self._parent: Any = observable(env)
        if self._parent is not None:
            self._parent.observer = self.shoot

    def shoot(self) -> None:
        """Add a frame of the present state if one is due at this step."""
        if self._step % self._every == 0 and self.frames < self._limit:
            qpos = self._sim.qpos[:1].cpu().numpy()
            self._bodies.move(qpos, self._sim.mocap_pos_w[:1].cpu().numpy(), self._offset)
            x, y, _ = self._sim.root_pos_w[0].tolist()
            self._bodies.root.position = (-x, -y, 0.0)
            self._serializer.insert_sleep(self._frame_s)
            self.frames += 1
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

    def page(self) -> str:
        """The file's text; call it once."""
        return self._serializer.as_html()

    def close(self) -> None:
        """Detach from the environment and stop the server."""
        if self._parent is not None:
            self._parent.observer = None
        self._server.stop()
