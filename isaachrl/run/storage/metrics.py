"""The metrics of a run: a JSON object per line, a line per iteration."""

import json
import math
import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO

from isaachrl.errors import IsaacHRLError

LINE_BYTES = 2048  # longer than most lines


class MetricsFile:
    """Appends to `metrics.jsonl`.

    Args:
        path: the file.
        keep: iteration of the checkpoint that a run resumes from; lines of later iterations are removed.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path = path
        if path.is_symlink():
            path.unlink()  # write into this run's folder
        if path.exists():
            try:
                _truncate(path, keep)
            except OSError as error:
                raise IsaacHRLError(f"{path} could not be truncated ({error.strerror or error})") from error

    def append(self, record: dict[str, Any]) -> None:
        """Write a line; nan and infinity become null.

        Raises:
            IsaacHRLError: it could not be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(jsonable(record)) + "\n")
        except OSError as error:
            raise IsaacHRLError(f"{self.path} could not be written ({error.strerror or error})") from error


def jsonable(value: Any) -> Any:
    """The value with nan and inf replaced by None, at any depth."""
    if isinstance(value, dict):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_metrics(path: Path, count: int | None = None) -> list[dict[str, Any]]:
    """The complete lines of a metrics file; a line truncated by a crash is left out.

    Args:
        path: the file.
        count: read about this many lines, evenly spaced from the first to the last, in constant time; None reads all.
    """
    with path.open("rb") as file:
        lines = file.readlines() if count is None else _sample(file, count)
    return [record for record in map(_parse, lines) if record is not None]


def _parse(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None if it is truncated."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _sample(file: BinaryIO, count: int) -> list[bytes]:
    """About `count` evenly spaced lines of a file, including the first and the last two."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size < count * LINE_BYTES:
        lines = file.readlines()
        step = max(math.ceil(len(lines) / count), 1)
        return [*lines[:-2:step], *lines[-2:]]
    lines, previous, step = [file.readline()], 0, size // count
    for offset in range(step, size - step, step):
        file.seek(offset)
        file.readline()  # the rest of a line
        if file.tell() != previous:
            previous = file.tell()
            lines.append(file.readline())
    return [*lines, *file.readlines()[-2:]]


def _truncate(path: Path, keep: int) -> None:
    """Remove truncated lines and those of later iterations from the end of a file; reads no others."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                while end:
                    start = content.rfind(b"\n", 0, end - 1) + 1
                    record = _parse(content[start:end]) if content[end - 1 : end] == b"\n" else None
                    if record is not None and record.get("iteration", 0) <= keep:
                        break
                    end = start
        file.truncate(end)
