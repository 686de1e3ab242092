"""Rebuild: files into the ledger what stands in the vault without a row.

It changes nothing in the vault (but that what it files is read-only from then on): where a file stands is where it
stays, and its day's folder counts, whatever date it tells. It can be stopped or killed anywhere and run again. It is
also the way out of a lost ledger: an empty one takes the vault's id, and until all is filed, nothing else files.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from Src.Librarian.passage import (
    Gone,
    IncomingFile,
    Inspected,
    Inspection,
    Kept,
    LedgerEntry,
    NotMedia,
    Unreadable,
)
from Src.Librarian.read.reader_pool import ReaderPool
from Src.Librarian.rebuild_companions import StandingCompanions, companion_in
from Src.Librarian.rebuild_relations import relate_days
from Src.Librarian.rebuilt import Listed, Rebuilt
from Src.Librarian.record import ledger_entry, statements
from Src.Librarian.record.journal import Journal
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.record.statements import ASSETS, EVENTS
from Src.Librarian.sidecars import ByItself
from Src.Library.belonging import Belonging
from Src.Library.inbox import is_ignored
from Src.Library.operation import Progress
from Src.Library.original_path import is_path
from Src.Library.overlay.keeping import bring_back
from Src.Library.overlay.replay import settle
from Src.Library.rebuilding import read_files
from Src.Library.rebuilding.beside import Beside
from Src.Library.tree import File, Odd, walk
from Src.Library.vault import Vault
from Src.Library.vault_trouble import vault_trouble
from Src.Library.verdict import Gone as NoFile
from Src.Library.verdict import Living
from Src.Shared.database import Database
from Src.Shared.disk.beneath import open_folder
from Src.Shared.disk.files import FileState, NotARegularFile, regular_file_state
from Src.Shared.disk.making import read_only
from Src.Shared.disk.top import Top, open_regular_below
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.settings import Settings
from Src.Shared.vault_marker import MARKER

__all__ = ["Listed", "Rebuild", "Rebuilt"]

logger = logging.getLogger(__name__)

Believed = Callable[[Mapping[str, FileState]], Collection[str]]  # of these originals, those that need not be read

_TICK = 0.2
_PAGE = 1000  # paths or rows that are asked of the ledger at once
_TEMPORARY = re.compile(r"\.factory-copy-.*|\.photo-factory-vault\.new", re.DOTALL)


class Rebuild:
    """One run over the whole vault."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        dry_run: bool = False,
        beside: Beside | None = None,
        believed: Believed | None = None,
    ) -> None:
        """`beside`: the database is that place beside the ledger, which goes on meanwhile; the journal is the ledger's,
        and the vault is only read. `believed` gives the rows of what it returns to that place itself."""
        self._settings = settings
        self._database = database
        self._dry_run = dry_run
        self._beside = beside
        self._believed = believed
        self.progress: Progress | None = None
        self._vault = Vault(settings.storage)
        self._journal = Journal(self._vault.state / "journal")
        self._belonging = Belonging(settings, self._vault, rebuilding=True)
        self._recorder = Recorder(database, self._journal, self._vault, belonging=self._belonging)
        self._readers = ReaderPool(
            settings.readers,
            settings.zone,
            settings.metadata_time_limit,
            readable=[settings.originals],
            trust_any_version=settings.exiftool_unsafe,
        )
        self._standing = StandingCompanions(self._vault)
        self._companions: list[tuple[ByItself, Inspection]] = []  # wait until all originals have their rows
        self._seen: dict[str, Kept] = {}  # by hash, in a dry run: what would have a row by now
        self._stopping = threading.Event()
        self._at = ""
        self._days: set[str] = set()  # in whose folders something was filed
        self.done = Rebuilt(dry_run)

    def stop(self) -> None:
        """Ends `run` soon; what is filed by then stays filed. Signal-safe."""
        self._stopping.set()

    def run(self) -> Rebuilt:
        """Files everything. Raises WrongLedger, VaultTrouble, LedgerUnavailable; it can be run again."""
        done = self.done
        try:
            if self._beside is None:
                self._database.ensure_ready()
            if self._dry_run:
                self._vault.check()
            done.from_nothing = self._belonging.take(self._database, changes=not self._dry_run)
            if self.progress is not None:
                self.progress.plan(None)
            self._readers.start()
            files = self._without_row()
            while (batch := list(islice(files, self._settings.batch_size))) and not self._stopping.is_set():
                self._readers.put(batch)
                self._work_off(3 * self._settings.batch_size)
            self._work_off(0)
            self._settle_companions()
            if self._beside is None:
                self._list_gone()
            if not self._dry_run and not self._stopping.is_set():
                if self._beside is None:
                    with self._vault.lock():
                        done.replayed = self._recorder.catch_up()
                self._vault.check()
                self._relate()
                self._bring_back_decisions()
                self._belonging.rebuilt(self._database)
            done.complete = not self._stopping.is_set()
        finally:
            self._readers.close()
        return done

    def _relate(self) -> None:
        with self._session() as session:
            if self._beside is not None or self.done.from_nothing:  # a run that was killed has filed some of them
                relate_days(session, None)
            elif self._days:
                relate_days(session, self._days)

    def _bring_back_decisions(self) -> None:
        """What people have decided about the originals, from the overlay's files beside the vault."""
        if self._beside is not None:
            self._beside.bring_up_mirror(self._vault)
        replayed = bring_back(self._database, self._vault, self._belonging)
        self.done.decided = replayed.events
        for one in replayed.unread:
            self.done.undecided.add(one.where, one.why)

    # What stands in the vault

    def _without_row(self) -> Iterator[IncomingFile]:
        """Files in days' folders that no row and no entry of the journal names."""
        journaled = self._journaled()
        with vault_trouble(f"read the vault {self._vault.originals}"):
            top = Top.of(self._vault.originals)
        files = self._files()
        while some := dict(islice(files, _PAGE)):
            self.done.files += len(some)
            with self._session() as session:
                known = _with_row(session, list(some))
                if self._beside is not None:
                    known = read_files.met(session, some, known)
            new = {path: state for path, state in some.items() if path not in known and path not in journaled}
            if self._believed is not None:
                known |= (believed := set(self._believed(new)))
                self.done.believed += len(believed)
            for path, state in new.items():
                if path not in known:
                    yield IncomingFile(f"{top.path}/{path.partition('/')[2]}", path, state, "vault", top)
            self._tell()
        if self._beside is not None and not self._stopping.is_set():
            with self._session() as session:
                read_files.forget_unmet(session)

    def _journaled(self) -> set[str]:
        """Their rows come with the journal, which knows more of them."""
        return {
            from_ledger(entry.asset["final_path"])
            for segment in self._journal.segments()
            for entry in self._journal.entries(segment)
            if entry.asset is not None
        }

    def _files(self) -> Iterator[tuple[str, FileState]]:
        """Files that may be originals, by descriptors and through no link; lists all else in `done`."""
        with vault_trouble(f"read the vault {self._vault.originals}"):
            root = open_folder(self._vault.originals)
        try:
            for found in walk(root, passed_over=lambda name, _folder, _is_folder: name == MARKER):
                if self._stopping.is_set():
                    return
                path = f"Originals/{found.path}" if found.path else "Originals"
                match found:
                    case File() if _TEMPORARY.fullmatch(os.path.basename(path)):
                        self.done.temporary.add(path, "of a copy that was cut off, or is under way")
                    case File() if not found.state.size:
                        self.done.temporary.add(path, "empty: a name reserved by a copy that was cut off")
                    case File() if not is_path(path):
                        self.done.unknown.add(path, "not in a day's folder")
                    case File() if is_ignored(os.path.basename(path)):
                        self.done.unknown.add(path, "hidden, or of a name that is never filed")
                    case File():
                        yield path, found.state
                    case Odd(kind="unreadable"):
                        self.done.failed.add(path, found.reason)
                    case Odd():
                        self.done.unknown.add(path, found.reason)
        finally:
            os.close(root)

    # Reading and recording

    def _work_off(self, most_left: int) -> None:
        readers, inspections = self._readers, list[Inspection]()
        while not self._stopping.is_set() and len(readers) + len(inspections) > most_left:
            inspections += readers.get(_TICK)
            if len(inspections) >= self._settings.batch_size or (inspections and not len(readers)):
                self._settle(inspections)
                inspections = []
        if inspections and not self._stopping.is_set():
            self._settle(inspections)

    def _settle(self, inspections: Sequence[Inspection]) -> None:
        media = []
        for inspection in inspections:
            path, companion = inspection.file.original_path, companion_in(inspection)
            if companion is not None:
                self._companions.append((companion, inspection))
                continue
            match inspection:
                case Inspected():
                    media.append(self._with_its_own_words(inspection))
                case NotMedia():
                    self.done.not_media.add(path, "not a photo or video by its content")
                case Unreadable():
                    self.done.failed.add(path, inspection.reason)
                case Gone():
                    self.done.failed.add(path, "it vanished meanwhile")
                case _:
                    self.done.failed.add(path, "it is being written to; run this again later")
        self._file(media)

    def _with_its_own_words(self, found: Inspected) -> Inspected:
        """Without those of an XMP file that is more another's."""
        used, path = found.metadata.sidecar, found.file.original_path
        with vault_trouble(f"read the vault {self._vault.originals}"):
            if used is None or self._standing.is_own(path, used.name):
                return found
        return found._replace(metadata=used.without)

    def _settle_companions(self) -> None:
        """What belongs to an original beside it. A film's picture that belongs to none is an original itself."""
        waiting, size = self._companions, self._settings.batch_size
        media: list[Inspected] = []
        while waiting and not self._stopping.is_set():
            some, waiting = waiting[:size], waiting[size:]
            with vault_trouble(f"read the vault {self._vault.originals}"):
                media += self._record_companions(some)
        if media and not self._stopping.is_set():
            self._file(media)

    def _record_companions(self, some: Sequence[tuple[ByItself, Inspection]]) -> list[Inspected]:
        """Those of them that are originals themselves."""
        with contextlib.nullcontext() if self._dry_run else self._vault.lock():
            self._vault.check()
            with self._session() as session:
                known = _with_row(session, [one.file.original_path for one, _ in some])
                found: list[tuple[ByItself, str | None]] = []
                media: list[Inspected] = []
                for one, inspection in some:
                    if one.file.original_path in known:  # the Librarian was here
                        continue
                    owner = self._standing.owner(session, one)
                    # (in a dry run an original may have no row yet)
                    is_beside = owner is not None or (self._dry_run and self._standing.beside(one))
                    if is_beside or self._standing.may_stand_alone(one):
                        if self._dry_run or self._is_as_read(one.file):
                            found.append((one, owner))
                    elif isinstance(inspection, Inspected):
                        media.append(inspection)
                    else:
                        self.done.not_media.add(one.file.original_path, "not a photo or video by its content")
                if not self._dry_run:
                    self._vault.sync()
                    self._standing.record(session, found, keep=self._beside is None)
                    if self._beside is not None:
                        read_files.note(session, {one.file.original_path: one.file.state for one, _ in found})
        self.done.companions += len(found)
        self._tell()
        return media

    def _file(self, media: list[Inspected]) -> None:
        media.sort(key=lambda found: found.file.original_path)  # of two with one content, the first gets the row
        self._vault.check()  # else all of it might be what lies below a mount point
        if self._dry_run:
            with self._session() as session:
                self._decide(session, media)
        elif media:
            with self._vault.lock():
                self._vault.check()
                # A Librarian that has not noticed yet that the ledger is back writes into the journal.
                waiting = self._journal.known([found.sha256 for found in media])
                journaled = {from_ledger(one.asset["final_path"]) for one in waiting.values() if one.asset is not None}
                media = [found for found in media if found.file.original_path not in journaled]
                self._record([found for found in media if self._is_as_read(found.file)])
        if media:
            self._at = media[-1].file.original_path
            if self.progress is not None and not self._dry_run:
                self.progress.reached(self._at, media[-1].sha256)
        self._tell()

    def _is_as_read(self, file: IncomingFile) -> bool:
        """Whether it still is what was read; made read-only, as an original is, where it gets its row for good."""
        try:
            fd = open_regular_below(file.top, file.path)
            try:
                status = os.fstat(fd)
                if FileState.of(status) != file.state:
                    raise FileNotFoundError
                if self._beside is None and status.st_mode & 0o222 and status.st_nlink == 1:
                    with contextlib.suppress(OSError):
                        os.fchmod(fd, read_only(status.st_mode))
            finally:
                os.close(fd)
        except (OSError, NotARegularFile):
            self.done.failed.add(file.original_path, "it was changed meanwhile; run this again later")
            return False
        return True

    def _record(self, media: Sequence[Inspected]) -> None:
        """One transaction; where a value is refused, one for each file, to find out whose."""
        if not media:
            return
        self._vault.sync()  # no row names bytes that a power cut could take
        before = self.done.twice.count, len(self.done.twice.files)
        try:
            with self._session() as session:
                new, moved = self._decide(session, media)
                if new:
                    assets = [entry.asset for entry in new if entry.asset is not None]
                    session.execute(insert(ASSETS), assets)
                    statements.insert_tags(session, new)
                    settle(session, [asset["file_hash"] for asset in assets])  # decided before its row was lost
                for entry in moved:
                    assert entry.asset is not None
                    values: dict[str, Any] = {"final_path": entry.asset["final_path"], "verified_at": None}
                    session.execute(
                        update(ASSETS).where(ASSETS.c.file_hash == entry.asset["file_hash"]).values(**values)
                    )
                if new or moved:
                    session.execute(insert(EVENTS), [entry.event for entry in (*new, *moved)])
                if self._beside is not None:
                    filed = {entry.asset["final_path"] for entry in (*new, *moved) if entry.asset is not None}
                    states = {found.file.original_path: found.file.state for found in media}
                    read_files.note(session, {path: states[path] for path in states if to_ledger(path) in filed})
        except DBAPIError as error:
            if len(media) == 1:
                reason = str(error.orig).strip().partition("\n")[0]
                self.done.failed.add(media[0].file.original_path, f"the database refuses its row: {reason}")
                return
            self.done.twice.count = before[0]
            del self.done.twice.files[before[1] :]
            for found in media:
                self._record([found])
            return
        self._count([*new, *moved])
        self.done.moved += len(moved)

    def _decide(self, session: Session, media: Sequence[Inspected]) -> tuple[list[LedgerEntry], list[LedgerEntry]]:
        """The entries of originals that get a row, and of those whose row gets another path."""
        hashes = [found.sha256 for found in media]
        kept = statements.kept(session, hashes) | {
            sha256: self._seen[sha256] for sha256 in hashes if sha256 in self._seen
        }
        known = _with_row(session, [found.file.original_path for found in media])
        new: list[LedgerEntry] = []
        moved: list[LedgerEntry] = []
        for found in media:
            path, sha256 = found.file.original_path, found.sha256
            if path in known:  # the Librarian was here
                continue
            there = kept.get(sha256)
            if there is not None and there.final_path is not None:
                where = to_ledger(there.final_path)
                verdict = self._vault.verdict(there.final_path, sha256, there.size)
                if isinstance(verdict, Living):
                    self.done.twice.add(path, f"the same as {where}, which has the row")
                    continue
                if not isinstance(verdict, NoFile):
                    self.done.failed.add(path, f"its row names {where}, which is no more what it was: {verdict.reason}")
                    continue
            entry = _entry(found, there)
            (new if there is None else moved).append(entry)
            kept[sha256] = Kept(path, found.file.state.size)
            if self._dry_run:
                self._seen[sha256] = kept[sha256]
        if self._dry_run:
            self._count([*new, *moved])
            self.done.moved += len(moved)
        return new, moved

    def _count(self, entries: Sequence[LedgerEntry]) -> None:
        for entry in entries:
            assert entry.asset is not None
            self.done.filed += 1
            self.done.bytes += entry.asset["file_size"]
            path = from_ledger(entry.asset["final_path"])
            self._days.add(path.split("/")[2])
            day = entry.asset["captured_at"].date().isoformat()
            if path.split("/")[2] != day:
                self.done.other_day.add(path, f"tells {day} ({entry.asset['date_source']})")

    def _list_gone(self) -> None:
        """Rows whose file is not there."""
        after = None
        while not self._stopping.is_set():
            page = select(ASSETS.c.id, ASSETS.c.final_path).order_by(ASSETS.c.id).limit(_PAGE)
            if after is not None:
                page = page.where(ASSETS.c.id > after)
            with self._session() as session:
                rows = session.execute(page).all()
            for after, text in rows:  # noqa: B007
                path = from_ledger(text)
                if not is_path(path):
                    self.done.gone.add(path, "its path in the database is none of the vault's")
                elif (why := self._why_gone(path)) is not None:
                    self.done.gone.add(path, why)
            if len(rows) < _PAGE:
                return

    def _why_gone(self, path: str) -> str | None:
        try:
            with self._vault.opened(os.path.dirname(path)) as folder:
                is_there = regular_file_state(os.path.basename(path), folder) is not None
        except (FileNotFoundError, NotADirectoryError):
            is_there = False
        except OSError as error:
            return f"cannot be looked at: {error.strerror}"
        return None if is_there else "no file stands there"

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        with self._database.session() as session:
            if not self._dry_run:
                self._belonging.check(session)
            yield session

    def _tell(self) -> None:
        if self.progress is not None:
            done, failed = self.done, self.done.failed.count
            self.progress.steps(done.files, done.bytes, at=self._at, errors=failed, counts={"failed": failed})


def _entry(found: Inspected, gone: Kept | None) -> LedgerEntry:
    file, metadata = found.file, found.metadata
    path = file.original_path
    told = ["found in the vault without a row"]
    if gone is not None:
        where = to_ledger(gone.final_path) if gone.final_path is not None else "no path of the vault"
        told.append(f"its row named {where}, where nothing stands")
    day = metadata.captured_at.date().isoformat()
    if path.split("/")[2] != day:
        told.append(f"it states {day} ({metadata.date_source}), and stays in its folder")
    event = ledger_entry.event_row(file, "rebuilt", sha256=found.sha256, final_path=path, message="; ".join(told))
    return LedgerEntry(event, ledger_entry.asset_row(found, path), tags=ledger_entry.tags(found))


def _with_row(session: Session, paths: Sequence[str]) -> set[str]:
    """Which of these paths (as on disk) a row names."""
    return {from_ledger(text) for text in statements.owners(session, [to_ledger(path) for path in paths])}
