"""One Librarian per inbox: tried with real processes."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from Src.Librarian.watch.inbox_lock import InboxLock
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.surroundings import open_below

HOLDER = """
import sys, time
from pathlib import Path
from Src.Librarian.watch.inbox_lock import InboxLock
lock = InboxLock(Path(sys.argv[1]), Path(sys.argv[2]))
print(lock.acquire(), flush=True)
if len(sys.argv) > 3:  # a child that outlives the holder, as ExifTool might
    import subprocess
    print(subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, close_fds=False).pid, flush=True)
time.sleep(600)
"""


def holder(inbox: Path, fallback: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(inbox), str(fallback), *more],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def test_a_second_process_does_not_get_it_until_the_first_is_killed(tmp_path: Path) -> None:
    first = holder(tmp_path, tmp_path / "lock")
    second = InboxLock(tmp_path, tmp_path / "lock")
    try:
        assert said(first) == "True"
        assert not second.acquire() and not second.acquire()
    finally:
        end(first)
    assert second.acquire()
    second.release()


def test_a_child_that_outlives_the_holder_does_not_keep_it(tmp_path: Path) -> None:
    first = holder(tmp_path, tmp_path / "lock", "with child")
    assert said(first) == "True"
    child = int(said(first))
    try:
        end(first)
        os.kill(child, 0)  # it lives
        with InboxLock(tmp_path, tmp_path / "lock") as lock:
            assert lock.acquire()
    finally:
        os.kill(child, signal.SIGKILL)


def test_it_can_be_taken_twice_by_its_holder_and_again_after_release(tmp_path: Path) -> None:
    lock, other = (InboxLock(tmp_path, tmp_path / "lock") for _ in range(2))
    assert lock.acquire() and lock.acquire()
    assert not other.acquire()
    lock.release()
    lock.release()
    assert other.acquire() and not lock.acquire()
    other.release()


def test_locking_leaves_nothing_in_the_inbox(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    with InboxLock(inbox, tmp_path / "state" / "lock") as lock:
        assert lock.acquire()
        assert list(inbox.iterdir()) == [] and not (tmp_path / "state").exists()


def test_a_file_is_locked_where_folders_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def only_files(fd: int, operation: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):  # as NFS answers
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", only_files)
    fallback = tmp_path / "state" / "lock"
    lock, other = InboxLock(tmp_path, fallback), InboxLock(tmp_path, fallback)
    assert lock.acquire() and not other.acquire()
    lock.release()
    assert other.acquire()
    other.release()


def test_an_inbox_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        InboxLock(tmp_path / "gone", tmp_path / "lock").acquire()


def test_failed_attempts_keep_no_descriptor_open(tmp_path: Path) -> None:
    with InboxLock(tmp_path, tmp_path / "lock") as lock:
        assert lock.acquire()
        before = open_below(tmp_path)
        other = InboxLock(tmp_path, tmp_path / "lock")
        assert not any(other.acquire() for _ in range(20))
        assert open_below(tmp_path) == before
