"""Writing files so that a reader never sees half of one."""

import contextlib
import os
import tempfile
from pathlib import Path

from isaachrl.errors import WriteError


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Write to a temporary name in the same folder, flush it to the disk, and rename.

    Raises:
        WriteError: the file could not be written; nothing is left of it, and an older file of that name is intact.
    """
    try:
        _replace(path, data)
    except OSError as error:
        raise WriteError(
            f"{path} could not be written ({error.strerror or error}); make room, or write elsewhere"
        ) from error


def _replace(path: Path, data: bytes | memoryview) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp gives it to its owner alone
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
