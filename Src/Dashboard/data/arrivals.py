"""What came in: totals, hours and days, the last photos. From the counters, never by counting originals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.resources import ledger, settings


@dataclass(frozen=True, slots=True)
class Totals:
    originals: int
    bytes: int
    today: int
    today_bytes: int
    last_filed_at: datetime | None


@st.cache_data(ttl=3, show_spinner=False)
def totals() -> Totals:
    midnight = datetime.now(settings().zone).replace(hour=0, minute=0, second=0, microsecond=0)
    with ledger().session() as session:
        originals, size = session.execute(
            text("SELECT coalesce(sum(originals), 0)::bigint, coalesce(sum(bytes), 0)::bigint FROM library_days")
        ).one()
        today, today_size = session.execute(
            text(
                "SELECT coalesce(sum(originals), 0)::bigint, coalesce(sum(bytes), 0)::bigint "
                "FROM ingest_hours WHERE hour >= :midnight"
            ),
            {"midnight": midnight},
        ).one()
        last_filed_at = session.scalar(text("SELECT max(ingested_at) FROM media_assets"))
    return Totals(originals, size, today, today_size, last_filed_at)


@st.cache_data(ttl=5, show_spinner=False)
def hours(number: int = 48) -> list[tuple[datetime, int]]:
    """Originals filed in each of the last hours, oldest first; also those in which none came."""
    zone = settings().zone
    this = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    counts = _per_hour(this - timedelta(hours=number - 1))
    every = (this - timedelta(hours=back) for back in range(number - 1, -1, -1))
    return [(hour.astimezone(zone), counts.get(hour, 0)) for hour in every]


@st.cache_data(ttl=5, show_spinner=False)
def days(number: int = 30) -> list[tuple[datetime, int]]:
    """Originals filed on each of the last days, by the factory's time zone, oldest first."""
    zone = settings().zone
    today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=number - 1)
    counts: dict[Any, int] = {}
    for hour, count in _per_hour(first).items():
        day = hour.astimezone(zone).date()
        counts[day] = counts.get(day, 0) + count
    every = (first + timedelta(days=after) for after in range(number))
    return [(day, counts.get(day.date(), 0)) for day in every]


def _per_hour(first: datetime) -> dict[datetime, int]:
    with ledger().session() as session:
        rows = session.execute(
            text("SELECT hour, originals FROM ingest_hours WHERE hour >= :first"), {"first": first}
        ).all()
    return {hour.astimezone(UTC): count for hour, count in rows}
