"""Atomic writing of files."""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from isaachrl.errors import WriteError

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
            path.unlink(missing_ok=True)


def _replace(path: Path, data: bytes | memoryview) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp creates it as 0600
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
