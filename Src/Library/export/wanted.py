"""The originals that are exported, as the ledger has them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from Src.Media.capture_date import Stamp
from Src.Media.copy_tags import Known
from Src.Media.date_sources import GUESSES
from Src.Media.places import Place
from Src.Shared.database import Database
from Src.Shared.models import AssetTag, MediaAsset
from Src.Shared.models import Companion as CompanionRow

_AT_ONCE = 500


class Companion(NamedTuple):
    """A file that belongs to an original, and stands beside it."""

    final_path: str  # ledger text
    sha256: str  # as it was last seen, or came
    size: int
    is_xmp: bool = False  # of these, one is looked for beside the original: the others are exported as they stand


class Wanted(NamedTuple):
    """One original."""

    final_path: str  # ledger text
    sha256: str
    size: int
    kind: str
    known: Known  # what a copy of it is to say
    companions: tuple[Companion, ...] = ()


class Load(NamedTuple):
    """How much a selection means."""

    originals: int
    bytes: int


def load_of(session: Session, condition: ColumnElement[bool]) -> Load:
    """How many originals, and how large."""
    asked = select(func.count(), func.coalesce(func.sum(MediaAsset.file_size), 0)).where(condition)
    number, size = session.execute(asked).one()
    return Load(number, int(size))


def wanted(database: Database, condition: ColumnElement[bool]) -> Iterator[Wanted]:
    """The originals by their paths. No session stays open between pages: an export may take hours."""
    last = ""
    while True:
        with database.session() as session:
            page = (
                select(MediaAsset)
                .where(condition, MediaAsset.final_path > last)
                .order_by(MediaAsset.final_path)
                .limit(_AT_ONCE)
            )
            rows = list(session.scalars(page))
            tags = _tags(session, [row.id for row in rows])
            beside = _companions(session, [row.file_hash for row in rows])
            found = [_wanted(row, tags.get(row.id, ()), beside.get(row.file_hash, ())) for row in rows]
        yield from found
        if len(found) < _AT_ONCE:
            return
        last = found[-1].final_path


def place_now(database: Database, one: Wanted) -> Wanted | None:
    """The same original where it is by now: it may have been moved to another day, with its companions."""
    with database.session() as session:
        path = session.scalar(select(MediaAsset.final_path).where(MediaAsset.file_hash == one.sha256))
        if path is None:
            return None
        beside = _companions(session, [one.sha256]).get(one.sha256, ())
    return one._replace(final_path=path, companions=tuple(beside))


def _wanted(row: MediaAsset, tags: Sequence[str], beside: Sequence[Companion]) -> Wanted:
    return Wanted(row.final_path, row.file_hash, row.file_size, row.media_kind, _known(row, tags), tuple(beside))


def _known(row: MediaAsset, tags: Sequence[str]) -> Known:
    """A date that was only guessed is not written down as if somebody knew it."""
    taken: Stamp | None = None
    if row.date_source not in GUESSES:
        precision: Any = row.date_precision
        taken = Stamp(row.captured_at, row.captured_at_offset, precision)
    location = row.location
    place = Place(location["lat"], location["lon"]) if location is not None else None
    return Known(taken, place, row.rating, row.title or None, row.description or None, tuple(tags))


def _companions(session: Session, hashes: Sequence[str]) -> dict[str, list[Companion]]:
    row = CompanionRow
    asked = select(
        row.original_hash,
        row.final_path,
        func.coalesce(row.standing_hash, row.companion_hash),
        func.coalesce(row.standing_size, row.companion_size),
        row.kind == "xmp",
    ).where(row.original_hash.in_(hashes), row.final_path.is_not(None), row.filed_at.is_not(None))
    found: dict[str, list[Companion]] = {}
    for original, path, sha256, size, is_xmp in session.execute(asked.order_by(row.final_path)):
        if original is not None and path is not None:
            found.setdefault(original, []).append(Companion(path, sha256, size, is_xmp))
    return found


def _tags(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    asked = select(AssetTag.asset_id, AssetTag.tag).where(AssetTag.asset_id.in_(ids)).order_by(AssetTag.tag)
    found: dict[uuid.UUID, list[str]] = {}
    for asset_id, tag in session.execute(asked):
        found.setdefault(asset_id, []).append(tag)
    return found
