"""Numbers and times as people say them."""

from __future__ import annotations

_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def span(seconds: float) -> str:
    """A length of time: 4 minutes. Always rounded down, in one unit."""
    for length, unit in _UNITS:
        if seconds >= length or unit == "second":
            return counted(max(0, int(seconds // length)), unit)
    raise AssertionError


def ago(seconds: float) -> str:
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """3 files, 1 file, 12,000 files."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(count: float) -> str:
    """Bytes: 4.1 GB (powers of ten, as disks are sold)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
