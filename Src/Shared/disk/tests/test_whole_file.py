"""A file that is there whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from Src.Shared.disk.whole_file import write_whole

OLD, NEW = b"old", b"new" * 10_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "folder" / "note"
    file.parent.mkdir()
    file.write_bytes(OLD)
    return file


@pytest.mark.parametrize("durable", [True, False])
def test_it_replaces_what_has_the_name(path: Path, durable: bool) -> None:
    write_whole(path, NEW, mode=0o640, durable=durable)
    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(path.parent) == ["note"]


def test_it_is_the_owners_only_unless_told_otherwise(path: Path) -> None:
    before = os.umask(0)
    try:
        write_whole(path, NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_where_the_mount_decides_on_modes_it_is_written_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refused)
    write_whole(path, NEW, mode=0o640)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (NEW, 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_its_owner_has_it_from_the_beginning(path: Path) -> None:
    write_whole(path, NEW, mode=0o400, owner=(4321, 4322))
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (4321, 4322, 0o400)


def test_a_link_is_replaced_and_not_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(OLD)
    path.unlink()
    path.symlink_to(target)
    write_whole(path, NEW)
    assert (path.is_symlink(), path.read_bytes(), target.read_bytes()) == (False, NEW, OLD)


def test_a_full_disk_leaves_the_old_one(path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # Python ignores SIGXFSZ: writing fails
    try:
        with pytest.raises(OSError, match="File too large"):
            write_whole(path, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == ["note"]


@pytest.mark.parametrize("step", ["fchmod", "fsync", "replace"])
def test_killed_at_any_step_the_old_one_is_there(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(os, step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        write_whole(path, NEW)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1]), "it was killed"
    assert path.read_bytes() == OLD
    write_whole(path, NEW)
    assert path.read_bytes() == NEW


def test_the_bytes_are_on_disk_before_the_name_is_given(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(fd: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"bytes {os.fstat(fd).st_size}")
        sync(fd)

    def name(source: str, target: Path) -> None:
        steps.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", name)
    write_whole(path, NEW)
    assert steps == [f"bytes {len(NEW)}", "name", "folder"]
