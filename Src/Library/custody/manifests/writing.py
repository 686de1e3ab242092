"""Brings the manifests of days to what the ledger says, some days at a time."""

from __future__ import annotations

import errno
import logging
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests import days, lines
from Src.Library.custody.manifests.chain import GONE, LOG, NOTHING_BEFORE
from Src.Library.custody.manifests.days import Day
from Src.Library.custody.manifests.events import keeping as events
from Src.Library.custody.manifests.events import sealing
from Src.Library.custody.manifests.events.sealing import Head, Note
from Src.Library.custody.manifests.folder import FOLDER, NotOurs
from Src.Library.custody.manifests.store import PATIENCE, PUBLIC_KEY, Known, Store
from Src.Library.vault import Vault
from Src.Library.vault_trouble import vault_trouble
from Src.Shared.database import Database
from Src.Shared.disk.beneath import lstat_beneath, open_folder
from Src.Shared.ledger_text import to_ledger
from Src.Shared.words import counted

logger = logging.getLogger(__name__)

DAYS = 100  # at once
_GIVEN = ("README.txt", "verify.sh", "check_certificate.py")  # that say how to check


@dataclass(slots=True)
class Written:
    """What was done."""

    days: int = 0
    files: int = 0  # that were changed
    sealed: int = 0  # events
    refused: dict[str, str] = field(default_factory=dict)  # by path: why it stays

    @property
    def is_something(self) -> bool:
        return bool(self.days or self.sealed)


class _Locked(Exception):
    """Another has the vault's lock."""


