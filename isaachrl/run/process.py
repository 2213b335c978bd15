"""A command as a process: its logging, its exit code, and the message of an error."""

import errno
import logging
import os
import re
import select
import signal
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.logging import RichHandler

from isaachrl.errors import IsaacHRLError
from isaachrl.shipped import ROOT

EXIT_FAULT = 1
EXIT_BAD_INPUT = 2
EXIT_BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ends
_CLOSED = (errno.EPIPE, errno.EINVAL)  # of a pipe whose reader is gone; the second on Windows
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|out of memory|failed to allocate|could not allocate|bad_alloc|storage size calculation"
    r" overflowed|mmap.*cannot allocate",
    re.IGNORECASE,
)


def set_up_logging(quiet: bool = False) -> None:
    """Log to the standard error: coloured on a terminal, else plain lines; only warnings if `quiet`."""
    if sys.stderr.isatty():
        handler: logging.Handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("isaachrl")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False


def guarded(action: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function; an exception ends the program with a message and an exit code.

    `IsaacHRLError` and a lack of memory: one line and code 2. A signal: 128 + its number. A closed standard output:
    code 141 without a message. Any other exception is a bug: its traceback, the last line outside of the library if
    there is one, as in a task of the user's, and code 1.
    """
    try:
        result = action(*arguments)
        sys.stdout.flush()
        return result
    except IsaacHRLError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise SystemExit(EXIT_BAD_INPUT) from None
    except KeyboardInterrupt as error:
        sys.stderr.write("interrupted\n")
        raise SystemExit(128 + getattr(error, "signal_number", signal.SIGINT)) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _CLOSED and _stdout_closed():
            raise SystemExit(EXIT_BROKEN_PIPE) from None
        if _is_out_of_memory(error):
            sys.stderr.write(f"{_memory_message(error)}\n")
            raise SystemExit(EXIT_BAD_INPUT) from None
        traceback.print_exc()
        sys.stderr.write(f"{_blame(error)}\n")
        raise SystemExit(EXIT_FAULT) from None


def _blame(error: Exception) -> str:
    """Where to look for an exception's cause: in a file outside of library and installed packages, if one took part."""
    installed = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    library = [*(f"{path}{os.sep}" for path in (Path(__file__).parents[1], *installed)), str(ROOT / "train.py")]
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if not os.path.abspath(frame.filename).startswith((*library, os.path.abspath("<")))
    ]
    where = f"If {own[-1].filename} is yours, look at its line {own[-1].lineno}; else this" if own else "This"
    return (
        f"{where} is a bug in isaachrl, not in what you typed: please report the lines above, the command and the"
        " versions of isaachrl, PyTorch and MuJoCo"
    )


def _stdout_closed() -> bool:
    """Whether the standard output is a pipe that its reader has closed; if so, discard further output."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):  # not a file descriptor
        return False
    if not _refuses_output(output):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # Python flushes at exit, which would fail again
    return True


def _refuses_output(output: int) -> bool:
    """Whether the reader of the standard output is gone; without `poll` (on Windows), buffered output shows it."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(output, 0)  # only errors
        return bool(poll.poll(0))
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


def _is_out_of_memory(error: Exception) -> bool:
    """Whether an exception reports a lack of memory; most of PyTorch, MuJoCo and Warp have no class for it."""
    by_message = isinstance(error, RuntimeError | ValueError) and _OUT_OF_MEMORY.search(str(error))
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or bool(by_message)


def _memory_message(error: Exception) -> str:
    """A message that names the keys to lower: those typed with large numbers, else the usual ones."""
    size = re.search(r"allocate (\d+) bytes", str(error))
    reason = f"allocating {int(size[1]) / 2**30:.3g} GiB failed" if size else " ".join(str(error).split())[:200]
    large = [argument.lstrip("+") for argument in sys.argv[1:] if re.search(r"=\[?\d{4,}", argument)]
    return (
        f"ConfigError: there is not enough memory ({reason or type(error).__name__}); lower"
        f" {', '.join(large) or 'num_envs'}, or other keys that set sizes: num_envs, the maze (task.layout, size,"
        " maze_bank), task.style_frames, and the learner's horizon, batch, replay_steps and hidden"
    )
