"""Seals what waits, a step at a time. Each step is one transaction; nobody who writes events waits for it.

The queue's order is that of writing: what was committed before another event was written stands before it there, and is
seen whenever that one is. So a step may take the first that it sees, whatever is committed behind them or among them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import BigInteger, Table, any_, delete, exists, func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Session

from Src.Library.custody.manifests.events import canonical
from Src.Library.custody.manifests.events.canonical import NOTHING, event_hash, lines_of, moment
from Src.Shared.models import EventSeal, SealHead, SealNote, UnsealedEvent, new_id

STEP = 1000  # events; a certificate holds at most so many links

_SEALS = cast(Table, EventSeal.__table__)
_HEADS = cast(Table, SealHead.__table__)
_NOTES = cast(Table, SealNote.__table__)
_WAITING = cast(Table, UnsealedEvent.__table__)
_NEXT = text(
    f"SELECT seq, event, event_id, written_at, {moment('written_at')} FROM unsealed_events ORDER BY seq LIMIT :limit"
)


class Head(NamedTuple):
    """The last seal of one step."""

    number: int
    seal: bytes


class Note(NamedTuple):
    """What is sealed about the seals themselves, before what waits."""

    kind: str  # began, accepted
    who: str
    message: str
    lost: Head | None = None  # the last signed one that the ledger does not have


class _Next(NamedTuple):
    event: str
    event_id: uuid.UUID
    written_at: datetime | None
    written: str | None  # the same, as it is sealed


def are_waiting(session: Session) -> bool:
    return session.execute(select(_WAITING.c.seq).limit(1)).first() is not None


def are_waiting_within(session: Session, seconds: float) -> bool:
    """Whether any event was written in the last seconds and waits still."""
    since = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    return session.execute(select(_WAITING.c.seq).where(_WAITING.c.written_at >= since).limit(1)).first() is not None


def last_seal(session: Session) -> Head | None:
    row = session.execute(select(_SEALS.c.number, _SEALS.c.seal).order_by(_SEALS.c.number.desc()).limit(1)).first()
    return None if row is None else Head(row[0], bytes(row[1]))


def has(session: Session, head: Head) -> bool:
    """Whether the ledger has that seal under that number."""
    found = session.execute(select(_SEALS.c.seal).where(_SEALS.c.number == head.number)).scalar()
    return found is not None and bytes(found) == head.seal


def is_noted(session: Session, lost: Head) -> bool:
    """Whether a sealed note says that this head is lost."""
    return bool(session.execute(select(exists().where(_NOTES.c.lost_seal == lost.seal.hex()))).scalar())


def seal_some(session: Session, now: datetime, note: Note | None = None, limit: int = STEP) -> int:
    """Seals a note, if there is one, and the next events that wait: how many. In the caller's transaction.

    Another sealer at the same time gets an IntegrityError: no number is given twice.
    """
    rows = session.execute(_NEXT, {"limit": limit}).all()
    ids = literal([row[2] for row in rows], ARRAY(UUID(as_uuid=True)))
    sealed = set(session.scalars(select(_SEALS.c.event_id).where(_SEALS.c.event_id == any_(ids))))
    taken: list[_Next] = [] if note is None else [_write(session, note, now)]
    for _, event, event_id, written_at, written in rows:
        if event_id not in sealed:  # who queues one twice, gets one seal
            sealed.add(event_id)
            taken.append(_Next(event, event_id, written_at, written))
    if taken:
        head = _seal(session, taken)
        session.execute(insert(_HEADS).values(number=head.number, seal=head.seal, sealed_at=now))
    if rows:
        seqs = literal([row[0] for row in rows], ARRAY(BigInteger))
        session.execute(delete(_WAITING).where(_WAITING.c.seq == any_(seqs)))
    return len(taken)


def _write(session: Session, note: Note, now: datetime) -> _Next:
    note_id = new_id()
    lost = {} if note.lost is None else {"lost_number": note.lost.number, "lost_seal": note.lost.seal.hex()}
    session.execute(
        insert(_NOTES).values(id=note_id, happened_at=now, who=note.who, kind=note.kind, message=note.message, **lost)
    )
    asked = text(f"SELECT at, {moment('at')} FROM (SELECT clock_timestamp() AS at) AS clock")
    written_at, written = session.execute(asked).one()
    return _Next("note", note_id, written_at, written)


def _seal(session: Session, taken: Sequence[_Next]) -> Head:
    lines = lines_of(session, [(one.event, one.event_id) for one in taken])
    last = last_seal(session) or Head(0, NOTHING)
    made: list[dict[str, Any]] = []
    for one in taken:
        hash_ = event_hash(lines.get(one.event_id))
        number = last.number + 1
        last = Head(number, canonical.seal(last.seal, number, one.written, hash_))
        made.append(
            {
                "number": number,
                "event": one.event,
                "event_id": one.event_id,
                "written_at": one.written_at,
                "event_hash": hash_,
                "seal": last.seal,
            }
        )
    session.execute(insert(_SEALS), made)
    return last


# Heads


def unsigned_days(session: Session) -> list[str]:
    """The days of which not all heads stand in their lists."""
    day = _day()
    asked = select(day).where(~_HEADS.c.is_signed).distinct().order_by(day)
    return list(session.scalars(asked))


def heads_of(session: Session, day: str) -> list[Head]:
    asked = select(_HEADS.c.number, _HEADS.c.seal).where(_day() == day).order_by(_HEADS.c.number)
    return [Head(number, bytes(seal)) for number, seal in session.execute(asked)]


def note_signed(session: Session, heads: Sequence[Head]) -> None:
    these = literal([head.number for head in heads], ARRAY(BigInteger))
    session.execute(update(_HEADS).where(_HEADS.c.number == any_(these), ~_HEADS.c.is_signed).values(is_signed=True))


def forget_signed(session: Session) -> None:
    """The lists are lost: all heads are written into them again."""
    session.execute(update(_HEADS).where(_HEADS.c.is_signed).values(is_signed=False))


def _day() -> Any:
    return func.to_char(func.timezone("UTC", _HEADS.c.sealed_at), "YYYY-MM-DD")
