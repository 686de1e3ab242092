"""Watch: which files of the inbox are complete?

Events make it fast, a periodic scan makes it sure; where the filesystem sends no events, scans alone must do.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import queue
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver

from Src.Librarian.filesystem import sends_events
from Src.Librarian.fingerprint import is_open_for_writing
from Src.Librarian.inbox_names import is_ignored, is_ignored_path
from Src.Librarian.incoming import FileState, IncomingFile, regular_file_state
from Src.Librarian.stability import Now, StabilityTracker
from Src.Shared.settings import WatchMode

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 512
_POLL_INTERVAL = 5.0  # seconds between scans where no events come
_AFTER_OVERFLOW = 1.0  # seconds until a second scan: watchdog makes all its watches anew, and is deaf meanwhile
_SCAN_SHARE = 20  # a scan takes at most 1/20 of the time when polling
_RESCAN = ""

_Change = Literal["renamed", "closed", "other"]


class InboxTrouble(Exception):
    """The inbox cannot be read now. The message is one line: what, where, what to do."""


class _Held(NamedTuple):
    state: FileState
    until: float | None  # steady time; None: until it changes


class Clock:
    """Both clocks. A wall clock that jumps never makes a file look older than we have seen it."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    def now(self) -> Now:
        steady = time.monotonic()
        return Now(steady, min(time.time(), steady + self._ahead))


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
        prune_after: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        self._inbox = str(inbox.resolve())
        self._clock = clock or Clock()
        local = sends_events(inbox)
        self._with_events = mode == "events" or (mode == "auto" and local)
        self._scan_interval = scan_interval if self._with_events else min(scan_interval, _POLL_INTERVAL)
        self._tracker = StabilityTracker(stability_delay, min_file_age, trust_ctime=local)
        self._prune_after = prune_after
        self._held: dict[str, _Held] = {}
        self._releases: list[tuple[float, str]] = []
        self._let_go: set[str] = set()
        self._in_hand: dict[str, FileState] = {}
        self._was_open: set[str] = set()
        self._changes: queue.SimpleQueue[tuple[str, _Change]] = queue.SimpleQueue()
        self._observer: BaseObserver | None = None
        self._watched: tuple[int, int] | None = None
        self._next_scan = 0.0
        self._after_overflow = False
        self._overflow = _OverflowHandler(self._changes)
        self._unreadable: set[str] = set()  # as the last scan found it
        self._told_unreadable: set[str] = set()

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
        observers = logging.getLogger("watchdog.observers")
        observers.setLevel(logging.WARNING)  # whatever of it is shown: an overflow must be heard
        observers.addHandler(self._overflow)
        self._watch()

    def stop(self) -> None:
        """Ends watching."""
        logging.getLogger("watchdog.observers").removeHandler(self._overflow)
        self._unwatch()

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
        path = os.path.join(self._inbox, original_path)
        state = _state_if(path, size, mtime_ns, inode)
        if state is not None and path not in self._in_hand:
            self._tracker.forget(path)
            self._hold(path, state, seconds)
        return state is not None

    def is_held(self, original_path: str) -> bool:
        """Whether the file is being left alone."""
        return os.path.join(self._inbox, original_path) in self._held

    def let_go(self) -> set[str]:
        """Files that are left alone no longer, for whatever reason, since this was last asked."""
        gone, self._let_go = self._let_go, set()
        return gone

    def stands(self, original_path: str, size: int, mtime_ns: int, inode: int) -> bool:
        """Whether the file is in the inbox as it was."""
        return _state_if(os.path.join(self._inbox, original_path), size, mtime_ns, inode) is not None

    def put_back(self, file: IncomingFile) -> None:
        """The file was not complete after all, or could not be filed for a reason that is not its own."""
        self._in_hand.pop(file.path, None)
        state = _state_of(file.path)
        if state is not None:
            self._tracker.put_back(file.path, state, self._clock.now())

    def check(self) -> None:
        """Raises InboxTrouble where the inbox as a whole cannot be read."""
        self._entries(self._inbox)

    def idle(self) -> bool:
        """Whether nothing waits to become complete and nothing is in hand."""
        return not len(self._tracker) and not self._in_hand

    def scan(self, *, prune_after: float | None = None) -> None:
        """Looks at every file, and prunes folders that have stood empty for a while. Raises InboxTrouble."""
        began = self._clock.now()
        self._ensure_watched()
        seen: set[str] = set()
        self._unreadable.clear()
        self._scan_folder(self._inbox, began, seen, self._prune_after if prune_after is None else prune_after)
        self._told_unreadable &= self._unreadable
        for path in [path for path in self._held if path not in seen and not self._is_hidden_from_us(path)]:
            del self._held[path]
            self._let_go.add(path[len(self._inbox) + 1 :])
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
            state = _state_of(path)
            if state is None:
                self._tracker.forget(path)
                self._was_open.discard(path)
            elif self._tracker.complete(path, state, now) and self._is_at_rest(path, state, now):
                self._in_hand[path] = state
                files.append(IncomingFile(path, path[len(self._inbox) + 1 :], state))
                if len(files) >= _MOST_AT_ONCE:
                    break
        return files

    def _is_at_rest(self, path: str, state: FileState, now: Now) -> bool:
        """Whether nobody has it open for writing, nor had at the last look; else the delay begins anew."""
        is_open, was_open = is_open_for_writing(path), path in self._was_open
        if not is_open and not was_open:
            return True
        (self._was_open.add if is_open else self._was_open.discard)(path)
        self._tracker.put_back(path, state, now)
        return False

    def _see(self, path: str, state: FileState, now: Now, change: _Change = "other") -> None:
        if path in self._in_hand:
            return
        held = self._held.get(path)
        if held is not None:
            if held.state == state and (held.until is None or held.until > now.steady):
                return
            del self._held[path]
            self._let_go.add(path[len(self._inbox) + 1 :])
        self._tracker.see(path, state, now, renamed=change == "renamed", closed=change == "closed")

    def _scan_folder(self, top: str, now: Now, seen: set[str], prune_after: float) -> None:
        folders: list[tuple[str, bool]] = [(top, False)]
        while folders:
            folder, old = folders.pop()
            if old:  # all below it has been seen: is it empty now?
                with contextlib.suppress(OSError):
                    os.rmdir(folder)  # fails where it is not
                continue
            if folder != self._inbox and _unchanged_for(folder, now) >= prune_after:
                folders.append((folder, True))
            for entry in self._entries(folder):
                if is_ignored(entry.name):
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((entry.path, False))
                    elif entry.is_file(follow_symlinks=False):
                        state = FileState.of(entry.stat(follow_symlinks=False))
                        seen.add(entry.path)
                        self._see(entry.path, state, now)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self._cannot_read(entry.path, error)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except FileNotFoundError as error:
            if folder == self._inbox:
                raise InboxTrouble(f"the inbox {folder} is not there; create or mount it") from error
        except OSError as error:
            if folder == self._inbox:
                raise InboxTrouble(f"the inbox {folder} cannot be read: {error.strerror}") from error
            self._cannot_read(folder, error)
        return []

    def _cannot_read(self, path: str, error: OSError) -> None:
        self._unreadable.add(path)
        if path not in self._told_unreadable:
            self._told_unreadable.add(path)
            logger.warning("%s in the inbox cannot be read: %s", path, error.strerror)

    def _is_hidden_from_us(self, path: str) -> bool:
        return any(path == unreadable or path.startswith(unreadable + "/") for unreadable in self._unreadable)

    def _take_changes(self, wait: float) -> None:
        try:
            change = self._changes.get(timeout=wait)
        except queue.Empty:
            return
        now = self._clock.now()
        taken = 0
        while True:
            path, what = change
            if path == _RESCAN:
                self._next_scan, self._after_overflow = now.steady, True
            else:
                self._look_at(path, now, what)
            taken += 1
            if taken >= _MOST_AT_ONCE:
                return
            try:
                change = self._changes.get_nowait()
            except queue.Empty:
                return

    def _look_at(self, path: str, now: Now, change: _Change = "other") -> None:
        if is_ignored_path(path[len(self._inbox) + 1 :]):
            return
        state = _state_of(path)
        if state is not None:
            self._see(path, state, now, change)
        elif os.path.isdir(path) and not os.path.islink(path):
            self._scan_folder(path, now, set(), self._prune_after)

    def _ensure_watched(self) -> None:
        if self._observer is None:
            return
        with contextlib.suppress(OSError):
            # The identity alone is not enough: a folder made anew may get the old one's inode.
            alive = all(thread.is_alive() for thread in (self._observer, *self._observer.emitters))
            if _identity(self._inbox) != self._watched or not alive:
                self._unwatch()
                self._watch()

    def _watch(self) -> None:
        if not os.path.isdir(self._inbox):
            raise InboxTrouble(f"the inbox {self._inbox} is not there; create or mount it")
        if not self._with_events:
            return
        handler = _Handler(self._changes)
        # Not opened or closed unwritten: our own reading must not wake us.
        interesting: list[type[FileSystemEvent]] = [
            FileCreatedEvent,
            FileClosedEvent,
            FileMovedEvent,
            DirCreatedEvent,
            DirMovedEvent,
        ]
        observer: BaseObserver | None = None
        try:
            observer = _make_observer()
            observer.schedule(handler, self._inbox, recursive=True, event_filter=interesting)
            observer.start()
        except (OSError, RecursionError) as error:  # watchdog walks with os.walk, recursive before Python 3.12
            if observer is not None:
                observer.stop()
            reason = error.strerror if isinstance(error, OSError) else "its folders are too deep"
            logger.warning("no events for %s (%s); it is scanned instead", self._inbox, reason)
            self._with_events = False
            self._scan_interval = min(self._scan_interval, _POLL_INTERVAL)
            return
        self._observer, self._watched = observer, _identity(self._inbox)

    def _unwatch(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5)
            self._observer = None


