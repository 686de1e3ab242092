"""A reader that confines itself just while the inbox is away: `python -m` this instead of `reader`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from Src.Librarian.read import reader
from Src.Librarian.read.wire import Roots

_confine = reader._confine


def away(inbox: Path) -> Path:
    """Where it is meanwhile."""
    return inbox.with_name("away")


def _too_early(start: dict[str, Any]) -> Roots:
    inbox = Path(start["readable"][0])
    inbox.rename(away(inbox))
    return _confine(start)


if __name__ == "__main__":
    reader._confine = _too_early
    reader.main()
