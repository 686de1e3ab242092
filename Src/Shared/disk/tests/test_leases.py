"""Whether somebody has a file open for writing, asked of the kernel."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from Src.Shared.disk import filesystem
from Src.Shared.disk.leases import ReadLease, lease_answer, lease_answer_at, open_for_writing_elsewhere
from Src.Shared.settings import PROJECT_ROOT


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a photo")
    return path


def test_readers_elsewhere_and_our_own_question_do_not_make_a_file_busy(photo: Path) -> None:
    with open(photo, "rb") as reader, open(photo, "rb"):
        assert not open_for_writing_elsewhere(reader.fileno())
        assert not open_for_writing_elsewhere(reader.fileno())
    with open(photo, "r+b") as writer:  # the lease was given back
        assert writer.writable()


def test_the_owner_is_told_whether_somebody_writes(photo: Path) -> None:
    with open(photo, "rb") as reader:
        assert lease_answer(reader.fileno()) == "given"
        with open(photo, "r+b"):
            assert lease_answer(reader.fileno()) == "somebody_writes"
        assert lease_answer_at(str(photo)) == "given"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
def test_a_refusal_is_not_taken_for_nobody_writes(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    """Leases are for the owner: to all others the kernel says the same whether somebody writes or not."""
    path = open_folder / "a.jpg"
    path.write_bytes(b"half")
    path.chmod(0o644)
    with open(path, "ab"), unprivileged(), open(path, "rb") as reader, ReadLease(reader.fileno()) as lease:
        assert (lease.answer, lease.given, lease.somebody_writes, lease.somebody_waits()) == (
            "refused",
            False,
            False,
            False,
        )
    os.chown(path, 12345, 12345)
    with unprivileged():
        assert lease_answer_at(str(path)) == "refused"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_whatever_else_the_kernel_answers_is_a_refusal(code: int, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.fcntl

    def refuse(fd: int, command: int, argument: Any = 0) -> Any:
        if command == fcntl.F_SETLEASE:
            raise OSError(code, os.strerror(code))
        return real(fd, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert lease_answer_at(str(photo)) == "refused"


def test_a_file_that_cannot_be_opened_is_not_known_to_be_at_rest(photo: Path) -> None:
    assert lease_answer_at(str(photo.with_name("gone.jpg"))) == "refused"
    photo.with_name("link.jpg").symlink_to(photo)
    assert lease_answer_at(str(photo.with_name("link.jpg"))) == "refused"


HOLDS_A_WRITE_LEASE = """
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], "r+b")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_file_that_a_file_server_has_lent_to_a_client_is_being_written(photo: Path) -> None:
    """Samba holds a write lease while a client caches its writes: who opens the file without waiting gets EAGAIN."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_A_WRITE_LEASE, str(photo)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None and server.stdout.readline() == b"held\n"
        assert lease_answer_at(str(photo)) == "somebody_writes"
        server.communicate()
    assert lease_answer_at(str(photo)) == "given"


def test_a_server_that_gives_no_lease_does_not_make_a_file_busy_for_ever(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # NFS and SMB answer EAGAIN to F_SETLEASE where the server has not delegated the file. None can be mounted here:
    # the answer is had from a real writer.
    with open(photo, "rb") as reader, open(photo, "r+b"):
        assert open_for_writing_elsewhere(reader.fileno())
        monkeypatch.setattr(filesystem, "filesystem_type", lambda folder: "nfs4")
        assert not open_for_writing_elsewhere(reader.fileno())
        assert lease_answer(reader.fileno()) == "refused"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        *((kind, "refused") for kind in ("fuse.sshfs", "fuse", "virtiofs", "9p", "vboxsf")),
        *((kind, "given") for kind in ("fuseblk", "nfs4", "cifs", "jfs")),
    ],
)
def test_a_lease_that_says_nothing_of_the_other_side_is_none(
    kind: str, answer: str, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(Real mounts by sshfs: Stack/tests/test_network_shares.py.)"""
    monkeypatch.setattr(filesystem, "_LOCAL", set())
    monkeypatch.setattr(filesystem, "filesystem_type", lambda folder: kind)
    assert lease_answer_at(str(photo)) == answer


WRITER_COMES = """
import fcntl, os, sys, threading, time
from Src.Shared.disk import leases
path, real = sys.argv[1], fcntl.fcntl
def fcntl_with_a_writer(fd, command, argument=0):
    if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_UNLCK):  # the lease is held: now a writer comes
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            print("no lease was held", flush=True)
        except BlockingIOError:
            print("a writer came", flush=True)
    return real(fd, command, argument)
leases.fcntl.fcntl = fcntl_with_a_writer
fd = os.open(path, os.O_RDONLY)
leases.open_for_writing_elsewhere(fd)
print("alive", flush=True)
"""


def test_a_writer_that_comes_while_we_look_for_writers_does_not_kill_us(photo: Path) -> None:
    # The kernel tells a lease's holder by a signal, SIGIO by default, which ends the process.
    done = subprocess.run(
        [sys.executable, "-c", WRITER_COMES, str(photo)], capture_output=True, text=True, cwd=PROJECT_ROOT, check=False
    )
    assert (done.stdout.split("\n")[:2], done.returncode) == (["a writer came", "alive"], 0), done.stderr
