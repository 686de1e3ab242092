"""The originals as people browse them: pages of photos, newest first, and what there is to choose from.

A page costs the same wherever it lies and whatever is asked for: it begins at a position, not after so many rows, and
where filters leave few photos, counters say on which days these are (a library has thousands of days, not millions).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import streamlit as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Dashboard.data.activity import like
from Src.Dashboard.resources import ledger
from Src.Library.original import Original
from Src.Shared.models import GUESSED_DATE

PAGE = 60  # photos
SEARCH_LIMIT = 3.0  # seconds; a part of a name that few photos have takes reading all names
MOST_FOUND = 2000  # matches of a name, the newest; who looks for one photo types on

COLUMNS = (
    "id, file_hash, final_path, media_kind, original_name, captured_at, ingested_at, duration_seconds, "
    "location IS NOT NULL AS has_place, has_errors, rating, is_hidden, rotation"
)
_OLDER_THAN_ALL = uuid.UUID(int=0)
_HIGHEST = 2**128 - 1


@dataclass(frozen=True, slots=True)
class Photo:
    """An original, as much as a grid shows of it. Names and paths are ledger text."""

    id: uuid.UUID
    file_hash: str
    final_path: str
    media_kind: str
    original_name: str
    captured_at: datetime
    ingested_at: datetime
    duration_seconds: float | None
    has_place: bool
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

    @property
    def position(self) -> Position:
        """By the time it was taken at."""
        return Position(self.captured_at, self.id)

    @property
    def arrival(self) -> Position:
        """By the time it was added at."""
        return Position(self.ingested_at, self.id)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in an order of photos, at or between them."""

    moment: datetime
    id: uuid.UUID

    @classmethod
    def before(cls, moment: datetime) -> Position:
        """Older than anything of that moment or later."""
        return cls(moment, _OLDER_THAN_ALL)

    def after(self) -> Position:
        """So little newer that what stands at this position is older."""
        return Position(self.moment, uuid.UUID(int=min(self.id.int + 1, _HIGHEST)))

    def __str__(self) -> str:
        return f"{self.moment.isoformat()}_{self.id}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """What `str` has made; or a month or a day, which begins with its last photo. None: anything else."""
        try:
            if (whole := re.fullmatch(r"(\d{4})-(\d\d)(-\d\d)?", text)) is not None:
                if whole[3] is None:
                    return cls.before((datetime(int(whole[1]), int(whole[2]), 1) + timedelta(days=31)).replace(day=1))
                return cls.before(datetime.fromisoformat(text) + timedelta(days=1))
            moment, _, identity = text.partition("_")
            return cls(datetime.fromisoformat(moment), uuid.UUID(identity))
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the earth, thousandths of a degree, its edges included."""

    south: int
    west: int
    north: int
    east: int


