"""Record: is it in the ledger? Or, while the ledger is away, in the journal.

Statements are batched: their number grows with batches, not with files. All of this happens under the vault's lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from Src.Librarian.journal import Journal
from Src.Librarian.ledger_entry import LedgerEntry, Row
from Src.Librarian.vault import Vault
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import IngestEvent, MediaAsset

logger = logging.getLogger(__name__)

_REPLAY_BATCH = 500
_CONNECT_LIMIT = 5.0  # seconds; a server that recovers for longer is asked again
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0

_ASSETS = cast(Table, MediaAsset.__table__)
_EVENTS = cast(Table, IngestEvent.__table__)

# What a restored original takes over from the newcomer. Flags of work done on the same bytes stay.
_TAKEN_OVER = {"of_hash": "file_hash", "new_path": "final_path", "new_time": "ingested_at"}
_TAKE_PLACE = (
    update(_ASSETS)
    .where(_ASSETS.c.file_hash == bindparam("of_hash"))
    .values(final_path=bindparam("new_path"), ingested_at=bindparam("new_time"), verified_at=None)
)


@dataclass(frozen=True, slots=True)
class Kept:
    """An original that the ledger or the journal knows."""

    final_path: str  # as on disk, relative to the storage root
    size: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """An entry that the ledger will not take, whatever is tried."""

    entry: LedgerEntry
    reason: str


class Recorder:
    """Writes what became of files, and answers what is known already."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        vault: Vault,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._journal = journal
        self._vault = vault
        self._monotonic = monotonic
        self._wait = 0.0
        self._next_try = 0.0
        self._connected = False
        self.away: str | None = None  # why the ledger could not be used when it was last asked

    def connect(self) -> bool:
        """Makes the ledger usable if it can be, with a wait of 1 s to 60 s between attempts; whether it is."""
        if self._connected:
            return True
        if self._monotonic() < self._next_try:
            return False
        try:
            self._database.ensure_ready(_CONNECT_LIMIT)
        except LedgerUnavailable as error:
            self._lost(error)
            return False
        self._connected, self.away, self._wait = True, None, 0.0
        logger.info("the ledger is there")
        return True

    def has_originals(self) -> bool | None:
        """Whether the ledger knows any original; None while it is away."""
        try:
            if not self.connect():
                return None
            with self._database.session() as session:
                return session.execute(select(_ASSETS.c.id).limit(1)).first() is not None
        except LedgerUnavailable as error:
            self._lost(error)
            return None

    def must_catch_up(self) -> bool:
        """Whether there is a journal and the ledger is there to take it, or it is time to ask for the ledger again."""
        return self.connect() and bool(self._journal.segments())

    def catch_up(self) -> int:
        """Replays the journal if there is one and the ledger is back; returns the number of entries replayed."""
        segments = self._journal.segments()
        if not segments or not self.connect():
            return 0
        count = 0
        try:
            for segment in segments:
                journaled = self._journal.entries(segment)
                while entries := list(islice(journaled, _REPLAY_BATCH)):
                    for rejected in self._write(entries, replaying=True):
                        self._keep_rejected(rejected)
                    count += len(entries)
                self._journal.remove(segment)
        except LedgerUnavailable as error:
            self._lost(error)
        else:
            logger.info("the journal is in the ledger: %d entries", count)
        return count

    def known(self, hashes: Sequence[str]) -> dict[str, Kept]:
        """Which of these hashes are kept already. While the ledger is away, only the journal can say."""
        try:
            if self.connect():
                with self._database.session() as session:
                    return _kept(session, hashes)
        except LedgerUnavailable as error:
            self._lost(error)
        return {
            sha256: Kept(from_ledger(entry.asset["final_path"]), entry.asset["file_size"])
            for sha256, entry in self._journal.known(hashes).items()
            if entry.asset is not None
        }

    def record(self, entries: Sequence[LedgerEntry]) -> list[Rejected]:
        """Makes entries durable in the ledger or, while it is away, in the journal.

        Raises VaultTrouble where neither can be written; then nothing is recorded that counts.
        """
        if not entries:
            return []
        try:
            if self.connect() and not self._journal.segments():
                return self._write(entries, replaying=False)
        except LedgerUnavailable as error:
            self._lost(error)
        self._journal.append(entries)
        return []

    def _lost(self, error: LedgerUnavailable) -> None:
        if self.away is None:
            logger.warning("the ledger is away, rows go to the journal: %s", error)
        self._connected, self.away = False, str(error)
        self._wait = min(max(_FIRST_WAIT, self._wait * 2), _LONGEST_WAIT)
        self._next_try = self._monotonic() + self._wait

    def _write(self, entries: Sequence[LedgerEntry], *, replaying: bool) -> list[Rejected]:
        """One transaction. Where a value is refused, one for each entry, to find out whose."""
        try:
            with self._database.session() as session:
                self._insert(session, entries, replaying=replaying)
            return []
        except DBAPIError as error:
            if len(entries) == 1:
                return [Rejected(entries[0], str(error.orig).strip().partition("\n")[0])]
        return [rejected for entry in entries for rejected in self._write([entry], replaying=replaying)]

    def _insert(self, session: Session, entries: Sequence[LedgerEntry], *, replaying: bool) -> None:
        if replaying:  # hours may have passed
            entries = [self._found_again(entry) for entry in entries]
        inserted = _insert_assets(session, [entry.asset for entry in entries if entry.asset is not None])
        unsettled = [e.asset["file_hash"] for e in entries if e.asset is not None and e.asset["id"] not in inserted]
        kept = _kept(session, unsettled)
        settled = [
            entry
            if entry.asset is None or entry.asset["id"] in inserted
            else self._settle(session, entry, kept.get(entry.asset["file_hash"]))
            for entry in entries
        ]
        restored = [e.asset for e in settled if e.asset is not None and e.event["fate"] == "restored"]
        if restored:
            session.execute(
                _TAKE_PLACE,
                [{key: asset[column] for key, column in _TAKEN_OVER.items()} for asset in restored],
            )
        # A replay that was cut off after its commit brings the same events again.
        session.execute(insert(_EVENTS).on_conflict_do_nothing(), [entry.event for entry in settled])

    def _settle(self, session: Session, entry: LedgerEntry, kept: Kept | None) -> LedgerEntry:
        """An original whose hash, or whose path, the ledger has already."""
        assert entry.asset is not None
        if kept is None:
            return self._settle_path(session, entry)
        own_path = from_ledger(entry.asset["final_path"])
        if kept.final_path == own_path or entry.event["fate"] == "restored":
            return entry
        kept_path = to_ledger(kept.final_path)
        if self._vault.holds(kept.final_path, kept.size):
            # Written while the ledger was away. The kept one lives, so this one is the duplicate (promise 4).
            self._drop(own_path, kept.final_path)
            return entry.turned("duplicate", kept_path, f"duplicate of {kept_path}")
        return entry.turned("restored", entry.asset["final_path"], f"takes the place of {kept_path}, which had gone")

    def _settle_path(self, session: Session, entry: LedgerEntry) -> LedgerEntry:
        """Its path belongs, in the ledger, to an original that has gone: no path is used twice (promise 1)."""
        assert entry.asset is not None
        name = from_ledger(entry.event["original_name"])
        path, refused = from_ledger(entry.asset["final_path"]), set[str]()
        while True:
            path = self._vault.move_aside(path, name, refused)
            moved = entry.placed_at(to_ledger(path))
            if moved.asset is not None and _insert_assets(session, [moved.asset]):
                return moved

    def _found_again(self, entry: LedgerEntry) -> LedgerEntry:
        """A journaled original where it stands now; without its row where it has gone from the vault since."""
        asset = entry.asset
        if asset is None:
            return entry
        name, path = from_ledger(entry.event["original_name"]), from_ledger(asset["final_path"])
        found = self._vault.find(path, name, asset["file_size"], asset["file_hash"])
        if found is None:
            gone = entry.turned("failed", asset["final_path"], "gone from the vault before its row could be written")
            return LedgerEntry(gone.event)
        return entry if found == path else entry.placed_at(to_ledger(found))

    def _drop(self, own_path: str, kept_path: str) -> None:
        """Removes a second copy from the vault, never the kept file itself under another name."""
        own, kept = self._vault.storage / own_path, self._vault.storage / kept_path
        with contextlib.suppress(FileNotFoundError):
            if not os.path.samefile(own, kept) or os.lstat(own).st_nlink > 1:
                own.unlink()

    def _keep_rejected(self, rejected: Rejected) -> None:
        path, reason = rejected.entry.event["final_path"], rejected.reason
        logger.error("the ledger refuses the row of %s (%s); it is kept in the journal as rejected", path, reason)
        self._journal.keep_rejected(rejected.entry)


def _insert_assets(session: Session, rows: Sequence[Row]) -> set[uuid.UUID]:
    """Inserts the rows that conflict with none; returns their ids."""
    if not rows:
        return set()
    statement = insert(_ASSETS).on_conflict_do_nothing().returning(_ASSETS.c.id)
    return set(session.execute(statement, rows).scalars())


def _kept(session: Session, hashes: Sequence[str]) -> dict[str, Kept]:
    if not hashes:
        return {}
    columns = (_ASSETS.c.file_hash, _ASSETS.c.final_path, _ASSETS.c.file_size)
    rows = session.execute(select(*columns).where(_ASSETS.c.file_hash.in_(hashes)))
    return {sha256: Kept(from_ledger(path), size) for sha256, path, size in rows}
