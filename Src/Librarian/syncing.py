"""Sync: what was written is on disk, or we are told that it is not."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

from Src.Librarian.filesystem import syncs_by_syncfs
from Src.Librarian.fingerprint import NotARegularFile, open_regular
from Src.Librarian.incoming import IncomingFile

logger = logging.getLogger(__name__)

_libc = ctypes.CDLL(None, use_errno=True)


def sync_incoming(files: Sequence[IncomingFile], threads: Executor) -> None:
    """Brings incoming files to disk, which whoever put them there may not have done.

    A disk that refuses is only warned of: it must not keep the photos on it.
    """
    by_device: defaultdict[int, list[IncomingFile]] = defaultdict(list)
    for file in files:
        by_device[file.state.device].append(file)
    for together in by_device.values():
        folder = Path(together[0].path).parent
        try:
            if syncs_by_syncfs(folder):
                _sync_filesystem_of(together)
            else:
                list(threads.map(_fsync_incoming, together))
        except OSError as error:
            logger.warning("%s cannot be synced: %s", folder, error.strerror)


def _sync_filesystem_of(files: Sequence[IncomingFile]) -> None:
    """Of the first of them that can be opened."""
    for file in files:
        try:
            fd = open_regular(file.path)
        except (OSError, NotARegularFile):
            continue
        try:
            syncfs(fd)
        finally:
            os.close(fd)
        return


def _fsync_incoming(file: IncomingFile) -> None:
    try:
        fsync_path(file.path)
        fsync_folder(Path(file.path).parent)
    except FileNotFoundError:
        pass


def syncfs(fd: int) -> None:
    """Brings the whole filesystem of an open file to disk: syncfs(2)."""
    if _libc.syncfs(fd) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def fsync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    fsync_path(path, os.O_DIRECTORY)


def fsync_path(path: str | Path, flags: int = os.O_NOFOLLOW) -> None:
    """Makes what stands at a path durable."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # fsync(2): it cannot be synced, being what it is
            raise
    finally:
        os.close(fd)
