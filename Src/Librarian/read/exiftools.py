"""Which readers have an ExifTool that runs, as far as the pool knows, and which reader is to start one ahead.

A guess that is wrong costs the time of a start, and no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from Src.Librarian.read.wire import REST_AFTER

AHEAD = 0
"""The reader whose ExifTool starts with it, and is there whenever that reader is."""


class Exiftools:
    """Not locked: for the pool, under its lock. Readers are known by their numbers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running: set[int] = {AHEAD}
        self._waiting: set[int] = set()  # readers without work
        self._last: dict[int, float] = {}  # when a reader's last request ended

    def runs(self, reader: int) -> bool:
        """Whether a reader has one. After a rest it has ended its own."""
        if reader == AHEAD:
            return True
        if self._clock() - self._last.get(reader, self._clock()) >= REST_AFTER:
            self._running.discard(reader)
        return reader in self._running

    def start(self, reader: int, waiting: int) -> bool:
        """Whether a reader is to start one now. `waiting`: how many tasks for an ExifTool wait."""
        if self.runs(reader) or waiting <= len(self._running):
            return False
        self._running.add(reader)
        return True

    def may_use(self, reader: int, *, otherwise: bool) -> bool:
        """Whether a task for ExifTool is best taken by this reader. `otherwise`: there is other work for it.

        One without an ExifTool leaves it where another who has one waits, or where there is other work for itself.
        """
        return self.runs(reader) or not (otherwise or any(self.runs(one) for one in self._waiting - {reader}))

    def use(self, reader: int) -> None:
        """A reader is given a task for its ExifTool."""
        self._running.add(reader)

    def asked(self, reader: int) -> None:
        """A reader has answered a request."""
        self._last[reader] = self._clock()

    def lost(self, reader: int) -> None:
        """A reader has ended, and its ExifTool with it."""
        self._running -= {reader} - {AHEAD}

    @contextmanager
    def waits(self, reader: int) -> Iterator[None]:
        """While the block runs, a reader has no work."""
        self._waiting.add(reader)
        try:
            yield
        finally:
            self._waiting.discard(reader)
