"""A timer for work that is done periodically during a training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Periodic:
    """Due at growing intervals, which also limit the share of time that the work takes.

    Args:
        first_s: seconds until it is due for the first time; the interval then doubles up to `every_s`.
        every_s: longest interval in seconds, unless the share requires a longer one.
        share: maximum share of time for the work; infinity for no limit.
        clock: seconds since any moment.
    """

    def __init__(
        self, first_s: float, every_s: float, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.every_s, self.share, self._clock, self._pause_s = every_s, share, clock, first_s
        self._next = clock() + first_s

    def due(self) -> bool:
        """Whether the work is due."""
        return self._clock() >= self._next

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Context of the work; its duration determines the next interval."""
        start = self._clock()
        yield
        end = self._clock()
        self._pause_s = min(2.0 * self._pause_s, self.every_s)
        self._next = end + max(self._pause_s, (end - start) / self.share)
