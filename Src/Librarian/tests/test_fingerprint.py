"""One read of a file: what it is, byte for byte, and whether it kept still."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Src.Librarian import filesystem
from Src.Librarian import fingerprint as module
from Src.Librarian.fingerprint import (
    NotARegularFile,
    StillChanging,
    fingerprint,
    open_for_writing_elsewhere,
    open_regular,
    sha256_of,
)
from Src.Librarian.incoming import FileState
from Src.Librarian.tests.conftest import PATIENCE, WaitFor, open_below
from Src.Shared.settings import PROJECT_ROOT

SAMPLE = Path(__file__).parent / "samples" / "Canon_40D.jpg"


def state_of(path: Path) -> FileState:
    return FileState.of(os.lstat(path))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(SAMPLE.read_bytes())
    return path


@given(st.binary(max_size=100), st.sampled_from([0, 1, 1024 * 1024 - 50, 1024 * 1024, 2 * 1024 * 1024 + 7]))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_the_hash_is_sha256_of_all_bytes_whatever_was_read_before(tmp_path: Path, some: bytes, padding: int) -> None:
    content = some + b"\xff" * padding
    path = tmp_path / "file"
    path.write_bytes(content)
    fd = open_regular(str(path))
    os.read(fd, 10)
    try:
        assert sha256_of(fd) == hashlib.sha256(content).hexdigest()
    finally:
        os.close(fd)


def test_a_photo_is_told_by_content_and_hash(photo: Path) -> None:
    found = fingerprint(str(photo), state_of(photo))
    assert found.kind is not None and found.kind.name == "JPEG"
    assert found.sha256 == hashlib.sha256(SAMPLE.read_bytes()).hexdigest()


def test_what_is_not_media_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with open(path, "wb") as file:
        file.write(b"plain text " * 100)
        file.truncate(1 << 40)  # a hole of 1 TiB: reading it would take until tomorrow
    assert fingerprint(str(path), state_of(path)) == module.Fingerprint("", None)


@pytest.mark.parametrize("change", ["grown", "shrunk", "touched", "replaced", "mode"])
def test_a_file_that_is_not_as_it_was_found_is_still_changing(photo: Path, change: str, wait_for: WaitFor) -> None:
    before = state_of(photo)

    def happen() -> bool:  # ctime ticks every few milliseconds only
        match change:
            case "grown":
                photo.write_bytes(photo.read_bytes() + b"more")
            case "shrunk":
                os.truncate(photo, 100)
            case "touched":
                os.utime(photo)
            case "mode":
                photo.chmod(0o640)
            case "replaced":
                other = photo.with_suffix(".new")
                other.write_bytes(SAMPLE.read_bytes())
                os.utime(other, ns=(before.mtime_ns, before.mtime_ns))
                other.replace(photo)
        return state_of(photo) != before

    wait_for(happen)
    with pytest.raises(StillChanging):
        fingerprint(str(photo), before)


def test_a_file_that_changes_while_it_is_read_is_still_changing(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(fd: int) -> str:
        with open(photo, "ab") as writer:
            writer.write(b"more")
        return sha256_of(fd)

    before = state_of(photo)
    monkeypatch.setattr(module, "sha256_of", slow)
    with pytest.raises(StillChanging):
        fingerprint(str(photo), before)


def test_a_file_that_another_process_has_open_for_writing_is_still_changing(photo: Path) -> None:
    before = state_of(photo)
    writer = subprocess.Popen(
        [sys.executable, "-c", "import sys; f=open(sys.argv[1], 'r+b'); print(1, flush=True); input()", str(photo)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(StillChanging):
            fingerprint(str(photo), before)
        writer.communicate(b"\n")
    assert fingerprint(str(photo), before).kind is not None


def test_readers_elsewhere_and_our_own_question_do_not_make_a_file_busy(photo: Path) -> None:
    with open(photo, "rb") as reader, open(photo, "rb"):
        assert not open_for_writing_elsewhere(reader.fileno())
        assert not open_for_writing_elsewhere(reader.fileno())
    with open(photo, "r+b") as writer:  # the lease was given back
        assert writer.writable()


def test_a_server_that_gives_no_lease_does_not_make_a_file_busy_for_ever(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # NFS and SMB answer EAGAIN to F_SETLEASE where the server has not delegated the file. None can be mounted here:
    # the answer is had from a real writer.
    with open(photo, "rb") as reader, open(photo, "r+b"):
        assert open_for_writing_elsewhere(reader.fileno())
        monkeypatch.setattr(filesystem, "filesystem_type", lambda folder: "nfs4")
        assert not open_for_writing_elsewhere(reader.fileno())


WRITER_COMES = """
import fcntl, os, sys, threading, time
from Src.Librarian import fingerprint
path, real = sys.argv[1], fcntl.fcntl
def fcntl_with_a_writer(fd, command, argument=0):
    if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_UNLCK):  # the lease is held: now a writer comes
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            print("no lease was held", flush=True)
        except BlockingIOError:
            print("a writer came", flush=True)
    return real(fd, command, argument)
