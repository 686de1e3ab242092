"""Seals the events that wait, a step at a time. Each step is one transaction, and no writer of events waits for it.

The queue's order is that of writing: what was committed before another event was written stands before it there, and is
seen whenever that one is. So a step may take the first that it sees, whatever is committed behind them or among them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    BigInteger,
    CursorResult,
    Select,
    Table,
    Text,
    all_,
    any_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Session

from Src.Library.custody.manifests.events import canonical
from Src.Library.custody.manifests.events.canonical import NOTHING, event_hash, lines_of, moment
from Src.Shared.models import EventSeal, SealHead, SealNote, UnsealedEvent, new_id

STEP = 1000  # events; a certificate holds at most so many links
DAY = "YYYY-MM-DD"  # SQL: of a list

logger = logging.getLogger(__name__)

_SEALS = cast(Table, EventSeal.__table__)
_HEADS = cast(Table, SealHead.__table__)
_NOTES = cast(Table, SealNote.__table__)
_WAITING = cast(Table, UnsealedEvent.__table__)
_LINKS = text(
    f"SELECT number, {moment('written_at')}, event_hash, seal FROM event_seals "
    "WHERE number > :after AND number <= :last ORDER BY number LIMIT :limit"
)
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
    signature: str | None = None  # of what a person says


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
    says = (_NOTES.c.kind == "began") & (_NOTES.c.lost_number == lost.number) & (_NOTES.c.lost_seal == lost.seal.hex())
    is_sealed = (_SEALS.c.event == "note") & (_SEALS.c.event_id == _NOTES.c.id)
    return bool(session.execute(select(exists().where(says, is_sealed))).scalar())


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
        row = postgresql.insert(_HEADS).values(number=head.number, seal=head.seal, sealed_at=now)
        if not cast("CursorResult[Any]", session.execute(row.on_conflict_do_nothing())).rowcount:
            # By hand: it is not signed, and the next head proves these events.
            logger.error("seal_heads has a row for the seal %d already, which the factory has not written", head.number)
    if rows:
        seqs = literal([row[0] for row in rows], ARRAY(BigInteger))
        session.execute(delete(_WAITING).where(_WAITING.c.seq == any_(seqs)))
    return len(taken)


def _write(session: Session, note: Note, now: datetime) -> _Next:
    note_id = new_id()
    lost = {} if note.lost is None else {"lost_number": note.lost.number, "lost_seal": note.lost.seal.hex()}
    said = {"who": note.who, "kind": note.kind, "message": note.message, "signature": note.signature}
    session.execute(insert(_NOTES).values(id=note_id, happened_at=now, **said, **lost))
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


# Heads. Their rows alone prove nothing: whoever may write as the librarian does can add some.


class HeadRow(NamedTuple):
    """What the ledger says of one."""

    head: Head
    day: str | None  # of its list; None: it says no day
    is_signed: bool
    is_sealed: bool  # the seals have it under that number


def are_unsigned(session: Session, refused_days: Sequence[str], refused: Sequence[int]) -> bool:
    """Whether a head is not in its list, but those of some days and numbers."""
    asked = select(_HEADS.c.number).where(
        ~_HEADS.c.is_signed,
        _HEADS.c.number != all_(literal(list(refused), ARRAY(BigInteger))),
        func.coalesce(_day(), "") != all_(literal(list(refused_days), ARRAY(Text))),
    )
    return session.execute(asked.limit(1)).first() is not None


def unsigned_heads(session: Session) -> list[HeadRow]:
    """And the others of their days: a list that is gone is to be written anew. By number."""
    unsigned_days = select(_day()).where(~_HEADS.c.is_signed).correlate(None)
    asked = _rows_asked().where(_day().in_(unsigned_days) | ~_HEADS.c.is_signed)
    return _rows(session, asked.order_by(_HEADS.c.number))


def heads_between(session: Session, first: int, last: int) -> list[HeadRow]:
    """By number."""
    return _rows(session, _rows_asked().where(_HEADS.c.number.between(first, last)).order_by(_HEADS.c.number))


def heads_before(session: Session, number: int, limit: int) -> list[HeadRow]:
    """The nearest first."""
    asked = _rows_asked().where(_HEADS.c.number < number).order_by(_HEADS.c.number.desc())
    return _rows(session, asked.limit(limit))


def follows(session: Session, before: Head, head: Head) -> bool:
    """Whether the seals lead from one head to a later one."""
    at, number = before.seal, before.number
    while number < head.number:
        rows = session.execute(_LINKS, {"after": number, "last": head.number, "limit": STEP}).all()
        for one, written, hash_, seal in rows:
            at = canonical.seal(at, one, written, bytes(hash_))
            if one != number + 1 or at != bytes(seal):
                return False
            number = one
        if not rows:
            return False
    return at == head.seal


def note_signed(session: Session, heads: Sequence[Head]) -> None:
    these = literal([head.number for head in heads], ARRAY(BigInteger))
    session.execute(update(_HEADS).where(_HEADS.c.number == any_(these), ~_HEADS.c.is_signed).values(is_signed=True))


def forget_signed(session: Session) -> None:
    """The lists are lost: all heads are written into them again."""
    session.execute(update(_HEADS).where(_HEADS.c.is_signed).values(is_signed=False))


def _rows_asked() -> Select[Any]:
    is_sealed = exists().where(_SEALS.c.number == _HEADS.c.number, _SEALS.c.seal == _HEADS.c.seal)
    return select(_HEADS.c.number, _HEADS.c.seal, _day(), _HEADS.c.is_signed, is_sealed)


def _rows(session: Session, asked: Select[Any]) -> list[HeadRow]:
    return [HeadRow(Head(number, bytes(seal)), *more) for number, seal, *more in session.execute(asked)]


def _day() -> Any:
    """Null where it is no instant."""
    return case((func.isfinite(_HEADS.c.sealed_at), func.to_char(func.timezone("UTC", _HEADS.c.sealed_at), DAY)))
