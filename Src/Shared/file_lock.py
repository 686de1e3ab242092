"""Locks on files that the kernel lets go when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL = 0.05  # seconds

_not_for_forks: set[int] = set()


class LockHeld(Exception):
    """Another process has held the lock for too long. The message is one line."""


def open_lock(path: Path) -> int:
    """A file descriptor of the file, which is made where it is missing."""
    new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:  # what root makes in another's folder must not lock that one out
        parent = path.parent.stat()
        os.fchown(new, parent.st_uid, parent.st_gid)
    return new


def lock_now(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Takes the lock if nobody else has it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, end: float) -> Iterator[None]:
    """Holds the lock; raises LockHeld if it is not to be had before `end` (of `time.monotonic`)."""
    file = open_lock(path)
    try:
        while not lock_now(file):
            if time.monotonic() > end:
                raise LockHeld(f"another process holds {path}")
            time.sleep(POLL)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # for a child too that was forked meanwhile
    finally:
        os.close(file)


@contextmanager
def lock_to_hand_on(path: Path) -> Iterator[int | None]:
    """The lock as a file descriptor for a child process, which then holds it until it and its children are gone.

    None if somebody has it. Only a child that is given the descriptor (`pass_fds`) keeps it: one that another
    thread forks meanwhile does not.
    """
    file = open_lock(path)
    _not_for_forks.add(file)
    try:
        yield file if lock_now(file) else None
    finally:
        _not_for_forks.discard(file)
        os.close(file)


def _close_in_fork() -> None:
    for file in _not_for_forks:
        os.close(file)
    _not_for_forks.clear()


os.register_at_fork(after_in_child=_close_in_fork)
