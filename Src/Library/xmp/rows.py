"""What the ledger knows of XMP files beside originals, and which decisions they do not say yet."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Text, any_, bindparam, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from Src.Library.held_files import path_id
from Src.Library.xmp.saying import Decided
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import NOT_IN_XMP, Companion, MediaAsset, OverlayEvent, new_id

# Of the first decisions that wait, the originals; then all that was ever decided about these.
_TODO = text(f"""
    SELECT file_hash FROM overlay_events AS e
    WHERE {NOT_IN_XMP} AND file_hash <> ALL (:without)
        AND EXISTS (SELECT FROM media_assets AS a WHERE a.file_hash = e.file_hash)
    ORDER BY seq LIMIT :limit
""").bindparams(bindparam("without", type_=ARRAY(Text)))
_FIELDS = "field IN ('rating', 'captured_at', 'location', 'title', 'description', 'tag')"


class Row(NamedTuple):
    """A row of `companions`: an XMP file of an original."""

    id: uuid.UUID
    original_hash: str
    path: str | None  # as on disk
    is_filed: bool
    came_hash: str
    standing_hash: str | None
    standing_size: int | None
    standing_mtime_ns: int | None
    coming_hash: str | None
    is_ours: bool
    made_here: bool
    says: dict[str, Any] | None


_COLUMNS = (
    Companion.id,
    Companion.original_hash,
    Companion.final_path,
    Companion.filed_at.is_not(None),
    Companion.companion_hash,
    Companion.standing_hash,
    Companion.standing_size,
    Companion.standing_mtime_ns,
    Companion.coming_hash,
    Companion.is_ours,
    Companion.made_here,
    Companion.says,
)
_IS_XMP = (Companion.kind == "xmp", Companion.original_hash.is_not(None), Companion.left_path.is_(None))


class Seen(NamedTuple):
    """What is noted of an XMP file that was read or written."""

    id: uuid.UUID
    sha256: str
    size: int
    mtime_ns: int
    is_ours: bool
    says: Mapping[str, Any]


def are_waiting(session: Session) -> bool:
    """Whether any decision is to be written into an XMP file. Cheap: by an index that is nearly always empty."""
    return session.execute(_TODO, {"without": [], "limit": 1}).first() is not None


def number_waiting(session: Session) -> int:
    """Of how many originals."""
    asked = text(
        f"SELECT count(DISTINCT file_hash) FROM overlay_events AS e WHERE {NOT_IN_XMP} "
        "AND EXISTS (SELECT FROM media_assets AS a WHERE a.file_hash = e.file_hash)"
    )
    return int(session.execute(asked).scalar_one())


def waiting(session: Session, limit: int, without: Collection[str]) -> list[str]:
    """The originals whose decisions have waited longest, but for some."""
    found = session.execute(_TODO, {"without": list(without), "limit": limit}).scalars()
    return list(dict.fromkeys(found))


def decided(session: Session, hashes: Sequence[str]) -> dict[str, list[Decided]]:
    """All that was ever decided about originals, and an XMP file can say, in its order."""
    asked = text(
        "SELECT file_hash, seq, field, before, after, happened_at, is_in_xmp, undoes IS NOT NULL FROM overlay_events "
        f"WHERE file_hash = ANY (:hashes) AND {_FIELDS} ORDER BY seq"
    )
    found: dict[str, list[Decided]] = {sha256: [] for sha256 in hashes}
    for sha256, *rest in session.execute(asked, {"hashes": list(hashes)}):
        found[sha256].append(Decided(*rest))
    return found


def said(session: Session, seqs: Sequence[int]) -> None:
    """Notes that XMP files say these decisions."""
    these = OverlayEvent.seq == any_(literal(list(seqs), ARRAY(BigInteger)))
    session.execute(update(OverlayEvent).where(these).values(is_in_xmp=True))


def unsaid(session: Session, seqs: Sequence[int]) -> None:
    """Notes that XMP files do not say these decisions any more."""
    if seqs:
        these = OverlayEvent.seq == any_(literal(list(seqs), ARRAY(BigInteger)))
        session.execute(update(OverlayEvent).where(these).values(is_in_xmp=False))


def of_originals(session: Session, hashes: Sequence[str]) -> dict[str, list[Row]]:
    """The XMP files of originals, by the original; those too that stand nowhere now."""
    these = Companion.original_hash == any_(literal(list(hashes), ARRAY(Text)))
    found: dict[str, list[Row]] = {}
    for row in map(_row, session.execute(select(*_COLUMNS).where(*_IS_XMP, these).order_by(Companion.id))):
        found.setdefault(row.original_hash, []).append(row)
    return found


def standing_after(session: Session, last: uuid.UUID | None, limit: int) -> list[Row]:
    """XMP files that stand beside originals, in the order of their rows."""
    asked = select(*_COLUMNS).where(*_IS_XMP, Companion.final_path.is_not(None), Companion.filed_at.is_not(None))
    if last is not None:
        asked = asked.where(Companion.id > last)
    return [_row(row) for row in session.execute(asked.order_by(Companion.id).limit(limit))]


def with_ids(session: Session, ids: Sequence[uuid.UUID]) -> list[Row]:
    """As they are now."""
    return [_row(row) for row in session.execute(select(*_COLUMNS).where(*_IS_XMP, Companion.id.in_(ids)))]


def coming(session: Session) -> list[Row]:
    """XMP files that somebody was about to write."""
    return [_row(row) for row in session.execute(select(*_COLUMNS).where(Companion.coming_hash.is_not(None)))]


def paths_of(session: Session, hashes: Sequence[str]) -> dict[str, str]:
    """Where originals stand (as on disk)."""
    these = MediaAsset.file_hash == any_(literal(list(hashes), ARRAY(Text)))
    rows = session.execute(select(MediaAsset.file_hash, MediaAsset.final_path).where(these))
    return {sha256: from_ledger(path) for sha256, path in rows}


def originals_at(session: Session, paths: Sequence[str]) -> dict[str, str]:
    """Which originals stand at these paths (as on disk): the hashes, by path."""
    these = MediaAsset.final_path == any_(literal([to_ledger(path) for path in paths], ARRAY(Text)))
    rows = session.execute(select(MediaAsset.final_path, MediaAsset.file_hash).where(these))
    return {from_ledger(path): sha256 for path, sha256 in rows}


def known_paths(session: Session, paths: Sequence[str]) -> set[str]:
    """Which of these paths (as on disk) belong to a row of `companions`, or ever were an original's."""
    found: set[str] = set()
    given = {"paths": [to_ledger(path) for path in paths]}
    for asked in (
        "SELECT final_path FROM companions WHERE final_path = ANY (:paths)",
        "SELECT left_path FROM companions WHERE left_path = ANY (:paths)",
        "SELECT final_path FROM media_assets WHERE final_path = ANY (:paths)",
        "SELECT final_path FROM left_paths WHERE final_path = ANY (:paths)",
    ):
        found |= {from_ledger(path) for path in session.execute(text(asked), given).scalars()}
    return found


