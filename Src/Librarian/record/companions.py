"""What the ledger knows of companions: whose each is, where it stands, and which original a late one may belong to."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Table, and_, any_, bindparam, func, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Session

from Src.Librarian.passage import IN_ARCHIVE, CompanionRow, EventRow, IncomingFile, LedgerEntry
from Src.Librarian.record import statements
from Src.Library.held_files import path_id
from Src.Library.move_plan import claims
from Src.Media import takeout
from Src.Media.companion_names import LONG_STEM, CompanionKind, rank, stems
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import Companion, InboxFile, IngestEvent, MediaAsset, OverlayEvent

_ASSETS = cast(Table, MediaAsset.__table__)
_EVENTS = cast(Table, IngestEvent.__table__)
_COMPANIONS = cast(Table, Companion.__table__)
_FILES = cast(Table, InboxFile.__table__)
_FILED = ("ingested", "duplicate", "restored")


class Key(NamedTuple):
    """A companion: these bytes at that path."""

    original_path: str
    sha256: str


class Known(NamedTuple):
    """A row of `companions`."""

    id: uuid.UUID
    original_hash: str | None
    kind: CompanionKind
    sha256: str
    size: int
    final_path: str | None  # as on disk
    is_filed: bool  # else it is about to stand there
    left_path: str | None
    standing_hash: str | None = None  # of an XMP file, as it was last seen there: what people decide is written into it
    standing_size: int | None = None


class FiledPhoto(NamedTuple):
    """A photo that came from beside a companion, the last time."""

    sha256: str
    original_path: str
    size: int | None
    mtime_ns: int | None
    happened_at: datetime
    rank: int  # how well the companion's name fits


class Original(NamedTuple):
    """The row of a photo, as far as a companion may change it."""

    id: uuid.UUID
    final_path: str  # ledger text
    size: int
    name: str  # ledger text
    captured_at: datetime
    date_source: str
    date_precision: str
    location: dict[str, float] | None


class Move(NamedTuple):
    """An original or a companion that stands under its old name too."""

    companion: uuid.UUID
    moved_from: str
    final_path: str
    sha256: str
    size: int


_KNOWN = (
    _COMPANIONS.c.id,
    _COMPANIONS.c.original_hash,
    _COMPANIONS.c.kind,
    _COMPANIONS.c.companion_hash,
    _COMPANIONS.c.companion_size,
    _COMPANIONS.c.final_path,
    _COMPANIONS.c.filed_at.is_not(None),
    _COMPANIONS.c.left_path,
    _COMPANIONS.c.standing_hash,
    _COMPANIONS.c.standing_size,
)


def known(session: Session, keys: Sequence[Key]) -> dict[Key, Known]:
    """The rows of these companions, as far as they have any."""
    of_id = {path_id(key.original_path): key.original_path for key in keys}
    among = _COMPANIONS.c.path_id == any_(literal(list(of_id), ARRAY(UUID(as_uuid=True))))
    found = {
        Key(of_id[id_], row[3]): _known(row)
        for id_, *row in session.execute(select(_COMPANIONS.c.path_id, *_KNOWN).where(among))
    }
    return {key: found[key] for key in keys if key in found}


def owners(session: Session, keys: Sequence[Key]) -> dict[Key, str]:
    """Whose these companions are, as far as that is known: the hash of each one's photo."""
    rows = known(session, keys)
    return {key: row.original_hash for key, row in rows.items() if row.original_hash is not None}


def of_originals(session: Session, hashes: Sequence[str]) -> list[Known]:
    """All companions of these originals."""
    asked = select(*_KNOWN).where(_COMPANIONS.c.original_hash.in_(hashes)).order_by(_COMPANIONS.c.id)
    return [_known(row) for row in session.execute(asked)]


def unfinished(session: Session) -> list[Known]:
    """Companions that are about to stand somewhere, and those that may stand at an old place too."""
    is_about_to = _COMPANIONS.c.final_path.is_not(None) & _COMPANIONS.c.filed_at.is_(None)
    asked = select(*_KNOWN).where(or_(is_about_to, _COMPANIONS.c.left_path.is_not(None)))
    return [_known(row) for row in session.execute(asked)]


def _known(row: Sequence[Any]) -> Known:
    id_, original_hash, kind, sha256, size, final_path, is_filed, left_path, *standing = row
    paths = (None if path is None else from_ledger(path) for path in (final_path, left_path))
    where, left = paths
    return Known(id_, original_hash, kind, sha256, size, where, is_filed, left, *standing)


