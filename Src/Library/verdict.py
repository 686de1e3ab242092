"""Is a kept original what its row says? Its bytes are read, not believed (promise 4).

Whatever removes the last copy of anything beside the vault asks here first, and removes only what is `Living`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from Src.Library.original_path import NotAnOriginal, checked_hash, checked_place
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.disk.beneath import open_beneath, open_folder, parent_beneath
from Src.Shared.disk.files import OPEN_FLAGS, FileState, sha256_of

logger = logging.getLogger(__name__)

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
# The disk or its filesystem has lost the bytes. Any other refusal says nothing about them.
_UNREADABLE = (errno.EIO, errno.EUCLEAN, errno.EBADMSG)
_REMEMBERED = 900.0  # seconds: a batch, or the minutes in which an inbox file waits to be removed
_MOST_REMEMBERED = 100_000
# A change within one tick of a filesystem's clock leaves the times as they were; exFAT's tick is 2 s.
_SETTLED_NS = 3_000_000_000
_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}


@dataclass(frozen=True, slots=True)
class Living:
    """A regular file whose bytes hash to the row's SHA-256."""

    state: FileState  # in which it was read


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing stands there."""


@dataclass(frozen=True, slots=True)
class Rotten:
    """Something stands there, and it is not the original: other bytes, another kind of file, or unreadable."""

    state: FileState
    sha256: str  # of what it holds now; empty where that cannot be read
    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It cannot be told. Nothing may be removed, and nothing moved aside."""

    reason: str


Verdict = Living | Gone | Rotten | Unknown


class Question(NamedTuple):
    """Of what a verdict is asked: as a row of the ledger or an entry of the journal has it."""

    final_path: str  # as on disk, relative to the storage root
    sha256: str
    size: int


class Verdicts:
    """Looks at the originals of one vault. Thread-safe."""

    def __init__(self, originals: Path) -> None:
        self._originals = originals
        self._living: dict[str, tuple[FileState, str, float]] = {}  # path -> what was read, and when
        self._interrupted = threading.Event()

    def interrupt(self) -> None:
        """Readings under way, and all later ones, raise VaultTrouble: the process is to end."""
        self._interrupted.set()

    def of(self, question: Question) -> Verdict:
        """Raises VaultTrouble where the vault as a whole cannot be looked into."""
        with self._root() as root:
            return self._look(root, question)

    def of_all(self, questions: Sequence[Question], threads: int) -> list[Verdict]:
        """In order; each question is answered once, in several threads. Raises VaultTrouble."""
        distinct = list(dict.fromkeys(questions))
        threads = min(threads, len(distinct))
        if not distinct:
            return []
        with self._root() as root:
            if threads < 2:
                answers = [self._look(root, question) for question in distinct]
            else:
                with ThreadPoolExecutor(threads, thread_name_prefix="verdict") as pool:
                    answers = list(pool.map(lambda question: self._look(root, question), distinct))
        answered = dict(zip(distinct, answers, strict=True))
        return [answered[question] for question in questions]

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        try:
            fd = open_folder(self._originals)
        except OSError as error:
            raise VaultTrouble.from_os(error, f"look into the vault {self._originals}") from error
        try:
            yield fd
        finally:
            os.close(fd)

    def _look(self, root: int, question: Question) -> Verdict:
        try:
            path, sha256 = checked_place(question.final_path), checked_hash(question.sha256)
        except NotAnOriginal as problem:
            return Unknown(str(problem))
        try:
            with parent_beneath(root, path.partition("/")[2]) as (folder, name):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
                    return Rotten(FileState.of(status), "", f"{kind} stands in its place")
                try:
                    fd = open_beneath(folder, name, OPEN_FLAGS)
                except OSError as error:
                    if error.errno in _UNREADABLE:
                        return Rotten(FileState.of(status), "", f"it cannot be read ({error.strerror})")
                    raise
        except OSError as error:
            if error.errno in _NOT_THERE:
                return Gone()
            if error.errno == errno.ELOOP:
                return Unknown(f"{path}: a symbolic link stands on the way to it")
            return Unknown(f"{path} cannot be looked at: {error.strerror}")
        try:
            return self._read(fd, path, sha256, question.size)
        except OSError as error:
            return Unknown(f"{path} cannot be read: {error.strerror}")
        finally:
            os.close(fd)

    def _read(self, fd: int, path: str, sha256: str, size: int) -> Verdict:
        state = FileState.of(os.fstat(fd))
        if self._was_read(path, sha256, state):
            return Living(state)
        found, why = self._hash(fd)
        if found != sha256:  # memory can be at fault: read again, from the disk
            with contextlib.suppress(OSError):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            again, why = self._hash(fd)
            if again == sha256:
                logger.warning("two readings of %s differ; check the memory and the disk", path)
            found = again
        now = FileState.of(os.fstat(fd))
        if found == sha256 and now.size == size:
            if now == state:
                self._remember(path, sha256, state)
            return Living(now)
        if now != state:
            return Unknown(f"{path} is being changed")
        if not why:
            lengths = "" if now.size == size else f", and it has {now.size:,} bytes instead of {size:,}"
            why = f"its bytes are not those that were filed{lengths}"
        return Rotten(state, found, why)

    def _hash(self, fd: int) -> tuple[str, str]:
        """The SHA-256 of an open file, or nothing and why it cannot be read. Raises OSError where that says nothing."""
        try:
            return sha256_of(fd, self._go_on), ""
        except OSError as error:
            if error.errno in _UNREADABLE:
                return "", f"it cannot be read ({error.strerror})"
            raise

    def _go_on(self) -> None:
        if self._interrupted.is_set():
            raise VaultTrouble("stopped while a kept original was read; nothing was removed")

    def _was_read(self, path: str, sha256: str, state: FileState) -> bool:
        known = self._living.get(path)
        return known is not None and known[:2] == (state, sha256) and time.monotonic() - known[2] < _REMEMBERED

    def _remember(self, path: str, sha256: str, state: FileState) -> None:
        if abs(time.time_ns() - state.ctime_ns) < _SETTLED_NS:
            return
        if len(self._living) >= _MOST_REMEMBERED:
            self._living.clear()
        self._living[path] = (state, sha256, time.monotonic())
