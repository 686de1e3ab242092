"""Which way a batch becomes durable: by `syncfs`, or by an `fsync` of each of its files and folders.

`syncfs` waits for everything that is dirty on the filesystem, also for what other programs write there; `fsync` costs a
little for each file. Which one is cheaper depends on the disk and on those programs, so it is measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WORTH_COMPARING = 0.25  # seconds by `syncfs` for a batch: below, nobody waits for others
_VALID = 60.0  # seconds: what other programs write changes


class SyncWay:
    """Chooses for one batch after the other, by what those before it waited."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waited = 0.0  # seconds, of the batch in hand
        self._by_syncfs = 0.0  # seconds that a batch waited last
        self._by_file = 0.0  # seconds that each file of a batch waited last
        self._syncfs_at = self._file_at = -math.inf  # when that was measured

    def is_syncfs(self, files: int) -> bool:
        """Whether `syncfs` is the way for the next batch, of so many files."""
        self._waited = 0.0
        now = self._clock()
        if self._by_syncfs <= _WORTH_COMPARING or now - self._syncfs_at > _VALID:
            return True
        if now - self._file_at > _VALID:
            return False
        return self._by_syncfs <= self._by_file * files

    @contextmanager
    def waits(self) -> Iterator[None]:
        """The batch in hand waits for the disk inside the block."""
        began = self._clock()
        yield
        self._waited += self._clock() - began

    def done(self, files: int, *, by_syncfs: bool) -> None:
        """The batch in hand, of so many files, is durable. (One that fails says nothing of the cost.)"""
        if by_syncfs:
            self._by_syncfs, self._syncfs_at = self._waited, self._clock()
        elif files:
            self._by_file, self._file_at = self._waited / files, self._clock()
