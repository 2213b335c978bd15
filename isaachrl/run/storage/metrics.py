"""The record of a run: one JSON object a line, one line an iteration."""

import json
import math
import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO

from isaachrl.errors import IsaacHRLError

USUAL_LINE = 2048  # bytes; more than most lines have


class MetricsFile:
    """Appends to `metrics.jsonl`.

    Args:
        path: the file.
        keep: lines of iterations up to this one are kept, later ones are cut: they come after the checkpoint
            that a resumed run starts from.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path = path
        if path.is_symlink():
            path.unlink()  # a run writes into its own folder
        if path.exists():
            try:
                _cut(path, keep)
            except OSError as error:
                raise IsaacHRLError(f"{path} could not be cut ({error.strerror or error})") from error

    def append(self, record: dict[str, Any]) -> None:
        """Write one line; a number that JSON cannot hold becomes null.

        Raises:
            IsaacHRLError: the disk refuses it.
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


def read_metrics(path: Path, most: int | None = None) -> list[dict[str, Any]]:
    """The whole lines of a metrics file; a line cut off by a crash is left out.

    Args:
        path: the file.
        most: about so many lines, spread evenly from the first to the last, which takes as long however many there
            are; None reads them all.
    """
    with path.open("rb") as file:
        lines = file.readlines() if most is None else _spread(file, most)
    return [record for record in map(_record, lines) if record is not None]


def _record(line: bytes) -> dict[str, Any] | None:
    """What a line says; None if it was cut off."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _spread(file: BinaryIO, most: int) -> list[bytes]:
    """About so many lines of a file, the first and the last two among them."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size < most * USUAL_LINE:
        lines = file.readlines()
        step = max(math.ceil(len(lines) / most), 1)
        return [*lines[:-2:step], *lines[-2:]]
    lines, seen, step = [file.readline()], 0, size // most
    for place in range(step, size - step, step):
        file.seek(place)
        file.readline()  # the rest of the one before
        if file.tell() != seen:
            seen = file.tell()
            lines.append(file.readline())
    return [*lines, *file.readlines()[-2:]]


def _cut(path: Path, keep: int) -> None:
    """Cut the lines of later iterations off the end of a file, and one that was not finished; reads no others."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                while end:
                    start = content.rfind(b"\n", 0, end - 1) + 1
                    record = _record(content[start:end]) if content[end - 1 : end] == b"\n" else None
                    if record is not None and record.get("iteration", 0) <= keep:
                        break
                    end = start
        file.truncate(end)
