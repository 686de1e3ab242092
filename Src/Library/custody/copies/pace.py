"""No more than so many bytes a second to and from a copy."""

from __future__ import annotations

import threading
import time


class Stopped(Exception):
    """Somebody stops the run."""


class Pace:
    """Counts what goes over the line, and waits where it was too fast. Can be stopped while it waits."""

    def __init__(self, limit: float | None) -> None:
        """`limit`: bytes a second; None: as fast as it goes."""
        self._limit = limit
        self._stopping = threading.Event()
        self._free_at = 0.0

    def stop(self) -> None:
        """Signal-safe."""
        self._stopping.set()

    @property
    def is_stopped(self) -> bool:
        return self._stopping.is_set()

    def spent(self, count: int) -> None:
        """So many bytes went. Raises Stopped."""
        if self._limit:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count / self._limit
            self._stopping.wait(self._free_at - now)
        self.go_on()

    def go_on(self) -> None:
        """Raises Stopped."""
        if self._stopping.is_set():
            raise Stopped
