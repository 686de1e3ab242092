"""Seals events and has the signed lists say so, for whoever has the manifests open.

First the seals are committed, then their last one goes into the list of the day. Whoever is killed in between leaves a
head that is not signed yet, which the next one signs. So every head in the lists was in the ledger at that time: one
that it lacks now, it has lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests.events import heads, sealing
from Src.Library.custody.manifests.events.sealing import Head, Note
from Src.Library.custody.manifests.folder import NotOurs
from Src.Library.custody.manifests.store import BeingWritten, Store
from Src.Shared.database import Database
from Src.Shared.person import login_name

logger = logging.getLogger(__name__)

_STEPS = 5  # at once ...
_AT_ONCE = 0.3  # seconds: ... and none is begun after that, for photos may wait
_FIRST = "the first of this database"


def are_due(session: Session, refused: set[str]) -> bool:
    """Whether an event waits for its seal, or a head for its signature. `refused`: lists that cannot be written."""
    return sealing.are_waiting(session) or any(
        heads.path_of(day) not in refused for day in sealing.unsigned_days(session)
    )


def seal_waiting(
    database: Database,
    store: Store,
    belonging: Belonging,
    now: Callable[[], datetime],
    accepted: Note | None = None,
) -> int:
    """Seals some of what waits, in bounded steps: how many. `accepted`: what a person says, sealed with it.

    Raises LedgerUnavailable, WrongLedger, BeingWritten, OSError.
    """
    done, note, began_at = 0, accepted, time.monotonic()
    try:
        for step in range(_STEPS):
            if step and time.monotonic() - began_at > _AT_ONCE:
                break
            with database.session() as session:
                belonging.check(session)
                if note is None and not sealing.are_waiting(session):
                    break
                if step == 0 and (began := _began(session, store)) is not None:
                    if began.message != _FIRST:
                        logger.error("%s; ./factory verify --events says more", began.message)
                    done += sealing.seal_some(session, now(), began, 0)
            with database.session() as session:
                done += sealing.seal_some(session, now(), note)
                note = None
    except IntegrityError as error:
        raise BeingWritten("another process seals the events of this database") from error
    return done


def lists_to_write(session: Session, store: Store) -> dict[str, tuple[bytes, list[Head]]]:
    """By path: what is to stand in the lists of which heads are not signed yet, and those heads. Raises OSError."""
    found: dict[str, tuple[bytes, list[Head]]] = {}
    for day in sealing.unsigned_days(session):
        path = heads.path_of(day)
        try:
            standing = store.standing(path) or b""
        except NotOurs:  # `bring` refuses it
            standing = b""
        of_day = sealing.heads_of(session, day)
        found[path] = (heads.with_heads(standing, of_day), of_day)
    return found


def _began(session: Session, store: Store) -> Note | None:
    """What is to be said before anything is sealed: that a series begins, and what came before it."""
    last = sealing.last_seal(session)
    path = heads.last_path(store.chain)
    lost: Head | None = None
    if path is not None:
        try:
            content = store.standing(path)
            lost = heads.read(content)[-1] if content else None
        except (NotOurs, ValueError, IndexError):
            return None if last is not None else _note(_FIRST)
        if lost is None:
            return _note(f"Storage/Manifests/{path}, which had the last seal, is gone; it is written anew")
    if lost is not None and not sealing.has(session, lost) and not sealing.is_noted(session, lost):
        return _note(
            f"this database does not have the seal {lost.number}, which {path} has as the last one: it was made anew, "
            "or restored from an older backup, or its events were changed",
            lost,
        )
    return _note(_FIRST) if last is None else None


def _note(message: str, lost: Head | None = None) -> Note:
    return Note("began", login_name(), message, lost)
