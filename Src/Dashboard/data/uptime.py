"""How a service did over time, from its heartbeats: how many of those that were due came, slot by slot."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.resources import ledger

State = Literal["ok", "warning", "error", "gap", "silent", "unknown"]

GAP = 0.75  # a slot with fewer of its heartbeats than this has a gap


@dataclass(frozen=True, slots=True)
class Period:
    """A time until now in equal slots; `keep` is how many seconds an answer is good for."""

    name: str
    length: timedelta
    slot: timedelta
    keep: float


PERIODS = (
    Period("24 hours", timedelta(hours=24), timedelta(minutes=15), 30.0),
    Period("7 days", timedelta(days=7), timedelta(hours=2), 300.0),
    Period("60 days", timedelta(days=60), timedelta(days=1), 900.0),
)


@dataclass(frozen=True, slots=True)
class Slot:
    start: datetime
    state: State
    heartbeats: int


@dataclass(frozen=True, slots=True)
class Strip:
    """`up` is the part of the due heartbeats that came, 0 to 1, since the first that is known."""

    slots: tuple[Slot, ...]
    up: float


def strips(period: Period) -> dict[tuple[str, str], Strip]:
    """The strip of each instance of each service."""
    return _strips(period, int(time.time() // period.keep))


@st.cache_data(max_entries=2 * len(PERIODS), show_spinner=False)
def _strips(period: Period, _turn: int) -> dict[tuple[str, str], Strip]:
    now = datetime.now(UTC)
    first = now - period.length
    with ledger().session() as session:
        intervals: dict[tuple[str, str], float] = {
            (service, instance): interval
            for service, instance, interval in session.execute(
                text("SELECT service_name, instance, interval_seconds FROM system_status")
            )
        }
        rows = session.execute(
            text(
                "SELECT service_name, instance, date_bin(:slot, heartbeat_timestamp, :first) AS start, count(*), "
                "count(*) FILTER (WHERE status = 'WARNING'), count(*) FILTER (WHERE status = 'ERROR'), "
                "min(heartbeat_timestamp) FROM system_status_history WHERE heartbeat_timestamp >= :first "
                "GROUP BY 1, 2, 3"
            ),
            {"slot": period.slot, "first": first},
        ).all()
        older = {(service, instance) for service, instance in session.execute(text(_WITH_OLDER), {"first": first})}
    found: dict[tuple[str, str], dict[datetime, tuple[int, int, int]]] = {}
    began: dict[tuple[str, str], datetime] = {}
    for service, instance, start, beats, warnings, errors, earliest in rows:
        one = (service, instance)
        found.setdefault(one, {})[start.astimezone(UTC)] = (beats, warnings, errors)
        began[one] = min(earliest, began.get(one, earliest))
    return {
        one: strip(found.get(one, {}), first if one in older else began.get(one, now), now, period, interval)
        for one, interval in intervals.items()
    }


_WITH_OLDER = """
    SELECT service_name, instance FROM system_status s WHERE EXISTS (
        SELECT 1 FROM system_status_history h
        WHERE h.service_name = s.service_name AND h.instance = s.instance AND h.heartbeat_timestamp < :first)
"""


def strip(
    beats: dict[datetime, tuple[int, int, int]], began: datetime, now: datetime, period: Period, interval: float
) -> Strip:
    """From (all, warnings, errors) of each slot. Nothing is said of the time before it `began`."""
    slots: list[Slot] = []
    came = due_in_all = 0.0
    start = now - period.length
    while start < now:
        end = min(start + period.slot, now)
        count, warnings, errors = beats.get(start, (0, 0, 0))
        watched = (end - max(start, began)).total_seconds()
        due = watched / interval
        if watched > 0:
            came += min(count, due)
            due_in_all += due
        slots.append(Slot(start, _state(count, warnings, errors, due) if watched > 0 else "unknown", count))
        start += period.slot
    return Strip(tuple(slots), came / due_in_all if due_in_all else 0.0)


def _state(count: int, warnings: int, errors: int, due: float) -> State:
    if count == 0:
        return "silent" if due >= 1 else "ok"  # none was due yet
    if errors:
        return "error"
    if count < GAP * due - 1:
        return "gap"
    return "warning" if warnings else "ok"
