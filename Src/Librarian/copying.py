"""Copy: one file into the vault's filesystem, hashed while it is written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from Src.Librarian.fingerprint import (
    NotARegularFile,
    ReadLease,
    StillChanging,
    open_for_writing_elsewhere,
    open_regular,
)
from Src.Librarian.incoming import FileState, IncomingFile
from Src.Librarian.vault_trouble import VaultTrouble

_CHUNK = 1024 * 1024
_FICLONE = 0x40049409  # ioctl_ficlonerange(2)
_TIMES_REFUSED = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class ReadTrouble(Exception):
    """An incoming file could not be read, or the vault can hold none of its kind. The message says why."""


# Why a file was not placed: it changed, is gone or no regular file any more, or could not be read.
NotPlaced = StillChanging | NotARegularFile | FileNotFoundError | ReadTrouble


def copy(
    file: IncomingFile, sha256: str, temporary: Path, interrupted: threading.Event, *, sync: bool
) -> NotPlaced | None:
    """Copies a file and checks what was written against its fingerprint; what kept it from that, or None.

    Raises VaultTrouble. Runs in a thread; `interrupted` ends it.
    """
    try:
        with unchanged(file) as (source, status, lease):
            lease.release()  # to copy may take long; who writes meanwhile is told by the ctime
            try:
                _write_copy(source, status, sha256, temporary, interrupted, sync)
            except _Unreadable as error:
                changed = FileState.of(os.fstat(source)) != file.state
                return StillChanging(file.path) if changed else ReadTrouble(str(error))
            except OSError as error:
                if error.errno == errno.EFBIG:
                    return ReadTrouble("it is too large for the vault's filesystem")
                raise VaultTrouble.from_os(error, f"copy {file.name} to {temporary.parent}") from error
            if FileState.of(os.fstat(source)) != file.state or open_for_writing_elsewhere(source):
                return StillChanging(file.path)
    except (StillChanging, NotARegularFile, FileNotFoundError) as problem:
        return problem
    except OSError as error:
        return read_trouble(error)
    return None


class _Unreadable(Exception):
    """Reading, not writing, failed."""


def _write_copy(
    source: int, status: os.stat_result, sha256: str, temporary: Path, interrupted: threading.Event, sync: bool
) -> None:
    target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.ioctl(target, _FICLONE, source)  # shares the very blocks that were read
        except OSError:
            if _copy_bytes(source, target, interrupted) != sha256:
                raise _Unreadable("two readings of the file differ; check the disk and the memory") from None
        try:
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError as error:
            if error.errno not in _TIMES_REFUSED:
                raise
        with contextlib.suppress(OSError):
            os.fchmod(target, read_only(status.st_mode))
        if sync:
            os.fsync(target)
    finally:
        os.close(target)


def _copy_bytes(source: int, target: int, interrupted: threading.Event) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    os.lseek(source, 0, os.SEEK_SET)
    while True:
        if interrupted.is_set():
            raise VaultTrouble("stopped while copying; nothing of it stays")
        try:
            count = os.readv(source, [buffer])
        except OSError as error:
            raise _Unreadable(f"cannot be read: {error.strerror}") from error
        if not count:
            return digest.hexdigest()
        chunk = memoryview(buffer)[:count]
        digest.update(chunk)
        while chunk:
            chunk = chunk[os.write(target, chunk) :]


@contextlib.contextmanager
def unchanged(file: IncomingFile) -> Iterator[tuple[int, os.stat_result, ReadLease]]:
    """An incoming file, opened, in the state in which it was read, and with nobody writing to it.

    Nobody begins to while the lease is held.
    """
    fd = open_regular(file.path)
    try:
        with ReadLease(fd) as lease:
            status = os.fstat(fd)
            if FileState.of(status) != file.state or lease.somebody_writes:
                raise StillChanging(file.path)
            yield fd, status, lease
    finally:
        os.close(fd)


def read_only(mode: int) -> int:
    """A file's permissions without those to write, and readable at least for its owner."""
    return (mode & 0o777 & ~0o222) | 0o400


def read_trouble(error: OSError) -> ReadTrouble:
    return ReadTrouble(f"cannot be read: {error.strerror}")
