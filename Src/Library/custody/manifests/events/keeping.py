"""Seals events and puts the last seal into the signed lists, while the manifests are open.

First the seals are committed, then their last one goes into the list of the day. Whoever is killed in between leaves a
head that is not signed yet, which the next one signs. So every head in the lists was in the ledger at that time: one
that it lacks now, it has lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests.events import heads, sealing
from Src.Library.custody.manifests.events.canonical import NOTHING
from Src.Library.custody.manifests.events.sealing import Head, HeadRow, Note
from Src.Library.custody.manifests.folder import NotOurs
from Src.Library.custody.manifests.store import BeingWritten, Store
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.person import login_name

logger = logging.getLogger(__name__)

_STEPS = 5  # at once ...
_AT_ONCE = 0.3  # seconds: ... and none is begun after that, for photos may wait
_AT_ONCE_HEADS = 100
_FIRST = "the first of this database"
_HEAD = "the seal "  # and its number: what is refused
_NUMBER_IS_TAKEN = "event_seals_pkey"


def are_due(session: Session, refused: Collection[str]) -> bool:
    """Whether an event waits for its seal, or a head for its signature. `refused`: lists and heads that cannot be
    written, as `lists_to_write` and `Store.bring` name them."""
    if sealing.are_waiting(session):
        return True
    refused_days = [path[5:15] for path in refused if heads.is_path(path)]
    return sealing.are_unsigned(session, refused_days, [number for one in refused if (number := _number(one))])


def seal_waiting(
    database: Database,
    store: Store,
    belonging: Belonging,
    now: Callable[[], datetime],
    accepted: Note | None = None,
) -> int:
    """Seals some of what waits, in bounded steps: how many. `accepted`: what a person says, sealed with it.

    Raises LedgerUnavailable, VaultTrouble (WrongLedger, BeingWritten), OSError.
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
        if _constraint(error) == _NUMBER_IS_TAKEN:
            raise BeingWritten("another process seals the events of this database") from error
        why = str(error.orig).partition("\n")[0]
        raise VaultTrouble(f"events cannot be sealed: the database has rows that no factory writes ({why})") from error
    return done


class ToSign(NamedTuple):
    """What is to stand in the lists."""

    lists: dict[str, tuple[bytes, list[Head]]]  # by path; with the heads that it says
    refused: dict[str, str]  # by a name of the head: why it is not signed


def lists_to_write(session: Session, store: Store) -> ToSign:
    """The lists of the days that have heads which are not signed yet, with those that the seals prove. Raises OSError.

    The row of a head is a hint, and no proof. What is signed stands in the seals, and follows from the last head that
    stands in a list.
    """
    rows = sealing.unsigned_heads(session)
    if not rows:
        return ToSign({}, {})
    lists = _Lists(store)
    refused: dict[str, str] = {}
    of_list: dict[str, list[Head]] = {heads.path_of(row.day): [] for row in rows if row.day and _is_believed(row)}
    asked = {row.head for row in rows}
    good, is_cut = _last_in_list(session, lists, rows[0].head.number), False
    for row in sealing.heads_between(session, good.number + 1, rows[-1].head.number):
        is_believed = _is_believed(row)
        if is_believed and lists.has(row):
            good, is_cut = row.head, False
        elif is_believed and row.head in asked and not is_cut:
            is_cut = not sealing.follows(session, good, row.head)
            good = good if is_cut else row.head
        if good == row.head:
            if row.day and (of_day := of_list.get(heads.path_of(row.day))) is not None:
                of_day.append(good)
        elif not row.is_signed:
            refused[f"{_HEAD}{row.head.number}"] = (
                f"the seal {row.head.number} is not signed: the database says that it is the last of a step, and its "
                "seals, or its time, say otherwise; ./factory verify --events says more"
            )
    found = {path: (heads.with_heads(lists.read(path), some), some) for path, some in of_list.items() if some}
    return ToSign(found, refused)


class _Lists:
    """What stands in them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, tuple[bytes, set[bytes]]] = {}

    def read(self, path: str) -> bytes:
        """Raises OSError."""
        return self._known(path)[0]

    def has(self, row: HeadRow) -> bool:
        """Raises OSError."""
        return row.day is not None and heads.line(row.head) in self._known(heads.path_of(row.day))[1]

    def _known(self, path: str) -> tuple[bytes, set[bytes]]:
        if path not in self._read:
            try:
                content = self._store.standing(path) or b""
            except NotOurs:  # `bring` refuses it
                content = b""
            self._read[path] = content, set(content.split(b"\n"))
        return self._read[path]


def _is_believed(row: HeadRow) -> bool:
    return row.is_sealed and row.day is not None and heads.is_path(heads.path_of(row.day))


def _last_in_list(session: Session, lists: _Lists, before: int) -> Head:
    """The last head below a number that stands in its list."""
    while rows := sealing.heads_before(session, before, _AT_ONCE_HEADS):
        for row in rows:
            if _is_believed(row) and lists.has(row):
                return row.head
        before = rows[-1].head.number
    return Head(0, NOTHING)


def _number(refused: str) -> int | None:
    return int(refused[len(_HEAD) :]) if refused.startswith(_HEAD) else None


def _constraint(error: IntegrityError) -> str | None:
    name = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    return name if isinstance(name, str) else None


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
