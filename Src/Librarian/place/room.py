"""Room: is there space for a copy on the vault's disk? Asked before it is begun: one file alone must not fill the disk.

A small file that finds no room finds a disk that is full: that is the vault's trouble, and all files wait. A large one
may only be too large, and the others go on.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from Src.Shared import words

WORTH_ASKING = 64 * 2**20  # bytes; on a small disk ...
_SHARE_WORTH_ASKING = 0.05  # ... this part of it is large already
_RESERVE = 256 * 2**20  # bytes left for others, the ledger may be on that disk ...
_RESERVED_SHARE = 0.02  # ... and on a small disk this part of it

_MOST_PIECES = 1000  # of a file, to be looked at

_mutex = threading.Lock()
_claimed = 0  # bytes, by copies under way


class NoRoom(Exception):
    """The vault's disk has too little room for an incoming file. The message is one line."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(
            f"the vault's disk has too little room for it: {words.size(needed)} needed, {words.size(free)} free; "
            "it is filed as soon as there is room"
        )
        self.needed = needed


@contextmanager
def room_for(size: int, on: int | Path) -> Iterator[None]:
    """Claims room for a copy while it is written on the filesystem of an open file or a folder. Raises NoRoom."""
    global _claimed
    if not _is_large(size, on):
        yield
        return
    with _mutex:
        free = free_on(on) - _claimed
        if size > free:
            raise NoRoom(size, max(0, free))
        _claimed += size
    try:
        yield
    finally:
        with _mutex:
            _claimed -= size


def data_in(fd: int, size: int) -> int:
    """Bytes of a file that are no hole, which is what a copy takes."""
    data = at = 0
    try:
        for _ in range(_MOST_PIECES):
            at = os.lseek(fd, at, os.SEEK_DATA)
            hole = os.lseek(fd, at, os.SEEK_HOLE)
            data, at = data + hole - at, hole
        return size
    except OSError as error:
        return data if error.errno == errno.ENXIO else size  # ENXIO: there is no more


def free_on(on: int | Path) -> int:
    """Bytes that copies may take there."""
    status = os.statvfs(on)
    reserve = min(_RESERVE, int(status.f_blocks * status.f_frsize * _RESERVED_SHARE))
    return status.f_bavail * status.f_frsize - reserve


def _is_large(size: int, on: int | Path) -> bool:
    if size >= WORTH_ASKING:
        return True
    status = os.statvfs(on)
    return size >= status.f_blocks * status.f_frsize * _SHARE_WORTH_ASKING
