"""Locks on files: who holds them, who does not, and for how long."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from Src.Shared.disk.locks import (
    LockHeld,
    holder_of,
    lock_now,
    lock_to_hand_on,
    locked,
    note_holder,
    open_lock,
    pid_of_holder,
    take,
)
from Src.Testing.patience import wait_until


def _is_free(path: Path) -> bool:
    with lock_to_hand_on(path) as lock:
        return lock is not None


def test_one_holds_it_and_others_wait_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    another = locked(path, time.monotonic() + 0.1)
    with locked(path, time.monotonic()), pytest.raises(LockHeld, match="another process holds"):
        another.__enter__()
    with locked(path, time.monotonic()):
        pass


def test_a_child_that_is_given_it_holds_it_until_its_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock_to_hand_on(path) as lock:
        assert lock is not None
        child = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
    with child:
        assert not _is_free(path)
        child.kill()
    wait_until(lambda: _is_free(path))


@pytest.mark.parametrize("kind", ["locked", "to hand on"])
def test_a_child_that_is_forked_meanwhile_does_not_hold_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    reader, writer = os.pipe()
    with locked(path, time.monotonic()) if kind == "locked" else lock_to_hand_on(path):
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)  # lives until we say so
            os._exit(0)
    wait_until(lambda: _is_free(path))
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.close(reader)
    os.close(writer)
    os.waitpid(child, 0)


def test_it_is_not_made_twice(tmp_path: Path) -> None:
    one, other = open_lock(tmp_path / "lock"), open_lock(tmp_path / "lock")
    assert lock_now(one)
    assert not lock_now(other)
    os.close(one)
    assert lock_now(other)
    os.close(other)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_in_anothers_folder_is_that_ones(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    os.close(open_lock(tmp_path / "lock"))
    assert (tmp_path / "lock").stat().st_uid == 65534


# -- who waits can stop, and say for whom -------------------------------------------------------------------


@contextmanager
def held_by_flock(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """By flock(1), which anybody may use who can open the file."""
    held = path.parent / f"{path.name}.held"
    command = ["flock", str(path), "sh", "-c", 'echo > "$0"; exec sleep 600', str(held)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        wait_until(held.exists)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Enough(Exception):
    pass


def test_who_waits_can_stop_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    asked: list[float] = []

    def waiting(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) == 3:
            raise Enough

    with held_by_flock(path):
        file = open_lock(path)
        with pytest.raises(Enough):
            take(file, waiting)
        os.close(file)
    assert asked == sorted(asked) and asked[0] > 0
    wait_until(lambda: _is_free(path))  # what the kernel gave to who had left, was given back


def test_it_is_given_in_the_order_of_asking(tmp_path: Path) -> None:
    """Beside one that takes it again at once, again and again."""
    path = tmp_path / "lock"
    busy = (
        "import fcntl, os, sys\n"
        "print(flush=True)\n"
        "while True:\n"
        "    file = os.open(sys.argv[1], os.O_RDWR)\n"
        "    fcntl.flock(file, fcntl.LOCK_EX)\n"
        "    for _ in range(10_000): pass\n"
        "    os.close(file)\n"
    )
    path.touch()
    with subprocess.Popen([sys.executable, "-c", busy, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            for _ in range(10):
                file = open_lock(path)
                take(file, lambda seconds: None)
                os.close(file)
        finally:
            process.kill()


def test_the_holder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_by_flock(path) as process:
        file = open_lock(path)
        try:
            # The kernel lists all locks of the machine, in pieces; one may be missed while others come and go.
            wait_until(lambda: pid_of_holder(file) == process.pid)
            wait_until(lambda: holder_of(file) == f"flock (pid {process.pid})")
        finally:
            os.close(file)
    file = open_lock(path)
    try:
        # What flock(1) had started has the lock as well, until it has ended too.
        wait_until(lambda: pid_of_holder(file) is None, what="the lock is free")
        assert holder_of(file) is None
    finally:
        os.close(file)


def test_a_holder_that_the_kernel_does_not_name_is_known_by_its_note(tmp_path: Path) -> None:
    """Of another container: its process id means nothing here."""
    path = tmp_path / "lock"
    file = open_lock(path)
    try:
        note_holder(file)
        assert path.read_text().startswith(f"{os.getpid()} ")
        path.write_text("4711 Src.Factory import\n")
        assert holder_of(file) == "Src.Factory import (pid 4711 where it runs)"
        path.write_bytes(b"\xff\x00nonsense")
        assert holder_of(file) is None
    finally:
        os.close(file)


def test_nobody_else_can_open_a_lock_also_one_of_an_earlier_version(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch(mode=0o644)
    path.chmod(0o644)
    os.close(open_lock(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    os.close(open_lock(tmp_path / "new"))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_a_link_in_a_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch(mode=0o644)
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        open_lock(tmp_path / "lock")
