"""When the files of a library were taken: each template holds one date, which becomes another in each file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

TAKEN = datetime(2021, 7, 14, 15, 9, 26)  # the wall clock in each template that the project writes itself
OFFSET = "+02:00"
_ZONE = timezone(timedelta(hours=2))
_STEP = timedelta(minutes=97)
_SINCE = datetime(1904, 1, 1, tzinfo=UTC)  # QuickTime's clock
# As cameras and phones write a date; the last is that of the GPS alone.
_FORMS = ("%Y:%m:%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%a %b %d %H:%M:%S %Y", "%Y:%m:%d\0")


def moment(number: int) -> datetime:
    """When file `number` of a library was taken: no two in the same second, some fifteen on a day."""
    return TAKEN + number * _STEP


def quicktime(when: datetime) -> int:
    """Seconds of a wall clock at OFFSET, in UTC, as ISO media and QuickTime count them."""
    return int((when.replace(tzinfo=_ZONE) - _SINCE).total_seconds())


def dated(content: bytes, when: datetime, taken: datetime = TAKEN) -> bytes:
    """A template with another date, in every form in which it holds `taken`."""
    for form in _FORMS:
        content = content.replace(taken.strftime(form).encode(), when.strftime(form).encode())
    old, new = (quicktime(one).to_bytes(4, "big") for one in (taken, when))
    return content.replace(old, new)
