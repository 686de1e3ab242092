"""Reading what is on the disk, and not what memory remembers of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from Src.Shared.disk.files import sha256_of

_FORGOTTEN_EVERY = 64 << 20  # bytes of one file


def sha256_past_cache(fd: int, between: Callable[[], None]) -> tuple[str, int]:
    """SHA-256 of an open file as the disk has it, and how many bytes that were; memory keeps nothing of them.

    What is in memory and not yet on the disk stays there, and is read from there. `between` is called after each piece,
    and may raise to give up. Raises OSError.
    """
    forgotten = 0

    def forget() -> None:
        nonlocal forgotten
        at = os.lseek(fd, 0, os.SEEK_CUR)
        if at - forgotten >= _FORGOTTEN_EVERY:
            _forget(fd, forgotten, at - forgotten)
            forgotten = at
        between()

    _forget(fd, 0, 0)
    with suppress(OSError):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    try:
        return sha256_of(fd, forget), os.lseek(fd, 0, os.SEEK_CUR)
    finally:
        _forget(fd, 0, 0)


def _forget(fd: int, start: int, length: int) -> None:
    with suppress(OSError):
        os.posix_fadvise(fd, start, length, os.POSIX_FADV_DONTNEED)
