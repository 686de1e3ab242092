"""What a copy is to have: which file of the storage, with which bytes, and how it is read here."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from Src.Library.custody.copies.target import PIECE
from Src.Shared.disk.beneath import open_beneath
from Src.Shared.disk.files import OPEN_FLAGS

LONGEST_KEPT = 64 << 20  # bytes of a file that is read whole, because programs write into it


class NotHere(Exception):
    """The file here is gone, or cannot be read, or has other bytes than it should. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file. Its path is the same here (below the storage) and in the copy."""

    path: str
    sha256: str
    size: int
    original: str | None  # the hash of the original that it is, or that it belongs to
    stands_at: str | None = None  # where in the copy it stands so far
    content: bytes | None = None  # of what may change at any time, as it was read; else it is read when it is written

    @property
    def may_change(self) -> bool:
        return self.content is not None

    def pieces(self, storage: int, go_on: Callable[[], None]) -> Iterator[bytes]:
        """Its bytes, from the storage's open folder. Raises NotHere at the end where they are not the right ones."""
        if self.content is not None:
            yield self.content
            return
        digest = hashlib.sha256()
        fd = open_here(storage, self.path)
        try:
            while piece := _read(fd):
                go_on()
                digest.update(piece)
                yield piece
        finally:
            os.close(fd)
        if digest.hexdigest() != self.sha256:
            raise NotHere("it has other bytes here than were filed, so it was not copied: ./factory verify")


def open_here(storage: int, path: str) -> int:
    """A regular file of the storage, no link on the way. Raises NotHere."""
    try:
        fd = open_beneath(storage, path, OPEN_FLAGS)
    except FileNotFoundError as error:
        raise NotHere("it is not at its place here: ./factory verify") from error
    except OSError as error:
        raise NotHere(f"it cannot be read here: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotHere("a link, a folder or something else stands in its place here")
    return fd


def as_it_is(storage: int, path: str, original: str | None = None) -> Wanted:
    """A file into which programs write, whole, as it is now. Raises NotHere."""
    fd = open_here(storage, path)
    try:
        content = b""
        while piece := _read(fd):
            content += piece
            if len(content) > LONGEST_KEPT:
                raise NotHere("it is longer than any such file")
    finally:
        os.close(fd)
    return Wanted(path, hashlib.sha256(content).hexdigest(), len(content), original, content=content)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, PIECE)
    except OSError as error:
        raise NotHere(f"it cannot be read here: {error.strerror}") from error
