"""The originals as pages show some of them: the newest, those of a day or an area; and what there is to choose from.

What costs nothing that grows with the library: an index has the newest, and counters say on which days something was
taken in an area (a library has thousands of days, not millions).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import streamlit as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Dashboard.resources import ledger
from Src.Library.original import Original

PAGE = 60  # photos

COLUMNS = (
    "id, file_hash, final_path, media_kind, original_name, captured_at, duration_seconds, "
    "has_errors, rating, is_hidden, rotation"
)


@dataclass(frozen=True, slots=True)
class Photo:
    """An original, as much as a grid shows of it. Names and paths are ledger text."""

    id: uuid.UUID
    file_hash: str
    final_path: str
    media_kind: str
    original_name: str
    captured_at: datetime
    duration_seconds: float | None
    has_errors: bool
    rating: int | None = None
    is_hidden: bool = False
    rotation: int = 0  # degrees clockwise by which a person has turned it

    @property
    def is_favourite(self) -> bool:
        return self.rating == 5

    @property
    def original(self) -> Original:
        return Original(self.file_hash, self.final_path, self.media_kind)


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the earth, thousandths of a degree, its edges included."""

    south: int
    west: int
    north: int
    east: int


@dataclass(frozen=True, slots=True)
class Choices:
    """What the library holds: kinds and cameras with how many originals, the most first; years, newest first."""

    kinds: tuple[tuple[str, int], ...]
    cameras: tuple[tuple[str, int], ...]
    years: tuple[int, ...]


@st.cache_data(ttl=5, max_entries=10, show_spinner=False)
def newest(size: int) -> list[Photo]:
    """The originals that were taken last."""
    statement = (
        f"SELECT {COLUMNS} FROM media_assets WHERE NOT is_hidden ORDER BY captured_at DESC, id DESC LIMIT :limit"
    )
    with ledger().session() as session:
        return _photos(session, statement, limit=size)


@st.cache_data(ttl=5, max_entries=50, show_spinner=False)
def taken_in(area: Area, size: int = PAGE) -> tuple[list[Photo], bool]:
    """The originals that were taken last in an area; and whether there are more."""
    photos: list[Photo] = []
    values = {"south": area.south, "west": area.west, "north": area.north, "east": area.east}
    order, within = "captured_at DESC, id DESC", ["location IS NOT NULL", "NOT is_hidden"]
    for axis, (low, high) in {"lat": ("south", "north"), "lon": ("west", "east")}.items():
        within.append(f"round(1000 * (location->>'{axis}')::float) BETWEEN :{low} AND :{high}")
    with ledger().session() as session:
        for days in _days_in(session, values):
            photos += _photos(
                session,
                f"SELECT found.* FROM unnest(CAST(:days AS date[])) AS d (day) CROSS JOIN LATERAL "
                f"(SELECT {COLUMNS} FROM media_assets WHERE captured_at >= d.day AND captured_at < d.day + 1 "
                f"AND {' AND '.join(within)} ORDER BY {order} LIMIT :limit) AS found ORDER BY {order} LIMIT :limit",
                **values, days=days, limit=size + 1 - len(photos),
            )  # fmt: skip
            if len(photos) > size:
                break
    return photos[:size], len(photos) > size


def _days_in(session: Session, area: Mapping[str, int]) -> Iterator[Sequence[date]]:
    """The days on which something was taken in an area, the newest first, in ever larger portions."""
    statement = text(
        "SELECT DISTINCT day FROM library_places WHERE lat_millidegrees BETWEEN :south AND :north "
        "AND lon_millidegrees BETWEEN :west AND :east AND day < :before ORDER BY day DESC LIMIT :size"
    )
    size, before = PAGE, date.max
    while found := session.scalars(statement, {**area, "before": before, "size": size}).all():
        yield found
        size, before = 2 * size, found[-1]


@st.cache_data(ttl=2, show_spinner=False)
def originals() -> int:
    """How many the whole library has."""
    with ledger().session() as session:
        return _originals(session)


def _originals(session: Session) -> int:
    return session.scalar(text("SELECT coalesce(sum(originals), 0)::bigint FROM library_days")) or 0


def look_again() -> None:
    """What was found is not to be remembered any longer."""
    for found in (originals, choices, newest, taken_in, added):
        found.clear()