class _Handler(FileSystemEventHandler):
    """Runs in the observer's thread: only notes which path, and what happened to it."""

    def __init__(self, changes: queue.SimpleQueue[tuple[str, _Change]]) -> None:
        self._changes = changes

    def on_any_event(self, event: FileSystemEvent) -> None:
        moved = isinstance(event, FileMovedEvent | DirMovedEvent)
        path = event.dest_path if moved else event.src_path
        if path:  # an unmatched move out of the inbox has no destination
            what: _Change = "other"
            if isinstance(event, FileClosedEvent):
                what = "closed"
            elif isinstance(event, FileMovedEvent) and not event.is_synthetic:
                what = "renamed"  # (synthetic: its folder was renamed, which says nothing of the file)
            self._changes.put((os.fsdecode(path), what))


class _OverflowHandler(logging.Handler):
    """watchdog says only in its log that the kernel dropped events; then everything must be looked at again."""

    def __init__(self, changes: queue.SimpleQueue[tuple[str, _Change]]) -> None:
        super().__init__(logging.WARNING)
        self._changes = changes

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage().lower():
            self._changes.put((_RESCAN, "other"))


def _make_observer() -> BaseObserver:
    if sys.platform == "linux":
        from watchdog.observers.inotify import InotifyObserver

        # It sees a nested folder twice, by its event and by its own walk, and warns of itself each time.
        warnings.filterwarnings("ignore", r"Callback with id .* already exists", RuntimeWarning)
        # Full events tell a file that was moved in from elsewhere from one that is being written.
        return InotifyObserver(generate_full_events=True)
    from watchdog.observers import Observer

    return Observer()


