"""Watch: which files of the inbox are complete?

Events make it fast, a periodic scan makes it sure; where the filesystem sends no events, scans alone must do.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import queue
import stat
from pathlib import Path
from typing import NamedTuple

from Src.Librarian.passage import IncomingFile
from Src.Librarian.watch.clock import Clock, Now
from Src.Librarian.watch.events import RESCAN, Change, InboxEvents
from Src.Librarian.watch.inbox_folder import InboxFolder, InboxTrouble
from Src.Librarian.watch.oddities import Oddities
from Src.Librarian.watch.stability import StabilityTracker
from Src.Library.inbox import is_ignored_path, is_passed_over
from Src.Library.tree import File, Folder, Odd, odd, walk
from Src.Shared.disk.beneath import lstat_beneath, parent_beneath
from Src.Shared.disk.files import FileState
from Src.Shared.disk.filesystem import sends_events
from Src.Shared.settings import WatchMode

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 512
_POLL_INTERVAL = 5.0  # seconds between scans where no events come
_AFTER_OVERFLOW = 1.0  # seconds until a second scan: watchdog makes all its watches anew, and is deaf meanwhile
_EVENT_COMES = 60.0  # seconds until the event of a rename has surely come
_SCAN_SHARE = 20  # a scan takes at most 1/20 of the time when polling


class _Held(NamedTuple):
    state: FileState
    until: float | None  # steady time; None: until it changes


class InboxWatcher:
    """The inbox as a queue: gives out complete files, each until it is answered with `done`, `hold` or `put_back`."""

    def __init__(
        self,
        inbox: Path,
        *,
        stability_delay: float,
        min_file_age: float,
        scan_interval: float,
        mode: WatchMode = "auto",
        rest_without_lease: float = 0.0,
        longest_silence: float = 0.0,
        prune_after: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        self._folder = InboxFolder(inbox)
        self._clock = clock or Clock()
        local = sends_events(inbox)
        self._with_events = mode == "events" or (mode == "auto" and local)
        self._scan_interval = scan_interval if self._with_events else min(scan_interval, _POLL_INTERVAL)
        self._tracker = StabilityTracker(
            stability_delay,
            min_file_age,
            rest_without_lease=rest_without_lease,
            longest_silence=longest_silence,
            trust_ctime=local,
        )
        self._tracker.hears_closes = self._with_events
        self._prune_after = prune_after
        self._held: dict[str, _Held] = {}
        self._releases: list[tuple[float, str]] = []
        self._let_go: set[str] = set()
        self._in_hand: dict[str, FileState] = {}
        self._was_open: set[str] = set()
        self._ours: dict[str, float] = {}  # what we have put there ourselves, and when
        self._events = InboxEvents()
        self._next_scan = 0.0
        self._after_overflow = False
        self._oddities = Oddities()
        self._has_scanned = False

    @property
    def waiting(self) -> int:
        """Files that are not complete yet."""
        return len(self._tracker)

    @property
    def held(self) -> int:
        """Files that stay: not media, failing, dead letters."""
        return len(self._held)

    @property
    def mode(self) -> str:
        return "events" if self._with_events else "polling"

    def steady_time(self) -> float:
        """Seconds on a clock that never jumps."""
        return self._clock.now().steady

    def start(self) -> None:
        """Begins to watch. Raises InboxTrouble where there is no inbox."""
        self._events.listen()
        self._watch()

    def stop(self) -> None:
        """Ends watching."""
        self._events.close()
        self._folder.close()

    def ready(self, wait: float) -> list[IncomingFile]:
        """Complete files, at most a few hundred at once; waits up to `wait` seconds for the first.

        Raises InboxTrouble while the inbox cannot be read.
        """
        deadline = self._clock.now().steady + wait
        self._take_changes(0.0)  # also where there is no time to wait: the busy must not turn deaf
        while True:
            now = self._clock.now()
            if now.steady >= self._next_scan:
                self.scan()
            self._release(now)
            files = self._complete_files()
            now = self._clock.now()
            if files or now.steady >= deadline:
                return files
            due = self._tracker.next_due()
            release = self._releases[0][0] if self._releases else deadline
            until = min(deadline, self._next_scan, release, due if due is not None else deadline)
            self._take_changes(max(until - now.steady, 0.0))

    def done(self, file: IncomingFile) -> None:
        """The file has left the inbox, or is gone."""
        self._in_hand.pop(file.path, None)

    def hold(self, file: IncomingFile, seconds: float | None = None) -> None:
        """Leave the file alone for a time, or for good (None), unless it changes."""
        self._in_hand.pop(file.path, None)
        self._hold(file.path, file.state, seconds)

    def hold_path(self, original_path: str, size: int, mtime_ns: int, inode: int, seconds: float | None) -> bool:
        """`hold` for a file known from before; whether it is still there as it was."""
        path = os.path.join(self._folder.path, original_path)
        state = self._folder.state_if(path, size, mtime_ns, inode)
        if state is not None and path not in self._in_hand:
            self._tracker.forget(path)
            self._hold(path, state, seconds)
        return state is not None

    def let_come(self, original_path: str) -> None:
        """The file is left alone no longer."""
        path = os.path.join(self._folder.path, original_path)
        if self._held.pop(path, None) is not None:
            self._look_at(path, self._clock.now())

    def is_held(self, original_path: str) -> bool:
        """Whether the file is being left alone."""
        return os.path.join(self._folder.path, original_path) in self._held

    def let_go(self) -> set[str]:
        """Files that are left alone no longer, for whatever reason, since this was last asked."""
        gone, self._let_go = self._let_go, set()
        return gone

    def stands(self, original_path: str, size: int, mtime_ns: int, inode: int) -> bool:
        """Whether the file is in the inbox as it was."""
        return self._folder.state_if(os.path.join(self._folder.path, original_path), size, mtime_ns, inode) is not None

    def put_back(self, file: IncomingFile) -> None:
        """The file was not complete after all, or could not be filed for a reason that is not its own."""
        self._in_hand.pop(file.path, None)
        state = self._folder.state_of(file.path)
        if state is not None:
            self._tracker.put_back(file.path, state, self._clock.now())

    def came_back(self, path: str) -> None:
        """We have renamed this file into the inbox ourselves: that does not say that it is complete."""
        now = self._clock.now()
        self._ours[path] = now.steady
        state = self._folder.state_of(path)
        if state is not None and path not in self._in_hand:
            self._tracker.put_back(path, state, now)

    def check(self) -> None:
        """Raises InboxTrouble where the inbox as a whole cannot be read."""
        self._folder.check()

    def odd(self) -> list[Odd] | None:
        """What stays because nobody can file it as it is; None before the first scan.

        What is so no longer is taken up at once.
        """
        if not self._has_scanned:
            return None
        now = self._clock.now()
        for found in self._oddities.all()[:_MOST_AT_ONCE]:
            if not self._is_odd_still(found):
                self._oddities.drop(found.path)
                self._look_at(f"{self._folder.path}/{found.path}", now)
        return self._oddities.all()

    def idle(self) -> bool:
        """Whether nothing waits to become complete and nothing is in hand."""
        return not len(self._tracker) and not self._in_hand

    def scan(self, *, prune_after: float | None = None) -> None:
        """Looks at every file, and prunes folders that have stood empty for a while. Raises InboxTrouble."""
        began = self._clock.now()
        self._ensure_watched()
        self._ours = {path: at for path, at in self._ours.items() if began.steady - at < _EVENT_COMES}
        seen: set[str] = set()
        odd: set[str] = set()
        self._scan_folder("", began, seen, odd, self._prune_after if prune_after is None else prune_after)
        self._oddities.keep_only(odd)
        self._has_scanned = True
        for path in [path for path in self._held if path not in seen]:
            if not self._oddities.hides(self._folder.name(path)):
                del self._held[path]
                self._let_go.add(self._folder.name(path))
        took = self._clock.now().steady - began.steady
        interval = self._scan_interval if self._with_events else max(self._scan_interval, took * _SCAN_SHARE)
        if self._after_overflow:
            self._after_overflow, interval = False, _AFTER_OVERFLOW
        self._next_scan = began.steady + took + interval

    def _hold(self, path: str, state: FileState, seconds: float | None) -> None:
        until = None if seconds is None else self._clock.now().steady + seconds
        self._held[path] = _Held(state, until)
        if until is not None:
            heapq.heappush(self._releases, (until, path))

    def _release(self, now: Now) -> None:
        while self._releases and self._releases[0][0] <= now.steady:
            until, path = heapq.heappop(self._releases)
            held = self._held.get(path)
            if held is not None and held.until == until:
                self._look_at(path, now)

    def _complete_files(self) -> list[IncomingFile]:
        files: list[IncomingFile] = []
        now = self._clock.now()
        for path in self._tracker.due(now):
            state = self._folder.state_of(path)
            if state is None:
                self._tracker.forget(path)
                self._was_open.discard(path)
            elif self._tracker.rested(path, state, now) and self._is_at_rest(path, state, now):
                self._in_hand[path] = state
                files.append(IncomingFile(path, self._folder.name(path), state, below=self._folder.top))
                if len(files) >= _MOST_AT_ONCE:
                    break
        return files

    def _is_at_rest(self, path: str, state: FileState, now: Now) -> bool:
        """Whether nobody has it open for writing, nor had at the last look; else the delay begins anew.

        Where the kernel does not say, a file that has rested for very long passes too.
        """
        answer, was_open = self._folder.lease_answer(path), path in self._was_open
        if answer == "somebody_writes" or was_open:
            (self._was_open.add if answer == "somebody_writes" else self._was_open.discard)(path)
            self._tracker.put_back(path, state, now)
            return False
        return self._tracker.complete(path, state, now, leased=answer == "given")

    def _see(self, path: str, state: FileState, now: Now, change: Change = "other") -> None:
        if path in self._in_hand:
            return
        held = self._held.get(path)
        if held is not None:
            if held.state == state and (held.until is None or held.until > now.steady):
                return
            del self._held[path]
            self._let_go.add(self._folder.name(path))
        self._tracker.see(
            path,
            state,
            now,
            renamed=change == "renamed",
            closed=change == "closed",
            created=change == "created" and self._folder.has_one_name(path),
        )

    def _scan_folder(self, start: str, now: Now, seen: set[str], odd: set[str], prune_after: float) -> None:
        """`start` and the oddities' paths are relative to the inbox."""
        old: list[str] = []
        for found in walk(self._folder.fd, start, passed_over=is_passed_over):
            match found:
                case File():
                    path = f"{self._folder.path}/{found.path}"
                    if path in self._held:  # (of the others nobody asks)
                        seen.add(path)
                    self._see(path, found.state, now)
                case Folder():
                    # (its ctime: since something was last put into it or taken from it)
                    if now.wall - found.state.ctime_ns / 1e9 >= prune_after:
                        old.append(found.path)
                case Odd(path="", reason=reason):
                    raise InboxTrouble(f"the inbox {self._folder.path} {reason}")
                case Odd():
                    odd.add(found.path)
                    self._oddities.add(found)
        for path in reversed(old):  # those within others first
            with contextlib.suppress(OSError), parent_beneath(self._folder.fd, path) as (folder, name):
                os.rmdir(name, dir_fd=folder)  # fails where it is not empty, and for a link

    def _is_odd_still(self, found: Odd) -> bool:
        try:
            if found.kind == "unreadable" and self._is_unreadable_folder(found.path):
                return True
            mode = lstat_beneath(self._folder.fd, found.path).st_mode
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)

    def _is_unreadable_folder(self, path: str) -> bool:
        with contextlib.closing(walk(self._folder.fd, path, passed_over=is_passed_over)) as looks:
            for one in looks:
                if isinstance(one, Odd) and one.path == path:
                    return True
                if not isinstance(one, Folder) or one.path != path:  # what is in it can be looked at
                    return False
        return False

    def _take_changes(self, wait: float) -> None:
        try:
            change = self._events.changes.get(timeout=wait)
        except queue.Empty:
            return
        now = self._clock.now()
        taken = 0
        while True:
            path, what = change
            if path == RESCAN:
                self._next_scan, self._after_overflow = now.steady, True
                self._tracker.missed_events()
            else:
                self._look_at(path, now, what)
            taken += 1
            if taken >= _MOST_AT_ONCE:
                return
            try:
                change = self._events.changes.get_nowait()
            except queue.Empty:
                return

    def _look_at(self, path: str, now: Now, change: Change = "other") -> None:
        name = self._folder.name(path)
        if is_ignored_path(f"{name}/"):  # one of the folders
            return
        if change == "renamed" and self._ours.pop(path, None) is not None:
            change = "other"
        status = self._folder.look(path)
        if (status is None or not stat.S_ISDIR(status.st_mode)) and is_ignored_path(name):
            return
        if status is None:
            self._oddities.drop(name)
        elif stat.S_ISREG(status.st_mode):
            self._see(path, FileState.of(status), now, change)
        elif stat.S_ISDIR(status.st_mode):
            self._scan_folder(name, now, set(), set(), self._prune_after)
        else:
            self._oddities.add(odd(name, status))

    def _ensure_watched(self) -> None:
        is_another = self._folder.find()
        if not self._events.is_on:
            return
        # The identity alone is not enough: a folder made anew may get the old one's inode.
        if is_another or not self._events.is_alive():
            self._events.stop()
            self._watch()
            self._tracker.missed_events()

    def _watch(self) -> None:
        self._folder.find()
        if not self._with_events:
            return
        try:
            self._events.start(self._folder.top)
        except (OSError, RecursionError) as error:  # watchdog walks with os.walk, recursive before Python 3.12
            reason = error.strerror if isinstance(error, OSError) else "its folders are too deep"
            logger.warning("no events for %s (%s); it is scanned instead", self._folder.path, reason)
            self._with_events = self._tracker.hears_closes = False
            self._scan_interval = min(self._scan_interval, _POLL_INTERVAL)
