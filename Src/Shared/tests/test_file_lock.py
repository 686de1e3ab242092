"""Locks on files: who holds them, who does not, and for how long."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from Src.Shared.file_lock import LockHeld, lock_now, lock_to_hand_on, locked, open_lock
from Src.Shared.tests.postgres_helpers import wait_until


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
