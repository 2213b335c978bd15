"""Progress of a training: a live bar on a terminal, plain lines elsewhere."""

import contextlib
import logging
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LINE_EVERY_S = 10.0


class Display:
    """Shows the number of samples, their rate, the remaining time and a few signals.

    Args:
        title: name of the task.
        total: number of samples of the whole run.
        done: number of samples so far.
        headline: names of the signals to show.
    """

    def __init__(self, title: str, total: int, done: int, headline: tuple[str, ...]) -> None:
        self.title, self.total, self.headline = title, total, headline
        self._shown_at = -LINE_EVERY_S
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[text]}"),
                TimeRemainingColumn(),
                console=console,
            )
            self._id = self._bar.add_task(title, total=total, completed=done, text="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError):  # the terminal may be gone
                self._bar.stop()

    def update(self, iteration: int, samples: int, rate: float, signals: dict[str, float]) -> None:
        """Show the state after an iteration; `rate` is in samples per second."""
        text = f"{_count(samples)} of {_count(self.total)} samples  {_count(rate)}/s  {self._signals(signals)}"
        if self._bar is not None:
            self._bar.update(self._id, completed=samples, text=text)
            return
        now = time.monotonic()
        if now - self._shown_at >= LINE_EVERY_S or samples >= self.total:
            self._shown_at = now
            left = max(self.total - samples, 0)
            log.info(
                "iteration %d: %s  left %s in %s", iteration, text, _count(left), _duration(left / max(rate, 1e-9))
            )

    def _signals(self, signals: dict[str, float]) -> str:
        """The headline signals of this iteration, without their group."""
        return "  ".join(f"{name.split('/')[-1]} {signals[name]:.3g}" for name in self.headline if name in signals)


def _count(number: float) -> str:
    """A count in thousands, millions or billions: `12.3M`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def _duration(seconds: float) -> str:
    """A duration as `1h05m` or `3m20s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{rest:02d}s"
