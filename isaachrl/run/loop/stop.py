"""Ctrl-C, SIGTERM and SIGHUP: a training ends in order, everything else at once; the exit code tells which it was."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from isaachrl.learn import distributed

log = logging.getLogger(__name__)

_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none


class Interrupted(KeyboardInterrupt):
    """A signal ends the program at once.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Stop:
    """A request to stop: Ctrl-C, SIGTERM or, when the terminal closes, SIGHUP.

    In a training the first signal lets the iteration under way finish, so that what is saved stands between two
    iterations; a second Ctrl-C or SIGTERM interrupts at once, and the last checkpoint is then what remains. A closing
    terminal may send SIGHUP more than once, and torchrun sends on what its processes have been sent already: such
    repetitions do not interrupt.

    Attributes:
        number: of the signal that asked, 0 if none has.
    """

    def __init__(self) -> None:
        self.number = 0
        self._in_order = False

    @contextmanager
    def watching(self, in_order: bool = False) -> Iterator[None]:
        """Take the signals over; outside the main thread Python does not allow it, and nothing is done.

        Args:
            in_order: a first signal is only noted; otherwise every signal raises `Interrupted`.
        """
        previous: dict[int, Any] = {}
        before, self._in_order = self._in_order, in_order
        try:
            for number in (signal.SIGINT, signal.SIGTERM, _HANGUP):
                if number is None or (number == _HANGUP and signal.getsignal(number) == signal.SIG_IGN):
                    continue  # under nohup a training outlives its terminal
                previous[number] = signal.signal(number, self._on_signal)
        except ValueError:
            pass
        try:
            yield
        finally:
            self._in_order = before
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Note the first request of a training; obey every other one at once."""
        if self.number and (number == _HANGUP or distributed.size() > 1):
            return
        if self.number or not self._in_order:
            raise Interrupted(number)
        self.number = number
        log.info("stopping after this iteration; press Ctrl-C again to stop at once, without saving it")