class Manifests:
    """Those of one vault."""

    def __init__(
        self,
        vault: Vault,
        database: Database,
        belonging: Belonging,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        patience: float = PATIENCE,
        vault_patience: float = math.inf,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """`patience`: seconds to wait for another process that writes manifests; `vault_patience`: seconds to wait for
        the vault's lock.

        `stopped`: whether the days that are not begun can wait for the next run.
        """
        self._vault = vault
        self._moving = Vault(vault.storage)
        self._moving.patience = vault_patience
        self._patience = patience
        self._stopped = stopped
        self._put_off: dict[str, None] = {}  # days of which files may be about to move
        self._database = database
        self._belonging = belonging
        self._now = now
        self._known: Known | None = None
        self._refused: dict[str, str] = {}  # by day
        self._doubted: dict[str, str] = {}  # by day: what would be refused, if the vault was there all the time

    @property
    def trouble(self) -> str | None:
        """Why some days cannot be written."""
        if not self._refused:
            return None
        more = f" (and {len(self._refused) - 1:,} more)" if len(self._refused) > 1 else ""
        return f"{next(iter(self._refused.values()))}{more}"

    def try_all_again(self) -> None:
        """What was refused, too."""
        self._refused.clear()

    def take_up(self) -> None:
        """What was put off since another had the vault's lock is due again."""
        self._put_off.clear()

    @property
    def _not_now(self) -> list[str]:
        return [*self._refused, *self._put_off]

    def are_behind(self) -> bool:
        """Whether any day is out of date that can be written. Cheap. Raises LedgerUnavailable."""
        if not os.path.lexists(self._vault.storage / FOLDER / LOG):
            return True  # somebody has removed them
        with self._database.session() as session:
            if days.known_head(session) is None or events.are_due(session, set(self._refused)):
                return True
            if not self._not_now:
                return days.are_marked(session)
            return bool(days.marked(session, 1, self._not_now))

    def number_behind(self) -> int:
        """How many days are out of date. Raises LedgerUnavailable."""
        with self._database.session() as session:
            return days.number_marked(session)

    def write(self, limit: int = DAYS, accepted: Note | None = None) -> Written:
        """Seals some events, and writes some days that have waited longest. Nothing of both: none is out of date, or
        none of the rest can be written. `accepted`: what a person says of lost events, sealed with the others.

        Raises VaultTrouble, which may be a WrongLedger or BeingWritten, and LedgerUnavailable.
        """
        self._vault.check()
        self._doubted.clear()
        with Store.opened(self._vault, self._now, self._patience, self._known) as store:
            self._meet(store)
            with self._database.session() as session:
                self._belonging.check(session)
                marks = days.marked(session, limit, self._not_now)
            asked = [day for day in marks if days.is_day(day)]  # a row that is not believed has no day
            with self._database.session() as session:
                found = days.files_of(session, asked)
            with vault_trouble(f"read {self._vault.storage / FOLDER}"):
                sealed = events.seal_waiting(self._database, store, self._belonging, self._now, accepted)
                with self._database.session() as session:
                    of_events, bad_heads = events.lists_to_write(session, store)
            wanted = self._given(store) | {path: content for path, (content, _) in of_events.items()}
            for day in asked:
                if self._stopped():
                    marks = {one: seqs for one, seqs in marks.items() if one not in asked[asked.index(day) :]}
                    break
                try:
                    wanted |= self._wanted(store, day, found[day])
                except _Locked as locked:
                    logger.debug("the signed lists of %s wait: %s", day, locked)
                    self._put_off[day] = None
            self._vault.check()  # unmounted under our hands?
            self._refuse_doubted()
            files, refused = store.bring(wanted)
            self._known = store.known()
            for path, why in (refused | bad_heads).items():
                if why not in self._refused.values():
                    logger.error("%s", why)
                self._refused[days.day_of(path) or path] = why
            done = [seq for day, seqs in marks.items() if day not in self._not_now for seq in seqs]
            signed: list[Head] = [
                head for path, (_, heads) in of_events.items() if path not in refused for head in heads
            ]
            with self._database.session() as session:
                self._belonging.check(session)
                days.note_written(session, done, store.chain.head)
                sealing.note_signed(session, signed)
        return Written(len(marks), files, sealed, refused)

    def _meet(self, store: Store) -> None:
        """Where the ledger knows another chain than stands there, all days are looked at.

        What a killed run has written are days that are marked still. Else the ledger comes from a backup, or the chain
        is lost; or it was put back to an earlier state, which is a loss of its later lines.
        """
        with self._database.session() as session:
            self._belonging.check(session)
            head = days.known_head(session)
            if head is not None and head == store.chain.head:
                return
            paths: set[str] | None = None
            begins: str | None = None
            if not store.chain.content and (store.is_lost or head is not None):
                begins = head or NOTHING_BEFORE
            elif head is not None:
                paths = store.chain.paths_since(head)
                begins = head if paths is None else None
            marks = days.marked(session, None) if paths is not None else {}
            if paths is None or not all((day := days.day_of(path)) is None or day in marks for path in paths):
                written = {days.day_of(path) for path, sha256 in store.chain.last.items() if sha256 != GONE}
                days.mark_all(session, [day for day in written if day is not None])
            if paths is None:
                sealing.forget_signed(session)
            days.note_written(session, [], begins or store.chain.head)
        if begins is not None:  # the days are marked
            store.begin_after(begins)

    def _given(self, store: Store) -> dict[str, bytes | None]:
        """What stands beside the manifests, for people who check them."""
        package = resources.files("Src.Library.custody.manifests")
        given: dict[str, bytes | None] = {name: (package / name).read_bytes() for name in _GIVEN}
        return {**given, PUBLIC_KEY: store.public_key}

    def _wanted(self, store: Store, day: str, now: Day) -> dict[str, bytes | None]:
        """The contents of a day's manifests."""
        wanted: dict[str, bytes | None] = {}
        for path, hashes in zip(days.manifests_of(day), now, strict=True):
            try:
                standing = store.standing(path)
                before = {} if standing is None else lines.read(standing)
            except (NotOurs, ValueError):  # `bring` refuses it
                before = {}
            kept = self._kept(day, before, hashes)
            if path == days.manifests_of(day)[0]:
                hashes = self._as_they_were(day, before, hashes)
            wanted[path] = lines.written({**kept, **self._there(day, before, hashes)}) or None
        return wanted

    def _as_they_were(self, day: str, before: Mapping[str, str], hashes: dict[str, str]) -> dict[str, str]:
        """What rows say; but a line of what never changes stays: it is the only witness of what those bytes were.

        A ledger that was rebuilt from the vault has the hash of a photo that had rotted before.
        """
        with self._database.session() as session:
            other = days.with_other_bytes(session, before, hashes)
        if not other:
            return hashes
        self._refuse(
            day,
            f"the signed list of {day} names other bytes of {counted(len(other), 'file')} than the database, as of "
            f"{to_ledger(other[0])} (listed: SHA-256 {before[other[0]]}), and keeps its line: the file was changed "
            "before the database was rebuilt, or the database was. Import a copy that has the listed bytes, from a "
            "backup; or, to keep what is there, ./factory remove it, and ./factory undo that when the list is written",
        )
        return {**hashes, **{name: before[name] for name in other}}

    def _refuse(self, day: str, why: str) -> None:
        """The day stays marked. A vault that goes away meanwhile has no missing files, so it is said afterwards."""
        self._doubted.setdefault(day, why)

    def _refuse_doubted(self) -> None:
        for day, why in self._doubted.items():
            logger.error("%s", why)
            self._refused.setdefault(day, why)

    def _there(self, day: str, before: Mapping[str, str], hashes: dict[str, str]) -> dict[str, str]:
        """What rows say, without new lines of files that are not there: the ledger may be an older one.

        A file that is listed already may be missing: its line is what says so.
        """
        new = [name for name, sha256 in hashes.items() if before.get(name) != sha256]
        absent = set(new).difference(self._standing(new))
        if not absent:
            return hashes
        with self._locked(), self._database.session() as session:
            now = days.files_of(session, [day])[day]
            absent.difference_update(self._standing(sorted(absent)))
        rows = now.files | now.sidecars
        if named := sorted(name for name in absent if name in rows):  # else moved meanwhile, and the day is marked
            self._refuse(
                day,
                f"the database names {counted(len(named), 'file')} of {day} that the vault does not have, as "
                f"{to_ledger(named[0])}: no signed list names what is not there; ./factory verify says more",
            )
        return {name: sha256 for name, sha256 in hashes.items() if name not in absent}

    def _kept(self, day: str, before: Mapping[str, str], hashes: Mapping[str, str]) -> dict[str, str]:
        """Lines of files that have no row any more, and stand there: the ledger may be an older one.

        A line goes when its file does. To ask that for sure, the vault's lock is taken: under it nothing moves.
        """
        left = [name for name in before if name not in hashes]
        if not left or not self._standing(left):
            return {}
        with self._locked(), self._database.session() as session:
            left = self._standing(left)
            now = days.files_of(session, [day])[day]
            going = days.about_to_go(session, left)
        kept = [name for name in left if name not in now.files and name not in now.sidecars and name not in going]
        if kept:
            files = counted(len(kept), "file")
            logger.warning("%s of %s have no row in the database; the signed list keeps them", files, day)
        return {name: before[name] for name in kept}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The vault's lock. Raises _Locked where another has it for too long, and VaultTrouble."""

        def waiting(holder: str, seconds: float) -> None:
            if seconds > self._moving.patience:
                raise _Locked(f"{holder} has the vault's lock")

        self._moving.while_locked = waiting
        with self._moving.lock():
            yield

    def _standing(self, names: list[str]) -> list[str]:
        with vault_trouble(f"look into the vault {self._vault.originals}"):
            root = open_folder(self._vault.originals)
            try:
                return [name for name in names if _stands(root, name)]
            finally:
                os.close(root)


def _stands(root: int, name: str) -> bool:
    try:
        return stat.S_ISREG(lstat_beneath(root, name).st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise
