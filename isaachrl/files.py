"""Atomic writing of files."""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from isaachrl.errors import WriteError

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")  # names of mkstemp with the prefix and suffix below


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

    No other process may be writing into the folder.
    """
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _replace(path: Path, data: bytes | memoryview) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
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
