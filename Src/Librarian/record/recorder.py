"""Record: is it in the ledger? Or, while the ledger is away, in the journal.

Statements are batched: their number grows with batches, not with files. All of this happens under the vault's lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from Src.Librarian.passage import Kept, LedgerEntry
from Src.Librarian.record import relations, statements
from Src.Librarian.record.journal import Journal
from Src.Librarian.record.ledger_entry import turned
from Src.Librarian.record.reconciling import Reconciler, following
from Src.Library.belonging import Belonging, WrongLedger
from Src.Library.file_acts import FileActs
from Src.Library.trash import Removed, removed, removed_words
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Shared.database import Database, LedgerRefused, LedgerUnavailable
from Src.Shared.ledger_text import to_ledger

logger = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_REPLAY_BATCH = 500
_CONNECT_LIMIT = 5.0  # seconds; a server that recovers for longer is asked again
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


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
        belonging: Belonging | None = None,
    ) -> None:
        """`belonging`: says whether the ledger is the vault's; None: it is."""
        self._database = database
        self._journal = journal
        self._vault = vault
        self._reconciler = Reconciler(vault, journal)
        self._belonging = belonging
        self._acts = FileActs(vault, database, belonging=belonging)
        self._monotonic = monotonic
        self._wait = 0.0
        self._next_try = 0.0
        self._connected = False
        self.away: str | None = None  # why the ledger could not be used when it was last asked

    def connect(self) -> bool:
        """Makes the ledger usable if it can be, with a wait of 1 s to 60 s between attempts; whether it is.

        Raises WrongLedger where it is there and not the vault's, and VaultTrouble.
        """
        if self._connected:
            return True
        if self._monotonic() < self._next_try:
            return False
        try:
            self._database.ensure_ready(_CONNECT_LIMIT)
            if self._belonging is not None:
                self._belonging.establish(self._database)
        except LedgerRefused as error:
            raise WrongLedger(str(error)) from error
        except LedgerUnavailable as error:
            self._lost(error)
            return False
        self._connected, self.away, self._wait = True, None, 0.0
        logger.info("the database can be reached")
        return True

    def is_usable(self) -> bool:
        """As `connect`; a ledger that is not the vault's is not usable either."""
        try:
            return self.connect()
        except VaultTrouble:
            return False

    def found_vault(self) -> None:
        """Makes the vault of a new factory. Raises WrongLedger, VaultTrouble."""
        if self._belonging is None:
            self._vault.create()
            return
        try:
            self._belonging.found(self._database)
        except LedgerUnavailable as error:
            self._lost(error)
            raise VaultTrouble(f"the database went away before there was a vault: {error}") from error

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """A session in which the ledger is known to be the vault's. Raises WrongLedger, LedgerUnavailable."""
        with self._database.session() as session:
            if self._belonging is not None:
                try:
                    self._belonging.check(session)
                except WrongLedger:
                    self._connected = False  # the next connect finds out more
                    raise
            yield session

    def has_originals(self) -> bool | None:
        """Whether the ledger knows any original; None while it is away."""
        try:
            if not self.connect():
                return None
            with self._database.session() as session:
                return statements.has_originals(session)
        except LedgerUnavailable as error:
            self._lost(error)
            return None

    def must_catch_up(self) -> bool:
        """Whether there is a journal and the ledger is there to take it, or it is time to ask for the ledger again."""
        return self.connect() and bool(self._journal.segments())

    def catch_up(self) -> int:
        """Replays the journal if there is one and the ledger is back; returns the number of entries replayed.

        Before it come moves that a killed act has begun: until they are finished, rows name places where nothing
        stands. Raises VaultTrouble; what is replayed by then is not lost, and the rest comes next time.
        """
        self._finish_moves()
        segments = self._journal.segments()
        if not segments or not self.connect():
            return 0
        count = 0
        try:
            with vault_trouble("record what was noted"):
                for segment in segments:
                    journaled = self._journal.entries(segment)
                    while entries := list(islice(journaled, _REPLAY_BATCH)):
                        recorded: list[LedgerEntry] = []
                        for answer in self._write(entries, replaying=True):
                            if isinstance(answer, Rejected):
                                self._keep_rejected(answer)
                            else:
                                recorded.append(answer)
                        with self._session() as session:  # a replay that is cut off before does it again
                            relations.relate(session, recorded)
                        count += len(entries)
                    self._journal.remove(segment)
        except LedgerUnavailable as error:
            self._lost(error)
        else:
            logger.info("what was noted is in the database: %d entries", count)
            self.sweep()  # what was removed, while the ledger was away, nobody knew
        return count

    def _finish_moves(self) -> None:
        """Under the vault's lock. Raises VaultTrouble."""
        try:
            if self.connect():
                self._acts.finish_left()
        except WrongLedger:
            self._connected = False  # the next connect finds out more
            raise
        except LedgerUnavailable as error:
            self._lost(error)

    def removed(self, hashes: Sequence[str]) -> dict[str, Removed]:
        """Which of these contents a person has removed. While the ledger is away nobody knows."""
        return self.ask(lambda session: removed(session, hashes)) or {}

    def known(self, hashes: Sequence[str]) -> dict[str, Kept]:
        """Which of these hashes are kept already. While the ledger is away, only the journal can say."""
        try:
            if self.connect():
                with self._session() as session:
                    return statements.kept(session, hashes)
        except LedgerUnavailable as error:
            self._lost(error)
        return self._journal.kept(hashes)

    def knows_all(self) -> bool:
        """Whether the ledger is there, and nothing waits in the journal."""
        return not self._journal.segments() and self.connect()

    def ask(self, question: Callable[[Session], _Answer]) -> _Answer | None:
        """What the ledger answers, in one transaction; None while it is away, or something waits in the journal.

        Under the vault's lock where the answer decides what is filed.
        """
        try:
            if self.knows_all():
                with self._session() as session:
                    return question(session)
        except LedgerUnavailable as error:
            self._lost(error)
        return None

    def unrecorded(self, paths: Sequence[str]) -> list[str] | None:
        """Which of these paths (as on disk) belong to no original; None while that cannot be told for sure."""
        try:
            if not self.knows_all():
                return None
            of_ledger = {to_ledger(path): path for path in paths}
            with self._session() as session:
                recorded = statements.owners(session, list(of_ledger))
        except LedgerUnavailable as error:
            self._lost(error)
            return None
        return [path for text, path in of_ledger.items() if text not in recorded]

    def record(self, entries: Sequence[LedgerEntry]) -> list[LedgerEntry | Rejected]:
        """Makes entries durable in the ledger or, while it is away, in the journal.

        Returns, in order, each as it is recorded, or why the ledger refuses it. An original whose path belongs to
        another is moved aside in the vault, and one that the ledger has already is a duplicate, or restored.

        Raises VaultTrouble where neither can be written; then nothing is recorded that counts.
        """
        standing = list(entries)
        try:
            if entries and self.connect() and not self._journal.segments():
                with vault_trouble("compare the vault with the database"):
                    return self._write(standing, replaying=False)
        except LedgerUnavailable as error:
            self._lost(error)
        if standing:
            self._journal.append(standing)
        return [*standing]

    def _lost(self, error: LedgerUnavailable) -> None:
        if self.away is None:
            logger.warning(
                "the database cannot be reached; what is added is noted beside the photos and recorded later: %s", error
            )
        self._connected, self.away = False, str(error)
        self._wait = min(max(_FIRST_WAIT, self._wait * 2), _LONGEST_WAIT)
        self._next_try = self._monotonic() + self._wait

    def _write(self, standing: list[LedgerEntry], *, replaying: bool) -> list[LedgerEntry | Rejected]:
        """One transaction. Where a value is refused, one for each entry, to find out whose.

        Returns what is recorded, as `record` does. `standing` is kept up to date with what is done in the vault: it is
        what the journal is to have, should the ledger be lost in the middle.
        """
        try:
            with self._session() as session:
                reconciled = self._insert(session, standing, replaying=replaying)
        except DBAPIError as error:
            if len(standing) == 1:
                return [Rejected(standing[0], str(error.orig).strip().partition("\n")[0])]
        else:
            standing[:] = reconciled
            if self._belonging is not None and any(entry.asset is not None for entry in reconciled):
                self._belonging.note_recorded()
            return [*reconciled]
        answers: list[LedgerEntry | Rejected] = []
        for index, entry in enumerate(standing):
            alone = [entry]
            try:
                answers += self._write(alone, replaying=replaying)
            finally:
                standing[index] = alone[0]
        return answers

    def _insert(self, session: Session, entries: list[LedgerEntry], *, replaying: bool) -> list[LedgerEntry]:
        """Writes the rows; returns the entries as they are recorded once the session is committed."""
        if replaying:  # hours may have passed
            entries[:] = [self._reconciler.found_again(session, entry) for entry in entries]
        self._reconciler.leave_taken_paths(session, entries)
        inserted = statements.insert_new(
            session, statements.ASSETS, [entry.asset for entry in entries if entry.asset is not None]
        )
        statements.insert_tags(session, [e for e in entries if e.asset is not None and e.asset["id"] in inserted])
        asked = [
            sha256
            for entry in entries
            if (entry.asset["id"] not in inserted if entry.asset is not None else replaying)
            and (sha256 := entry.event["file_hash"]) is not None
        ]
        kept = statements.kept(session, asked)
        reconciled = [
            self._reconciler.known_elsewhere(entry, kept.get(entry.event["file_hash"] or ""))
            if entry.asset is None
            else entry
            if entry.asset["id"] in inserted
            else self._reconciler.known(session, entry, kept.get(entry.asset["file_hash"]), replaying=replaying)
            for entry in entries
        ]
        restored = [e.asset for e in reconciled if e.asset is not None and e.event["fate"] == "restored"]
        if restored:
            session.execute(statements.take_place(restored))
        where = {sha256: to_ledger(one.final_path) for sha256, one in kept.items() if one.final_path is not None}
        where |= {
            e.asset["file_hash"]: path
            for e in reconciled
            if e.asset is not None and (path := e.event["final_path"]) is not None
        }
        reconciled = self._as_wanted(session, [following(entry, where) for entry in reconciled])
        # A replay that was cut off after its commit brings the same events again.
        statements.insert_new(session, statements.EVENTS, [entry.event for entry in reconciled])
        companions = [entry.companion for entry in reconciled if entry.companion is not None]
        statements.insert_new(session, statements.COMPANIONS, companions)
        return reconciled

    def _as_wanted(self, session: Session, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        """What a person has removed is unwanted, and goes from its place in the vault to the trash: see `sweep`."""
        brought = [e.event["file_hash"] or "" for e in entries if e.event["fate"] in ("ingested", "duplicate")]
        gone = removed(session, brought)
        return [
            turned(entry, "unwanted", None, removed_words(gone[sha256]))
            if entry.event["fate"] in ("ingested", "duplicate") and (sha256 := entry.event["file_hash"] or "") in gone
            else entry
            for entry in entries
        ]

    def sweep(self) -> dict[str, str]:
        """Takes from the vault what a person has removed and what came in again: by hash, where in the trash it is.

        Under the vault's lock. Raises VaultTrouble.
        """
        try:
            if self.connect():
                return self._acts.sweep()
        except WrongLedger:
            self._connected = False
            raise
        except LedgerUnavailable as error:
            self._lost(error)
        return {}

    def _keep_rejected(self, rejected: Rejected) -> None:
        path, reason = rejected.entry.event["final_path"], rejected.reason
        logger.error(
            "the database refuses the row of %s (%s); it is kept beside the photos, for ./factory retry", path, reason
        )
        self._journal.keep_rejected(rejected.entry, reason)

    @property
    def rejected(self) -> int:
        """Rows that the ledger has refused, and that wait for a person."""
        return self._journal.rejected_count()

    def retry_rejected(self) -> int:
        """Tries again, under the vault's lock, what the ledger has refused; how many there were. Raises VaultTrouble.

        What it refuses still is put aside again.
        """
        count = self._journal.take_up_rejected()
        self.catch_up()
        return count
