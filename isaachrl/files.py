"""Atomic writing of files."""

import contextlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from isaachrl.errors import WriteError

WINDOWS = sys.platform == "win32"
_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_TEMPORARY = re.compile(r"\..+\.(\d+)\.[a-z0-9_]{8}\.tmp")  # of `_replace`; the number is of the process


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Write to a temporary file in the same folder, flush it to the disk, and rename it.

    Raises:
        WriteError: the file could not be written; no temporary file remains, and an older file of that name is intact.
    """
    try:
        _replace(path, data)
    except OSError as error:
        raise WriteError(
            f"{path} could not be written ({error.strerror or error}); make room, or write elsewhere"
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed inside `write_atomically`.

    Without `/proc`, and across machines, live processes are not known: these must not write into the folder meanwhile.
    """
    for path in folder.glob(".*.tmp"):
        name = _TEMPORARY.fullmatch(path.name)
        if name and not Path("/proc", name[1]).exists():
            with contextlib.suppress(PermissionError):  # on Windows, of a live process
                path.unlink(missing_ok=True)


def _replace(path: Path, data: bytes | memoryview) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp creates it as 0600
        _rename(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _rename(name: str, path: Path) -> None:
    """Rename over an older file. Windows refuses while another program reads it, so wait for that a little."""
    for pause_s in _PAUSES_S if WINDOWS else ():
        try:
            return os.replace(name, path)
        except PermissionError:
            time.sleep(pause_s)
    return os.replace(name, path)
