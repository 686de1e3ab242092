"""The journal: ledger entries on disk beside the vault, while the ledger is away.

One JSON object a line, in segments that are only ever appended to and fsynced before `append` returns. A segment is
removed when every entry of it is in the ledger. A torn last line was never acknowledged: the file is in the inbox.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from Src.Librarian.passage import Kept, LedgerEntry
from Src.Librarian.record.ledger_entry import from_json, to_json
from Src.Library.refused_rows import REFUSED
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Shared.disk.making import PRIVATE, make_folder, private_file
from Src.Shared.disk.syncing import fsync_folder
from Src.Shared.ledger_text import from_ledger
from Src.Shared.models import new_id

logger = logging.getLogger(__name__)


class Journal:
    """The journal of one vault. To be used under the vault's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segment: Path | None = None  # where this process writes
        self._index: dict[str, LedgerEntry] = {}  # by hash
        self._indexed: dict[Path, int] = {}  # bytes of each segment that the index knows
        self._damaged: set[Path] = set()
        self._counted: tuple[tuple[int, int, int], int] = (0, 0, 0), 0  # of what was put aside, in which state

    def segments(self) -> list[Path]:
        """All segments, oldest first. Raises VaultTrouble."""
        with vault_trouble(f"read the notes in {self._folder}"):
            try:
                names = os.listdir(self._folder)
            except FileNotFoundError:
                return []
        return sorted(self._folder / name for name in names if name.endswith(".jsonl"))

    def append(self, entries: Sequence[LedgerEntry]) -> None:
        """Writes entries durably; all or, where VaultTrouble is raised, none that counts."""
        text = "".join(json.dumps(to_json(entry), ensure_ascii=True) + "\n" for entry in entries).encode()
        try:
            fd = self._open()
            try:
                end = os.fstat(fd).st_size
                try:
                    _write_all(fd, text)
                    os.fsync(fd)
                except OSError:
                    os.ftruncate(fd, end)
                    raise
            finally:
                os.close(fd)
        except OSError as error:
            self._segment = None  # after a failed fsync, what the file holds is not known
            raise VaultTrouble.from_os(error, f"write notes in {self._folder}") from error

    def known(self, hashes: Sequence[str]) -> dict[str, LedgerEntry]:
        """The journaled originals among these hashes. Raises VaultTrouble."""
        segments = self.segments()
        if any(path not in segments for path in self._indexed):
            self._index, self._indexed = {}, {}
        for segment in segments:
            done = self._indexed.get(segment, 0)
            with vault_trouble(f"read the notes {segment}"):
                size = segment.stat().st_size
            if size > done:
                for entry, end in self._read(segment, done):
                    if entry.asset is not None:
                        self._index[entry.asset["file_hash"]] = entry
                    self._indexed[segment] = end
        return {sha256: self._index[sha256] for sha256 in hashes if sha256 in self._index}

    def kept(self, hashes: Sequence[str]) -> dict[str, Kept]:
        """Where the journaled originals among these hashes are. Raises VaultTrouble."""
        return {
            sha256: Kept(from_ledger(entry.asset["final_path"]), entry.asset["file_size"])
            for sha256, entry in self.known(hashes).items()
            if entry.asset is not None
        }

    def entries(self, segment: Path) -> Iterator[LedgerEntry]:
        """The entries of a segment, in the order in which they were written. Raises VaultTrouble."""
        for entry, _ in self._read(segment, 0):
            yield entry

    def remove(self, segment: Path) -> None:
        """Forgets a segment whose entries are all in the ledger. A damaged one is kept aside for a person.

        Raises VaultTrouble.
        """
        with vault_trouble(f"remove the notes {segment}"):
            if segment in self._damaged:
                segment.rename(segment.with_suffix(".damaged"))
            else:
                segment.unlink()
            fsync_folder(self._folder)
        if segment == self._segment:
            self._segment = None

    def keep_rejected(self, entry: LedgerEntry, reason: str) -> None:
        """Puts aside, for a person, an entry that the ledger does not take. Raises VaultTrouble."""
        path = self._folder / REFUSED
        with vault_trouble(f"write {path}"), open(path, "a", encoding="utf-8", opener=private_file) as file:
            file.write(json.dumps({**to_json(entry), "reason": reason}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rejected(self) -> list[LedgerEntry]:
        """What was put aside. Raises VaultTrouble."""
        found = []
        with vault_trouble(f"read the notes in {self._folder}"):
            try:
                lines = (self._folder / REFUSED).read_bytes().splitlines()
            except FileNotFoundError:
                return []
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                found.append(from_json(json.loads(line)))
        return found

    def rejected_count(self) -> int:
        """How many were put aside; cheap where none was since it was asked last."""
        try:
            status = os.stat(self._folder / REFUSED)
        except OSError:
            return 0
        state = status.st_ino, status.st_size, status.st_mtime_ns
        if state != self._counted[0]:
            with contextlib.suppress(VaultTrouble):
                self._counted = state, len(self.rejected())
        return self._counted[1]

    def take_up_rejected(self) -> int:
        """Makes journal again of what was put aside; how many entries. Raises VaultTrouble.

        A kill in between leaves both, and to replay an entry twice does no harm.
        """
        path = self._folder / REFUSED
        entries = self.rejected()
        if not entries:
            return 0
        self.append(entries)
        with vault_trouble(f"remove {path}"):
            lines = path.read_bytes().splitlines()
            if len(lines) > len(entries):  # a damaged line is for a person
                path.rename(path.with_name(f"{new_id().hex}.damaged"))
            else:
                path.unlink()
            fsync_folder(self._folder)
        return len(entries)

    def _open(self) -> int:
        if self._segment is None or not self._segment.exists():
            make_folder(self._folder, PRIVATE, below=self._folder.parent)
            segment = self._folder / f"{new_id().hex}.jsonl"
            fd = private_file(segment, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
            try:
                fsync_folder(self._folder)
                fsync_folder(self._folder.parent)
            except OSError:
                os.close(fd)
                raise
            self._segment = segment
            return fd
        return os.open(self._segment, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _read(self, segment: Path, start: int) -> Iterator[tuple[LedgerEntry, int]]:
        """Entries from a byte offset on, each with the offset behind it."""
        with vault_trouble(f"read the notes {segment}"), open(segment, "rb") as file:
            file.seek(start)
            for line in file:
                start += len(line)
                if not line.endswith(b"\n"):
                    return  # torn
                try:
                    entry = from_json(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    if segment not in self._damaged:
                        told = "the notes %s have a damaged line (%s); they are kept as .damaged"
                        logger.error(told, segment.name, error)
                        self._damaged.add(segment)
                else:
                    yield entry, start


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
