"""XMP files on disk: read whole, and replaced whole, whoever else may write them meanwhile.

A new content stands beside the file under a hidden name, durably, before it takes the file's name in one step. What the
step has put out of the way is looked at once more: where another program has changed it in between, it gets its name
back, and ours goes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import uuid
from typing import NamedTuple

from Src.Library.open_places import OpenPlaces
from Src.Media.companions import MOST_BYTES
from Src.Shared.disk.beneath import exchange_at, rename_unless_taken_at
from Src.Shared.disk.files import NotARegularFile, open_regular
from Src.Shared.disk.leases import ReadLease

_NEW_MODE = 0o640  # other programs of the same person may write it
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class Unusable(Exception):
    """An XMP file that is left as it is for now. The message is one line: why."""


class Found(NamedTuple):
    """What stands at a path."""

    content: bytes
    sha256: str
    status: os.stat_result


def read(places: OpenPlaces, path: str) -> Found | None:
    """What stands there; None: nothing. Raises Unusable, and OSError where the disk fails."""
    try:
        folder, name = places.parent(path)
        fd = open_regular(name, folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotARegularFile:
        raise Unusable("it is no regular file") from None
    except (PermissionError, BlockingIOError) as error:
        raise Unusable(f"it cannot be read ({error.strerror})") from error
    with os.fdopen(fd, "rb") as file, ReadLease(fd) as lease:
        before = os.fstat(fd)
        if lease.somebody_writes:
            raise Unusable("another program is writing it")
        content = file.read(MOST_BYTES + 1)
        status = os.fstat(fd)
    if len(content) > MOST_BYTES:
        raise Unusable("it is too large")
    if _state(before) != _state(status) or len(content) != status.st_size:
        raise Unusable("another program is writing it")
    return Found(content, hashlib.sha256(content).hexdigest(), status)


def temporary_of(companion: uuid.UUID) -> str:
    """The hidden name under which the next content of an XMP file stands before it gets the file's name."""
    return f".factory-xmp-{companion.hex}"


def prepare(folder: int, temporary: str, content: bytes, standing: os.stat_result | None) -> int:
    """Writes the next content under its hidden name; the open file, which is not durable yet. Raises OSError.

    It gets the mode of what stands there, and, as far as we may, its owner and group.
    """
    drop(folder, temporary)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
        above = os.fstat(folder)
        with contextlib.suppress(OSError):  # not ours to give, or a filesystem without owners
            os.fchown(fd, standing.st_uid if standing else above.st_uid, standing.st_gid if standing else above.st_gid)
        with contextlib.suppress(OSError):
            os.fchmod(fd, stat.S_IMODE(standing.st_mode) | 0o600 if standing else _NEW_MODE)
    except BaseException:
        os.close(fd)
        drop(folder, temporary)
        raise
    return fd


def swap(folder: int, temporary: str, name: str, found: Found | None) -> bool:
    """Gives the prepared file its name, in place of what was found there; whether it has it.

    Not where something else stands there by now: then that stays, and the prepared file goes. Raises OSError.
    """
    if found is None:
        try:
            rename_unless_taken_at(folder, temporary, folder, name)
        except FileExistsError:
            drop(folder, temporary)
            return False
        return True
    try:
        fd = open_regular(name, folder)
    except (FileNotFoundError, NotARegularFile, BlockingIOError):
        drop(folder, temporary)
        return False
    with os.fdopen(fd, "rb"), ReadLease(fd) as lease:
        is_same = _state(os.fstat(fd)) == _state(found.status) and not lease.somebody_writes
        if is_same:
            try:
                exchange_at(folder, temporary, name)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
                return True
            out = os.lstat(temporary, dir_fd=folder)
            is_same = _state(out) == _state(found.status) and not lease.somebody_waits()
            if not is_same:
                exchange_at(folder, temporary, name)
    drop(folder, temporary)
    return is_same


def drop(folder: int, temporary: str) -> None:
    """Removes what stands under a hidden name of ours. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
