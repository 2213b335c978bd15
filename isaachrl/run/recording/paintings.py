"""Videos of environments without a simulation, which render themselves."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.env import Env
from isaachrl.errors import RenderError
from isaachrl.run.recording.stills import Stills
from isaachrl.sim.film import VideoWriter

FRAMES_PER_S = 30
MIN_EPISODE_S = 4.0  # each frame is repeated so that an episode of TYPICAL_STEPS takes at least this long
TYPICAL_STEPS = 20


def renders_itself(env: Env) -> bool:
    """Whether an environment can render its own trajectory: it has `picture` and `state`."""
    return getattr(env, "picture", None) is not None and hasattr(env, "state")


class PictureRecorder:
    """Records environment 0 with its own pictures of the trajectory.

    Args:
        env: has `state (N, F)` and `picture(trajectory (T, F))`, an image `(height, width, 3)` uint8.
        path: of the mp4.
        limit: maximum number of frames.

    Raises:
        RenderError: the video cannot be written.
    """

    def __init__(self, env: Env, path: Path, limit: int) -> None:
        self._env: Any = env
        self._limit = limit
        self._trajectory: list[Tensor] = []
        first = self._env.picture(self._state().unsqueeze(0))
        height, width = first.shape[:2]
        if height % 2 or width % 2:
            raise RenderError(f"a picture of {width} by {height} pixels cannot be encoded; both must be even")
        self.writer = VideoWriter(path, (width, height), FRAMES_PER_S)
        self.stills = Stills()
        steps = min(env.episode_steps, TYPICAL_STEPS)
        short = env.episode_steps <= 5 * TYPICAL_STEPS
        self._repeats = max(round(MIN_EPISODE_S * FRAMES_PER_S / steps), 1) if short else 1

    def _state(self) -> Tensor:
        """State `(F,)` of environment 0 on the host."""
        return self._env.state[0].detach().clone().cpu()

    def begin(self) -> None:
        """Call before the first step of an episode."""
        self._record()

    def after_step(self, ended: bool) -> None:
        """Call after each step; `ended` says whether the episode ended."""
        self._record()
        if ended:
            self._trajectory = []
            self.stills.end_episode()

    def _record(self) -> None:
        """Add a picture of the trajectory up to the present state."""
        if self.writer.frames >= self._limit:
            return
        self._trajectory.append(self._state())
        frame = self._env.picture(torch.stack(self._trajectory))
        self.stills.add(frame)
        for _ in range(self._repeats):
            if self.writer.frames < self._limit:
                self.writer.add(frame)

    def finish(self) -> None:
        """Does nothing; see `Recorder.finish`."""

    def close(self) -> None:
        """Does nothing; see `Recorder.close`."""