fingerprint.fcntl.fcntl = fcntl_with_a_writer
fd = os.open(path, os.O_RDONLY)
fingerprint.open_for_writing_elsewhere(fd)
print("alive", flush=True)
"""


def test_a_writer_that_comes_while_we_look_for_writers_does_not_kill_us(photo: Path) -> None:
    # The kernel tells a lease's holder by a signal, SIGIO by default, which ends the process.
    done = subprocess.run(
        [sys.executable, "-c", WRITER_COMES, str(photo)], capture_output=True, text=True, cwd=PROJECT_ROOT, check=False
    )
    assert (done.stdout.split("\n")[:2], done.returncode) == (["a writer came", "alive"], 0), done.stderr


def test_a_symlink_is_not_followed(photo: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jpg"
    link.symlink_to(photo)
    with pytest.raises(NotARegularFile):
        open_regular(str(link))
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "nothing")
    with pytest.raises(NotARegularFile):
        open_regular(str(tmp_path / "nowhere.jpg"))


def test_a_folder_and_a_socket_are_no_regular_files(tmp_path: Path) -> None:
    with pytest.raises(NotARegularFile):
        open_regular(str(tmp_path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(NotARegularFile):
            open_regular(str(tmp_path / "socket"))


def test_a_fifo_is_not_even_opened(tmp_path: Path, wait_for: WaitFor) -> None:
    fifo = tmp_path / "fifo.jpg"
    os.mkfifo(fifo)
    opened = threading.Event()

    def write() -> None:
        os.close(os.open(fifo, os.O_WRONLY))  # waits for a reader
        opened.set()

    writer = threading.Thread(target=write)
    writer.start()
    wait_for(lambda: _waits_for_partner(writer))
    with pytest.raises(NotARegularFile):
        open_regular(str(fifo))
    was_opened = opened.wait(0.2)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # lets the writer go
    writer.join(PATIENCE)
    os.close(reader)
    assert not was_opened and not writer.is_alive()


def _waits_for_partner(thread: threading.Thread) -> bool:
    """Whether a thread hangs in the `open` of a FIFO."""
    return Path(f"/proc/self/task/{thread.native_id}/wchan").read_text() in ("wait_for_partner", "0")  # 0: a secret


def test_a_fifo_put_there_at_the_last_moment_does_not_hold_us(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def swapped(path: str, flags: int) -> int:
        photo.unlink()
        os.mkfifo(photo)
        return real(path, flags)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(NotARegularFile):
        open_regular(str(photo))
    assert open_below(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")
def test_a_device_is_not_opened(tmp_path: Path) -> None:
    device = tmp_path / "device.jpg"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(240, 200))  # no driver has it: opening it would be ENXIO
        os.mknod(tmp_path / "null.jpg", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices may not be made here")
    for path in (device, tmp_path / "null.jpg"):
        with pytest.raises(NotARegularFile):
            open_regular(str(path))


def test_a_file_that_is_gone_or_may_not_be_read_says_so(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    secret = open_folder / "secret.jpg"
    secret.write_bytes(SAMPLE.read_bytes())
    secret.chmod(0)
    with unprivileged():
        with pytest.raises(PermissionError):
            open_regular(str(secret))
        with pytest.raises(FileNotFoundError):
            open_regular(str(open_folder / "gone.jpg"))


def test_a_read_error_is_told_and_leaves_no_descriptor_open(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int, buffers: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "readv", broken)
    with pytest.raises(OSError, match="Input/output error"):
        fingerprint(str(photo), state_of(photo))
    assert open_below(photo.parent) == []
