"""Record: is it in the ledger? Or, while the ledger is away, in the journal.

Statements are batched: their number grows with batches, not with files. All of this happens under the vault's lock.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import cast

from sqlalchemy import Column, ColumnElement, Table, Text, Update, any_, column, literal, select, text, update, values
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from Src.Librarian.clearing import is_one_entry
from Src.Librarian.fingerprint import NotARegularFile, open_regular, sha256_of
from Src.Librarian.journal import Journal
from Src.Librarian.ledger_entry import LedgerEntry, Row
from Src.Librarian.vault import Vault
from Src.Librarian.vault_trouble import vault_trouble
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
_TAKEN_OVER = ("file_hash", "final_path", "ingested_at")


@dataclass(frozen=True, slots=True)
class Kept:
    """An original that the ledger or the journal knows."""

    final_path: str  # as on disk, relative to the storage root
    size: int
    row: uuid.UUID | None = field(default=None, compare=False)  # None while it waits in the journal


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
        """Replays the journal if there is one and the ledger is back; returns the number of entries replayed.

        Raises VaultTrouble; what is replayed by then is not lost, and the rest comes next time.
        """
        segments = self._journal.segments()
        if not segments or not self.connect():
            return 0
        count = 0
        try:
            with vault_trouble("replay the journal"):
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

    def knows_all(self) -> bool:
        """Whether the ledger is there, and nothing waits in the journal."""
        return not self._journal.segments() and self.connect()

    def unrecorded(self, paths: Sequence[str]) -> list[str] | None:
        """Which of these paths (as on disk) belong to no original; None while that cannot be told for sure."""
        try:
            if not self.knows_all():
                return None
            of_ledger = {to_ledger(path): path for path in paths}
            with self._database.session() as session:
                rows = session.execute(select(_ASSETS.c.final_path).where(_among(_ASSETS.c.final_path, of_ledger)))
                recorded = set(rows.scalars())
        except LedgerUnavailable as error:
            self._lost(error)
            return None
        return [path for text, path in of_ledger.items() if text not in recorded]

    def record(self, entries: list[LedgerEntry]) -> list[Rejected]:
        """Makes entries durable in the ledger or, while it is away, in the journal.

        `entries` is brought up to date: an original whose path belongs to another is moved aside, and one that the
        ledger has already is a duplicate, or restored. Moves show even where an error is raised.

        Raises VaultTrouble where neither can be written; then nothing is recorded that counts.
        """
        if not entries:
            return []
        try:
            if self.connect() and not self._journal.segments():
                with vault_trouble("settle with the vault what the ledger says"):
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

    def _write(self, entries: list[LedgerEntry], *, replaying: bool) -> list[Rejected]:
        """One transaction. Where a value is refused, one for each entry, to find out whose."""
        try:
            with self._database.session() as session:
                settled = self._insert(session, entries, replaying=replaying)
        except DBAPIError as error:
            if len(entries) == 1:
                return [Rejected(entries[0], str(error.orig).strip().partition("\n")[0])]
        else:
            entries[:] = settled
            return []
        rejections: list[Rejected] = []
        for index, entry in enumerate(entries):
            alone = [entry]
            try:
                rejections += self._write(alone, replaying=replaying)
            finally:
                entries[index] = alone[0]
        return rejections

    def _insert(self, session: Session, entries: list[LedgerEntry], *, replaying: bool) -> list[LedgerEntry]:
        """Writes the rows; returns the entries as they are recorded once the session is committed."""
        if replaying:  # hours may have passed
            entries[:] = [self._found_again(entry) for entry in entries]
        self._leave_taken_paths(session, entries)
        inserted = _insert_new(session, _ASSETS, [entry.asset for entry in entries if entry.asset is not None])
        asked = [
            entry.event["file_hash"]
            for entry in entries
            if (entry.asset["id"] not in inserted if entry.asset is not None else replaying)
        ]
        kept = _kept(session, asked)
        settled = [
            entry
            if entry.asset is None or entry.asset["id"] in inserted
            else self._settle(entry, kept.get(entry.asset["file_hash"]))
            for entry in entries
        ]
        restored = [e.asset for e in settled if e.asset is not None and e.event["fate"] == "restored"]
        if restored:
            session.execute(_take_place(restored))
        where = {sha256: to_ledger(one.final_path) for sha256, one in kept.items()}
        where |= {e.asset["file_hash"]: e.event["final_path"] for e in settled if e.asset is not None}
        settled = [_following(entry, where) for entry in settled]
        # A replay that was cut off after its commit brings the same events again.
        _insert_new(session, _EVENTS, [entry.event for entry in settled])
        return settled

    def _settle(self, entry: LedgerEntry, kept: Kept | None) -> LedgerEntry:
        """An original whose hash the ledger has already."""
        assert entry.asset is not None
        if kept is None:  # no hash in the way, but a path, that was free a moment ago
            raise LedgerUnavailable("somebody else writes originals into this ledger; it is tried again")
        own_path, kept_path = from_ledger(entry.asset["final_path"]), to_ledger(kept.final_path)
        told = f"duplicate of {kept_path}"
        if kept.final_path == own_path:  # replayed before; or dropped, and the replay was cut off before its commit
            mine = kept.row == entry.asset["id"] or entry.event["fate"] == "restored"
            return entry if mine else entry.turned("duplicate", kept_path, told)
        if self._vault.holds(kept.final_path, kept.size):
            # Written while the ledger was away. The kept one lives, so this one is the duplicate (promise 4).
            self._drop(own_path, kept.final_path)
            return entry.turned("duplicate", kept_path, told)
        if entry.event["fate"] == "restored":
            return entry
        return entry.turned("restored", entry.asset["final_path"], f"takes the place of {kept_path}, which had gone")

    def _leave_taken_paths(self, session: Session, entries: list[LedgerEntry]) -> None:
        """Moves originals aside whose path belongs to another one, that has gone: no path is used twice (promise 1)."""
        refused: defaultdict[int, set[str]] = defaultdict(set)
        claimed: dict[str, str] = {}
        unchecked = list(range(len(entries)))
        while unchecked:
            at = {index: asset for index in unchecked if (asset := entries[index].asset) is not None}
            owners = _owners(session, [asset["final_path"] for asset in at.values()])
            unchecked = []
            for index, asset in at.items():
                path, sha256 = asset["final_path"], asset["file_hash"]
                owner = owners.get(path) or claimed.setdefault(path, sha256)
                if owner != sha256:
                    entries[index] = self._moved_aside(entries[index], refused[index])
                    unchecked.append(index)

    def _moved_aside(self, entry: LedgerEntry, refused: set[str]) -> LedgerEntry:
        assert entry.asset is not None
        path = from_ledger(entry.asset["final_path"])
        if not _has_content(self._vault.storage / path, entry.asset["file_hash"]):
            return _gone(entry)  # what stands there is the other one's
        moved = self._vault.move_aside(path, from_ledger(entry.event["original_name"]), refused)
        return entry.placed_at(to_ledger(moved))

    def _found_again(self, entry: LedgerEntry) -> LedgerEntry:
        """A journaled original where it stands now; without its row where it has gone from the vault since."""
        asset = entry.asset
        if asset is None:
            return entry
        name, path = from_ledger(entry.event["original_name"]), from_ledger(asset["final_path"])
        found = self._vault.find(path, name, asset["file_size"], asset["file_hash"])
        if found is None:  # a replay that was cut off may have moved it aside
            found = self._search_folder(os.path.dirname(path), asset["file_size"], asset["file_hash"])
        if found is None:
            return _gone(entry)
        return entry if found == path else entry.placed_at(to_ledger(found))

    def _search_folder(self, folder: str, size: int, sha256: str) -> str | None:
        """The path of a content in a folder, whatever its name."""
        with os.scandir(self._vault.storage / folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size == size:
                    path = Path(entry.path)
                    if _has_content(path, sha256):
                        return f"{folder}/{path.name}"
        return None

    def _drop(self, own_path: str, kept_path: str) -> None:
        """Removes a second copy from the vault, never the kept file itself by another way."""
        own, kept = self._vault.storage / own_path, self._vault.storage / kept_path
        with contextlib.suppress(FileNotFoundError):
            if not is_one_entry(str(own), str(kept)):
                own.unlink()

    def _keep_rejected(self, rejected: Rejected) -> None:
        path, reason = rejected.entry.event["final_path"], rejected.reason
        logger.error("the ledger refuses the row of %s (%s); it is kept in the journal as rejected", path, reason)
        self._journal.keep_rejected(rejected.entry)


def _has_content(path: Path, sha256: str) -> bool:
    try:
        fd = open_regular(str(path))
    except (FileNotFoundError, NotARegularFile):
        return False
    try:
        return sha256_of(fd) == sha256
    finally:
        os.close(fd)


def _gone(entry: LedgerEntry) -> LedgerEntry:
    message = "gone from the vault before its row could be written"
    return LedgerEntry(entry.turned("failed", entry.event["final_path"], message).event)


def _following(entry: LedgerEntry, where: Mapping[str, str]) -> LedgerEntry:
    """A duplicate of an original that turned out to be elsewhere."""
    path = where.get(entry.event["file_hash"])
    if entry.asset is not None or entry.event["fate"] != "duplicate" or path in (None, entry.event["final_path"]):
        return entry
    assert path is not None
    return entry.turned("duplicate", path, f"duplicate of {path}")


def _take_place(restored: Sequence[Row]) -> Update:
    """One statement for all, of each original the last."""
    of_hash = {asset["file_hash"]: tuple(asset[name] for name in _TAKEN_OVER) for asset in restored}
    columns = [column(name, _ASSETS.c[name].type) for name in _TAKEN_OVER]
    new = values(*columns, name="new").data(list(of_hash.values()))
    return (
        update(_ASSETS)
        .where(_ASSETS.c.file_hash == new.c.file_hash)
        .values(final_path=new.c.final_path, ingested_at=new.c.ingested_at, verified_at=None)
    )


def _owners(session: Session, paths: Sequence[str]) -> dict[str, str]:
    """Whose these paths are (ledger text): the hash of each that has one."""
    if not paths:
        return {}
    rows = session.execute(select(_ASSETS.c.file_hash, _ASSETS.c.final_path).where(_among(_ASSETS.c.final_path, paths)))
    return {path: sha256 for sha256, path in rows}


def _insert_new(session: Session, table: Table, rows: Sequence[Row]) -> set[uuid.UUID]:
    """Inserts the rows that conflict with none; returns their ids.

    All rows go as one JSON text: to write them as parameters takes several times as long, here and there.
    """
    if not rows:
        return set()
    names = ", ".join(rows[0])
    statement = text(
        f"INSERT INTO {table.name} ({names}) "
        f"SELECT {names} FROM json_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS json)) "
        "ON CONFLICT DO NOTHING RETURNING id"
    )
    values = json.dumps(rows, ensure_ascii=False, default=str)
    return set(session.execute(statement.columns(table.c.id), {"rows": values}).scalars())


def _kept(session: Session, hashes: Sequence[str]) -> dict[str, Kept]:
    if not hashes:
        return {}
    columns = (_ASSETS.c.file_hash, _ASSETS.c.final_path, _ASSETS.c.file_size, _ASSETS.c.id)
    rows = session.execute(select(*columns).where(_among(_ASSETS.c.file_hash, hashes)))
    return {sha256: Kept(from_ledger(path), size, row) for sha256, path, size, row in rows}


def _among(column_: Column[str], texts: Iterable[str]) -> ColumnElement[bool]:
    """One array, not a parameter for each."""
    return column_ == any_(literal(list(texts), ARRAY(Text)))
