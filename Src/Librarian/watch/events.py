"""Events of the inbox, as watchdog brings them."""

from __future__ import annotations

import logging
import os
import queue
import sys
import warnings
from typing import Any, Literal

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

from Src.Shared.disk.beneath import open_beneath
from Src.Shared.disk.top import Top, open_top

Change = Literal["renamed", "closed", "created", "other"]
RESCAN = ""  # in the place of a path: everything must be looked at again

# No opening and no closing unwritten, or our own reading would wake us.
_INTERESTING: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileClosedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]


class _Handler(FileSystemEventHandler):
    """Runs in the observer's thread: only notes which path, and what happened to it."""

    def __init__(self, changes: queue.SimpleQueue[tuple[str, Change]]) -> None:
        self._changes = changes

    def on_any_event(self, event: FileSystemEvent) -> None:
        moved = isinstance(event, FileMovedEvent | DirMovedEvent)
        path = event.dest_path if moved else event.src_path
        if path:  # an unmatched move out of the inbox has no destination
            what: Change = "other"
            if isinstance(event, FileClosedEvent):
                what = "closed"
            elif isinstance(event, FileCreatedEvent) and not event.is_synthetic:
                what = "created"  # (synthetic: it was found in a new folder, and may be closed by now)
            elif isinstance(event, FileMovedEvent) and not event.is_synthetic:
                what = "renamed"  # (synthetic: its folder was renamed, which says nothing of the file)
            self._changes.put((os.fsdecode(path), what))


class _OverflowHandler(logging.Handler):
    """watchdog says only in its log that the kernel dropped events; then everything must be looked at again."""

    def __init__(self, changes: queue.SimpleQueue[tuple[str, Change]]) -> None:
        super().__init__(logging.WARNING)
        self._changes = changes

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage().lower():
            self._changes.put((RESCAN, "other"))


class InboxEvents:
    """Watches one inbox, and collects what changes in it."""

    def __init__(self) -> None:
        self.changes: queue.SimpleQueue[tuple[str, Change]] = queue.SimpleQueue()  # (absolute path or RESCAN, what)
        self._overflow = _OverflowHandler(self.changes)
        self._observer: BaseObserver | None = None

    @property
    def is_on(self) -> bool:
        """Whether events were asked for, be it that they come no more."""
        return self._observer is not None

    def is_alive(self) -> bool:
        """Whether all threads that bring events still run."""
        observer = self._observer
        return observer is not None and all(thread.is_alive() for thread in (observer, *observer.emitters))

    def listen(self) -> None:
        """From now on an overflow is noticed."""
        observers = logging.getLogger("watchdog.observers")
        observers.setLevel(logging.WARNING)  # whatever of it is shown: an overflow must be heard
        observers.addHandler(self._overflow)

    def start(self, top: Top) -> None:
        """Begins to watch. Raises OSError, and RecursionError, where there can be no events."""
        observer: BaseObserver | None = None
        try:
            observer = _make_observer(top)
            observer.schedule(_Handler(self.changes), top.path, recursive=True, event_filter=_INTERESTING)
            observer.start()
        except (OSError, RecursionError):
            if observer is not None:
                observer.stop()
            raise
        self._observer = observer

    def stop(self) -> None:
        """Ends watching. It can be started again."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5)
            self._observer = None

    def close(self) -> None:
        """Ends watching and listening."""
        logging.getLogger("watchdog.observers").removeHandler(self._overflow)
        self.stop()


def _is_news(record: logging.LogRecord) -> bool:
    """False for an event that came while watchdog was being stopped: it logs that as an error, and all is well."""
    return "called when the thread is inactive" not in record.getMessage()


def _make_observer(top: Top) -> BaseObserver:
    """An observer that watches folders below the top, and never one to which a link leads."""
    if sys.platform == "linux":
        from watchdog.observers.inotify import InotifyObserver

        logging.getLogger(InotifyObserver.__module__).addFilter(_is_news)
        # It sees a nested folder twice, by its event and by its own walk, and warns of itself each time.
        warnings.filterwarnings("ignore", r"Callback with id .* already exists", RuntimeWarning)
        # Full events tell a file that was moved in from elsewhere from one that is being written.
        observer = InotifyObserver(generate_full_events=True)
        _watch_beneath(observer, top)
        return observer
    from watchdog.observers import Observer

    return Observer()


def _watch_beneath(observer: Any, top: Top) -> None:
    """Has watchdog add its watches by descriptors.

    It adds them by paths, with IN_DONT_FOLLOW, which says something about the last part only: with a folder swapped for
    a link between its event and its watch, it would watch what lies behind that link.
    """
    from watchdog.observers.inotify_c import InotifyConstants

    inotify = observer._inotify_fd
    add = inotify._get_or_create_watch

    def add_beneath(path: bytes, mask: int) -> Any:
        name = os.fsdecode(path)
        root = open_top(top)
        try:
            relative = "" if name == top.path else top.relative(name)
            fd = open_beneath(root, relative, os.O_PATH | os.O_DIRECTORY)
        finally:
            os.close(root)
        try:
            # /proc leads to the very folder that was opened, if it is followed.
            return add(b"/proc/self/fd/%d" % fd, mask & ~InotifyConstants.IN_DONT_FOLLOW)
        finally:
            os.close(fd)

    inotify._get_or_create_watch = add_beneath
