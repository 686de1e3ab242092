"""Sessions: who has logged in, on which device. A browser has a random token, the ledger has only its hash.

A session ends when its person logs out, when another device ends it, when the password changes, or after 30 days. While
the ledger is away, whoever is known to this process stays logged in, and new sessions wait in memory: a dashboard that
nobody can reach could not say what is wrong.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from Src.Accounts.passwords import hash_password, is_password
from Src.Shared.database import LedgerUnavailable
from Src.Shared.models import Account, AccountSession, new_id

OWNER = "owner"
LASTS = timedelta(days=30)
BELIEVED_FOR = 5.0  # seconds that a session is not looked up again: so long after a log-out elsewhere it may still work
_SEEN_EVERY = timedelta(minutes=5)  # between two notes that a device was here
_TOKEN_BYTES, _TOKEN_LENGTH = 32, 43  # base64 without padding
_LONGEST_DEVICE = 200  # characters of a browser's own words about itself

Connect = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class Device:
    """One place where somebody is logged in."""

    id: uuid.UUID
    device: str  # the browser's own words: hostile text
    address: str
    begun_at: datetime
    seen_at: datetime


@dataclass(slots=True)
class _Known:
    checked_at: float  # by our monotonic clock
    until: float  # by our monotonic clock: then it has lasted long enough, whatever the ledger would say
    waiting: AccountSession | None = None  # a session that the ledger does not have yet


class Sessions:
    """The sessions of one account. Thread-safe. `connect` opens a session on the ledger that may write."""

    def __init__(
        self, connect: Connect, password: str, *, account: str = OWNER, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect = connect
        self._password = password
        self._account = account
        self._clock = clock
        self._mutex = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._has_account = False

    def begin(self, device: str, address: str) -> str:
        """Begins a session; returns its token, which is nowhere else."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        now = datetime.now(UTC)
        row = AccountSession(
            id=new_id(), token_hash=_hash(token), account=self._account, device=_plain(device), address=address[:100],
            begun_at=now, seen_at=now,
        )  # fmt: skip
        steady = self._clock()
        with self._mutex:
            self._known[row.token_hash] = _Known(steady, steady + LASTS.total_seconds(), row)
        self._store(row.token_hash)
        return token

    def is_fresh(self, token: str) -> bool:
        """Whether a token was found to belong to a session a moment ago. Asks nobody, and so never waits."""
        known, now = self._known.get(_hash(token)), self._clock()
        return known is not None and now < known.until and now - known.checked_at < BELIEVED_FOR

    def knows(self, token: str) -> bool:
        """Whether a token belongs to a session that has not ended."""
        if len(token) != _TOKEN_LENGTH:  # no question to the ledger for what cannot be one
            return False
        token_hash, now = _hash(token), self._clock()
        with self._mutex:
            known = self._known.get(token_hash)
            if known is not None and now >= known.until:
                del self._known[token_hash]
                return False
        if known is not None and known.waiting is not None:
            self._store(token_hash)
            known.checked_at = now
            return True
        try:
            begun_at = self._found(token_hash)
        except LedgerUnavailable:
            return known is not None
        with self._mutex:
            if begun_at is None:
                self._known.pop(token_hash, None)
                return False
            left = (begun_at + LASTS - datetime.now(UTC)).total_seconds()
            self._known[token_hash] = _Known(now, now + left)
            self._drop_the_old(now)
        return True

    def end(self, token: str) -> None:
        """Logs a device out. While the ledger is away, only this process knows of it; raises LedgerUnavailable then."""
        token_hash = _hash(token)
        with self._mutex:
            self._known.pop(token_hash, None)
        with self._connect() as session:
            session.execute(delete(AccountSession).where(AccountSession.token_hash == token_hash))

    def end_one(self, id_: uuid.UUID) -> None:
        """Logs another device out. Raises LedgerUnavailable."""
        with self._connect() as session:
            ended = delete(AccountSession).where(AccountSession.id == id_, AccountSession.account == self._account)
            token_hash = session.scalar(ended.returning(AccountSession.token_hash))
        with self._mutex:
            self._known.pop(token_hash or "", None)

    def devices(self) -> list[Device]:
        """Where somebody is logged in, the last seen first. Raises LedgerUnavailable."""
        row = AccountSession
        with self._connect() as session:
            self._ensure_account(session)
            found = session.execute(
                select(row.id, row.device, row.address, row.begun_at, row.seen_at)
                .where(row.account == self._account, row.begun_at > datetime.now(UTC) - LASTS)
                .order_by(row.seen_at.desc(), row.id)
            )
            return [Device(*one) for one in found]

    def id_of(self, token: str) -> uuid.UUID | None:
        """The id of a token's session, to tell one's own device among the others. Raises LedgerUnavailable."""
        with self._connect() as session:
            return session.scalar(select(AccountSession.id).where(AccountSession.token_hash == _hash(token)))

    def _store(self, token_hash: str) -> None:
        """Writes a session that waits in memory, if the ledger is there."""
        with self._mutex:
            known = self._known.get(token_hash)
        row = None if known is None else known.waiting
        if known is None or row is None:
            return
        columns = AccountSession.__table__.columns.keys()
        values = {name: getattr(row, name) for name in columns}
        try:
            with self._connect() as session:
                self._ensure_account(session)
                session.execute(insert(AccountSession).values(values).on_conflict_do_nothing())
                old = datetime.now(UTC) - LASTS
                session.execute(delete(AccountSession).where(AccountSession.begun_at < old))
        except LedgerUnavailable:
            return
        known.waiting = None

    def _found(self, token_hash: str) -> datetime | None:
        """When a session began, if the ledger has it and it has not ended."""
        now = datetime.now(UTC)
        row = AccountSession
        with self._connect() as session:
            self._ensure_account(session)
            found = session.execute(
                select(row.begun_at, row.seen_at).where(
                    row.token_hash == token_hash, row.account == self._account, row.begun_at > now - LASTS
                )
            ).first()
            if found is None:
                return None
            if now - found.seen_at > _SEEN_EVERY:
                session.execute(update(row).where(row.token_hash == token_hash).values(seen_at=now))
            begun_at: datetime = found.begun_at
            return begun_at

    def _ensure_account(self, session: Session) -> None:
        """Another password than last time logs everybody out."""
        if self._has_account:
            return
        kept = session.get(Account, self._account)
        if kept is None or not is_password(self._password, kept.password_hash):
            values = {"password_hash": hash_password(self._password), "changed_at": func.now()}
            changed = insert(Account).values(name=self._account, **values)
            session.execute(changed.on_conflict_do_update(index_elements=["name"], set_=values))
            if kept is not None:
                session.execute(delete(AccountSession).where(AccountSession.account == self._account))
        self._has_account = True

    def _drop_the_old(self, now: float) -> None:
        for token_hash in [one for one, known in self._known.items() if now >= known.until]:
            del self._known[token_hash]


def end_all(connect: Connect, account: str = OWNER) -> int:
    """Logs every device of an account out; returns how many there were. Raises LedgerUnavailable."""
    with connect() as session:
        ended = session.scalars(
            delete(AccountSession).where(AccountSession.account == account).returning(AccountSession.id)
        )
        return len(ended.all())


def _hash(token: str) -> str:
    """SHA-256 is enough for a token: it is random, and nobody can guess 256 bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _plain(device: str) -> str:
    return device.replace("\0", "")[:_LONGEST_DEVICE]
