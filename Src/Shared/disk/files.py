"""Files as the kernel has them: opened safely, their state, the hash of their bytes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

_CHUNK = 1024 * 1024
_local = threading.local()
# NONBLOCK: a FIFO put in the file's place must not hold us; it has no effect on regular files.
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileState(NamedTuple):
    """What must stay the same while a file is in hand. ctime changes with every write, whatever mtime says."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)

    def same_content(self, other: FileState) -> bool:
        """Equal but for ctime, which our own `link` and `chmod` change."""
        return self[:2] == other[:2] and self[3:] == other[3:]


def regular_file_state(path: str, dir_fd: int | None = None) -> FileState | None:
    """The state of a regular file; None where there is none (gone, a symlink, FIFO, device, socket, folder)."""
    try:
        status = os.lstat(path, dir_fd=dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileState.of(status) if stat.S_ISREG(status.st_mode) else None


class NotARegularFile(Exception):
    """A symlink, FIFO, device, socket or folder stands where a file stood."""


def open_regular(path: str, dir_fd: int | None = None) -> int:
    """Opens a file for reading and returns its descriptor; `dir_fd`: the open folder that a name is in.

    Raises NotARegularFile, and OSError where it is gone or may not be read.
    """
    # To open a FIFO wakes its writer, to open a device may do anything.
    if not stat.S_ISREG(os.lstat(path, dir_fd=dir_fd).st_mode):
        raise NotARegularFile(path)
    try:
        fd = os.open(path, OPEN_FLAGS, dir_fd=dir_fd)
    except OSError as error:  # ELOOP: a symlink (O_NOFOLLOW), ENXIO: a socket or a device, put there just now
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotARegularFile(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotARegularFile(path)
    return fd


class OpenFile(NamedTuple):
    """A regular file that is open for reading, and the name by which it was opened."""

    fd: int
    name: str


@contextlib.contextmanager
def reading(file: str | OpenFile) -> Iterator[int]:
    """The descriptor of an open file, or of the one at a path, opened for as long.

    Raises NotARegularFile and OSError as `open_regular` does.
    """
    if isinstance(file, OpenFile):
        yield file.fd
        return
    fd = open_regular(file)
    try:
        yield fd
    finally:
        os.close(fd)


def sha256_of(fd: int, between: Callable[[], None] | None = None) -> str:
    """SHA-256 of an open file from its beginning, in constant memory, as lower-case hex.

    `between` is called after each piece of it, and may raise to give up.
    """
    digest = hashlib.sha256()
    view = _buffer()
    os.lseek(fd, 0, os.SEEK_SET)
    while count := os.readv(fd, [view]):
        digest.update(view[:count])
        if between is not None:
            between()
    return digest.hexdigest()


def _buffer() -> memoryview:
    """One for each thread: to make one anew takes longer than to hash a small photo."""
    view: memoryview | None = getattr(_local, "buffer", None)
    if view is None:
        view = _local.buffer = memoryview(bytearray(_CHUNK))
    return view
