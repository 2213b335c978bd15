"""Tables on the standard output and in Markdown."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 150  # if the output is not a terminal


def show(table: Table) -> None:
    """Print a table, as wide as the terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(table, crop=False, soft_wrap=False)


def cell(value: Any) -> str:
    """A value with few digits; empty for nan."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return " ".join(cell(part) for part in value) if isinstance(value, tuple | list) else str(value)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, without a newline at its end."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
