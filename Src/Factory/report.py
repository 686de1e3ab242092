"""How results are shown: one JSON object on stdout, or words and tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from Src.Shared.logs import escaped

out = Console(highlight=False)
if not out.is_terminal:
    out.width = 300  # a file or a pipe has room


def print_json(value: Mapping[str, Any]) -> None:
    """One object, one line; nothing else goes to stdout."""
    print(json.dumps(value, default=_plain, ensure_ascii=False))


def heading(text: str) -> None:
    out.print(Text(text, style="bold"))


def line(label: str, value: str, style: str = "") -> None:
    out.print(Text(f"  {label:<11} ") + Text(escaped(value), style=style))


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """File names and errors are hostile text: nothing in them is taken for markup or reaches the terminal raw."""
    grid = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(escaped("" if cell is None else str(cell))) for cell in row))
    out.print(grid)


def size(count: float) -> str:
    """Bytes for people: 4.1 GB (powers of ten, as disks are sold)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def ago(moment: datetime | None) -> str:
    """How long ago, for people."""
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < 0:
        return f"in {_span(-seconds)}"
    return f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    for length, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
