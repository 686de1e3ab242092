"""One heavy piece of work at a time; what a person waits for goes before what is scheduled, which gives way.

Two locks, which go with whoever holds them: `heavy.lock` is held by what works, `wanted.lock` (shared) by every
person's command that waits for it. Scheduled work asks now and then whether somebody holds the second, and then lets
the first go until nobody does.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from Src.Shared.disk.locks import holder_of, lock_now, note_holder, open_lock, take
from Src.Shared.disk.making import PRIVATE, make_folder

_ASKED_EVERY = 1.0  # seconds

Waiting = Callable[[str, float], None]


class HeavyWork:
    """The turn of one process. Not for several threads at once."""

    def __init__(self, folder: Path, *, is_scheduled: bool) -> None:
        self._folder = folder
        self._is_scheduled = is_scheduled
        self._heavy: int | None = None
        self._asked = 0.0

    def begin(self, waiting: Waiting) -> None:
        """Waits for our turn. `waiting` is called again and again with who has it and for how long we wait; what it
        raises ends the wait. Raises OSError where there can be no locks: the caller works without."""
        make_folder(self._folder, PRIVATE)
        if self._is_scheduled:
            self._begin_scheduled(waiting)
            return
        heavy = open_lock(self._folder / "heavy.lock")
        try:
            if not lock_now(heavy):
                wanted = open_lock(self._folder / "wanted.lock")
                try:
                    fcntl.flock(wanted, fcntl.LOCK_SH)  # who asks holds it for no time
                    take(heavy, lambda seconds: waiting(holder_of(heavy) or "another process", seconds))
                finally:
                    os.close(wanted)
            note_holder(heavy)
        except BaseException:
            os.close(heavy)
            raise
        self._heavy = heavy

    def give_way(self, paused: Callable[[], None], waiting: Waiting) -> None:
        """Between two steps of scheduled work: where a person's command waits, lets it go first. `paused` is called
        before that. Raises as `begin`."""
        if not self._is_scheduled or self._heavy is None or time.monotonic() - self._asked < _ASKED_EVERY:
            return
        self._asked = time.monotonic()
        if not self._is_wanted():
            return
        paused()
        self.end()
        self._begin_scheduled(waiting)

    def end(self) -> None:
        if self._heavy is not None:
            os.close(self._heavy)
            self._heavy = None

    def _begin_scheduled(self, waiting: Waiting) -> None:
        began = time.monotonic()
        heavy = open_lock(self._folder / "heavy.lock")
        try:
            # Not in the kernel's queue: persons' commands would then come after us.
            while self._is_wanted() or not lock_now(heavy):
                waiting(holder_of(heavy) or "another process", time.monotonic() - began)
            note_holder(heavy)
        except BaseException:
            os.close(heavy)
            raise
        self._heavy = heavy

    def _is_wanted(self) -> bool:
        wanted = open_lock(self._folder / "wanted.lock")
        try:
            return not lock_now(wanted)
        finally:
            os.close(wanted)
