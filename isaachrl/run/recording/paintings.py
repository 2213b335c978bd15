"""Videos of environments without bodies, which paint themselves."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.env import Env
from isaachrl.errors import RenderError
from isaachrl.run.recording.stills import Stills
from isaachrl.run.recording.video import VideoWriter

FRAMES_PER_S = 30
LEAST_S = 4.0  # a picture of every step, held so long that this many seconds come of an episode of average length
USUAL_STEPS = 20


def paints(env: Env) -> bool:
    """Whether an environment can draw its own track: it has `picture` and `state`."""
    return getattr(env, "picture", None) is not None and hasattr(env, "state")


class PictureRecorder:
    """Films environment 0 by the pictures that it paints of its track.

    Args:
        env: has `state (N, F)` and `picture(track (T, F))`, an image `(height, width, 3)` uint8.
        path: of the mp4.
        limit: frames after which it stops filming.

    Raises:
        RenderError: the video cannot be written.
    """

    def __init__(self, env: Env, path: Path, limit: int) -> None:
        self._env: Any = env
        self._limit = limit
        self._track: list[Tensor] = []
        first = self._env.picture(self._state().unsqueeze(0))
        height, width = first.shape[:2]
        if height % 2 or width % 2:
            raise RenderError(f"a picture of {width} by {height} pixels cannot be encoded; both must be even")
        self.writer = VideoWriter(path, (width, height), FRAMES_PER_S)
        self.stills = Stills()
        usual = min(env.episode_steps, USUAL_STEPS)
        self._hold = max(round(LEAST_S * FRAMES_PER_S / usual), 1) if env.episode_steps <= 5 * USUAL_STEPS else 1

    def _state(self) -> Tensor:
        """State `(F,)` of environment 0 on the host."""
        return self._env.state[0].detach().clone().cpu()

    def begin(self) -> None:
        """An episode is about to begin."""
        self._show()

    def after_step(self, ended: bool) -> None:
        """A step was taken; `ended` tells whether the episode on film is over."""
        self._show()
        if ended:
            self._track = []
            self.stills.end_episode()

    def _show(self) -> None:
        """Add a picture of the track with the present state."""
        if self.writer.frames >= self._limit:
            return
        self._track.append(self._state())
        frame = self._env.picture(torch.stack(self._track))
        self.stills.add(frame)
        for _ in range(self._hold):
            if self.writer.frames < self._limit:
                self.writer.add(frame)

    def finish(self) -> None:
        """Nothing is left to write."""

    def close(self) -> None:
        """Nothing is held."""
