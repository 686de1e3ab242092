"""Does an event say the time at which it was written? The time of writing is sealed beside it.

What is filed while the database is away, or brought back by a rebuild, comes in late: then nothing was written in
between. An event that comes late while others came in time is given an older date than its own.
"""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

LATE = 3600.0  # seconds between what an event says and when it was written: a batch and two clocks have room in it


class Timed(NamedTuple):
    """One event, in seconds since 1970; hostile ones may be infinite."""

    happened_at: float | None  # None: it is not there, or is not what was sealed
    happened: str | None  # the same, for people
    written_at: float | None  # None: before there were seals
    written: str | None


class Times:
    """Of events in the order of their seals; memory for an hour of them at most."""

    def __init__(self) -> None:
        self._before: float | None = None  # when the event before was written; notes are none
        self._last_hour: list[int] = []  # when seals were written, to the second: a heap
        self._newest: int | None = None  # that of the seal before
        self._until = -math.inf  # the last of those that were written before that hour

    def note_seal(self, written_at: float | None) -> None:
        """Of each seal, those of notes too, after it was looked at."""
        if written_at is not None and math.isfinite(written_at):
            self._forget_before(written_at - LATE)
            second = math.floor(written_at)
            if second != self._newest:
                heapq.heappush(self._last_hour, second)
            self._newest = second

    def trouble(self, one: Timed) -> tuple[str, str] | None:
        """`backdated` or `late`, and why; None where its times are right. Each event is asked for once, in order."""
        before, self._before = self._before, self._before if one.written_at is None else one.written_at
        if one.written_at is None:
            if before is None:
                return None
            return (
                "backdated",
                "it has no time of writing, as before there were seals, and came after one that has",
            )
        if before is not None and before - one.written_at > LATE:
            why = "more than an hour before the event that was sealed before it, or the clock was set back"
            return "backdated", f"it was written {one.written}, {why}"
        if not math.isfinite(one.written_at):
            return "backdated", f"it was written at a time that no clock shows ({one.written})"
        if one.happened_at is None or not abs(one.written_at - one.happened_at) > LATE:
            return None
        why = f"it says {one.happened}, more than an hour %s it was written ({one.written})"
        if one.happened_at > one.written_at:
            return "backdated", why % "after"
        if self._was_quiet(one.happened_at, one.written_at):
            return "late", f"{why % 'before'}; nothing was written in between"
        return "backdated", why % "before"

    def _was_quiet(self, happened_at: float, written_at: float) -> bool:
        """Whether no seal was written between the two, an hour left out at both ends."""
        self._forget_before(written_at - LATE)
        return math.isfinite(happened_at) and self._until <= happened_at + LATE

    def _forget_before(self, moment: float) -> None:
        while self._last_hour and self._last_hour[0] < moment:
            self._until = max(self._until, heapq.heappop(self._last_hour))
