"""Processes of the campaign: each is forked from one that has imported everything, so that hundreds can be started.

`train.py` runs there as `__main__`, with real arguments, signals and exit codes, and with limits: memory, processor
time, and an end after some seconds without one.
"""

import ctypes
import functools
import multiprocessing
import os
import resource
import runpy
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = "output.txt"
GIB = 2**30
LIMIT_S = 120.0  # for any wait; a wait for what does come ends when it comes
PROCESSOR_S = 500  # ends what outlives the tests; a survey takes 50 to 120 of them

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.chaos.preload"])


class Child:
    """A function in a forked process, its output in a file.

    Args:
        folder: what the process has as its working folder; created.
        function, arguments: what it calls; both must be picklable.
        memory: bytes that it may map beyond what a process has at its start.
        file_size: bytes to which a file may grow.
        variables: added to its environment.
    """

    def __init__(
        self,
        folder: Path,
        function: Callable[..., Any],
        *arguments: Any,
        memory: int = 4 * GIB,
        file_size: int | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.output_file = folder / OUTPUT
        self.output_file.unlink(missing_ok=True)
        self.process = _context.Process(
            target=_call, args=(folder, (memory, file_size), variables or {}, function, arguments), daemon=True
        )
        previous = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = str(ROOT)  # for the fork server, which the first process starts
        try:
            self.process.start()
        finally:
            if previous is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = previous

    @property
    def output(self) -> str:
        """What it has written so far, on both streams."""
        return self.output_file.read_text(errors="replace") if self.output_file.exists() else ""

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.process.is_alive():
            os.kill(self.process.pid, number)

    def until(self, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> bool:
        """Wait until something is so; False when the process ends, or the time is over, before that."""
        end = time.monotonic() + limit_s
        while not condition():
            if not self.process.is_alive() or time.monotonic() > end:
                return bool(condition())
            time.sleep(0.001)
        return True

    def ended(self, limit_s: float = LIMIT_S) -> int | None:
        """The exit code, below 0 for a signal that killed it; None if it had no end and was killed."""
        self.process.join(limit_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            return None
        return self.process.exitcode


def train(
    folder: Path, arguments: str | Sequence[str], fault: Callable[[], None] | None = None, **limits: Any
) -> Child:
    """Start `train.py`.

    Args:
        folder: working folder.
        arguments: of the command line, as one would type them or as a list.
        fault: called in the process before the program, to plant a fault or to watch.
        limits: see `Child`.
    """
    listed = shlex.split(arguments) if isinstance(arguments, str) else list(arguments)
    return Child(folder, _train, listed, fault, **limits)


def finished(folder: Path, arguments: str | Sequence[str], **limits: Any) -> tuple[int | None, str]:
    """Run `train.py` to its end: exit code and output."""
    child = train(folder, arguments, **limits)
    return child.ended(), child.output


def _train(arguments: list[str], fault: Callable[[], None] | None) -> None:
    sys.argv = [str(ROOT / "train.py"), *arguments]
    if fault is not None:
        fault()
    runpy.run_path(sys.argv[0], run_name="__main__")


def together(*faults: Any) -> Callable[[], None]:
    """Several faults as one: functions, and tuples of a function and its arguments."""
    return functools.partial(_each, faults)


def _each(faults: Sequence[Any]) -> None:
    for fault in faults:
        function, *arguments = fault if isinstance(fault, tuple) else (fault,)
        function(*arguments)


def _call(
    folder: Path,
    limits: tuple[int, int | None],
    variables: dict[str, str],
    function: Callable[..., Any],
    arguments: Any,
) -> None:
    """In the child: streams, limits, and the function."""
    os.chdir(folder)
    os.environ.update(variables)
    file = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    memory, file_size = limits
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and a child takes that over
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no child outlives the tests
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, mapped + memory))
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
    function(*arguments)
