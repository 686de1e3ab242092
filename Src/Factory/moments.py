"""Moments as people write them: `2026-11-29 18:00`, `2026-11-29`, `18:00`."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from Src.Factory.problems import Problem

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")


def moment(said: str, zone: ZoneInfo, now: datetime, *, about: str, end_of_day: bool = False) -> datetime:
    """What somebody means; a day is its beginning or its end. Raises Problem."""
    words = said.strip()
    try:
        if _CLOCK.fullmatch(words):
            clock = time.fromisoformat(words.zfill(len(words) + (words.index(":") == 1)))
            return datetime.combine(now.astimezone(zone).date(), clock, zone)
        found = datetime.fromisoformat(words)
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone)
        if _DAY.fullmatch(words) and end_of_day:
            found += timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise Problem(f"{about}: {said!r} is no time; write it as '2026-11-29 18:00', 2026-11-29 or 18:00") from error
    return found
