"""A film of one world of a running simulation: the launcher's `--film`."""

import copy
import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from isaachrl.compat.isaacgym.enums import UpAxis
from isaachrl.compat.isaacgym.objects import Sim
from isaachrl.errors import ConfigError, IsaacHRLError, RenderError
from isaachrl.sim.film import Film, Stage, frame_rate

log = logging.getLogger(__name__)
_SCALED = ("geom_size", "geom_pos", "geom_rbound", "geom_aabb", "body_pos", "jnt_pos")  # lengths that scales change


class WorldFilm:
    """Films one world of the first simulation that takes a step, in real time, as `simulate` leaves it.

    Before and after the film nothing is read from the simulation.

    Args:
        path: of the mp4.
        world: number of the environment.
        start_s: simulated time at which it begins, s.
        seconds: its length, s.

    Raises:
        ConfigError: a number is impossible.
    """

    def __init__(self, path: Path, world: int = 0, start_s: float = 0.0, seconds: float = 10.0) -> None:
        if world < 0 or start_s < 0.0 or not 0.0 < seconds < float("inf"):
            raise ConfigError("--film-world and --film-start must be at least 0, and --film-seconds above 0")
        self._path, self._world, self._start_s, self._seconds = path.absolute(), world, start_s, seconds
        self._sim: Sim | None = None
        self._film: Film | None = None
        self._every = self._limit = self._steps = 0

    def after_step(self, sim: Sim) -> None:
        """Call after each step: adds a frame if one is due.

        Raises:
            ConfigError: there is no such world, or its up axis is y.
            RenderError: no OpenGL works here.
        """
        if self._sim is None and sim.steps * sim.params.dt >= self._start_s:
            self._open(sim)
        if self._film is None or sim is not self._sim:
            return
        try:
            if self._steps % self._every == 0:
                self._shoot(sim, self._film)
            self._steps += 1
            if self._steps >= self._limit:
                self.close()
        except IsaacHRLError as error:  # the script goes on
            log.warning("the film %s has ended: %s", self._path, error)
            film, self._film = self._film, None
            if film is not None:
                with closing(film):
                    film.writer.__exit__(type(error))

    def _open(self, sim: Sim) -> None:
        """Begin the film."""
        self._sim = sim
        if self._world >= len(sim.envs):
            raise ConfigError(f"--film-world={self._world}: the environments are 0 to {len(sim.envs) - 1}")
        if int(sim.params.up_axis) == int(UpAxis.UP_AXIS_Y):
            raise ConfigError("--film: the renderer's ground is below z, and this simulation's up_axis is UP_AXIS_Y")
        self._every, fps = frame_rate(sim.params.dt)
        self._limit = max(round(self._seconds / sim.params.dt), 1)
        try:
            self._film = Film(Stage(self._model(sim)), self._path, fps)
        except RenderError as error:
            raise RenderError(f"--film: {error}") from error

    def _model(self, sim: Sim) -> Any:
        """MuJoCo's model of the world, with the sizes of its actors."""
        worlds: Any = sim.physics and sim.physics.worlds
        model = copy.copy(worlds.model)
        if any(actor.scale != 1.0 for actor in sim.envs[self._world].actors):
            for name in _SCALED:
                own, shared = worlds.model_field(name)[self._world].cpu().numpy(), getattr(model, name)
                shared[:] = own.reshape(shared.shape)
        return model

    def _shoot(self, sim: Sim, film: Film) -> None:
        """Add a frame of the present state."""
        worlds: Any = sim.physics and sim.physics.worlds
        qpos, pos, quat = (
            worlds.field(name)[self._world].cpu().numpy() for name in ("qpos", "mocap_pos", "mocap_quat")
        )
        film.add(qpos, np.concatenate((pos, quat), axis=-1))

    def close(self) -> None:
        """Write the film, if it is not written yet.

        Raises:
            RenderError: it cannot be encoded.
            WriteError: it cannot be written.
        """
        film, self._film = self._film, None
        if film is not None:
            with closing(film), film.writer:
                film.finish()
            log.info("%s: %d frames of environment %d", self._path, film.writer.frames, self._world)
        elif self._sim is None:
            log.warning("no film %s: the script has not simulated %g s", self._path, self._start_s)