def _state_of(path: str) -> FileState | None:
    """None also where it cannot be looked at now, its folder being unreadable: the next scan will say."""
    try:
        return regular_file_state(path)
    except OSError:
        return None


def _unchanged_for(folder: str, now: Now) -> float:
    """Seconds since something was last put into a folder or taken from it."""
    try:
        return now.wall - os.lstat(folder).st_ctime
    except OSError:
        return -1.0


def _state_if(path: str, size: int, mtime_ns: int, inode: int) -> FileState | None:
    state = _state_of(path)
    return state if state and (state.size, state.mtime_ns, state.inode) == (size, mtime_ns, inode) else None


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def walk_files(
    top: str,
    *,
    skip: tuple[int, int] | None = None,
    skip_marked: str | None = None,
    unreadable: Callable[[str, OSError], None] | None = None,
) -> Iterator[tuple[str, FileState]]:
    """All regular files below a folder that are not ignored by name, folder by folder, without following links.

    Passed over are the folder of device and inode `skip`, and those that hold a file named `skip_marked`.
    `unreadable` is told what could not be looked at.
    """

    def tell(path: str, error: OSError) -> None:
        logger.warning("%s cannot be read: %s", path, error.strerror)
        if unreadable is not None:
            unreadable(path, error)

    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            tell(folder, error)
            continue
        if skip_marked is not None and any(entry.name == skip_marked for entry in entries):
            logger.warning("%s is passed over: it is a vault", folder)
            continue
        for entry in entries:
            if is_ignored(entry.name):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    if skip is None or _identity(entry.path) != skip:
                        folders.append(entry.path)
                    continue
                if not entry.is_file(follow_symlinks=False):
                    continue
                state = FileState.of(entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue
            except OSError as error:
                tell(entry.path, error)
                continue
            yield entry.path, state
