"""Import: the batch mode for a first big import, straight from any folders, files or zip archives, by the same stages.

It copies and never writes to the source, unless asked to move. A second run goes on where the first stopped: what was
imported and is unchanged and still in the vault is passed over without being read again.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from Src.Librarian.archives import Archive, Archives, Packed, is_archive
from Src.Librarian.dry_run import DryRun
from Src.Librarian.earlier_imports import UNCHANGED, Earlier, EarlierImports
from Src.Librarian.librarian import Librarian
from Src.Librarian.passage import (
    Account,
    Companion,
    IncomingFile,
    Inspected,
    Inspection,
    LedgerEntry,
    Outcome,
    Sidecar,
)
from Src.Librarian.place.room import NoRoom
from Src.Librarian.record import ledger_entry
from Src.Librarian.sidecars import as_companion
from Src.Librarian.sources import Sources
from Src.Librarian.tally import Tally
from Src.Librarian.unpacking import MOST_BYTES, Unpacking, place_for_unpacking
from Src.Library.hash_cache import CacheUse
from Src.Library.held_files import HeldFile, HeldFilesTable
from Src.Library.operation import Progress
from Src.Library.tree import Skipped
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Media.pictures.alike import Picture
from Src.Media.readers.readings import Readings
from Src.Media.zip_archive import ArchiveTrouble, MemberTrouble
from Src.Shared.database import Database
from Src.Shared.disk.top import regular_state_below
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

_TICK = 0.2
_LOCK_WORTH_TELLING = 10.0  # seconds: the Librarian holds it for a batch
_FILED = ("new", "duplicate", "restored", "unwanted")
_KEPT_COUNTED = 20_000  # files between counting and importing; some 10 MB
_MOST_TRIES = 3  # for a source file that changes while it is read


@dataclass(slots=True)
class Workload:
    """All that the sources hold."""

    files: int = 0
    bytes: int = 0


class Importer:
    """Imports files from outside the factory."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sources: Sequence[Path],
        *,
        move: bool = False,
        dry_run: bool = False,
        compares: bool = False,
        told: Callable[[Account], None] | None = None,
    ) -> None:
        """`dry_run`: nothing is changed. `told` is called with what became of each entry. `compares`: a dry run that
        reads every file, whatever is known of it from before.

        Raises SourceError for a source that is missing, unreadable or part of the factory itself.
        """
        self._settings = settings
        self._database = database
        self._sources = Sources(sources, settings, move=move, compares=compares)
        self._move = move
        self.progress: Progress | None = None  # hears some times a second, however long a file takes
        # A dry run writes nothing beside the vault.
        place = Path(tempfile.gettempdir()) if dry_run else place_for_unpacking(Vault(settings.storage))
        self._unpacking = Unpacking(place)
        self._archives = Archives(settings.zone, checks_all=compares)
        self._librarian = Librarian(
            settings,
            database,
            clear=move,
            may_link=move,
            from_inbox=False,
            sources=[*self._sources.readable, self._unpacking.folder],
        )
        self._librarian.show_life(self._show)
        self._compares = compares
        self._went_in = Counter[str]()  # in a comparison: paths, each of which must be accounted for
        self._dry_run = DryRun(settings, database, self._librarian.vault) if dry_run else None
        self._earlier = EarlierImports(database, self._librarian.vault, only_look=dry_run)
        self._told = told
        self._stopping = threading.Event()
        self._told_holder = ""
        self._librarian.vault.while_locked = self._while_locked
        self._tries: dict[str, int] = {}
        self._companions: list[Inspection] = []  # wait for the photos that they may belong to
        self._counted: tuple[list[IncomingFile], list[Skipped]] | None = None
        self._bytes_moved = 0  # each is moved twice: read, and filed
        self._at = ""  # the last file
        self._began = time.time()
        self._shown = -math.inf
        self.tally = Tally()

    def stop(self) -> None:
        """Ends `run` soon; what is filed by then stays filed. Signal-safe."""
        self._stopping.set()
        self._librarian.stop()

    @property
    def ledger_away(self) -> str | None:
        """Why rows wait in the journal; None where they are in the ledger."""
        return self._librarian.recorder.away

    @property
    def cache_use(self) -> CacheUse:
        """How often a file's hash was known without reading it."""
        return self._earlier.cache.use

    @property
    def readings(self) -> Readings:
        """How many files fast readers have read so far, and how many ExifTool."""
        return self._librarian.readers.readings

    def workload(self) -> Workload:
        """Counts what there is to import."""
        load = Workload()
        counted, skipped = list[IncomingFile](), list[Skipped]()

        def note(found: Skipped) -> None:
            if len(skipped) <= _KEPT_COUNTED:
                skipped.append(found)

        for file in self._sources.files(note):
            if len(counted) <= _KEPT_COUNTED:
                counted.append(file)
            archive = self._archives.add(file) if is_archive(file) else None
            load.files += 1 if archive is None or archive.trouble is not None else archive.files
            load.bytes += file.state.size if archive is None or archive.trouble is not None else archive.bytes
            if self._stopping.is_set():
                break
            self._at = file.path
            self._show(load)
        else:
            if len(counted) + len(skipped) <= _KEPT_COUNTED:
                self._counted = counted, skipped
            if self.progress is not None:
                self.progress.plan(load.files, load.bytes)
        return load

    def _found(self) -> Iterator[IncomingFile]:
        """What is to be imported: as it was counted just now, or by another walk where that is too much to keep."""

        def skip(found: Skipped) -> None:
            self._goes_in(found.path)
            self._skip(found)

        if self._counted is None:
            yield from self._sources.files(skip)
            return
        files, skipped = self._counted
        self._counted = None
        for one in skipped:
            skip(one)
        yield from files

    def _goes_in(self, path: str) -> None:
        if self._compares:
            self._went_in[path] += 1

    def went_in(self) -> Counter[str]:
        """In a comparison: the path of each file of the walk, member of an archive, and entry that is left alone or
        that nobody can file; counted where it is found."""
        return self._went_in + Counter(iter(self._sources.odd))

    def came_meanwhile(self, go_on: Callable[[], None]) -> list[str]:
        """In a comparison: what is there by now, and was not when the walk passed."""
        archives = {one.file.original_path for one in self._archives}
        found: list[str] = []
        for path in self._sources.entries():
            go_on()
            if path not in self._went_in and path not in archives and path not in self._sources.odd:
                found.append(path)
        return found

    def run(self) -> Tally:
        """Imports everything. Raises VaultTrouble."""
        try:
            began = datetime.now(UTC)
            self._began = time.time()
            self._prepare()
            files = self._without_archives(self._found())
            while batch := list(islice(files, self._settings.batch_size)):
                if self._stopping.is_set():
                    break
                self._take(batch)
            self._work_off(0)
            for archive in self._archives:
                if self._stopping.is_set():
                    break
                self._take_archive(archive)
                self._work_off(0)
            while self._companions and not self._stopping.is_set():
                batch_size = self._settings.batch_size
                batch_, self._companions = self._companions[:batch_size], self._companions[batch_size:]
                self._settle(batch_)
                self._work_off(0)  # what was changed meanwhile
            for one in self._sources.odd.values():
                self.tally.add_odd(one)
                self._tell(Account(one.path, "failed" if one.kind == "unreadable" else "skipped", one.reason))
            if self._dry_run is None:
                self._note_all_odd(began)
            self._shown = -math.inf
            self._show()
        except VaultTrouble:
            if not self._stopping.is_set():  # otherwise a copy under way was given up
                raise
        finally:
            self._librarian.close()
            self._unpacking.close()
        return self.tally

    def _prepare(self) -> None:
        """Raises VaultTrouble."""
        if self._dry_run is not None:
            self._dry_run.prepare()
            self._unpacking.make()
        else:
            self._librarian.prepare()
            with self._librarian.vault.lock():
                self._unpacking.make()
        self._librarian.readers.start()

    def _while_locked(self, holder: str, seconds: float) -> None:
        """Another process has the vault's lock."""
        if self._stopping.is_set():
            raise VaultTrouble(f"stopped while {holder} had the vault's lock")
        if seconds > _LOCK_WORTH_TELLING and holder != self._told_holder:
            logger.warning("waiting for the vault's lock, which %s has", holder)
            self._told_holder = holder

    @property
    def _may_pass_over(self) -> bool:
        """Whether what earlier imports did is known, and enough."""
        return not self._compares and (self._dry_run is None or self._dry_run.knows_ledger)

    def changed_archives(self) -> set[str]:
        """The archives that are not as they were when they were found, by their paths."""
        return {one.file.path for one in self._archives if not _is_as_found(one.file)}

    @property
    def knows_ledger(self) -> bool:
        """Whether there is a ledger to compare with: a new factory has none yet."""
        return self._dry_run is None or self._dry_run.knows_ledger

    def _take(self, batch: list[IncomingFile]) -> None:
        earlier = self._earlier.of(batch) if self._may_pass_over and not self._move else {}
        known = self._earlier.outcomes(batch, earlier) if earlier else [None] * len(batch)
        self._pass_over([one for one in known if one is not None], earlier)
        self._librarian.readers.put([file for file, one in zip(batch, known, strict=True) if one is None])
        self._work_off(3 * self._settings.batch_size)

    def _without_archives(self, files: Iterable[IncomingFile]) -> Iterator[IncomingFile]:
        """Archives are looked at, and read later: then all parts of a set are known."""
        for file in files:
            if is_archive(file):
                self._archives.add(file)
            else:
                self._goes_in(file.original_path)
                yield file

    def _take_archive(self, archive: Archive) -> None:
        self.tally.archives += 1
        try:
            if archive.trouble is not None:
                raise ArchiveTrouble(archive.trouble)
            with self._archives.reading(archive) as members:
                while batch := list(islice(members, self._settings.batch_size)):
                    self._take_members(batch)
                    if self._stopping.is_set():
                        break
            if archive.more is not None:
                raise ArchiveTrouble(archive.more)
        except ArchiveTrouble as trouble:
            self._goes_in(archive.file.original_path)
            self._finish([Outcome(archive.file, "failed", reason=str(trouble))])

    def _take_members(self, batch: list[Packed]) -> None:
        earlier = self._earlier.of_members([one.file for one in batch]) if self._may_pass_over else {}
        for member in batch:
            if self._stopping.is_set():
                return
            self._goes_in(member.file.original_path)
            if member.skipped is not None:
                self._skip(Skipped(member.file.original_path, member.skipped))
                continue
            try:
                if member.trouble is not None:
                    raise MemberTrouble(member.trouble)
                known = self._unchanged_member(member, earlier.get(member.file.original_path))
                if known is not None:
                    self._pass_over([known], earlier)
                else:
                    self._librarian.readers.put([self._unpack(member)])
            except (MemberTrouble, NoRoom) as trouble:
                self._finish([Outcome(member.file, "failed", reason=str(trouble))])
            if self._unpacking.bytes >= MOST_BYTES:
                self._work_off(len(self._librarian.readers) // 2)
        self._work_off(self._settings.batch_size)

    def _pass_over(self, outcomes: Sequence[Outcome], earlier: Mapping[str, Earlier]) -> None:
        if not outcomes:
            return
        self._bytes_moved += 2 * sum(one.file.state.size for one in outcomes)  # read, and filed
        last = outcomes[-1].file.original_path
        self._at = last
        self._count(outcomes, earlier)
        self._reached(last, known.sha256 if (known := earlier.get(last)) is not None else None)

    def _unchanged_member(self, member: Packed, known: Earlier | None) -> Outcome | None:
        """As for a file that an earlier import dealt with, but its bytes are read: a zip says little of when."""
        (outcome,) = self._earlier.outcomes([member.file], {member.file.original_path: known} if known else {})
        if outcome is None or known is None or known.kept_path is None or outcome.result != "duplicate":
            return outcome
        return outcome if member.sha256(self._go_on) == known.sha256 else None

    def _unpack(self, member: Packed) -> IncomingFile:
        """Raises MemberTrouble, NoRoom, VaultTrouble."""

        def unpack(write: Callable[[bytes], object]) -> None:
            def write_on(piece: bytes) -> None:
                self._go_on()
                write(piece)

            member.unpack(write_on)

        return self._unpacking.put(member.file, member.name, unpack, member.beside)

    def _go_on(self) -> None:
        """Between two pieces of a long member. Raises VaultTrouble where the import is to stop."""
        if self._stopping.is_set():
            raise VaultTrouble("stopped while unpacking; nothing of it stays")
        self._show()

    def _work_off(self, most_left: int) -> None:
        """Settles inspections until at most that many files are under way."""
        readers, inspections = self._librarian.readers, list[Inspection]()
        while not self._stopping.is_set() and len(readers) + len(inspections) > most_left:
            for found in readers.get(_TICK):
                self._moved(found.file)
                if isinstance(found, Sidecar | Companion) or (
                    isinstance(found, Inspected) and as_companion(found) is not None
                ):
                    self._companions.append(found)
                    self._unpacking.set_aside(found.file)
                else:
                    inspections.append(found)
            self._show()
            if len(inspections) >= self._settings.batch_size or (inspections and not len(readers)):
                self._settle(inspections)
                inspections = []
        if inspections and not self._stopping.is_set():
            self._settle(inspections)

    def _settle(self, inspections: Sequence[Inspection]) -> None:
        outcomes = (self._librarian if self._dry_run is None else self._dry_run).settle(inspections)
        done: list[Outcome] = []
        again: list[IncomingFile] = []
        for outcome in outcomes:
            file = outcome.file
            if outcome.result == "changing":
                self._tries[file.path] = self._tries.get(file.path, 0) + 1
                state = regular_state_below(file.top, file.path)
                if state is not None and self._tries[file.path] < _MOST_TRIES:
                    again.append(file._replace(state=state))
                    continue
                outcome = replace(outcome, result="failed", reason="it is being written to; import it again later")
            elif outcome.result == "gone":
                outcome = replace(outcome, result="failed", reason="it vanished during the import")
            elif self._should_have_gone(outcome):
                self.tally.left += 1
                logger.warning("%s is added, and stays at its source: %s", file.original_path, outcome.reason)
            self._moved(file)
            self._unpacking.release(file)
            done.append(outcome)
        self._finish(done)
        if self._dry_run is None and not self._move:
            self._earlier.remember(done, read_since=self._began)
        if done:
            last = done[-1]
            self._reached(last.file.original_path, last.found.sha256 if last.found is not None else None)
        self._librarian.readers.put(again)

    def _should_have_gone(self, outcome: Outcome) -> bool:
        """Whether a move has left a source where it was. Of an archive nothing is removed."""
        moves = self._move and self._dry_run is None and not outcome.file.is_unpacked
        is_filed = outcome.result in _FILED or (outcome.result == "companion" and outcome.final_path is not None)
        return moves and is_filed and not outcome.cleared

    def _finish(self, outcomes: Sequence[Outcome]) -> None:
        """Logs, records and counts what became of files."""
        failures: list[LedgerEntry] = []
        for outcome in outcomes:
            path, reason = outcome.file.original_path, outcome.reason
            if outcome.result == "failed":
                logger.warning("%s: %s", path, reason)
                failures.append(LedgerEntry(ledger_entry.event_row(outcome.file, "failed", message=reason)))
            elif outcome.result in ("companion", "sidecar"):
                logger.info("%s: %s", path, reason)
            elif outcome.result == "unwanted":
                logger.info("%s was removed before; it is in the trash: %s", path, outcome.final_path)
            elif outcome.result == "not_media":
                logger.info("%s is not a photo or video", path)
        if failures and self._dry_run is None:
            self._librarian.note(failures)
        self._count(outcomes)

    def _count(self, outcomes: Sequence[Outcome], earlier: Mapping[str, Earlier] | None = None) -> None:
        self.tally.add(outcomes)
        if self._told is not None:
            for one in outcomes:
                account = _account(one, (earlier or {}).get(one.file.original_path))
                if self._compares:
                    content = one.found.sha256 if one.found is not None else one.companion_sha256
                    account = account._replace(content=content, file=one.file, picture=_picture(one))
                self._told(account)
        self._show()

    def _moved(self, file: IncomingFile) -> None:
        """A file is read, or filed."""
        self._bytes_moved += file.state.size
        self._at = file.original_path

    def _show(self, load: Workload | None = None) -> None:
        """Reports how far it has come, if that was not done just now. `load`: while that is counted."""
        now = time.monotonic()
        if self.progress is None or now - self._shown < _TICK:
            return
        self._shown = now
        if load is not None:
            self.progress.steps(load.files, load.bytes, at=os.path.dirname(self._at))
        else:
            counts = {"duplicates": self.tally.duplicates, "failed": self.tally.failed}
            self.progress.steps(
                self.tally.files,
                self._bytes_moved // 2,
                at=os.path.dirname(self._at),
                errors=self.tally.failed,
                counts=counts,
            )

    def _reached(self, path: str, sha256: str | None) -> None:
        """All files that are counted by now are filed for good, this one the last of them."""
        if self.progress is not None:
            self.progress.reached(path, sha256)
            self._shown = -math.inf
            self._show()

    def _skip(self, found: Skipped) -> None:
        self.tally.skip(found.reason, found.path)
        self._tell(Account(found.path, "skipped", found.reason))

    def _tell(self, account: Account) -> None:
        if self._told is not None:
            self._told(account)

    def _note_all_odd(self, began: datetime) -> None:
        """What nobody can file gets its rows, and what an earlier import has found and this one has not loses them."""
        table = HeldFilesTable(self._database, self._librarian.recorder.connect)
        for source in map(str, self._sources.paths):
            below = source.rstrip("/") + "/"
            found = [one for one in self._sources.odd.values() if one.path == source or one.path.startswith(below)]
            looked_at_all = None if self._stopping.is_set() else began
            table.save_odd(source, [HeldFile.of_odd(one) for one in found], forget_before=looked_at_all)


def _is_as_found(file: IncomingFile) -> bool:
    try:
        return regular_state_below(file.top, file.path) == file.state
    except OSError:
        return False


def _picture(one: Outcome) -> Picture | None:
    """Of a new photo, what may show that the vault has its picture in other bytes."""
    if one.result != "new" or one.found is None or one.found.kind.is_video or one.found.kind.is_raw:
        return None
    said = one.found.metadata
    if said.width is None or said.height is None:
        return None
    return Picture(one.found.kind.name, said.width, said.height, said.captured_at, one.file.name)


def _account(one: Outcome, earlier: Earlier | None) -> Account:
    known: tuple[str | None, datetime | None, str | None] = (None, None, None)
    if one.found is not None:
        known = one.found.sha256, one.found.metadata.captured_at, one.found.metadata.date_source
    elif earlier is not None and one.reason == UNCHANGED:
        known = earlier.sha256, earlier.captured_at, earlier.date_source
    reason = one.reason
    if one.result == "not_media" and reason is None:
        reason = "not a photo or video by its content" if one.file.state.size else "empty"
    # (a dry run foretells all but what a companion is called)
    where = one.final_path if one.result != "companion" else None
    return Account(one.file.original_path, one.result, reason, where, *known)
