"""The rows of what is wrong with originals, and of the times with which their bytes are known to be right."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast

from sqlalchemy import Table, Text, any_, delete, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID, insert
from sqlalchemy.orm import Session

from Src.Shared.models import IngestEvent, OriginalFinding, OriginalLook

# That the bytes are wrong, or cannot be had, only a reading takes back: neither changes a file's time.
ONLY_READING_TAKES_BACK = ("content", "unreadable")
SPEAKS_OF_MODE = "writable"  # all others say that the right bytes do not stand there, or cannot be had

_EVENTS = cast(Table, IngestEvent.__table__)
_FINDINGS = cast(Table, OriginalFinding.__table__)
_LOOKS = cast(Table, OriginalLook.__table__)


class Wrong(NamedTuple):
    """What is wrong with the file of an original."""

    asset_id: uuid.UUID
    finding: str
    final_path: str  # ledger text
    message: str


class KnownTime(NamedTuple):
    """A file's time, with which its bytes are right."""

    asset_id: uuid.UUID
    mtime_ns: int
    ingested_at: datetime  # of media_assets: another file may take the place


def note_wrong(session: Session, wrong: Sequence[Wrong]) -> None:
    """Since when it is so stays as it was."""
    if not wrong:
        return
    add = insert(_FINDINGS)
    new = {name: add.excluded[name] for name in ("finding", "final_path", "message")}
    statement = add.on_conflict_do_update(index_elements=["asset_id"], set_={**new, "last_seen_at": func.now()})
    # without RETURNING SQLAlchemy would send each row by itself
    session.execute(statement.returning(_FINDINGS.c.asset_id), [one._asdict() for one in wrong])


def note_right(session: Session, ids: Sequence[uuid.UUID]) -> None:
    """Nothing is wrong with them any more."""
    if ids:
        session.execute(delete(_FINDINGS).where(_FINDINGS.c.asset_id == any_(literal(list(ids), ARRAY(UUID)))))


def note_times(session: Session, times: Sequence[KnownTime]) -> None:
    if not times:
        return
    add = insert(_LOOKS)
    new = {name: add.excluded[name] for name in ("mtime_ns", "ingested_at")}
    statement = add.on_conflict_do_update(index_elements=["asset_id"], set_=new)
    session.execute(statement.returning(_LOOKS.c.asset_id), [one._asdict() for one in times])


def times_when_filed(session: Session, hashes: Sequence[str]) -> dict[tuple[str, str], int]:
    """Times of files when they were hashed and filed, by hash and path (ledger text)."""
    if not hashes:
        return {}
    columns = (_EVENTS.c.file_hash, _EVENTS.c.final_path, _EVENTS.c.source_mtime_ns)
    filed = _EVENTS.c.fate.in_(("ingested", "restored", "rebuilt"))
    among = _EVENTS.c.file_hash == any_(literal(list(hashes), ARRAY(Text)))
    rows = session.execute(select(*columns).where(among, filed).order_by(_EVENTS.c.happened_at))
    return {(sha256, path): mtime_ns for sha256, path, mtime_ns in rows if mtime_ns is not None}
