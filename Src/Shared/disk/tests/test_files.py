"""Files are opened safely, whatever stands in their place, and hashed to the last byte."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Src.Shared.disk.files import NotARegularFile, open_regular, sha256_of
from Src.Testing.patience import PATIENCE
from Src.Testing.surroundings import WaitFor, open_below


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a photo")
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

    def swapped(path: str, flags: int, **more: int) -> int:
        photo.unlink()
        os.mkfifo(photo)
        return real(path, flags, **more)

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
    secret.write_bytes(b"a photo")
    secret.chmod(0)
    with unprivileged():
        with pytest.raises(PermissionError):
            open_regular(str(secret))
        with pytest.raises(FileNotFoundError):
            open_regular(str(open_folder / "gone.jpg"))
