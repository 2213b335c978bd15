"""Tables on the standard output."""

from typing import Any

from rich.console import Console
from rich.table import Table

LEAST_WIDTH = 150  # where the output is no terminal, nothing else tells how wide it may be


def show(table: Table) -> None:
    """Print a table; on a terminal it fits the window."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=LEAST_WIDTH)
    console.print(table, crop=False, soft_wrap=False)


def cell(value: Any) -> str:
    """A value in few digits; nothing for nan."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return " ".join(cell(part) for part in value) if isinstance(value, tuple | list) else str(value)
