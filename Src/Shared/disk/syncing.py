"""Sync: what was written is on disk, or an OSError says that it is not."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


def syncfs(fd: int) -> None:
    """Brings the whole filesystem of an open file to disk: syncfs(2)."""
    if _libc.syncfs(fd) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def fsync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    fsync_path(path, os.O_DIRECTORY)


def fsync_path(path: str | Path, flags: int = os.O_NOFOLLOW, dir_fd: int | None = None) -> None:
    """Makes what stands at a path durable; `dir_fd`: the open folder where that begins."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=dir_fd)
    try:
        fsync(fd)
    finally:
        os.close(fd)


def fsync(fd: int) -> None:
    """Makes an open file or folder durable."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # fsync(2): it cannot be synced, being what it is
            raise
