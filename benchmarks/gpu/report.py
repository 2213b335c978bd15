"""The report of a section, written line by line, so that nothing is lost if the process dies.

It imports only the standard library, so that early failures can be reported.
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
    """A value for JSON: floats rounded to `DIGITS`, None for those that are not finite."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def short(text: str) -> str:
    """Text as one line of limited length."""
    return " ".join(text.split())[:ERROR_CHARACTERS]


class Report:
    """The figures and failures of a section, a line of JSON each.

    Args:
        path: of the file to append to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.failed = False

    def _write(self, line: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def figure(self, name: str, value: Any) -> None:
        """Report a number, text, list or dict; None if it needs another device."""
        self._write({"figure": name, "value": plain(value)})

    def figures(self, values: dict[str, Any], prefix: str = "") -> None:
        """Report several figures, with a prefix for their names."""
        for name, value in values.items():
            self.figure(prefix + name, value)

    def check(self, name: str, passed: bool, found: Any = None) -> None:
        """Report a condition as a figure; the section fails if it is false."""
        self.figure(name, passed)
        if not passed:
            self.fail(name if found is None else f"{name}: {found}")

    def fail(self, text: str) -> None:
        """Report a failure; the section may continue."""
        self.failed = True
        self._write({"error": short(text)})

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Context of a part of the section: an exception is a failure, and does not stop further parts."""
        try:
            yield
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self.fail(f"{name}: {type(error).__name__}: {error}")


def read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Figures by name and errors of a report; a truncated last line is left out."""
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
