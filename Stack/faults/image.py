"""Disks that can lose their power: filesystems in an image file, copied as it stands at one moment.

Two layers. The outer filesystem (XFS) can share blocks between files. On it lies the image file, a loop device makes
it a disk, and the inner filesystem on that disk is the one under test.

    inner page cache  ->  loop device  ->  image file on the outer filesystem  --FICLONE-->  snapshot

What the inner kernel layer holds in its page cache and has not sent to its disk is not in the image file, and so not in
the snapshot: it is lost, as with the power. What it has sent is in the image file's page cache when the loop device
says that it is done; FICLONE writes that out first and copies under the file's lock, between two writes. So whatever a
flush was answered for is in the snapshot. The loop device therefore needs no direct I/O: the outer page cache is the
platter here, it lasts. What was sent and not flushed survives too, in the order in which it was sent: this disk has no
volatile cache of its own that could lose or reorder writes between two flushes.

Two images cannot be copied at one moment. Filesystems that lose power together are parts of one image.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from Stack.faults.orders import NotPossible

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_PART = 2 << 30  # bytes; sparse
_OUTER = 64 << 30  # bytes; sparse
_BUSY_LIMIT = 120.0  # seconds until the last process of a killed factory has gone
_MOUNT_OPTIONS = {"xfs": "nouuid"}  # a snapshot has the UUID of its model


@dataclass(frozen=True)
class Disk:
    """An image file with one or more filesystems of one kind, each in a part of its own."""

    path: Path
    kind: str  # ext4, xfs, btrfs
    parts: int = 1

    def format(self) -> None:
        with open(self.path, "wb") as file:
            file.truncate(self.parts * _PART)
        for part in range(self.parts):
            with self._device(part) as device:
                _run(f"mkfs.{self.kind}", "-q", device)

    @contextmanager
    def mounted(self, folders: Sequence[Path]) -> Iterator[None]:
        """Each part at its folder. All processes that use them must have ended at the end."""
        with ExitStack() as stack:
            for part, folder in enumerate(folders):
                device = stack.enter_context(self._device(part))
                stack.enter_context(_mounted(device, folder, self.kind, _MOUNT_OPTIONS.get(self.kind, "defaults")))
            yield

    def snapshot(self, path: Path) -> Disk:
        """What the disk holds at this moment."""
        with open(self.path, "rb") as source, open(path, "wb") as target:
            fcntl.ioctl(target, _FICLONE, source.fileno())
        return Disk(path, self.kind, self.parts)

    @contextmanager
    def _device(self, part: int) -> Iterator[str]:
        with _loop_device(self.path, "--offset", str(part * _PART), "--sizelimit", str(_PART)) as device:
            yield device


@contextmanager
def reflinking_filesystem(folder: Path) -> Iterator[Path]:
    """A folder on an outer filesystem, where disks can be made and copied. Raises NotPossible."""
    if os.geteuid() != 0:
        raise NotPossible("only root can mount filesystems in image files")
    missing = [program for program in ("losetup", "mount", "mkfs.xfs") if shutil.which(program) is None]
    if missing:
        raise NotPossible(f"missing: {', '.join(missing)} (Debian: apt install util-linux mount xfsprogs)")
    image, outer = folder / "outer.img", folder / "outer"
    with ExitStack() as stack:
        stack.callback(image.unlink, missing_ok=True)
        try:
            with open(image, "wb") as file:
                file.truncate(_OUTER)
            _run("mkfs.xfs", "-q", "-m", "reflink=1", str(image))
            device = stack.enter_context(_loop_device(image))
            stack.enter_context(_mounted(device, outer, "xfs", "discard"))  # room of removed snapshots is given back
        except (subprocess.CalledProcessError, OSError) as error:
            raise NotPossible(f"no loop device with XFS can be mounted here: {_reason(error)}") from error
        yield outer


def can_make(kind: str) -> bool:
    """Whether filesystems of a kind can be made and mounted here."""
    known = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    return shutil.which(f"mkfs.{kind}") is not None and kind in known


@contextmanager
def _loop_device(image: Path, *where: str) -> Iterator[str]:
    device = _run("losetup", "--find", "--show", *where, str(image))
    try:
        yield device
    finally:
        _run("losetup", "--detach", device)


@contextmanager
def _mounted(device: str, folder: Path, kind: str, options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    _run("mount", "-t", kind, "-o", options, device, str(folder))
    try:
        yield
    finally:
        _unmount(folder)


def _unmount(folder: Path) -> None:
    end = time.monotonic() + _BUSY_LIMIT
    while True:
        try:
            _run("umount", str(folder))
            return
        except subprocess.CalledProcessError:
            if time.monotonic() > end:
                _run("umount", "--lazy", str(folder))
                raise
        time.sleep(0.05)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _reason(error: Exception) -> str:
    said = (error.stderr if isinstance(error, subprocess.CalledProcessError) else "") or str(error)
    return str(said).strip().splitlines()[0]
