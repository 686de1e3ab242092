"""Who read the files, counted: a fast reader, or ExifTool, and why it was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

LONGEST_REASON = 60  # characters


class Reading(NamedTuple):
    """How one file was read."""

    kind: str  # by content, in ExifTool's words
    handed_over: str | None  # why ExifTool was asked; None: a fast reader has answered


Readings = Counter[Reading]

# Readers find some hundred reasons. One that strangers' bytes have taken over could invent more without end.
_MOST = 2000
_TOO_MANY = "another reason"


def add(counted: Readings, more: Readings) -> None:
    """Adds the counts of a reader."""
    for reading, count in more.items():
        known = reading in counted or len(counted) < _MOST
        counted[reading if known else Reading(reading.kind, _TOO_MANY)] += count


def as_json(counted: Readings) -> dict[str, Any]:
    """By kind: how many files a fast reader has answered (`fast`), and about how many ExifTool was asked, by the reason
    (`handed_over`)."""
    kinds: dict[str, dict[str, Any]] = {}
    for (kind, reason), count in sorted(counted.items(), key=lambda one: (one[0].kind, -one[1])):
        of_kind = kinds.setdefault(kind, {"fast": 0, "handed_over": {}})
        if reason is None:
            of_kind["fast"] = count
        else:
            of_kind["handed_over"][reason] = count
    return kinds


def from_json(reports: Iterable[dict[str, Any]]) -> Readings:
    """What `as_json` gave, of one Librarian or several."""
    counted: Readings = Counter()
    for kinds in reports:
        for kind, of_kind in kinds.items():
            counted[Reading(kind, None)] += of_kind["fast"]
            for reason, count in of_kind["handed_over"].items():
                counted[Reading(kind, reason)] += count
    return +counted
