"""Which dumps of the database stay: 7 daily, 5 weekly, 12 monthly ones, and always the newest."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, datetime, timedelta

DAILY, WEEKLY, MONTHLY = 7, 5, 12
FOLDER = "Database"  # at the copy
_AHEAD = timedelta(minutes=5)  # by which two clocks may differ

_FORM = "%Y-%m-%dT%H%M%SZ"
_NAME = re.compile(r"photo-factory-([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z)\.dump")


def dump_name(moment: datetime) -> str:
    """The name of the dump that was made then."""
    return f"photo-factory-{moment.astimezone(UTC).strftime(_FORM)}.dump"


def moment_of(name: str) -> datetime | None:
    """When a dump was made, by its name; None: it is none of ours."""
    match = _NAME.fullmatch(name)
    try:
        return None if match is None else datetime.strptime(match[1], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def to_keep(moments: Iterable[datetime]) -> set[datetime]:
    """The newest of each of the last 7 days, 5 weeks and 12 months on which there is one: a pause costs none."""
    newest_first = sorted(moments, reverse=True)
    keep = set(newest_first[:1])
    periods: list[tuple[int, Callable[[datetime], Hashable]]] = [
        (DAILY, lambda one: one.date()),
        (WEEKLY, lambda one: one.isocalendar()[:2]),
        (MONTHLY, lambda one: (one.year, one.month)),
    ]
    for count, period in periods:
        seen: dict[Hashable, datetime] = {}
        for one in newest_first:
            seen.setdefault(period(one), one)
        keep.update(list(seen.values())[:count])
    return keep


def to_remove(names: Iterable[str], now: datetime) -> list[str]:
    """Of these names of dumps those that need not stay; what is none of ours stays.

    So does what a wrong clock made at a time that is still to come: for it nothing goes.
    """
    known = {name: at for name in names if (at := moment_of(name)) is not None and at <= now + _AHEAD}
    keep = to_keep(known.values())
    return sorted(name for name, moment in known.items() if moment not in keep)