@dataclass(frozen=True, slots=True)
class Filters:
    """Which photos are looked at."""

    kinds: tuple[str, ...] = ()  # none: all
    camera: str | None = None  # "": unknown
    year: int | None = None
    has_place: bool = False
    has_errors: bool = False
    is_guessed: bool = False  # the date it was taken at
    is_favourite: bool = False
    hidden: bool = False  # only what a person has hidden; else all but that
    name: str = ""  # a part of it; * and ? are wildcards
    area: Area | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Photos in order, newest first, and whether there are more on either side."""

    photos: tuple[Photo, ...]
    has_newer: bool
    has_older: bool
    originals: int  # that the whole library had then, at least


@dataclass(frozen=True, slots=True)
class Choices:
    """What the library holds: kinds and cameras with how many originals, the most first; years, newest first."""

    kinds: tuple[tuple[str, int], ...]
    cameras: tuple[tuple[str, int], ...]
    years: tuple[int, ...]


@st.cache_data(ttl=5, max_entries=200, show_spinner=False)
def page(filters: Filters, position: Position | None = None, *, newer: bool = False, size: int = PAGE) -> Page:
    """The photos older than a position, or the newer ones next to it; without one the newest."""
    with ledger().session() as session:
        number = _originals(session)  # before the photos: what comes in between is told twice, and not never
        photos = _ordered(session, filters, position, newer=newer, limit=size + 1)
        has_more = len(photos) > size
        photos = photos[:size]
        if newer:
            photos.reverse()
        edge = position if not photos else photos[-1].position if newer else photos[0].position
        beyond = bool(position and edge and _ordered(session, filters, edge, newer=not newer, limit=1))
    return Page(tuple(photos), *((has_more, beyond) if newer else (beyond, has_more)), number)


@st.cache_data(ttl=2, show_spinner=False)
def originals() -> int:
    """How many the whole library has."""
    with ledger().session() as session:
        return _originals(session)


def _originals(session: Session) -> int:
    return session.scalar(text("SELECT coalesce(sum(originals), 0)::bigint FROM library_days")) or 0


def look_again() -> None:
    """What was found is not to be remembered any longer."""
    for found in (page, originals, choices, months, added):
        found.clear()


@st.cache_data(ttl=5, max_entries=100, show_spinner=False)
def added(position: Position | None = None, size: int = PAGE) -> tuple[list[Photo], bool]:
    """The originals that came in last, or before a position (an `arrival`); and whether there are more."""
    where, values = "NOT is_hidden", dict[str, Any]()
    if position is not None:
        where += " AND ingested_at <= :moment AND (ingested_at, id) < (:moment, :id)"
        values = {"moment": position.moment, "id": position.id}
    statement = f"SELECT {COLUMNS} FROM media_assets WHERE {where} ORDER BY ingested_at DESC, id DESC LIMIT :limit"
    with ledger().session() as session:
        photos = _photos(session, statement, **values, limit=size + 1)
    return photos[:size], len(photos) > size


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


@st.cache_data(ttl=10, max_entries=50, show_spinner=False)
def months(filters: Filters) -> list[tuple[date, int]]:
    """How many originals each month has, oldest first. Names, errors and guesses are left out: nothing counts them."""
    days, values = _days_that_may(filters)
    statement = f"SELECT date_trunc('month', day)::date, sum(originals)::bigint FROM ({days}) d GROUP BY 1 ORDER BY 1"
    with ledger().session() as session:
        return [(month, count) for month, count in session.execute(text(statement), values)]


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


# -- how a page is asked for --------------------------------------------------------------------------------


def _ordered(session: Session, filters: Filters, position: Position | None, *, newer: bool, limit: int) -> list[Photo]:
    """Photos on one side of a position, the nearest first."""
    where, values = _conditions(filters, position, newer=newer)
    order = "captured_at, id" if newer else "captured_at DESC, id DESC"
    if filters.name:
        return _named(session, filters, f"{where} ORDER BY {order}", values, limit)
    few = (
        filters.has_errors or filters.is_guessed or filters.is_favourite or filters.hidden
    )  # an index of their own knows them
    if few or not (filters.kinds or filters.camera is not None or filters.has_place or filters.area):
        statement = f"SELECT {COLUMNS} FROM media_assets WHERE {where} ORDER BY {order} LIMIT :limit"
        return _photos(session, statement, **values, limit=limit)
    photos: list[Photo] = []
    for days in _days(session, filters, position, newer=newer):
        photos += _photos(
            session,
            f"SELECT found.* FROM unnest(CAST(:days AS date[])) AS d (day) CROSS JOIN LATERAL "
            f"(SELECT {COLUMNS} FROM media_assets WHERE captured_at >= d.day AND captured_at < d.day + 1 AND {where} "
            f"ORDER BY {order} LIMIT :limit) AS found ORDER BY {order} LIMIT :limit",
            **values, days=days, limit=limit - len(photos),
        )  # fmt: skip
        if len(photos) >= limit:
            break
    return photos


def _named(session: Session, filters: Filters, rest: str, values: dict[str, Any], limit: int) -> list[Photo]:
    """Of all names only the index of paths is read, which begin with the day: a fifth of the table."""
    session.execute(text("SET LOCAL enable_seqscan = off"))  # PostgreSQL would rather read the table
    session.execute(text(f"SET LOCAL statement_timeout = {int(SEARCH_LIMIT * 1000)}"))
    # Without letters beyond ASCII, upper and lower case are compared three times as quickly.
    collation = 'COLLATE "C"' if filters.name.isascii() else ""
    folder, of_year = "Originals/____/____-__-__/", "true"
    if filters.year is not None:
        of_year = "final_path BETWEEN :first AND :last"
        values |= {"first": f"Originals/{filters.year}/", "last": f"Originals/{filters.year}/9999-99-99/"}
    return _photos(
        session,
        "WITH found AS MATERIALIZED (SELECT final_path FROM media_assets "
        f"WHERE final_path {collation} ILIKE :pattern ESCAPE '!' AND {of_year} ORDER BY final_path DESC LIMIT :most) "
        f"SELECT {COLUMNS} FROM media_assets JOIN found USING (final_path) WHERE {rest} LIMIT :limit",
        **values, pattern=f"{folder}{_name_pattern(filters.name)}", most=MOST_FOUND, limit=limit,
    )  # fmt: skip


def _days(session: Session, filters: Filters, position: Position | None, *, newer: bool) -> Iterator[Sequence[date]]:
    """The days on which there may be such photos, from a position on, in ever larger portions."""
    days, values = _days_that_may(filters)
    size = PAGE
    at: date | None = None if position is None else position.moment.date()
    compare, order = (">=", "ASC") if newer else ("<=", "DESC")
    while True:
        since = "" if at is None else f"WHERE day {compare} :at"
        found = session.scalars(
            text(f"SELECT DISTINCT day FROM ({days}) d {since} ORDER BY day {order} LIMIT :size"),
            {**values, "at": at, "size": size},
        ).all()
        if found:
            yield found
        if len(found) < size:
            return
        at = found[-1] + timedelta(days=1 if newer else -1)
        size *= 2


def _days_that_may(filters: Filters) -> tuple[str, dict[str, Any]]:
    """SQL for days and a number of originals each (at most so many fit the filters), and its values."""
    values: dict[str, Any] = {}
    conditions = []
    if filters.year is not None:
        conditions.append("day BETWEEN make_date(:year, 1, 1) AND make_date(:year, 12, 31)")
        values["year"] = filters.year
    if filters.kinds:
        conditions.append("media_kind = ANY(:kinds)")
        values["kinds"] = list(filters.kinds)
    if filters.camera is not None:
        conditions.append("camera = :camera")
        values["camera"] = filters.camera
    in_area = ["true"]
    if filters.area is not None:
        in_area.append("lat_millidegrees BETWEEN :south AND :north AND lon_millidegrees BETWEEN :west AND :east")
        values |= _values_of(filters.area)
    facets, placed = bool(filters.kinds or filters.camera is not None), bool(filters.has_place or filters.area)
    if placed and not facets:
        where = " AND ".join(conditions + in_area)
        return f"SELECT day, originals FROM library_places WHERE {where}", values
    if placed:
        conditions.append(f"day IN (SELECT day FROM library_places WHERE {' AND '.join(in_area)})")
    table = "library_facets" if facets else "library_days"
    return f"SELECT day, originals FROM {table} WHERE {' AND '.join(conditions) or 'true'}", values


def _conditions(filters: Filters, position: Position | None, *, newer: bool) -> tuple[str, dict[str, Any]]:
    """SQL that is true of the photos asked for, and its values."""
    conditions, values = [], dict[str, Any]()
    if position is not None:
        conditions.append(f"(captured_at, id) {'>' if newer else '<'} (:captured_at, :id)")
        values |= {"captured_at": position.moment, "id": position.id}
    if filters.year is not None:
        conditions.append("captured_at >= make_date(:year, 1, 1) AND captured_at < make_date(:year + 1, 1, 1)")
        values["year"] = filters.year
    if filters.kinds:
        conditions.append("media_kind = ANY(:kinds)")
        values["kinds"] = list(filters.kinds)
    if filters.camera is not None:
        conditions.append("left(coalesce(camera_model, ''), 100) = :camera")
        values["camera"] = filters.camera
    if filters.has_place or filters.area is not None:
        conditions.append("location IS NOT NULL")
    if filters.area is not None:
        for axis, (low, high) in {"lat": ("south", "north"), "lon": ("west", "east")}.items():
            conditions.append(f"round(1000 * (location->>'{axis}')::float) BETWEEN :{low} AND :{high}")
        values |= _values_of(filters.area)
    if filters.has_errors:
        conditions.append("has_errors")
    if filters.is_guessed:
        conditions.append(f"({GUESSED_DATE})")
    if filters.is_favourite:
        conditions.append("rating = 5")
    conditions.append("is_hidden" if filters.hidden else "NOT is_hidden")
    return " AND ".join(conditions), values


def _values_of(area: Area) -> Mapping[str, int]:
    return {"south": area.south, "west": area.west, "north": area.north, "east": area.east}


def _name_pattern(name: str) -> str:
    """IMG_1.jpg is kept as IMG_1_1.jpg where another one was first: what is before the ending may go on."""
    stem, dot, ending = name.rpartition(".")
    return f"{like(stem)}.{like(ending).lstrip('%')}" if stem and dot else like(name)


def _photos(session: Session, statement: str, **values: Any) -> list[Photo]:
    return [Photo(**row._mapping) for row in session.execute(text(statement), values)]