def has_any(session: Session, original_hash: str, kind: CompanionKind) -> bool:
    """Whether a photo has a companion of a kind."""
    asked = select(_COMPANIONS.c.id).where(_COMPANIONS.c.original_hash == original_hash, _COMPANIONS.c.kind == kind)
    return session.execute(asked.limit(1)).first() is not None


def has_since(session: Session, photo: FiledPhoto, original_path: str) -> bool:
    """Whether a companion came from that path to a photo since that was filed the last time."""
    asked = select(_COMPANIONS.c.id).where(
        _COMPANIONS.c.original_hash == photo.sha256,
        _COMPANIONS.c.path_id == path_id(original_path),
        _COMPANIONS.c.recorded_at >= photo.happened_at,
    )
    return session.execute(asked.limit(1)).first() is not None


def xmp_from_folder_since(session: Session, photo: FiledPhoto, original_path: str) -> str | None:
    """Where the XMP file stands (as on disk) that came to a photo from the folder of that path since it was filed.

    None: there came none. One that stands nowhere now is called as it came.
    """
    asked = select(_COMPANIONS.c.original_path, _COMPANIONS.c.final_path).where(
        _COMPANIONS.c.original_hash == photo.sha256,
        _COMPANIONS.c.kind == "xmp",
        _COMPANIONS.c.recorded_at >= photo.happened_at,
    )
    return next(
        (
            from_ledger(stands or came)
            for came, stands in session.execute(asked.order_by(_COMPANIONS.c.id.desc()))
            if _folder_of(from_ledger(came)) == _folder_of(original_path)
        ),
        None,
    )


def photos_beside(session: Session, companion: IncomingFile, kind: CompanionKind) -> list[FiledPhoto]:
    """The photos filed from its folder to which a companion may belong by its name, each content once."""
    event = IngestEvent
    begins = [_begins(func.lower(event.original_name), stem) for stem in stems(kind, companion.name)]
    asked = select(
        event.file_hash, event.original_path, event.file_size, event.source_mtime_ns, event.happened_at
    ).where(or_(*begins), event.source == companion.source, event.fate.in_(_FILED))
    folder, found = _folder_of(companion.original_path), dict[str, FiledPhoto]()
    for sha256, path, size, mtime_ns, at in session.execute(asked.order_by(event.id)):
        path = from_ledger(path)
        fits = rank(kind, companion.name, os.path.basename(path))
        if sha256 and fits is not None and _folder_of(path) == folder:
            found[sha256] = FiledPhoto(sha256, path, size, mtime_ns, at, fits)
    return list(found.values())


def _folder_of(original_path: str) -> tuple[str, str]:
    """Where a file came from: parts of one Takeout have photos and JSON files of each other."""
    archive, inside, member = original_path.partition(IN_ARCHIVE)
    return (takeout.set_of(archive), os.path.dirname(member)) if inside else ("", os.path.dirname(original_path))


def original(session: Session, sha256: str) -> Original | None:
    """The row of a content; locked, for it is about to be changed."""
    columns = (
        _ASSETS.c.id,
        _ASSETS.c.final_path,
        _ASSETS.c.file_size,
        _ASSETS.c.original_name,
        _ASSETS.c.captured_at,
        _ASSETS.c.date_source,
        _ASSETS.c.date_precision,
        _ASSETS.c.location,
    )
    row = session.execute(select(*columns).where(_ASSETS.c.file_hash == sha256).with_for_update()).one_or_none()
    return None if row is None else Original(*row)


def decided(session: Session, sha256: str) -> set[str]:
    """The fields of an original about which a person has decided: there a sidecar that comes later says nothing."""
    return set(session.scalars(select(OverlayEvent.field).where(OverlayEvent.file_hash == sha256).distinct()))


def is_anothers(session: Session, final_path: str, sha256: str) -> bool:
    """Whether a path of the vault belongs to another original or to a companion, which may have gone."""
    path = to_ledger(final_path)
    whose = claims(session, [path]).get(path, set()) | set(statements.owners(session, [path]).values())
    return bool(whose - {sha256})


