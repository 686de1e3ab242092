"""How results are shown: one JSON object on stdout, or words and tables for people."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from Src.Factory.stack.containers import DATA
from Src.Factory.stack.execution import HOST_DATA, HOST_MOVED
from Src.Shared.logs import escaped
from Src.Shared.words import short_span
from Src.Shared.words import size as size

if TYPE_CHECKING:
    from rich.console import Console

# What JSON lets stand in a text, and a terminal obeys: controls, breaks of lines, turns of the writing direction.
_STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_LABEL = 15  # characters: as long as the longest name of a service
_COLOURED = ("FORCE_COLOR", "TTY_COMPATIBLE")  # variables by which a pipe is a terminal for rich


@cache
def console() -> Console:
    """Rich's, which is loaded for what needs it: that takes as long as Python's own start."""
    from rich.console import Console

    made = Console(highlight=False)
    if not made.is_terminal:
        made.width = 300  # a file or a pipe has room
    return made


def print_json(value: Mapping[str, Any]) -> None:
    """One object, one line; nothing else goes to stdout."""
    print(json_text(_with_paths_of_host(value)), flush=True)  # before the work that follows: a kill must not take it


def json_text(value: object) -> str:
    """One line, in which no name, title or tag steers a terminal."""
    text = json.dumps(value, default=_plain, ensure_ascii=False)
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def note(text: str) -> None:
    """A sentence beside what is printed for programs: to stderr."""
    print(escaped(text), file=sys.stderr, flush=True)


def say(text: str) -> None:
    """A sentence."""
    _print(("", escaped(text)))


def heading(text: str) -> None:
    _print(("bold", escaped(_shown(text))))


def line(label: str, value: str, style: str = "") -> None:
    _print(("", f"  {label:<{_LABEL}} "), (style, escaped(_shown(value))))


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """File names and errors are hostile text: nothing in them is taken for markup or reaches the terminal raw."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(escaped("" if cell is None else _shown(str(cell)))) for cell in row))
    console().print(grid)


def ago(moment: datetime | None) -> str:
    """How long ago, for people."""
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < 0:
        return f"in {short_span(-seconds)}"
    return f"{short_span(seconds)} ago"


def _print(*parts: tuple[str, str]) -> None:
    """One line of parts, each with its style. Where nobody sees colours, none are made."""
    if not _is_for_people():
        print("".join(text for _, text in parts), flush=True)
        return
    from rich.text import Text

    console().print(Text.assemble(*((text, style) for style, text in parts)))


def _is_for_people() -> bool:
    return sys.stdout.isatty() or any(os.environ.get(name) for name in _COLOURED)


def _shown(text: str) -> str:
    """With the host's name of FACTORY_DATA, where this runs in a container of the stack: nobody else knows `/data`."""
    data = os.environ.get(HOST_DATA)
    return re.sub(rf"(?<![\w./-]){re.escape(DATA)}(?=/|[\s:;,)]|$)", lambda _: data, text) if data else text


def on_host(path: str) -> str:
    """The host's name of a file outside of FACTORY_DATA, where this runs in a container that sees it under another."""
    moved: dict[str, str] = json.loads(os.environ.get(HOST_MOVED, "{}"))
    for inside, host in moved.items():
        if path == inside or path.startswith(f"{inside}/"):
            return host.rstrip("/") + path[len(inside) :] or "/"
    return path


def _with_paths_of_host(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_paths_of_host(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_paths_of_host(one) for one in value]
    return _shown(str(value)) if isinstance(value, str | os.PathLike) else value


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
