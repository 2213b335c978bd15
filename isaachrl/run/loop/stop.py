"""Signal handling: on Ctrl-C, SIGTERM and SIGHUP a training ends gracefully, other commands at once."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from isaachrl.learn import distributed

log = logging.getLogger(__name__)

_HANGUP = getattr(signal, "SIGHUP", getattr(signal, "SIGBREAK", None))  # on Windows a closing console sends SIGBREAK


class Interrupted(KeyboardInterrupt):
    """Raised by a signal that ends the program at once.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal_number = number


AFTER_ITERATION = "after this iteration; press Ctrl-C again to stop at once, without saving it"


class Stop:
    """A request to stop: Ctrl-C, SIGTERM or, when the terminal closes, SIGHUP.

    In a training the first signal lets the present iteration finish, so that a complete state is saved. A second Ctrl-C
    or SIGTERM interrupts at once; the last checkpoint remains. A closing terminal may send SIGHUP more than once, and
    torchrun forwards signals that its processes already got: such repetitions are ignored.

    Attributes:
        signal_number: of the signal; 0 without a request.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._graceful, self._when = False, ""

    @contextmanager
    def watching(self, graceful: bool = False, when: str = AFTER_ITERATION) -> Iterator[None]:
        """Context with handlers for the signals; without effect outside the main thread, where Python forbids them.

        Args:
            graceful: the first signal only sets `signal_number`; otherwise every signal raises `Interrupted`.
            when: told to the user on that first signal.
        """
        self._when = when
        previous: dict[int, Any] = {}
        outer, self._graceful = self._graceful, graceful
        try:
            for number in (signal.SIGINT, signal.SIGTERM, _HANGUP):
                if number is None or (number == _HANGUP and signal.getsignal(number) == signal.SIG_IGN):
                    continue  # nohup: the training outlives its terminal
                previous[number] = signal.signal(number, self._on_signal)
        except ValueError:
            pass
        try:
            yield
        finally:
            self._graceful = outer
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Set `signal_number` on the first signal of a graceful context; raise on all others, except repetitions."""
        if self.signal_number and (number == _HANGUP or distributed.size() > 1):
            return
        if self.signal_number or not self._graceful:
            raise Interrupted(number)
        self.signal_number = number
        log.info("stopping %s", self._when)
