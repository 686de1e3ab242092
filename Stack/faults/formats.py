"""Just enough of the file formats to build hostile files: every length and offset may be a lie."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import NamedTuple

from PIL import Image

XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
ASCII, SHORT, LONG, RATIONAL, UNDEFINED, DOUBLE, LONG8 = 2, 3, 4, 5, 7, 12, 16  # TIFF's types of values


# -- JPEG -------------------------------------------------------------------------------------------------


@cache
def _smallest_jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG")
    return stream.getvalue()


def jpeg(*segments: bytes) -> bytes:
    """A valid JPEG of 8 x 8 pixels with these segments in front."""
    whole = _smallest_jpeg()
    return whole[:2] + b"".join(segments) + whole[2:]


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def tiny_jpeg(number: int) -> bytes:
    """A JPEG of some hundred bytes like no other."""
    return jpeg(segment(0xFE, b"%d" % number))


def exif_jpeg(tiff_inside: bytes) -> bytes:
    return jpeg(segment(0xE1, b"Exif\0\0" + tiff_inside))


# -- TIFF -------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """An entry of an image file directory (IFD); `value` goes in place where it fits in 4 bytes."""

    tag: int
    kind: int
    length: int  # how many values it says it has
    value: bytes


def text(tag: int, value: bytes) -> Entry:
    return Entry(tag, ASCII, len(value) + 1, value + b"\0")


def number(tag: int, value: int) -> Entry:
    return Entry(tag, LONG, 1, struct.pack("<I", value))


def directory(entries: list[Entry], at: int, next_at: int = 0) -> bytes:
    """An IFD that stands at offset `at`, its values behind it."""
    table, values = struct.pack("<H", len(entries)), b""
    end = at + 2 + 12 * len(entries) + 4
    for tag, kind, length, value in entries:
        table += struct.pack("<HHI", tag, kind, length)
        if len(value) <= 4:
            table += value.ljust(4, b"\0")
        else:
            table += struct.pack("<I", end + len(values))
            values += value
    return table + struct.pack("<I", next_at) + values


def tiff(*entries: Entry, next_at: int = 0) -> bytes:
    return b"II*\0" + struct.pack("<I", 8) + directory(list(entries), 8, next_at)


def tiff_with_gps(*gps: Entry) -> bytes:
    pointer = [number(0x8825, 8 + 2 + 12 + 4)]
    main = directory(pointer, 8)
    return b"II*\0" + struct.pack("<I", 8) + main + directory(list(gps), 8 + len(main))


# -- PNG, RIFF, ISO media, EBML -----------------------------------------------------------------------------


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks: bytes, width: int = 1, height: int = 1) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def riff_chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def riff(kind: bytes, *chunks: bytes) -> bytes:
    return riff_chunk(b"RIFF", kind + b"".join(chunks))


def box(name: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    """`size` beyond 32 bits is written as ISO media files do: 1, and then 64 bits."""
    size = 8 + len(body) if size is None else size
    if size < 2**32:
        return struct.pack(">I", size) + name + body
    return struct.pack(">I", 1) + name + struct.pack(">Q", size) + body


def brand(name: bytes) -> bytes:
    return box(b"ftyp", name + b"\0\0\0\0" + name)


def element(name: bytes, body: bytes) -> bytes:
    """Of EBML (Matroska), its size in one byte or in eight."""
    size = struct.pack(">B", len(body) | 1 << 7) if len(body) < 127 else struct.pack(">Q", len(body) | 1 << 56)
    return name + size + body


def nested(names: list[bytes], depth: int) -> bytes:
    """ISO media boxes one within the other."""
    sizes = (struct.pack(">I", 8 * (depth - level)) + names[level % len(names)] for level in range(depth))
    return b"".join(sizes)
