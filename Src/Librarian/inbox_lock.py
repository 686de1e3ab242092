"""One Librarian per inbox: the lock is the inbox folder itself, freed by the kernel when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType


class InboxLock:
    """Held from `acquire` until `release` or the end of the process."""

    def __init__(self, inbox: Path, fallback: Path) -> None:
        """`fallback`: a file to lock where the filesystem does not lock folders (some network shares)."""
        self._inbox = inbox
        self._fallback = fallback
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Takes the lock if it is free. Raises OSError where the inbox cannot be opened."""
        if self._fd is not None:
            return True
        fd = os.open(self._inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not _lock(fd):
                os.close(fd)
                return False
        except OSError:
            os.close(fd)
            self._fallback.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._fallback, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if not _lock(fd):
                os.close(fd)
                return False
        self._fd = fd
        return True

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> InboxLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True
