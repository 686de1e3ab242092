"""Locks on files that the kernel lets go when their holder dies, however it dies.

Nobody waits blindly for one: whoever waits can stop, and can say who holds it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL = 0.05  # seconds

_not_for_forks: set[int] = set()


class LockHeld(Exception):
    """Another process has held the lock for too long. The message is one line."""


def open_lock(path: Path) -> int:
    """A file descriptor of the file, which is made where it is missing. Nobody else can open it, and so lock it."""
    new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with suppress(OSError):  # an earlier version made it readable for all; one of another owner stays as it is
        if os.fstat(new).st_mode & 0o077:
            os.fchmod(new, 0o600)
    if os.geteuid() == 0:  # what root makes in another's folder must not lock that one out
        parent = path.parent.stat()
        os.fchown(new, parent.st_uid, parent.st_gid)
    return new


def lock_now(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Takes the lock if nobody else has it; flock(2) and, on a network share, fcntl(2) say so."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def take(file: int, waiting: Callable[[float], None]) -> None:
    """Takes the lock of an open file, in the order in which processes asked for it.

    While another has it, calls `waiting` with the seconds that have passed, again and again; what that raises ends the
    wait. The caller then closes the file.
    """
    if lock_now(file):
        return
    began = time.monotonic()
    served, errors = threading.Event(), list[OSError]()
    # A thread stands in the kernel's queue: one that only tries now and then is never served beside a busy one. The
    # file is its own for as long as the kernel keeps it waiting; who has left it by then has closed the other, and the
    # lock goes with the last.
    mine = os.dup(file)

    def stand() -> None:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX)
        except OSError as error:
            errors.append(error)
        finally:
            os.close(mine)
            served.set()

    threading.Thread(target=stand, name="lock", daemon=True).start()
    while not served.wait(POLL):
        waiting(time.monotonic() - began)
    if errors:
        raise errors[0]


def note_holder(file: int) -> None:
    """Writes into a lock file of our own who holds it: where the kernel does not say, the note does."""
    with suppress(OSError):
        note = f"{os.getpid()} {_program(os.getpid()) or 'photo factory'}\n".encode(errors="replace")
        os.ftruncate(file, os.pwrite(file, note, 0))


def holder_of(file: int) -> str | None:
    """Who holds the lock of an open file: its program and process id; None where nobody can say."""
    pid = pid_of_holder(file)
    if pid is not None:
        return f"{_program(pid) or 'a process'} (pid {pid})"
    with suppress(OSError, ValueError):  # of another container, or another machine
        pid_there, _, program = os.pread(file, 200, 0).decode(errors="replace").strip().partition(" ")
        if program:
            return f"{program} (pid {int(pid_there)} where it runs)"
    return None


def pid_of_holder(file: int) -> int | None:
    """The process that holds the lock of an open file, as far as the kernel says (proc_locks(5))."""
    try:
        status = os.fstat(file)
        with open("/proc/locks", encoding="ascii") as locks:
            lines = [line.split() for line in locks]
    except OSError:
        return None
    found = {}
    for fields in lines:
        if len(fields) < 6 or fields[1] != "FLOCK":  # `1: -> FLOCK`: it only waits
            continue
        major, minor, inode = fields[5].split(":")
        if int(inode) == status.st_ino and int(fields[4]) > 0:
            device = os.makedev(int(major, 16), int(minor, 16))
            found[device] = int(fields[4])
    # Where a filesystem gives its parts devices of their own (btrfs), the number is another.
    return found.get(status.st_dev) or (next(iter(found.values())) if len(found) == 1 else None)


def command_of(pid: int) -> list[str]:
    """The command line of a process; empty where it cannot be read."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0") if word]
    except OSError:
        return []


def _program(pid: int) -> str | None:
    words = command_of(pid)
    if not words:
        return None
    name = os.path.basename(words[0])
    if name.startswith("python") and "-m" in words[:-1]:  # not which Python, but what it does
        at = words.index("-m") + 1
        name = " ".join(words[at : at + 2])
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:60]


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
