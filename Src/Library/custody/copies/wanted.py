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

LONGEST_KEPT = 16 << 20  # bytes of a file into which programs write that are kept as they were; else it is read again


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
    content: bytes | None = None  # as it was read; else it is read when it is written
    may_change: bool = False  # programs write into it; its hash is of its first `size` bytes, as they were

    def pieces(self, storage: int, go_on: Callable[[], None]) -> Iterator[bytes]:
        """Its bytes, from the storage's open folder. Raises NotHere at the end where they are not the right ones."""
        if self.content is not None:
            yield self.content
            return
        digest = hashlib.sha256()
        fd = open_here(storage, self.path)
        try:
            left = self.size if self.may_change else None
            while piece := _read(fd, left):
                left = None if left is None else left - len(piece)
                go_on()
                digest.update(piece)
                yield piece
        finally:
            os.close(fd)
        if digest.hexdigest() != self.sha256 and self.may_change:
            raise NotHere("it was changed meanwhile; the next run takes it as it is then")
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
    """A file into which programs write, as it is now: as long as it was when it was opened. Raises NotHere."""
    fd = open_here(storage, path)
    try:
        left = os.fstat(fd).st_size
        digest, size = hashlib.sha256(), 0
        kept: list[bytes] | None = [] if left <= LONGEST_KEPT else None
        while piece := _read(fd, left):
            digest.update(piece)
            size, left = size + len(piece), left - len(piece)
            if kept is not None:
                kept.append(piece)
    finally:
        os.close(fd)
    content = None if kept is None else b"".join(kept)
    return Wanted(path, digest.hexdigest(), size, original, content=content, may_change=True)


def _read(fd: int, most: int | None) -> bytes:
    try:
        return os.read(fd, PIECE if most is None else min(PIECE, most))
    except OSError as error:
        raise NotHere(f"it cannot be read here: {error.strerror}") from error
