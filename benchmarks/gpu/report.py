"""What a section finds out, written down at once so that nothing is lost with a process that dies.

Nothing heavy is imported here: a process that fails early can still say so.
"""

import json
import math
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ERROR_CHARACTERS = 300
DIGITS = 5


def plain(value: Any) -> Any:
    """A value for JSON: numbers with as many digits as mean something, None for those that are not finite."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def short(text: str) -> str:
    """Text on one line and not too long."""
    return " ".join(text.split())[:ERROR_CHARACTERS]


class Report:
    """The figures and failures of a section, a line of JSON each.

    Args:
        path: the file that they are appended to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.failed = False

    def _write(self, line: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def figure(self, name: str, value: Any) -> None:
        """A number, text, list or dict of them; None for what this device does not have."""
        self._write({"figure": name, "value": plain(value)})

    def figures(self, values: dict[str, Any], prefix: str = "") -> None:
        """Several figures; each name is put behind the prefix."""
        for name, value in values.items():
            self.figure(prefix + name, value)

    def check(self, name: str, passed: bool, found: Any = None) -> None:
        """Something that must hold: it is a figure too, and where it does not hold the section has failed."""
        self.figure(name, passed)
        if not passed:
            self.fail(name if found is None else f"{name}: {found}")

    def fail(self, text: str) -> None:
        """The section has failed, and this is why; it may go on."""
        self.failed = True
        self._write({"error": short(text)})

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part of the section: when it raises, the section has failed, and its other parts are done all the same."""
        try:
            yield
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self.fail(f"{name}: {type(error).__name__}: {error}")


def read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Figures by name and errors of a report; a last line that was cut off is left out."""
    figures: dict[str, Any] = {}
    errors: list[str] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if "figure" in line:
            figures[line["figure"]] = line["value"]
        else:
            errors.append(line["error"])
    return figures, errors
