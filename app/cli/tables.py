"""Tables for people, whole lines for pipes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

_PIPE_WIDTH = 240


def show(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table as wide as the terminal; into a pipe, so wide that nothing is cut."""
    table = Table(*headings)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console = Console()
    Console(width=None if console.is_terminal else _PIPE_WIDTH).print(table)
