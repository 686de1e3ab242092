"""Writes TIFF structures (TIFF 6.0; Exif 2.32 is built of them): directories of entries, in either byte order."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _SRATIONAL = 1, 2, 3, 4, 5, 7, 10


@dataclass(frozen=True)
class Value:
    """Numbers or bytes of one TIFF type."""

    type: int
    count: int
    format: str  # of struct, for the numbers
    items: tuple[int, ...] | bytes


@dataclass(frozen=True)
class Elsewhere:
    """Data that the entry's value points to: a picture, or maker notes whose offsets count from the file's start."""

    made_at: Callable[[int], bytes]  # given its place in the file
    counted: bool = False  # the entry says how long it is


Ifd = Sequence[tuple[int, "Value | Elsewhere | Ifd"]]


def text(words: str) -> Value:
    data = words.encode() + b"\0"
    return Value(_ASCII, len(data), "", data)


def short(*numbers: int) -> Value:
    return Value(_SHORT, len(numbers), "H", numbers)


def long(*numbers: int) -> Value:
    return Value(_LONG, len(numbers), "I", numbers)


def rational(*parts: int) -> Value:
    """Numerators and denominators in turn."""
    return Value(_RATIONAL, len(parts) // 2, "I", parts)


def signed(*parts: int) -> Value:
    """Signed numerators and denominators in turn."""
    return Value(_SRATIONAL, len(parts) // 2, "i", parts)


def raw_bytes(data: bytes) -> Value:
    return Value(_BYTE, len(data), "", data)


def undefined(data: bytes) -> Value:
    return Value(_UNDEFINED, len(data), "", data)


def notes(made_at: Callable[[int], bytes]) -> tuple[int, Value | Elsewhere]:
    """The MakerNote entry of an Exif directory. `made_at`: its bytes, given its place in the TIFF structure."""
    return 0x927C, Elsewhere(made_at, counted=True)


def tiff(order: str, *ifds: Ifd, magic: bytes | None = None) -> bytes:
    """A file of directories, one after the other; `order`: `<` Intel's, `>` Motorola's."""
    out = bytearray(magic or (b"II*\0" if order == "<" else b"MM\0*"))
    link = len(out)
    out += bytes(4)
    for ifd in ifds:
        at = directory(out, order, ifd)
        struct.pack_into(f"{order}I", out, link, at)
        link = at + 2 + 12 * len(ifd)
    return bytes(out)


def directory(out: bytearray, order: str, ifd: Ifd) -> int:
    """Appends a directory and all that it points to; where it is. Its offsets count from the start of `out`."""
    out += bytes(len(out) % 2)
    at = len(out)
    out += struct.pack(f"{order}H", len(ifd)) + bytes(12 * len(ifd) + 4)
    for index, (tag, value) in enumerate(sorted(ifd, key=lambda entry: entry[0])):
        kind, count, data = _encoded(out, order, value)
        if len(data) > 4:
            data = struct.pack(f"{order}I", _appended(out, data))
        struct.pack_into(f"{order}HHI", out, at + 2 + 12 * index, tag, kind, count)
        out[at + 10 + 12 * index : at + 14 + 12 * index] = data.ljust(4, b"\0")
    return at


def placed_directory(order: str, at: int, header: bytes, ifd: Ifd) -> bytes:
    """A header and a directory, whose offsets count from the start of a file where it stands at `at`."""
    out = bytearray(bytes(at) + header)
    directory(out, order, ifd)
    return bytes(out[at:])


def _encoded(out: bytearray, order: str, value: Value | Elsewhere | Ifd) -> tuple[int, int, bytes]:
    if isinstance(value, Value):
        if isinstance(value.items, bytes):
            return value.type, value.count, value.items
        return value.type, value.count, struct.pack(f"{order}{len(value.items)}{value.format}", *value.items)
    if isinstance(value, Elsewhere):
        data = value.made_at(len(out) + len(out) % 2)
        at = struct.pack(f"{order}I", _appended(out, data))
        return (_UNDEFINED, len(data), at) if value.counted else (_LONG, 1, at)
    return _LONG, 1, struct.pack(f"{order}I", directory(out, order, value))


def _appended(out: bytearray, data: bytes) -> int:
    out += bytes(len(out) % 2)
    at = len(out)
    out += data
    return at