class NewFile(NamedTuple):
    """An XMP file that has no row yet, and whose it is (a hash)."""

    original: str
    path: str
    sha256: str
    size: int


def about_to_stand(session: Session, some: Sequence[NewFile]) -> list[uuid.UUID]:
    """Rows for XMP files that we are about to make: they name the places before the files get there."""
    return _put(session, some, lambda one: {"coming_hash": one.sha256, "made_here": True, "filed_at": None})


def stands(session: Session, one: NewFile) -> uuid.UUID:
    """A row for an XMP file that another program has made beside an original."""
    now = datetime.now().astimezone().isoformat()
    (id_,) = _put(session, [one], lambda _: {"coming_hash": None, "made_here": False, "filed_at": now})
    return id_


def _put(session: Session, some: Sequence[NewFile], more: Callable[[NewFile], Mapping[str, Any]]) -> list[uuid.UUID]:
    """(The same file may have stood there before, and have gone: its row is there still.)"""
    if not some:
        return []
    given = [
        {
            "id": str(new_id()),
            "original_hash": one.original,
            "kind": "xmp",
            "path_id": str(path_id(one.path)),
            "original_path": to_ledger(one.path),
            "companion_hash": one.sha256,
            "companion_size": one.size,
            "final_path": to_ledger(one.path),
            **more(one),
        }
        for one in some
    ]
    names = list(given[0])
    again = ", ".join(f"{name} = excluded.{name}" for name in names if name not in ("id", "path_id", "companion_hash"))
    statement = text(
        f"INSERT INTO companions ({', '.join(names)}) SELECT {', '.join(names)} "
        "FROM json_populate_recordset(CAST(NULL AS companions), CAST(:rows AS json)) "
        f"ON CONFLICT (path_id, companion_hash) DO UPDATE SET {again} RETURNING path_id, id"
    )
    ids = {str(path): id_ for path, id_ in session.execute(statement, {"rows": json.dumps(given)})}
    return [ids[one["path_id"]] for one in given]


