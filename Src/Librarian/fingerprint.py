"""Fingerprint: what is it, byte for byte? One read gives SHA-256, size and kind."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from Src.Librarian.filesystem import sends_events
from Src.Librarian.incoming import FileState
from Src.Librarian.media_kind import HEAD_SIZE, Kind, kind_of

_CHUNK = 1024 * 1024
_local = threading.local()
# NONBLOCK: a FIFO put in the file's place must not hold us; it has no effect on regular files.
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotARegularFile(Exception):
    """A symlink, FIFO, device, socket or folder stands where a file stood."""


class StillChanging(Exception):
    """The file is not as it was when it was found complete, or somebody has it open for writing."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A file as it was read."""

    sha256: str  # lower-case hex; empty where it is no media and was not read
    kind: Kind | None


def open_regular(path: str) -> int:
    """Opens a file for reading and returns its descriptor.

    Raises NotARegularFile, and OSError where it is gone or may not be read.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):  # to open a FIFO wakes its writer, to open a device may do anything
        raise NotARegularFile(path)
    try:
        fd = os.open(path, OPEN_FLAGS)
    except OSError as error:  # ELOOP: a symlink (O_NOFOLLOW), ENXIO: a socket or a device, put there just now
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotARegularFile(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotARegularFile(path)
    return fd


class ReadLease:
    """A read lease on an open file (fcntl(2), F_SETLEASE), which is only given where nobody writes.

    While it is held, whoever opens the file for writing, or truncates it, waits until it is given back. Where leases
    are refused for another reason (network filesystem, not our file), it says nothing and the other signs must do.
    """

    __slots__ = ("_fd", "_held", "somebody_writes")

    def __init__(self, fd: int) -> None:
        self._fd, self._held, self.somebody_writes = fd, False, False
        try:
            # Who waits makes the kernel signal us, by default with one that kills.
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            self._held = True
        except BlockingIOError:
            # NFS and SMB say the same where the server has merely not handed the file over to us.
            self.somebody_writes = sends_events(Path(f"/proc/self/fd/{fd}"))
        except (OSError, AttributeError):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def somebody_waits(self) -> bool:
        """Whether somebody wants to write by now. To be asked before it is given back: then they go on."""
        return self._held and fcntl.fcntl(self._fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK

    def release(self) -> None:
        if self._held:
            self._held = False
            with contextlib.suppress(BlockingIOError):  # the kernel took it: somebody had waited for too long
                fcntl.fcntl(self._fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def open_for_writing_elsewhere(fd: int) -> bool:
    """Whether any process has this file open for writing, as far as the kernel will say."""
    with ReadLease(fd) as lease:
        return lease.somebody_writes


def is_open_for_writing(path: str) -> bool:
    """Whether any process has the file at a path open for writing; no, where that cannot be asked."""
    try:
        fd = open_regular(path)
    except (OSError, NotARegularFile):
        return False
    try:
        return open_for_writing_elsewhere(fd)
    finally:
        os.close(fd)


def fingerprint(path: str, expected: FileState) -> Fingerprint:
    """Reads a file once.

    Raises StillChanging where it is not in the expected state before or after, NotARegularFile, OSError.
    """
    fd = open_regular(path)
    try:
        if FileState.of(os.fstat(fd)) != expected or open_for_writing_elsewhere(fd):
            raise StillChanging(path)
        head = os.pread(fd, HEAD_SIZE, 0)
        kind = kind_of(fd, head)
        sha256 = sha256_of(fd) if kind is not None else ""
        if FileState.of(os.fstat(fd)) != expected:
            raise StillChanging(path)
        return Fingerprint(sha256, kind)
    finally:
        os.close(fd)


def sha256_of(fd: int) -> str:
    """SHA-256 of an open file from its beginning, in constant memory, as lower-case hex."""
    digest = hashlib.sha256()
    view = _buffer()
    os.lseek(fd, 0, os.SEEK_SET)
    while count := os.readv(fd, [view]):
        digest.update(view[:count])
    return digest.hexdigest()


def _buffer() -> memoryview:
    """One for each thread: to make one anew takes longer than to hash a small photo."""
    view: memoryview | None = getattr(_local, "buffer", None)
    if view is None:
        view = _local.buffer = memoryview(bytearray(_CHUNK))
    return view
