"""One file of the vault, copied to the destination's scratch folder and hashed on the way."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable

from Src.Library.export.destination import Destination, DestinationTrouble
from Src.Shared.disk.files import sha256_of

_CHUNK = 1024 * 1024
_FICLONE = 0x40049409  # ioctl_ficlonerange(2)


class Unreadable(Exception):
    """What is copied cannot be read. The message is one line: why."""


def copy(source: int, destination: Destination, temporary: str, going_on: Callable[[], None]) -> str:
    """Copies an open file; the SHA-256 of what was written. Where the filesystem can, its blocks are shared (reflink).

    `going_on` is called after each piece, and may raise. Raises Unreadable, DestinationTrouble.
    """
    target = destination.new(temporary)
    try:
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError:
            written = _copy_bytes(source, target, going_on)
        else:
            written = _hash(target, going_on)
        try:
            destination.finish(target, os.fstat(source).st_mtime_ns)
        except OSError as error:
            raise DestinationTrouble.from_os(error) from error
        return written
    finally:
        os.close(target)


def write(content: bytes, destination: Destination, temporary: str, mtime_ns: int) -> None:
    """A new file with these bytes. Raises DestinationTrouble."""
    target = destination.new(temporary)
    try:
        _write(target, memoryview(content))
        destination.finish(target, mtime_ns)
    except OSError as error:
        raise DestinationTrouble.from_os(error) from error
    finally:
        os.close(target)


def _copy_bytes(source: int, target: int, going_on: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    os.lseek(source, 0, os.SEEK_SET)
    while True:
        going_on()
        try:
            count = os.readv(source, [buffer])
        except OSError as error:
            raise Unreadable(f"it cannot be read ({error.strerror})") from error
        if not count:
            return digest.hexdigest()
        chunk = memoryview(buffer)[:count]
        digest.update(chunk)
        try:
            _write(target, chunk)
        except OSError as error:
            raise DestinationTrouble.from_os(error) from error


def _hash(target: int, going_on: Callable[[], None]) -> str:
    try:
        return sha256_of(target, going_on)
    except OSError as error:
        raise Unreadable(f"it cannot be read ({error.strerror})") from error


def _write(target: int, content: memoryview) -> None:
    while content:
        content = content[os.write(target, content) :]
