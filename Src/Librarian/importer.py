"""Import: the batch mode for a first big import, straight from any folders or files, through the same stages.

It copies and never writes to the source, unless asked to move. A second run goes on where the first stopped: what was
imported and is unchanged and still in the vault is passed over without being read again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import select

from Src.Librarian import ledger_entry
from Src.Librarian.file_watcher import walk_files
from Src.Librarian.incoming import IncomingFile, regular_file_state
from Src.Librarian.inspection import Finding
from Src.Librarian.ledger_entry import LedgerEntry
from Src.Librarian.librarian import Librarian, Outcome
from Src.Librarian.tally import Tally
from Src.Librarian.vault import MARKER
from Src.Librarian.vault_trouble import VaultTrouble
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import IngestEvent, MediaAsset
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

_TICK = 0.2
_MOST_TRIES = 3  # for a source file that changes while it is read


class SourceError(Exception):
    """A source cannot be imported. The message is one line: what, where, what to do."""


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
        progress: Callable[[Tally, int], None] | None = None,
    ) -> None:
        """`progress` is told, as it goes, the tally and the bytes dealt with (photos, videos and anything else).

        Raises SourceError for a source that is missing, unreadable or part of the factory itself.
        """
        self._settings = settings
        self._database = database
        self._sources = _checked(sources, settings, move=move)
        self._move = move
        self._progress = progress
        self._librarian = Librarian(settings, database, clear=move, may_link=move)
        self._stopping = threading.Event()
        self._tries: dict[str, int] = {}
        self._unreadable: set[str] = set()
        self._bytes_done = 0
        self.tally = Tally()

    def stop(self) -> None:
        """Ends `run` soon; what is filed by then stays filed. Signal-safe."""
        self._stopping.set()
        self._librarian.stop()

    @property
    def ledger_away(self) -> str | None:
        """Why rows wait in the journal; None where they are in the ledger."""
        return self._librarian.recorder.away

    def workload(self) -> Workload:
        """Counts what there is to import."""
        load = Workload()
        for file in self._files():
            load.files += 1
            load.bytes += file.state.size
            if self._stopping.is_set():
                break
        return load

    def run(self) -> Tally:
        """Imports everything. Raises VaultTrouble."""
        try:
            self._librarian.prepare()
            self._librarian.workers.start()
            files = self._files()
            while batch := list(islice(files, self._settings.batch_size)):
                if self._stopping.is_set():
                    break
                self._take(batch)
            self._work_off(0)
            self.tally.failed += len(self._unreadable)  # what is in such a folder, nobody knows
        except VaultTrouble:
            if not self._stopping.is_set():  # otherwise a copy under way was given up
                raise
        finally:
            self._librarian.close()
        return self.tally

    def _take(self, batch: list[IncomingFile]) -> None:
        outcomes, fresh = ([], batch) if self._move else self._passed_over(batch)
        self._count(outcomes)
        self._librarian.workers.put(fresh)
        self._work_off(3 * self._settings.batch_size)

    def _work_off(self, most_left: int) -> None:
        """Settles findings until at most that many files are under way."""
        workers, findings = self._librarian.workers, list[Finding]()
        while not self._stopping.is_set() and len(workers) + len(findings) > most_left:
            findings += workers.get(_TICK)
            if len(findings) >= self._settings.batch_size or (findings and not len(workers)):
                self._settle(findings)
                findings = []
        if findings and not self._stopping.is_set():
            self._settle(findings)

    def _settle(self, findings: Sequence[Finding]) -> None:
        outcomes = self._librarian.settle(findings)
        done: list[Outcome] = []
        failures: list[LedgerEntry] = []
        again: list[IncomingFile] = []
        for outcome in outcomes:
            file, reason = outcome.file, outcome.reason
            if outcome.result == "changing":
                self._tries[file.path] = self._tries.get(file.path, 0) + 1
                state = regular_file_state(file.path)
                if state is not None and self._tries[file.path] < _MOST_TRIES:
                    again.append(IncomingFile(file.path, file.original_path, state, "import"))
                    continue
                outcome, reason = Outcome(file, "failed"), "it is being written to; import it again later"
            elif outcome.result == "gone":
                outcome, reason = Outcome(file, "failed"), "it vanished during the import"
            if outcome.result == "failed":
                logger.warning("%s: %s", file.path, reason)
                failures.append(LedgerEntry(ledger_entry.event_row(file, "failed", message=reason)))
            elif outcome.result == "not_media":
                logger.info("%s is not a photo or video", file.path)
            done.append(outcome)
        if failures:
            self._librarian.note(failures)
        self._count(done)
        self._librarian.workers.put(again)

    def _count(self, outcomes: Iterable[Outcome]) -> None:
        counted = list(outcomes)
        self.tally.add(counted)
        self._bytes_done += sum(outcome.file.state.size for outcome in counted)
        if self._progress is not None:
            self._progress(self.tally, self._bytes_done)

    def _files(self) -> Iterator[IncomingFile]:
        storage = _identity(self._settings.storage)
        for source in self._sources:
            if source.is_dir():
                marker = MARKER if self._move else None
                walk = walk_files(str(source), skip=storage, skip_marked=marker, unreadable=self._not_looked_at)
                for path, state in walk:
                    yield IncomingFile(path, path, state, "import")
                continue
            only = regular_file_state(str(source))
            if only is not None:
                yield IncomingFile(str(source), str(source), only, "import")

    def _not_looked_at(self, path: str, _error: OSError) -> None:
        self._unreadable.add(path)

    def _passed_over(self, batch: list[IncomingFile]) -> tuple[list[Outcome], list[IncomingFile]]:
        """What of a batch is known from an earlier import to be done, and what is to be read."""
        try:
            earlier = self._earlier(batch)
        except LedgerUnavailable:
            return [], batch
        outcomes, fresh = [], []
        for file in batch:
            known = earlier.get(file.original_path)
            if known is None or (known.size, known.mtime_ns) != (file.state.size, file.state.mtime_ns):
                fresh.append(file)
            elif known.fate == "not_media":
                outcomes.append(Outcome(file, "not_media"))
            elif known.kept_path is not None and self._librarian.vault.holds(known.kept_path, file.state.size):
                outcomes.append(Outcome(file, "duplicate", known.kept_path))
            else:
                fresh.append(file)
        return outcomes, fresh

    def _earlier(self, batch: Sequence[IncomingFile]) -> dict[str, _Earlier]:
        """The last fate of each path in earlier imports; one query."""
        event = IngestEvent
        statement = (
            select(event.original_path, event.fate, event.file_size, event.source_mtime_ns, MediaAsset.final_path)
            .outerjoin(MediaAsset, MediaAsset.file_hash == event.file_hash)
            .where(
                event.original_path.in_([to_ledger(file.original_path) for file in batch]),
                event.source == "import",
            )
            .order_by(event.id)
        )
        with self._database.session() as session:
            return {
                from_ledger(path): _Earlier(fate, size, mtime_ns, from_ledger(kept) if kept else None)
                for path, fate, size, mtime_ns, kept in session.execute(statement)
            }


@dataclass(frozen=True, slots=True)
class _Earlier:
    fate: str
    size: int | None
    mtime_ns: int | None
    kept_path: str | None


def _checked(sources: Sequence[Path], settings: Settings, *, move: bool) -> list[Path]:
    checked: list[Path] = []
    for source in sources:
        try:
            exists = source.exists()
        except OSError as error:
            raise SourceError(f"{source}: cannot be looked at: {error.strerror}") from error
        if not exists:
            raise SourceError(f"{source}: no such file or folder")
        if not os.access(source, os.R_OK | (os.X_OK if source.is_dir() else 0)):
            raise SourceError(f"{source}: cannot be read; check its permissions")
        if not source.is_dir() and not source.is_file():
            raise SourceError(f"{source}: is neither a folder nor a regular file")
        resolved = source.resolve()
        # By identity: the storage may be mounted a second time under another path.
        storage = {_identity(settings.storage), _identity(settings.originals)} - {None}
        if any(_identity(folder) in storage for folder in (resolved, *resolved.parents)):
            raise SourceError(f"{source}: is part of the vault's storage {settings.storage}; give another source")
        if move and any((folder / MARKER).exists() for folder in (resolved, *resolved.parents)):
            raise SourceError(f"{source}: is part of a vault, which --move would empty; import it without --move")
        checked.append(resolved)
    # A source inside another is imported with that one, and once.
    return [one for one in dict.fromkeys(checked) if not any(other in one.parents for other in checked)]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
