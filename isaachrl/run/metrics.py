"""The record of a run: one JSON object a line, one line an iteration."""

import json
import math
from pathlib import Path
from typing import Any

from isaachrl.errors import IsaacHRLError
from isaachrl.files import write_atomically


class MetricsFile:
    """Appends to `metrics.jsonl`.

    Args:
        path: the file.
        keep: lines of iterations up to this one are kept, later ones are cut: they come after the checkpoint
            that a resumed run starts from.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path = path
        if path.exists():
            lines = [json.dumps(line) for line in read_metrics(path) if line.get("iteration", 0) <= keep]
            write_atomically(path, "".join(f"{line}\n" for line in lines).encode())

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


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics file; a line cut off by a crash is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
