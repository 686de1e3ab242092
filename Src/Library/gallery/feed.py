"""What a gallery shows: how many originals each day has, and pieces of a few days with all that is needed to draw them.

A piece costs the same wherever it lies: days are ranges of an index, and within a day the next piece goes on behind the
last original of the one before it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, Text, any_, func, literal, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from Src.Library.gallery.arrivals import by_days
from Src.Library.gallery.order import Looked, Order
from Src.Library.original import Original
from Src.Shared.models import AssetRelation, LibraryDay, MediaAsset

MOST_AT_ONCE = 500  # originals of a piece
# A row has three times as many columns, and a gallery asks for many rows.
_SHOWN = (
    MediaAsset.id, MediaAsset.file_hash, MediaAsset.final_path, MediaAsset.media_kind, MediaAsset.original_name,
    MediaAsset.captured_at, MediaAsset.ingested_at, MediaAsset.width, MediaAsset.height, MediaAsset.orientation,
    MediaAsset.rotation, MediaAsset.duration_seconds, MediaAsset.rating, MediaAsset.is_hidden, MediaAsset.has_errors,
)  # fmt: skip
_QUARTER_TURNS = (5, 6, 7, 8)  # values of EXIF Orientation by which the sides change places


class Day(NamedTuple):
    """A day, and how many originals stand under it."""

    day: date
    originals: int


class Position(NamedTuple):
    """Where in an order an original stands."""

    moment: datetime
    id: uuid.UUID


class Place(NamedTuple):
    """Where somebody finds an original: its day, and how many of that day come before it."""

    day: date
    before: int


@dataclass(frozen=True, slots=True)
class Item:
    """An original, as much as a gallery shows of it. `name` is ledger text."""

    id: uuid.UUID
    original: Original
    name: str
    day: date
    moment: datetime  # by which it stands in the order
    captured_at: datetime
    width: int | None  # pixels, as it is looked at
    height: int | None
    duration_seconds: float | None
    rating: int | None
    rotation: int  # degrees clockwise by which a person has turned it
    is_hidden: bool
    has_errors: bool
    film: Original | None  # of a Live Photo


def days(session: Session, looked: Looked) -> list[Day]:
    """The days that have originals, the newest first. Raises SelectionError.

    Counters and indexes answer, with what is hidden counted by itself and taken off, for few indexes know it; for a
    selection that none answers the table is read once.
    """
    if not looked.is_counted:
        return _counted(session, _by_day(looked).where(looked.condition(session)))
    hidden = dict(_counted(session, _by_day(looked).where(looked.of_order(), MediaAsset.is_hidden)))
    left = (Day(day, number - hidden.get(day, 0)) for day, number in _everything(session, looked))
    return [day for day in left if day.originals > 0]


def _everything(session: Session, looked: Looked) -> Iterable[tuple[date, int]]:
    """The days of an order that is counted, hidden originals included, the newest first."""
    match looked.order:
        case Order.TAKEN:
            return _counted(session, select(LibraryDay.day, LibraryDay.originals).order_by(LibraryDay.day.desc()))
        case Order.ADDED:
            return by_days(session, looked.zone)
        case _:
            return _counted(session, _by_day(looked).where(looked.of_order()))


def piece(
    session: Session,
    looked: Looked,
    first: date,
    last: date,
    *,
    limit: int,
    after: Position | None = None,
    skip: int = 0,
    within: Sequence[date] = (),
) -> list[Item]:
    """Originals of these days (both included), the newest first: behind a position, or after so many.

    `within`: all of these days that have originals, where that is known. What is asked for may be a few photos of many
    years, and no other day need be looked through. Raises SelectionError.
    """
    spans = _spans(day for day in within if first <= day <= last) or [(first, last)]
    during = or_(*(looked.during(*span) for span in spans))
    asked = select(*_SHOWN, looked.day().label("day")).where(during, looked.condition(session))
    if after is not None:
        # The first condition alone is what an index understands.
        asked = asked.where(looked.moment <= after.moment, tuple_(looked.moment, MediaAsset.id) < after)
    asked = asked.order_by(looked.moment.desc(), MediaAsset.id.desc()).offset(skip).limit(min(limit, MOST_AT_ONCE))
    rows = session.execute(asked).all()
    films = _films(session, [row.file_hash for row in rows])
    return [_item(looked, row, films.get(row.file_hash)) for row in rows]


def place(session: Session, looked: Looked, photo: uuid.UUID) -> Place | None:
    """Where an original is in this order; None where it is not. Raises SelectionError."""
    condition = looked.condition(session)
    found = session.execute(
        select(looked.moment, looked.day().label("day")).where(MediaAsset.id == photo, condition)
    ).one_or_none()
    if found is None:
        return None
    moment, day = found
    before = select(func.count()).where(
        looked.during(day, day), condition, tuple_(looked.moment, MediaAsset.id) > Position(moment, photo)
    )
    return Place(day, session.scalar(before) or 0)


def _spans(days: Iterable[date]) -> list[tuple[date, date]]:
    """Days that follow one another, together."""
    spans: list[tuple[date, date]] = []
    for day in sorted(days):
        if spans and day - spans[-1][1] <= timedelta(days=1):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def _by_day(looked: Looked) -> Select[date, int]:
    return select(looked.day(), func.count()).select_from(MediaAsset).group_by(text("1")).order_by(text("1 DESC"))


def _counted(session: Session, asked: Select[date, int]) -> list[Day]:
    return [Day(day, number) for day, number in session.execute(asked)]


def _films(session: Session, hashes: Sequence[str]) -> dict[str, Original]:
    """The films of Live Photos, by the hash of the photo."""
    film = aliased(MediaAsset)
    asked = (
        select(AssetRelation.to_hash, film.file_hash, film.final_path, film.media_kind)
        .join(film, film.file_hash == AssetRelation.from_hash)
        .where(AssetRelation.kind == "live_photo", AssetRelation.to_hash == any_(literal(list(hashes), ARRAY(Text))))
    )
    return {photo: Original(*of_film) for photo, *of_film in session.execute(asked)} if hashes else {}


def _item(looked: Looked, row: Any, film: Original | None) -> Item:
    """`row`: of `_SHOWN`, and its day."""
    turned = (row.orientation in _QUARTER_TURNS) != (row.rotation in (90, 270))
    return Item(
        id=row.id,
        original=Original(row.file_hash, row.final_path, row.media_kind),
        name=row.original_name,
        day=row.day,
        moment=row.ingested_at if looked.order is Order.ADDED else row.captured_at,
        captured_at=row.captured_at,
        width=row.height if turned else row.width,
        height=row.width if turned else row.height,
        duration_seconds=row.duration_seconds,
        rating=row.rating,
        rotation=row.rotation,
        is_hidden=row.is_hidden,
        has_errors=row.has_errors,
        film=film,
    )
