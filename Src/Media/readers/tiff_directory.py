"""A directory (IFD) of a TIFF file (TIFF 6.0), read where it stands: its entries in order, and their values."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from Src.Media.readers.exif_format import (
    ASCII,
    ENTRY,
    RATIONAL,
    SHORT,
    SIGNED_RATIONAL,
    SIZES,
    decimal_degrees,
    fractions,
)  # fmt: skip
from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.window import Window

_HEADER = 8
_START = 10  # bytes
_MOST_ENTRIES = 1000
_MOST_NUMBERS = 10_000
# ExifTool takes any value into its memory. A preview is the largest that cameras write so.
_MOST_OF_A_VALUE = 8 * 2**20


class Entry(NamedTuple):
    """An entry of a directory, and where its values stand in the file."""

    tag: int
    format: int
    amount: int
    """Of values."""
    place: int
    size: int
    """Bytes of them all."""


class Directory:
    """One directory. Raises Unusual where ExifTool would pass over an entry or warn of it."""

    __slots__ = ("_order", "_window", "entries", "following")

    def __init__(self, window: Window, order: str, start: int) -> None:
        self._window, self._order = window, order
        (count,) = struct.unpack(order + "H", window.at(start, 2))
        if start < _HEADER or not 0 < count <= _MOST_ENTRIES:
            raise Unusual("TIFF directory of odd form")
        table = window.at(start + 2, 12 * count + 4)
        end = start + 2 + len(table)
        self.entries: list[Entry] = []
        inside = start - 2
        for tag, kind, number, place in ENTRY[order].iter_unpack(table[:-4]):
            inside += 12
            if not 1 <= kind <= 13:
                raise Unusual("EXIF format unknown")
            size = number * SIZES[kind]
            if size <= 4:
                place = inside
            elif place < _HEADER or place + size > window.size or (place < end and place + size > start):
                raise Unusual("TIFF value outside the file")
            elif size > _MOST_OF_A_VALUE:
                raise Unusual("very large metadata")
            self.entries.append(Entry(tag, kind, number, place, size))
        (self.following,) = struct.unpack(order + "I", table[-4:])

    def value(self, entry: Entry) -> bytes:
        """All bytes of a value."""
        return self._window.at(entry.place, entry.size)

    def start_of(self, entry: Entry) -> bytes:
        """The first bytes of a value, by which its maker is known."""
        return self._window.at(entry.place, min(entry.size, _START))

    def text(self, entry: Entry, pattern: re.Pattern[bytes]) -> str:
        """A text that matches the pattern, or is empty."""
        value = self.value(entry).partition(b"\0")[0]
        if entry.format != ASCII or not entry.amount or not (pattern.fullmatch(value) or not value):
            raise Unusual("EXIF text of odd form")
        return value.decode("ascii")

    def number(self, entry: Entry, *formats: int) -> int:
        """A single whole number of one of these formats."""
        if entry.format not in formats or entry.amount != 1:
            raise Unusual("EXIF number of odd format")
        return self.numbers(entry, *formats)[0]

    def numbers(self, entry: Entry, *formats: int) -> tuple[int, ...]:
        """Whole numbers of one of these formats."""
        if entry.format not in formats or entry.amount > _MOST_NUMBERS:
            raise Unusual("EXIF number of odd format")
        return struct.unpack(f"{self._order}{entry.amount}{'H' if entry.format == SHORT else 'I'}", self.value(entry))

    def degrees(self, entry: Entry) -> float:
        """Degrees, minutes and seconds as decimal degrees, in ExifTool's arithmetic (ToDegrees)."""
        if entry.format not in (RATIONAL, SIGNED_RATIONAL) or entry.amount != 3:
            raise Unusual("EXIF position of odd format")
        parts = struct.unpack(self._order + "6I", self.value(entry))
        if 0 in parts[1::2] or (entry.format == SIGNED_RATIONAL and max(parts) >= 1 << 31):  # negative
            raise Unusual("EXIF position of odd format")
        return decimal_degrees(*fractions(parts))
