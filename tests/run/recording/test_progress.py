"""What is shown of a training."""

import errno
import io
import os
from functools import partial

import pytest
from rich.console import Console

from isaachrl.run.recording import progress


class Terminal(io.StringIO):
    """One that can be closed."""

    gone = False

    def write(self, text):
        if self.gone:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().write(text)


def test_a_terminal_that_is_gone_ends_no_training(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress, "Progress", partial(progress.Progress, auto_refresh=False))  # no thread that draws
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=terminal, force_terminal=True))
    with progress.Display("Point", 100, 0, ()) as display:
        display.update(1, 50, 5.0, {})
        terminal.gone = True
        display.update(2, 60, 5.0, {})
    with pytest.raises(OSError, match="Input/output"):
        terminal.write("still gone")
    assert "Point" in terminal.getvalue()
