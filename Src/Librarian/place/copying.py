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

from Src.Librarian.passage import IncomingFile, StillChanging
from Src.Librarian.place.room import NoRoom, data_in, room_for
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.disk.files import FileState, NotARegularFile, sha256_of
from Src.Shared.disk.leases import ReadLease, open_for_writing_elsewhere
from Src.Shared.disk.making import read_only
from Src.Shared.disk.top import open_regular_below

_CHUNK = 1024 * 1024
_ZEROS = memoryview(bytes(_CHUNK))
_FICLONE = 0x40049409  # ioctl_ficlonerange(2)
_TIMES_REFUSED = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class ReadTrouble(Exception):
    """An incoming file could not be read, or the vault can hold none of its kind. The message says why."""


class NameTaken(Exception):
    """Another file has the one name that was wanted."""


# Why a file was not placed: it changed, is gone or no regular file any more, could not be read, there is no room, or
# the one name that it was to get is taken.
NotPlaced = StillChanging | NotARegularFile | FileNotFoundError | ReadTrouble | NoRoom | NameTaken


def copy(file: IncomingFile, sha256: str, temporary: Path, interrupted: threading.Event) -> NotPlaced | None:
    """Copies a file and checks what was written against its fingerprint; what kept it from that, or None.

    Raises VaultTrouble. Runs in a thread; `interrupted` ends it.
    """
    try:
        with unchanged(file) as (source, status, lease):
            trusted = lease.given
            lease.release()  # to copy may take long; who writes meanwhile is told by the ctime
            try:
                _write_copy(source, status, sha256, temporary, interrupted, trusted=trusted)
            except _Unreadable as error:
                changed = FileState.of(os.fstat(source)) != file.state
                return StillChanging(file.path) if changed else ReadTrouble(str(error))
            except OSError as error:
                if error.errno == errno.EFBIG:
                    return ReadTrouble("it is too large for the vault's filesystem")
                raise VaultTrouble.from_os(error, f"copy {file.name} into the vault") from error
            if FileState.of(os.fstat(source)) != file.state or open_for_writing_elsewhere(source):
                return StillChanging(file.path)
    except (StillChanging, NotARegularFile, FileNotFoundError, NoRoom) as problem:
        return problem
    except OSError as error:
        return read_trouble(error)
    return None


class _Unreadable(Exception):
    """Reading, not writing, failed."""


def _write_copy(
    source: int,
    status: os.stat_result,
    sha256: str,
    temporary: Path,
    interrupted: threading.Event,
    *,
    trusted: bool,
) -> None:
    """`trusted`: nobody has the source open for writing, so what has the state that was read has those bytes."""
    target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.ioctl(target, _FICLONE, source)  # shares the very blocks that were read
            cloned = True
        except OSError:
            cloned = False
        written = sha256
        if not cloned:
            with room_for(data_in(source, status.st_size), target):
                written = _copy_bytes(source, target, interrupted)
        elif not trusted:  # a program that has it mapped changes bytes, and no time with them
            written = sha256_of(target)
        if written != sha256:
            if not trusted:
                raise StillChanging(temporary.name)
            raise _Unreadable("two readings of the file differ; check the disk and the memory")
        try:
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError as error:
            if error.errno not in _TIMES_REFUSED:
                raise
        with contextlib.suppress(OSError):
            os.fchmod(target, read_only(status.st_mode))
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
            os.ftruncate(target, os.lseek(target, 0, os.SEEK_CUR))  # where it ends with a hole
            return digest.hexdigest()
        chunk = memoryview(buffer)[:count]
        digest.update(chunk)
        if chunk == _ZEROS[:count]:  # a hole stays one: it takes no room
            os.lseek(target, count, os.SEEK_CUR)
            continue
        while chunk:
            chunk = chunk[os.write(target, chunk) :]


@contextlib.contextmanager
def unchanged(file: IncomingFile) -> Iterator[tuple[int, os.stat_result, ReadLease]]:
    """An incoming file, opened, in the state in which it was read, and with nobody writing to it.

    Nobody begins to while the lease is held.
    """
    fd = open_regular_below(file.top, file.path)
    try:
        with ReadLease(fd) as lease:
            status = os.fstat(fd)
            if FileState.of(status) != file.state or lease.somebody_writes:
                raise StillChanging(file.path)
            yield fd, status, lease
    finally:
        os.close(fd)


def read_trouble(error: OSError) -> ReadTrouble:
    return ReadTrouble(f"cannot be read: {error.strerror}")
