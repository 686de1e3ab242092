"""Which files are complete? Pure rules, with no clock and no disk of their own.

A file that arrives by rename is complete at once. Any other is complete when nothing about it has changed for
`STABILITY_DELAY` and its ctime is at least `MIN_FILE_AGE` ago. mtime says nothing: sync tools set it to the past.

All of this relies on the kernel, which is asked for a lease before a complete file is taken, and which knows who has
it open for writing. Where the kernel gives no lease (the file is another user's, or on a network share), nobody knows.
Then a file must rest for `REST_WITHOUT_LEASE`, however it arrived, and one that was seen being written, and not seen
being closed since, must rest for as long as a writer may be silent. Nothing shortens this. A close of one program says
nothing of another that has the file open too, and the kernel merges equal events, so opens and closes cannot be
counted. A close is not the end either: file servers close a file between two pieces of an upload. And a rename, by a
person or a program, needs no closed file.
"""

from __future__ import annotations

import heapq
import marshal
import os
from collections.abc import Iterator
from dataclasses import dataclass

from Src.Librarian.watch.clock import Now
from Src.Shared.disk.files import FileState


@dataclass(slots=True)
class _Waiting:
    """There may be 100,000 of them, with long names: what is seldom asked for is kept packed."""

    key: bytes
    packed: bytes  # its state
    since: float  # steady time of the last change seen
    due: float
    renamed: bool
    watched_only: bool  # an old ctime is not believed: somebody was seen at it
    open: bool = False  # somebody was seen writing, and not seen closing it since

    @property
    def state(self) -> FileState:
        return FileState(*marshal.loads(self.packed))


def _packed(state: FileState) -> bytes:
    return marshal.dumps(tuple(state), 2)  # (any number; this never leaves the process)


class StabilityTracker:
    """Remembers files from first sight until they are complete."""

    def __init__(
        self,
        stability_delay: float,
        min_file_age: float,
        *,
        rest_without_lease: float = 0.0,
        longest_silence: float = 0.0,
        trust_ctime: bool = True,
    ) -> None:
        """`trust_ctime`: file times come from our own clock, so that an old ctime shows that nobody writes.

        Not so on network filesystems: there only what we see ourselves counts. `longest_silence`: how long a writer
        that was seen is believed to be there where no lease can be had.
        """
        self._delay = stability_delay
        self._min_age = min_file_age
        self._rest_without_lease = max(stability_delay, rest_without_lease)
        self._longest_silence = max(self._rest_without_lease, longest_silence)
        self._trust_ctime = trust_ctime
        self.hears_closes = True  # events come, so a file that grew without a close is still open
        # By the encoded path, which takes a quarter of the memory where a name has one odd character.
        self._waiting: dict[bytes, _Waiting] = {}
        self._by_due: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: str) -> bool:
        return os.fsencode(path) in self._waiting

    def see(
        self,
        path: str,
        state: FileState,
        now: Now,
        *,
        renamed: bool = False,
        closed: bool = False,
        created: bool = False,
    ) -> None:
        """Takes note of a file in some state.

        `renamed`: it has just arrived by rename. `closed`: a writer has just closed it, who may have been silent for
        long while it was open: only now does the delay begin. `created`: a program has just made it, and has it open.
        """
        known = self._waiting.get(os.fsencode(path))
        before = known.state if known is not None else None
        if known is not None and before == state and not renamed and not closed:
            known.open = known.open or created
            return
        is_open = created
        can_tell = not renamed and self.hears_closes
        if known is not None and before is not None and before.inode == state.inode and can_tell:
            is_open = is_open or known.open or before.size != state.size
        watched_only = closed or not self._trust_ctime
        self._wait(path, state, now, renamed=renamed, watched_only=watched_only, is_open=is_open and not closed)

    def put_back(self, path: str, state: FileState, now: Now) -> None:
        """It was complete by all signs, and yet it changed or somebody has it open: the delay begins anew."""
        self._wait(path, state, now, renamed=False, watched_only=True, is_open=False)

    def missed_events(self) -> None:
        """Events were lost, and closes with them: of no file is it known any more that somebody has it open."""
        for waiting in self._waiting.values():
            waiting.open = False

    def forget(self, path: str) -> None:
        """The file is gone."""
        self._waiting.pop(os.fsencode(path), None)

    def due(self, now: Now) -> Iterator[str]:
        """Paths to look at again now; each must be answered with `complete`, `see` or `forget`."""
        while self._by_due and self._by_due[0][0] <= now.steady:
            due, key = heapq.heappop(self._by_due)
            waiting = self._waiting.get(key)
            if waiting is not None and waiting.due == due:
                yield os.fsdecode(key)

    def next_due(self) -> float | None:
        """Steady time at which `due` has something again."""
        while self._by_due:
            due, key = self._by_due[0]
            waiting = self._waiting.get(key)
            if waiting is not None and waiting.due == due:
                return due
            heapq.heappop(self._by_due)
        return None

    def complete(self, path: str, state: FileState, now: Now, *, leased: bool = True) -> bool:
        """Whether a file, looked at now, is complete; then it is forgotten. If not, it waits on."""
        if not self.rested(path, state, now, leased=leased):
            return False
        del self._waiting[os.fsencode(path)]
        return True

    def rested(self, path: str, state: FileState, now: Now, *, leased: bool = True) -> bool:
        """Whether a file, looked at now, is complete, provided that the kernel gives (`leased`) or refuses a lease.

        If not, it waits on.
        """
        waiting = self._waiting[os.fsencode(path)]
        if state != waiting.state:
            self.see(path, state, now)
            return False
        waiting.due = self._due(waiting, state.ctime_ns, now, leased)
        if waiting.due <= now.steady:
            return True
        heapq.heappush(self._by_due, (waiting.due, waiting.key))
        return False

    def _wait(self, path: str, state: FileState, now: Now, *, renamed: bool, watched_only: bool, is_open: bool) -> None:
        key = os.fsencode(path)
        known = self._waiting.get(key)
        if known is not None:
            key = known.key  # one object for both: a name may be long
        waiting = _Waiting(key, _packed(state), now.steady, 0.0, renamed, watched_only, is_open)
        waiting.due = self._due(waiting, state.ctime_ns, now, leased=True)
        self._waiting[key] = waiting
        heapq.heappush(self._by_due, (waiting.due, key))

    def _due(self, waiting: _Waiting, ctime_ns: int, now: Now, leased: bool) -> float:
        """Steady time at which a file is complete if it stays as it is."""
        if waiting.renamed and leased:
            return now.steady
        delay = self._delay
        if not leased:
            delay = self._longest_silence if waiting.open else self._rest_without_lease
        age = now.wall - ctime_ns / 1e9
        quiet_for = now.steady - waiting.since
        if not waiting.watched_only:
            quiet_for = max(quiet_for, age)
        wait = delay - quiet_for
        if age >= 0:  # a ctime ahead of the clock tells nothing
            wait = max(wait, self._min_age - age)
        return now.steady + max(wait, 0.0)
