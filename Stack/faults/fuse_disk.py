"""A small disk behind a program (exFAT by FUSE) that can be told never to answer again, until it is let go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from Stack.faults.orders import NotPossible
from Stack.faults.site import wait_for
from Stack.tests.real_factory import command_line

_SIZE = 192 * 1024 * 1024
_PROGRAMS = ("mkfs.exfat", "mount.exfat-fuse", "losetup", "umount")
_PATIENCE = 30.0  # seconds


class FuseDisk:
    """A disk that is mounted."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Whoever asks it something waits until the end of the block."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)


@contextmanager
def fuse_disk_at(folder: Path, image: Path) -> Iterator[FuseDisk]:
    """A new, empty one on a folder, which is made. Raises NotPossible."""
    lacking = [program for program in _PROGRAMS if shutil.which(program) is None]
    if os.geteuid() != 0 or lacking:
        raise NotPossible(f"only root can mount a disk, with {', '.join(_PROGRAMS)}; missing: {', '.join(lacking)}")
    folder.mkdir(parents=True)
    image.touch()
    os.truncate(image, _SIZE)
    _run("mkfs.exfat", image)
    device = _run("losetup", "--find", "--show", image)
    try:
        try:
            # exFAT has no modes: without a mask all may write, and a Librarian that runs as root warns of that.
            mount: list[str | Path] = ["mount.exfat-fuse", "-o", "umask=077", device, folder]
            subprocess.run(mount, check=True, capture_output=True, start_new_session=True)
        except subprocess.CalledProcessError as error:
            raise NotPossible(
                f"no disk can be mounted by FUSE: {error.stderr.decode(errors='replace').strip()}"
            ) from error
        yield FuseDisk(_serving(device, folder))
    finally:
        while os.path.ismount(folder):
            _run("umount", "--lazy", folder)
        with suppress(AssertionError):  # in use until its program has ended
            wait_for(lambda: not _users(device), _PATIENCE, "nobody serves the disk")
            wait_for(lambda: _succeeds("losetup", "--detach", device), _PATIENCE, "the disk can be given back")


def _serving(device: str, folder: Path) -> int:
    (pid,) = [pid for pid in _users(device) if str(folder) in command_line(pid)]
    return pid


def _users(device: str) -> list[int]:
    found = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in found if "exfat-fuse" in command_line(pid) and f" {device} " in command_line(pid)]


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
