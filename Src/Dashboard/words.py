"""Numbers and times as the dashboard says them: as the viewer's country writes them.

Not for what is kept for all viewers: caches, messages, logs.
"""

from __future__ import annotations

from datetime import date, datetime

from Src.Dashboard.viewer_style import viewer
from Src.Shared import words


def number(value: int) -> str:
    return viewer().number(value)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    return words.counted(number, noun, plural, viewer())


def plural(number: int, noun: str) -> str:
    """The noun alone, as the number wants it."""
    return noun if number == 1 else f"{noun}s"


def size(count: float) -> str:
    return words.size(count, viewer())


def span(seconds: float) -> str:
    return words.span(seconds, viewer())


def ago(seconds: float) -> str:
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def percent(value: float) -> str:
    return words.percent(value, viewer())


def day(when: date) -> str:
    return viewer().day(when)


def weekday(when: date) -> str:
    return words.weekday(when, viewer())


def time(when: datetime) -> str:
    """With seconds."""
    return viewer().time(when, seconds=True)


def moment(when: datetime, *, seconds: bool = False) -> str:
    return words.moment(when, seconds=seconds, style=viewer())
