"""The journal: ledger entries on disk beside the vault, while the ledger is away.

One JSON object a line, in segments that are only ever appended to and fsynced before `append` returns. A segment is
removed when every entry of it is in the ledger. A torn last line was never acknowledged: the file is in the inbox.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from Src.Librarian.ledger_entry import LedgerEntry
from Src.Librarian.syncing import fsync_folder
from Src.Librarian.vault_trouble import VaultTrouble, vault_trouble
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

    def segments(self) -> list[Path]:
        """All segments, oldest first. Raises VaultTrouble."""
        with vault_trouble(f"read the journal in {self._folder}"):
            try:
                names = os.listdir(self._folder)
            except FileNotFoundError:
                return []
        return sorted(self._folder / name for name in names if name.endswith(".jsonl"))

    def append(self, entries: Sequence[LedgerEntry]) -> None:
        """Writes entries durably; all or, where VaultTrouble is raised, none that counts."""
        text = "".join(json.dumps(entry.to_json(), ensure_ascii=True) + "\n" for entry in entries).encode()
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
            raise VaultTrouble.from_os(error, f"write the journal in {self._folder}") from error

    def known(self, hashes: Sequence[str]) -> dict[str, LedgerEntry]:
        """The journaled originals among these hashes. Raises VaultTrouble."""
        segments = self.segments()
        if any(path not in segments for path in self._indexed):
            self._index, self._indexed = {}, {}
        for segment in segments:
            done = self._indexed.get(segment, 0)
            with vault_trouble(f"read the journal {segment}"):
                size = segment.stat().st_size
            if size > done:
                for entry, end in self._read(segment, done):
                    if entry.asset is not None:
                        self._index[entry.asset["file_hash"]] = entry
                    self._indexed[segment] = end
        return {sha256: self._index[sha256] for sha256 in hashes if sha256 in self._index}

    def entries(self, segment: Path) -> Iterator[LedgerEntry]:
        """The entries of a segment, in the order in which they were written. Raises VaultTrouble."""
        for entry, _ in self._read(segment, 0):
            yield entry

    def remove(self, segment: Path) -> None:
        """Forgets a segment whose entries are all in the ledger. A damaged one is kept aside for a person.

        Raises VaultTrouble.
        """
        with vault_trouble(f"remove the journal {segment}"):
            if segment in self._damaged:
                segment.rename(segment.with_suffix(".damaged"))
            else:
                segment.unlink()
            fsync_folder(self._folder)
        if segment == self._segment:
            self._segment = None

    def keep_rejected(self, entry: LedgerEntry) -> None:
        """Puts aside, for a person, an entry that the ledger does not take. Raises VaultTrouble."""
        path = self._folder / "rejected.json-lines"
        with vault_trouble(f"write {path}"), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry.to_json()) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _open(self) -> int:
        if self._segment is None or not self._segment.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            segment = self._folder / f"{new_id().hex}.jsonl"
            fd = os.open(segment, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
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
        with vault_trouble(f"read the journal {segment}"), open(segment, "rb") as file:
            file.seek(start)
            for line in file:
                start += len(line)
                if not line.endswith(b"\n"):
                    return  # torn
                try:
                    entry = LedgerEntry.from_json(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    if segment not in self._damaged:
                        logger.error("journal %s has a damaged line; it will be kept as .damaged", segment.name)
                        self._damaged.add(segment)
                else:
                    yield entry, start


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
