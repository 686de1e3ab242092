"""Where a copy is kept, as the run and the drill see it: named files that are there whole, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from Src.Library.custody.copies.trouble import NotThere

PIECE = 1 << 20  # bytes
Spent = Callable[[int], None]  # gets how many bytes went to or came from the copy; may wait, and raise to give up


class Stored(NamedTuple):
    """A file at the copy, without reading it."""

    size: int
    stamp: str  # another one: it may have been written to since


class Target(Protocol):
    """Paths are relative to the copy, as on disk. All raise CopyTrouble where the copy cannot be used any more."""

    @property
    def name(self) -> str:
        """For messages; nothing in it is secret."""

    def check_here(self) -> None:
        """It is still where it was, and not another disk in its place. Raises CopyTrouble."""

    def stored(self, path: str) -> Stored | None:
        """What stands at a path; None: nothing. Raises FileRefused for what is no file."""

    def files(self, folder: str) -> Iterator[tuple[str, Stored]]:
        """All files below a folder, in no order; none where there is no such folder. What is half-written is none."""

    def read(self, path: str) -> Iterator[bytes]:
        """Its bytes, as the medium has them and not as memory remembers them. Raises NotThere and FileRefused."""

    def put(self, path: str, pieces: Iterable[bytes], *, replaces: bool = False) -> None:
        """Writes a file, which has its name after `settle` at the latest, whole. Where another has the name then, that
        one stays, unless it `replaces` it. What `pieces` raises passes, and nothing is left. Raises FileRefused."""

    def settle(self) -> None:
        """All that was put is on the medium."""

    def move(self, path: str, new: str) -> bool:
        """Gives a file another name; False: there is none, or the new name is taken. Raises FileRefused."""

    def remove(self, path: str) -> None:
        """For good. Raises FileRefused."""

    def close(self) -> None:
        """Raises nothing."""


def sha256_at(target: Target, path: str) -> tuple[str, int]:
    """SHA-256 of a file at the copy, by reading all of it, and how many bytes that were.

    Raises NotThere, FileRefused, CopyTrouble.
    """
    digest, size = hashlib.sha256(), 0
    for piece in target.read(path):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def content_at(target: Target, path: str, longest: int) -> bytes | None:
    """The content of a small file; None where there is none, or it is longer. Raises FileRefused, CopyTrouble."""
    found = b""
    try:
        for piece in target.read(path):
            found += piece
            if len(found) > longest:
                return None
    except NotThere:
        return None
    return found
