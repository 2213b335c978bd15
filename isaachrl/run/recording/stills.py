"""A sheet of stills: a row of evenly spaced frames for each episode."""

import imageio.v3 as imageio
import numpy as np

PER_EPISODE = 5
EPISODES = 6
WIDTH = 2800  # maximum width of the sheet, pixels
QUALITY = 85
GAP, GREY = 4, 140  # width in pixels and colour of the gap between stills


class Stills:
    """Keeps evenly spaced, downscaled frames of each episode, whose length is not known in advance."""

    def __init__(self) -> None:
        self._rows: list[list[np.ndarray]] = []
        self._restart()

    def _restart(self) -> None:
        self._kept: list[np.ndarray] = []
        self._last: np.ndarray | None = None  # the latest frame, if it was not kept
        self._every, self._count = 1, 0

    def add(self, frame: np.ndarray) -> None:
        """Add a frame `(height, width, 3)` uint8 of the present episode."""
        if len(self._rows) == EPISODES:
            return
        self._last = frame
        if self._count % self._every == 0:
            self._kept.append(_downscaled(frame))
            self._last = None
            if len(self._kept) == 8 * PER_EPISODE:  # halve the frame rate
                self._kept, self._every = self._kept[::2], 2 * self._every
        self._count += 1

    def end_episode(self) -> None:
        """End the present episode; its row includes the last frame."""
        if not self._kept:
            return
        frames = self._kept if self._last is None else [*self._kept, _downscaled(self._last)]
        chosen = np.linspace(0, len(frames) - 1, PER_EPISODE).round().astype(int)
        self._rows.append([frames[index] for index in chosen])
        self._restart()

    def sheet(self) -> bytes | None:
        """All rows as JPEG; None if no episode has ended."""
        if not self._rows:
            return None
        picture = np.concatenate([np.concatenate(row, axis=1) for row in self._rows], axis=0)
        return imageio.imwrite("<bytes>", picture, extension=".jpg", quality=QUALITY)


def _downscaled(frame: np.ndarray) -> np.ndarray:
    """The frame, scaled by block means so that a row fits the sheet, with a gap below and on the right."""
    height, width = frame.shape[:2]
    side = -(-width * PER_EPISODE // WIDTH)
    whole = frame[: height // side * side, : width // side * side]
    small = whole[::side, ::side].astype(np.uint16)
    for row in range(side):
        for column in range(side):
            if row or column:
                small += whole[row::side, column::side]
    small //= side**2
    return np.pad(small.astype(np.uint8), ((0, GAP), (0, GAP), (0, 0)), constant_values=GREY)
