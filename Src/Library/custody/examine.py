"""Is the file of an item what the ledger says? By descriptors, and through no link."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from Src.Library import hash_cache
from Src.Library.custody.item import Item, Seen
from Src.Library.custody.past_cache import sha256_past_cache
from Src.Library.original_path import is_path
from Src.Shared.disk.beneath import lstat_beneath, open_beneath
from Src.Shared.disk.files import OPEN_FLAGS, FileState
from Src.Shared.disk.filesystem import NO_MODES, NO_TIMES, filesystem_type, sends_events
from Src.Shared.ledger_text import int8

logger = logging.getLogger(__name__)

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


class Examiner:
    """Looks at files below one open folder of originals. Thread-safe."""

    def __init__(self, originals: Path, root: int, go_on: Callable[[], None]) -> None:
        """`root`: `originals`, open. `go_on` is called while a file is read, and may raise to give up."""
        kind = filesystem_type(originals)
        self._has_modes = not NO_MODES.fullmatch(kind)
        self._has_times = not NO_TIMES.fullmatch(kind)
        self._has_our_clock = sends_events(originals)
        self._originals = originals
        self._clocks = {os.fstat(root).st_dev: self._has_our_clock}
        self._root = root
        self._go_on = go_on

    def stat(self, item: Item) -> os.stat_result | Seen:
        """What stands at its path; or what is to be said of it at once."""
        if not is_path(item.path):
            return Seen("missing", "its path in the database is none of the vault's", "gone")
        try:
            status = lstat_beneath(self._root, item.path.partition("/")[2])
        except OSError as error:
            return _refused(error)
        if not stat.S_ISREG(status.st_mode):
            return Seen("changed", "a link, a folder or something else stands there", "not_a_file")
        if status.st_size != item.size and not item.may_change:
            return Seen("changed", f"{status.st_size:,} bytes instead of {item.size:,}", "size")
        return status

    def is_as_known(self, item: Item, status: os.stat_result) -> bool:
        """Whether its time is the one with which its bytes were right. (Its size is.)"""
        return item.mtime_ns is not None and (not self._has_times or int8(status.st_mtime_ns) == item.mtime_ns)

    def sees_changes(self, item: Item, status: os.stat_result) -> bool:
        """Whether a change to its file shows in its ctime by our clock, as on no share. A year's folder may be one."""
        if status.st_dev not in self._clocks:
            folder = self._originals.parent / os.path.dirname(item.path)
            try:
                is_there = os.stat(folder).st_dev == status.st_dev
            except OSError:
                is_there = False
            self._clocks[status.st_dev] = is_there and sends_events(folder)
        return self._clocks[status.st_dev]

    def was_changed_since(self, item: Item, status: os.stat_result) -> bool:
        """Whether it may have been written to since it was read: no write hides its ctime. (On a share that is by
        another clock.)"""
        if item.verified_at is None or not self._has_our_clock:
            return False
        return status.st_ctime >= item.verified_at.timestamp() - hash_cache.COARSEST_CLOCK

    def unread(self, item: Item, status: os.stat_result) -> Seen:
        """What its mode says, where nobody reads it."""
        return self._with_mode(item, status, Seen("ok"))

    def read(self, item: Item) -> Seen:
        """By its bytes, as the disk has them. A wrong answer is asked for twice: memory can be at fault."""
        status = self.stat(item)
        if isinstance(status, Seen):
            return status
        try:
            fd = open_beneath(self._root, item.path.partition("/")[2], OPEN_FLAGS)
        except OSError as error:
            return _refused(error)
        try:
            return self._read(item, fd)
        except OSError as error:
            return Seen("unreadable", f"cannot be read: {error.strerror}", "unreadable")
        finally:
            os.close(fd)

    def _read(self, item: Item, fd: int) -> Seen:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):  # put there just now
            return Seen("changed", "a link, a folder or something else stands there", "not_a_file")
        sha256, count = sha256_past_cache(fd, self._go_on)
        may_differ = item.may_change and not self._has_no_excuse(item, before)
        if sha256 != item.sha256 and not may_differ:
            again, more = sha256_past_cache(fd, self._go_on)
            count += more
            if again == item.sha256:
                logger.warning("two readings of %s differ; check the memory and the disk", item.path)
            sha256 = again
        after = os.fstat(fd)
        if sha256 != item.sha256:
            if item.may_change and not self._has_no_excuse(item, after):
                return Seen("ok", "other bytes than when it was last seen", read=count, is_in_use=True)
            length = "as many bytes, but others" if after.st_size == item.size else f"{after.st_size:,} bytes"
            return Seen("changed", length, "content", read=count)
        state = FileState.of(after)
        is_touched = item.mtime_ns is not None and not self.is_as_known(item, after) and not item.may_change
        if state != FileState.of(before):  # right so far, and somebody writes to it, or to what is known of it
            return Seen("changed", "it was changed while it was read", "content", read=count)
        why = _times(item.mtime_ns, after.st_mtime_ns) if is_touched and item.mtime_ns is not None else ""
        return self._with_mode(item, after, Seen("ok", why, state=state, read=count, is_touched=is_touched))

    def _has_no_excuse(self, item: Item, status: os.stat_result) -> bool:
        """Whether an XMP file stands there with the size and time of its known bytes: no program has written it."""
        return (
            item.mtime_ns is not None
            and self._has_times
            and (item.size, item.mtime_ns) == (status.st_size, int8(status.st_mtime_ns))
        )

    def _with_mode(self, item: Item, status: os.stat_result, seen: Seen) -> Seen:
        """Nobody may write to an original, and its owner may read it."""
        if not self._has_modes or item.may_change or not (status.st_mode & 0o7222 or not status.st_mode & 0o400):
            return seen
        is_writable = bool(status.st_mode & 0o222)
        why = ", and ".join(filter(None, (f"its mode is {stat.S_IMODE(status.st_mode):04o}", seen.why)))
        return seen._replace(word="mode", why=why, finding="writable" if is_writable else None)


def _times(known_ns: int, now_ns: int) -> str:
    return f"its time is {_moment(now_ns)} and was {_moment(known_ns)}; its bytes are right"


def _moment(ns: int) -> str:
    """As exact as the disk has it: two times may differ by little."""
    try:
        return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}.{ns % 10**9:09} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{ns} ns"


def _refused(error: OSError) -> Seen:
    """A refusal says nothing of a file but that it cannot be looked at: never that it is there, or not there."""
    if error.errno in _NOT_THERE:
        return Seen("missing", "no file stands there", "gone")
    if error.errno == errno.ELOOP:
        return Seen("unreadable", "a symbolic link stands on the way to it", "unreadable")
    return Seen("unreadable", f"cannot be looked at: {error.strerror}", "unreadable")
