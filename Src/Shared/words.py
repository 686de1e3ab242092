"""Counts, sizes and times as people say them, in one style: 3 files, 4.1 GB, 40%, 2 Nov 2026.

The words are English. How numbers and dates are written is a `Style`, which the dashboard takes from its viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))
_SHORT_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


@dataclass(frozen=True)
class Style:
    """How numbers, dates and the time of day are written; names of months are English in any style."""

    point: str = "."
    thousands: str = ","
    percent: str = "%"  # with the gap before it
    month_first: bool = False
    twelve_hours: bool = False

    def number(self, value: float, digits: int = 0) -> str:
        """12,000; with digits behind the point 12,000.5."""
        signs = {ord(","): self.thousands, ord("."): self.point}
        return f"{value:,.{digits}f}".translate(signs)

    def day(self, when: date) -> str:
        """2 Nov 2026."""
        return f"{when:%b} {when.day}, {when.year}" if self.month_first else f"{when.day} {when:%b} {when.year}"

    def time(self, when: datetime, *, seconds: bool = False) -> str:
        """14:03."""
        rest = f"{when:%M:%S}" if seconds else f"{when:%M}"
        if self.twelve_hours:
            return f"{when.hour % 12 or 12}:{rest} {'AM' if when.hour < 12 else 'PM'}"
        return f"{when:%H}:{rest}"


PLAIN = Style()


def counted(number: int, noun: str, plural: str | None = None, style: Style = PLAIN) -> str:
    """3 files, 1 file, 12,000 files."""
    return f"{style.number(number)} {noun if number == 1 else plural or noun + 's'}"


def size(count: float, style: Style = PLAIN) -> str:
    """Bytes: 4.1 GB (powers of ten, as disks are sold)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{style.number(count, 0 if unit == 'B' else 1)} {unit}"
        count /= 1000
    raise AssertionError


def span(seconds: float, style: Style = PLAIN) -> str:
    """A length of time: 4 minutes. Always rounded down, in one unit."""
    for length, unit in _UNITS:
        if seconds >= length or unit == "second":
            return counted(max(0, int(seconds // length)), unit, style=style)
    raise AssertionError


def short_span(seconds: float) -> str:
    """A length of time where there is little room: 4 min; in a smaller unit below two of one, 119 s."""
    for length, unit in _SHORT_UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def rough_span(seconds: float) -> str:
    """A length of time, roughly, in up to two units: 12 minutes, 1 day 2 hours."""
    minutes = round(seconds / 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = ((days, "day"), (hours, "hour"), (0 if days else minutes, "minute"))
    return " ".join(counted(count, unit) for count, unit in parts if count) or f"{round(seconds)} seconds"


def percent(value: float, style: Style = PLAIN) -> str:
    """40%, and near the ends as exactly as it matters: 0.4%, 99.97%. Only what is all of it is 100%, and nothing 0%.

    `value` is 0 to 100.
    """
    if value < 0.01 or value > 99.99:
        if value in (0, 100):
            return style.number(value) + style.percent
        bound = "under " + style.number(0.01, 2) if value < 50 else "over " + style.number(99.99, 2)
        return bound + style.percent
    digits = 2 if value < 1 or value > 99 else 1 if value < 10 else 0
    shown = f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"
    return style.number(float(shown), len(shown.partition(".")[2])) + style.percent


def weekday(when: date, style: Style = PLAIN) -> str:
    """Monday, 2 Nov 2026."""
    return f"{when:%A}, {style.day(when)}"


def moment(when: datetime, *, seconds: bool = False, style: Style = PLAIN) -> str:
    """2 Nov 2026, 14:03; of a time that is known to be in the reader's zone."""
    return f"{style.day(when)}, {style.time(when, seconds=seconds)}"