@st.cache_data(ttl=5, max_entries=10, show_spinner=False)
def added(size: int) -> list[Photo]:
    """The originals that came in last."""
    statement = (
        f"SELECT {COLUMNS} FROM media_assets WHERE NOT is_hidden ORDER BY ingested_at DESC, id DESC LIMIT :limit"
    )
    with ledger().session() as session:
        return _photos(session, statement, limit=size)


@st.cache_data(ttl=60, max_entries=20, show_spinner=False)
def on_this_day(today: date, most: int) -> list[Photo]:
    """Photos of the same day in earlier years, some of each year, the latest first; none whose day is a guess."""
    statement = text(
        "SELECT DISTINCT day FROM library_days WHERE to_char(day, 'MM-DD') = :month_day AND day < :today "
        "AND originals > 0 ORDER BY day DESC"
    )
    with ledger().session() as session:
        days = session.scalars(statement, {"month_day": f"{today:%m-%d}", "today": today}).all()
        if not days:
            return []
        return _photos(
            session,
            "SELECT found.* FROM unnest(CAST(:days AS date[])) AS d (day) CROSS JOIN LATERAL "
            f"(SELECT {COLUMNS} FROM media_assets WHERE captured_at >= d.day AND captured_at < d.day + 1 "
            "AND NOT is_hidden AND date_source NOT IN ('mtime', 'arrival') AND date_precision IN ('second', 'day') "
            "ORDER BY captured_at, id LIMIT :each) AS found "
            "ORDER BY d.day DESC, captured_at, id LIMIT :most",
            days=days, each=max(1, -(-most // len(days))), most=most,
        )  # fmt: skip


@st.cache_data(ttl=30, show_spinner=False)
def choices() -> Choices:
    with ledger().session() as session:
        kinds, cameras = (
            session.execute(
                text(f"SELECT {of}, sum(originals)::bigint FROM library_facets GROUP BY 1 ORDER BY 2 DESC, 1")
            ).all()
            for of in ("media_kind", "camera")
        )
        years = session.scalars(text("SELECT DISTINCT extract(year FROM day)::int FROM library_days ORDER BY 1 DESC"))
        return Choices(tuple((k, n) for k, n in kinds), tuple((c, n) for c, n in cameras), tuple(years))


@st.cache_data(ttl=10, show_spinner=False)
def placed() -> int:
    """How many originals have a place."""
    with ledger().session() as session:
        return session.scalar(text("SELECT coalesce(sum(originals), 0)::bigint FROM library_places")) or 0


@st.cache_data(ttl=60, show_spinner=False)
def places() -> str:
    """Where photos were taken, as a JSON array: latitude and longitude in thousandths of a degree and how many there,
    again and again. A text, because a large library has several 100,000 places."""
    statement = text(
        "SELECT coalesce(string_agg(concat_ws(',', lat_millidegrees, lon_millidegrees, originals), ','), '') FROM "
        "(SELECT lat_millidegrees, lon_millidegrees, sum(originals) AS originals FROM library_places GROUP BY 1, 2) p"
    )
    with ledger().session() as session:
        return f"[{session.scalar(statement)}]"


@st.cache_data(ttl=5, max_entries=100, show_spinner=False)
def one(photo: uuid.UUID) -> Photo | None:
    """An original as a grid shows it; None where there is no such original."""
    with ledger().session() as session:
        found = _photos(session, f"SELECT {COLUMNS} FROM media_assets WHERE id = :photo", photo=photo)
    return found[0] if found else None


def details(photo: uuid.UUID) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """All that is known of an original, and its events, oldest first; None where there is no such original."""
    with ledger().session() as session:
        row = session.execute(text("SELECT * FROM media_assets WHERE id = :id"), {"id": photo}).mappings().first()
        if row is None:
            return None
        events = session.execute(
            text("SELECT * FROM ingest_events WHERE file_hash = :hash ORDER BY happened_at, id LIMIT 200"),
            {"hash": row["file_hash"]},
        ).mappings()
        return dict(row), [dict(event) for event in events]


def _photos(session: Session, statement: str, **values: Any) -> list[Photo]:
    return [Photo(**row._mapping) for row in session.execute(text(statement), values)]
