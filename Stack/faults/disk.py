"""A small disk of its own (ext4 on a loop device), and what can happen to it. Needs root."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from Stack.faults.orders import NotPossible
from Stack.faults.site import wait_for

SIZE = 192 * 1024 * 1024
_PATIENCE = 120.0  # seconds until a disk that is in use all the time is not, for a moment
_PROGRAMS = ("mkfs.ext4", "losetup", "mount", "umount")


class Disk:
    """A disk that is mounted on a folder."""

    def __init__(self, device: str, at: Path) -> None:
        self._device = device
        self._at = at
        self.mount()

    def mount(self) -> None:
        _run("mount", self._device, self._at)

    def unmount(self) -> None:
        """As a person does: again and again until nobody has a file open there."""
        wait_for(lambda: _succeeds("umount", self._at), _PATIENCE, "the disk can be unmounted")

    def unmount_lazily(self) -> None:
        """At once; who has a file open there keeps it."""
        _run("umount", "--lazy", self._at)

    def make_read_only(self) -> None:
        wait_for(lambda: _succeeds("mount", "-o", "remount,ro", self._at), _PATIENCE, "the disk can be made read-only")

    def make_writable(self) -> None:
        _run("mount", "-o", "remount,rw", self._at)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte is left on it until the end of the block."""
        ballast = self._at / ".ballast"
        try:
            with open(ballast, "wb", buffering=0) as file:
                for size in (1 << 20, 1 << 12, 1):
                    try:
                        while True:
                            file.write(bytes(size))
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
                    os.fsync(file.fileno())
            yield
        finally:
            ballast.unlink()


@contextmanager
def disk_at(folder: Path, image: Path) -> Iterator[Disk]:
    """A new, empty disk on a folder, which is made. Raises NotPossible."""
    why_not = missing()
    if why_not is not None:
        raise NotPossible(why_not)
    folder.mkdir(parents=True)
    image.touch()
    os.truncate(image, SIZE)
    try:
        # Root's reserve would be room left where there is none.
        _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
        device = _run("losetup", "--find", "--show", image)
    except subprocess.CalledProcessError as error:
        raise NotPossible(f"no disk can be made on a loop device: {error.stderr.strip()}") from error
    try:
        yield Disk(device, folder)
    finally:
        while os.path.ismount(folder):
            _run("umount", "--lazy", folder)
        _run("losetup", "--detach", device)


def missing() -> str | None:
    """Why no disk can be made here; None where it may be tried."""
    if os.geteuid() != 0:
        return "only root can make and mount a disk"
    lacking = [program for program in _PROGRAMS if shutil.which(program) is None]
    return f"to make a disk, {', '.join(lacking)} must be installed" if lacking else None


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _succeeds(*command: str | Path) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
