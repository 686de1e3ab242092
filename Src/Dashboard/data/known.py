"""All that is known of one original: its row, what happened to its file, what people decided, what belongs to it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from Src.Dashboard.data import decided, library
from Src.Dashboard.resources import ledger
from Src.Library.overlay.history import Decided, histories
from Src.Shared.models import MediaAsset

MOST_EVENTS = 200  # of each sort, the last ones


@dataclass(frozen=True, slots=True)
class Beside:
    """A companion. Names are ledger text."""

    kind: str
    path: str
    is_filed: bool  # else it is about to stand there, or waits


@dataclass(frozen=True, slots=True)
class Related:
    """Another original that has to do with this one."""

    kind: str
    points_here: bool  # the other is the film, the picture or the edited copy of this one; else this one is that of it
    id: uuid.UUID
    name: str  # ledger text


@dataclass(frozen=True, slots=True)
class Known:
    """`row` is the original's row in the ledger; all the rest hangs on it."""

    row: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]] = ()  # of its file, the oldest first
    tags: tuple[str, ...] = ()
    albums: tuple[str, ...] = ()
    decisions: Sequence[Decided] = ()  # the oldest first
    beside: tuple[Beside, ...] = ()
    related: tuple[Related, ...] = ()


_BESIDE = text(
    "SELECT kind, coalesce(final_path, original_path), filed_at IS NOT NULL FROM companions "
    "WHERE original_hash = :hash ORDER BY kind, 2 LIMIT 50"
)
_RELATED = text(
    "SELECT r.kind, r.to_hash = :hash, a.id, a.original_name FROM asset_relations AS r JOIN media_assets AS a "
    "ON a.file_hash = CASE WHEN r.to_hash = :hash THEN r.from_hash ELSE r.to_hash END "
    "WHERE r.to_hash = :hash OR r.from_hash = :hash ORDER BY r.kind, a.original_name LIMIT 50"
)
_IN_TRASH = text(
    "SELECT CASE WHEN EXISTS (SELECT FROM media_assets WHERE id = :photo) THEN false "
    "ELSE EXISTS (SELECT FROM trash WHERE asset->>'id' = :id) END"
)


def of(photo: uuid.UUID) -> Known | None:
    """None where there is no such original.

    Nothing of it is remembered: what was read just before an act would be remembered after it, and be shown as what
    came of it.
    """
    found = library.details(photo)
    if found is None:
        return None
    row, events = found
    hangs = decided.of_photo(photo)
    about = {"hash": row["file_hash"]}
    with ledger().session() as session:
        history = histories(session, MediaAsset.id == photo, 1)
        beside = tuple(Beside(*one) for one in session.execute(_BESIDE, about))
        related = tuple(Related(*one) for one in session.execute(_RELATED, about))
    decisions = tuple(history[0].events[-MOST_EVENTS:]) if history else ()
    return Known(row, events, hangs.tags, hangs.albums, decisions, beside, related)


def is_in_trash(photo: uuid.UUID) -> bool:
    """Whether a person has moved it there. What is in the trash has its row there, with its id.

    That search reads all of the trash: it is not done for what is in the library.
    """
    with ledger().session() as session:
        return bool(session.scalar(_IN_TRASH, {"photo": photo, "id": str(photo)}))
