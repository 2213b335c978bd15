"""When something that takes time is due again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Periodic:
    """Due every so often, and rarer where it takes long, so that it never takes more than a share of the time.

    Args:
        first_s: seconds from now until it is due for the first time; the pause doubles each time up to `every_s`.
        every_s: seconds from the end of one time to the next, at least, in the long run.
        share: most of the time that it may take; infinity leaves that out.
        clock: seconds since any moment.
    """

    def __init__(
        self, first_s: float, every_s: float, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.every_s, self.share, self._clock, self._pause_s = every_s, share, clock, first_s
        self._next = clock() + first_s

    def due(self) -> bool:
        """Whether it is time."""
        return self._clock() >= self._next

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Do it inside, due or not; the next time follows from how long this took."""
        start = self._clock()
        yield
        end = self._clock()
        self._pause_s = min(2.0 * self._pause_s, self.every_s)
        self._next = end + max(self._pause_s, (end - start) / self.share)
