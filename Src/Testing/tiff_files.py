"""TIFF structures made by hand, for tests: directories with any tags, in any order, however odd."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Union

ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
_SIZES = {ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1, 1: 1, 13: 4}

Value = Union[bytes, tuple[int, ...], "list[Directory]"]
"""Of an entry: as it is, or whole numbers, or the directories that it points to."""


@dataclass
class Directory:
    """A directory: its entries, and the one that it links to."""

    entries: list[tuple[int, int, Value]] = field(default_factory=list)
    following: Directory | None = None


def text(tag: int, value: str) -> tuple[int, int, Value]:
    """An entry with a text."""
    return tag, ASCII, value.encode("latin-1") + b"\0"


def numbers(tag: int, kind: int, *values: int) -> tuple[int, int, Value]:
    """An entry with whole numbers (of a RATIONAL, two for each value)."""
    return tag, kind, values


def tiff(first: Directory, order: str = "<", magic: int = 42, behind_the_header: bytes = b"") -> bytes:
    """A file of these directories, the first of them right behind the header."""
    written = _Writer(order)
    written.data += (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", magic, 8 + len(behind_the_header))
    written.data += behind_the_header
    written.add(first)
    return bytes(written.data)


class _Writer:
    def __init__(self, order: str) -> None:
        self._order = order
        self.data = bytearray()

    def add(self, directory: Directory) -> int:
        """Appends a directory with all that it leads to; returns where it stands."""
        start = len(self.data)
        place = start + 2
        self.data += struct.pack(self._order + "H", len(directory.entries)) + bytes(12 * len(directory.entries) + 4)
        for tag, kind, value in directory.entries:
            if isinstance(value, list):
                starts = [self.add(one) for one in value]
                value = tuple(starts)
            if isinstance(value, tuple):
                value = struct.pack(f"{self._order}{len(value)}{'H' if kind == SHORT else 'I'}", *value)
            count = len(value) // _SIZES.get(kind, 1)
            if len(value) > 4:
                struct.pack_into(self._order + "HHII", self.data, place, tag, kind, count, len(self.data))
                self.data += value + bytes(len(value) % 2)
            else:
                struct.pack_into(self._order + "HHI4s", self.data, place, tag, kind, count, value)
            place += 12
        if directory.following is not None:
            struct.pack_into(self._order + "I", self.data, place, self.add(directory.following))
        return start


def exif(
    main: Sequence[tuple[int, int, Value]] = (),
    exif_entries: Sequence[tuple[int, int, Value]] = (),
    gps: Sequence[tuple[int, int, Value]] = (),
    thumbnail: Sequence[tuple[int, int, Value]] | None = None,
    order: str = "<",
) -> bytes:
    """A block of EXIF as cameras write it."""
    entries = list(main)
    if exif_entries:
        entries.append((0x8769, LONG, [Directory(list(exif_entries))]))
    if gps:
        entries.append((0x8825, LONG, [Directory(list(gps))]))
    following = Directory(list(thumbnail)) if thumbnail is not None else None
    return tiff(Directory(entries, following), order)