class Coming(NamedTuple):
    """What is about to be written into an XMP file, and where that is to stand."""

    id: uuid.UUID
    sha256: str
    size: int
    path: str


def about_to_change(session: Session, some: Sequence[Coming]) -> None:
    """Notes what is about to be written. (A file that we made, and that stands nowhere, is made anew.)"""
    if not some:
        return
    new = "c.made_here AND c.filed_at IS NULL"
    statement = text(
        "UPDATE companions AS c SET coming_hash = n.hash, final_path = n.path, "
        f"companion_hash = CASE WHEN {new} THEN n.hash ELSE c.companion_hash END, "
        f"companion_size = CASE WHEN {new} THEN n.size ELSE c.companion_size END "
        "FROM json_to_recordset(CAST(:rows AS json)) AS n(id uuid, hash text, size bigint, path text) WHERE c.id = n.id"
    )
    given = [{"id": str(one.id), "hash": one.sha256, "size": one.size, "path": to_ledger(one.path)} for one in some]
    session.execute(statement, {"rows": json.dumps(given)})


def nothing_comes(session: Session, ids: Sequence[uuid.UUID]) -> None:
    """Notes that nothing is about to be written there any more."""
    if ids:
        session.execute(update(Companion).where(Companion.id.in_(ids)).values(coming_hash=None))


def seen(session: Session, some: Iterable[Seen]) -> None:
    """Notes what stands there now; nothing is about to be written there any more."""
    rows = [
        {
            "id": str(one.id),
            "hash": one.sha256,
            "size": one.size,
            "mtime_ns": one.mtime_ns,
            "is_ours": one.is_ours,
            "says": one.says,
        }
        for one in some
    ]
    if not rows:
        return
    statement = text(
        "UPDATE companions AS c SET standing_hash = n.hash, standing_size = n.size, standing_mtime_ns = n.mtime_ns, "
        "is_ours = n.is_ours, says = n.says, coming_hash = NULL, filed_at = coalesce(c.filed_at, now()) "
        "FROM json_to_recordset(CAST(:rows AS json)) "
        "AS n(id uuid, hash text, size bigint, mtime_ns bigint, is_ours boolean, says jsonb) WHERE c.id = n.id"
    )
    session.execute(statement, {"rows": json.dumps(rows)})


def gone(session: Session, ids: Sequence[uuid.UUID]) -> None:
    """Notes that files that we were about to make are not there."""
    if ids:
        nowhere = {"final_path": None, "coming_hash": None}
        session.execute(update(Companion).where(Companion.id.in_(ids), Companion.filed_at.is_(None)).values(**nowhere))


def _row(row: Any) -> Row:
    id_, original_hash, path, *rest = row
    return Row(id_, original_hash, None if path is None else from_ledger(path), *rest)


def folder_of(path: str) -> str:
    """The day's folder of a path."""
    return os.path.dirname(path)
