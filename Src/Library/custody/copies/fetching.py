"""Fetching the good bytes of one original from a copy."""

from __future__ import annotations

import hashlib
import os

from Src.Library.custody.copies.opening import open_copy
from Src.Library.custody.copies.rows import CopyRow, CopyRows
from Src.Library.custody.copies.target import Target
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused, NotThere
from Src.Library.custody.rows import Sessions
from Src.Library.original_path import checked_hash
from Src.Shared.settings import Settings


class NotAtCopy(CopyTrouble):
    """The copy has no file with these bytes: none that it is known to have, or what stands there is rotten."""


def fetch(settings: Settings, sessions: Sessions, copy: str, original: str, into: int) -> int:
    """Writes the bytes of one original, by its SHA-256, from the copy of that name into an open file; their number.

    `into`: a descriptor that can be written, read and truncated; it is written from its beginning, and cut there. When
    this returns, it holds the bytes of that hash, and is synced; where it raises, it is empty. `sessions`: as
    `CopyRows` takes them. Raises CopyTrouble where there is no such copy, where it is not plugged in or is another one,
    NotAtCopy, NotAnOriginal for what is no hash, and OSError where `into` cannot be written.
    """
    checked_hash(original)
    rows = CopyRows(sessions)
    row = rows.named(copy)
    if row is None:
        raise CopyTrouble(f"there is no copy {copy!r}; ./factory copies list has them all")
    with open_copy(settings, sessions, row) as target:
        return fetch_from(target, rows, row, original, into)


def fetch_from(target: Target, rows: CopyRows, row: CopyRow, original: str, into: int) -> int:
    """As `fetch`, from a copy that is open. Raises the same."""
    why = "it is not known to be there"
    for path in rows.places_of(row.id, original):
        digest, size = hashlib.sha256(), 0
        os.ftruncate(into, 0)
        try:
            for piece in target.read(path):
                digest.update(piece)
                _write_at(into, piece, size)
                size += len(piece)
        except NotThere:
            why = f"{path} is not there any more"
        except FileRefused as error:
            why = f"{path}: {error}"
        except BaseException:
            os.ftruncate(into, 0)
            raise
        else:
            if digest.hexdigest() == original:
                os.fsync(into)
                return size
            why = f"{path} has other bytes there"
    os.ftruncate(into, 0)
    raise NotAtCopy(f"{row.name} cannot give {original[:12]}…: {why}")


def _write_at(fd: int, piece: bytes, at: int) -> None:
    left = memoryview(piece)
    while left:
        written = os.pwrite(fd, left, at)
        left, at = left[written:], at + written
