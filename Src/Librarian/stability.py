"""Which files are complete? Pure rules, with no clock and no disk of their own.

A file that arrives by rename is complete at once. Any other is complete when nothing about it has changed for
`STABILITY_DELAY` and its ctime is at least `MIN_FILE_AGE` ago. mtime says nothing: sync tools set it to the past.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from Src.Librarian.incoming import FileState


class Now(NamedTuple):
    """One moment on both clocks, in seconds. `wall` dates files; `steady` never jumps."""

    steady: float
    wall: float


@dataclass(slots=True)
class _Waiting:
    state: FileState
    since: float  # steady time of the last change seen
    due: float
    renamed: bool
    watched_only: bool  # an old ctime is not believed: somebody was seen at it


class StabilityTracker:
    """Remembers files from first sight until they are complete."""

    def __init__(self, stability_delay: float, min_file_age: float, *, trust_ctime: bool = True) -> None:
        """`trust_ctime`: file times come from our own clock, so that an old ctime shows that nobody writes.

        Not so on network filesystems: there only what we see ourselves counts.
        """
        self._delay = stability_delay
        self._min_age = min_file_age
        self._trust_ctime = trust_ctime
        self._waiting: dict[str, _Waiting] = {}
        self._by_due: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: str) -> bool:
        return path in self._waiting

    def see(self, path: str, state: FileState, now: Now, *, renamed: bool = False, closed: bool = False) -> None:
        """Takes note of a file in some state.

        `renamed`: it has just arrived by rename. `closed`: a writer has just closed it, who may have been silent for
        long while it was open: only now does the delay begin.
        """
        known = self._waiting.get(path)
        if known is not None and known.state == state and not renamed and not closed:
            return
        self._wait(path, _Waiting(state, now.steady, 0.0, renamed, closed or not self._trust_ctime), now)

    def put_back(self, path: str, state: FileState, now: Now) -> None:
        """It was complete by all signs, and yet it changed or somebody has it open: the delay begins anew."""
        self._wait(path, _Waiting(state, now.steady, 0.0, False, True), now)

    def forget(self, path: str) -> None:
        """The file is gone."""
        self._waiting.pop(path, None)

    def due(self, now: Now) -> Iterator[str]:
        """Paths to look at again now; each must be answered with `complete`, `see` or `forget`."""
        while self._by_due and self._by_due[0][0] <= now.steady:
            due, path = heapq.heappop(self._by_due)
            waiting = self._waiting.get(path)
            if waiting is not None and waiting.due == due:
                yield path

    def next_due(self) -> float | None:
        """Steady time at which `due` has something again."""
        while self._by_due:
            due, path = self._by_due[0]
            waiting = self._waiting.get(path)
            if waiting is not None and waiting.due == due:
                return due
            heapq.heappop(self._by_due)
        return None

    def complete(self, path: str, state: FileState, now: Now) -> bool:
        """Whether a file, looked at now, is complete; then it is forgotten. If not, it waits on."""
        waiting = self._waiting[path]
        if state != waiting.state:
            self.see(path, state, now)
            return False
        waiting.due = self._due(waiting, now)
        if waiting.due <= now.steady:
            del self._waiting[path]
            return True
        heapq.heappush(self._by_due, (waiting.due, path))
        return False

    def _wait(self, path: str, waiting: _Waiting, now: Now) -> None:
        waiting.due = self._due(waiting, now)
        self._waiting[path] = waiting
        heapq.heappush(self._by_due, (waiting.due, path))

    def _due(self, waiting: _Waiting, now: Now) -> float:
        """Steady time at which a file is complete if it stays as it is."""
        if waiting.renamed:
            return now.steady
        age = now.wall - waiting.state.ctime_ns / 1e9
        quiet_for = now.steady - waiting.since
        if not waiting.watched_only:
            quiet_for = max(quiet_for, age)
        wait = self._delay - quiet_for
        if age >= 0:  # a ctime ahead of the clock tells nothing
            wait = max(wait, self._min_age - age)
        return now.steady + max(wait, 0.0)