def join(
    session: Session,
    photo: Original,
    changes: dict[str, Any],
    entry: LedgerEntry,
    moved: Sequence[tuple[Known, str]] = (),
) -> None:
    """Records that a companion is a photo's, and what it changes in the photo's row.

    `moved`: companions that stand at another place too by now, with that.
    """
    assert entry.companion is not None
    if changes:
        session.execute(update(_ASSETS).where(_ASSETS.c.id == photo.id).values(**changes))
    for one, path in moved:
        assert one.final_path is not None
        values = {"final_path": to_ledger(path), "left_path": to_ledger(one.final_path)}
        session.execute(update(_COMPANIONS).where(_COMPANIONS.c.id == one.id).values(**values))
    session.execute(insert(_COMPANIONS), [entry.companion])
    session.execute(insert(_EVENTS), [entry.event])


def add(session: Session, rows: Sequence[CompanionRow]) -> bool:
    """Records companions that are to be filed."""
    statements.insert_new(session, _COMPANIONS, rows)
    return True


def intend(session: Session, paths: Mapping[uuid.UUID, str]) -> bool:
    """Notes where companions are about to stand, before they do: what a killed run leaves there is known."""
    _set_paths(session, paths)
    return True


def filed(
    session: Session, ids: Sequence[uuid.UUID], not_filed: Sequence[uuid.UUID], events: Sequence[EventRow]
) -> bool:
    """Records that companions stand where they were to, and that others do not."""
    if ids:
        now = datetime.now(UTC)
        session.execute(update(_COMPANIONS).where(_COMPANIONS.c.id.in_(ids)).values(filed_at=now))
    _set_paths(session, dict.fromkeys(not_filed))
    statements.insert_new(session, _EVENTS, events)
    return True


def _set_paths(session: Session, paths: Mapping[uuid.UUID, str | None]) -> None:
    if paths:
        rows = [{"row": id_, "path": to_ledger(path) if path is not None else None} for id_, path in paths.items()]
        statement = update(_COMPANIONS).where(_COMPANIONS.c.id == bindparam("row"))
        session.connection().execute(statement.values(final_path=bindparam("path"), filed_at=None), rows)


def left(session: Session, ids: Sequence[uuid.UUID]) -> bool:
    """Nothing of these companions stands at their old places any more."""
    session.execute(update(_COMPANIONS).where(_COMPANIONS.c.id.in_(ids)).values(left_path=None))
    return True


def asked_for(session: Session, original_paths: Sequence[str]) -> set[str]:
    """Which of these files a person wants to be filed by themselves."""
    of_id = {path_id(path): path for path in original_paths}
    among = _FILES.c.path_id == any_(literal(list(of_id), ARRAY(UUID(as_uuid=True))))
    return {
        of_id[id_] for id_ in session.execute(select(_FILES.c.path_id).where(among, _FILES.c.file_anyway)).scalars()
    }


def moves_left(session: Session) -> list[Move]:
    """Originals that were moved to another day, and whose old name nobody has removed yet."""
    columns = (
        _COMPANIONS.c.id,
        _COMPANIONS.c.moved_from,
        _ASSETS.c.final_path,
        _ASSETS.c.file_hash,
        _ASSETS.c.file_size,
    )
    asked = select(*columns).join(_ASSETS, _ASSETS.c.file_hash == _COMPANIONS.c.original_hash)
    rows = session.execute(asked.where(_COMPANIONS.c.moved_from.is_not(None)))
    return [Move(id_, from_ledger(old), from_ledger(new), sha256, size) for id_, old, new, sha256, size in rows]


def moved(session: Session, companion: uuid.UUID) -> None:
    """Nothing stands under the old name any more."""
    session.execute(update(_COMPANIONS).where(_COMPANIONS.c.id == companion).values(moved_from=None))


def _begins(name: ColumnElement[str], stem: str) -> ColumnElement[bool]:
    """A name that is the stem, or has it before a "(", "-" or "."; a long one may have been cut in the stem.

    By the index on names: of photos that are called 1.jpg to 99999.jpg, few begin so with "1".
    """
    begun = to_ledger(stem)
    if len(stem) >= LONG_STEM:
        return name.like(func.lower(_escaped(begun) + "%"))
    after, before = name.op("~>=~")(func.lower(begun + "(")), name.op("~<~")(func.lower(begun + "/"))
    return or_(name == func.lower(begun), and_(after, before))


def _escaped(stem: str) -> str:
    return stem.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
