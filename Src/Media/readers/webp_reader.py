"""The fast reader for WebP (RFC 9649): its size, EXIF and XMP, and how long it moves."""

from __future__ import annotations

import re
import struct

from Src.Media.readers.exif_and_xmp import read_exif_and_xmp
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.icc_profile import check_icc_profile
from Src.Media.readers.window import MOST_PIECES, Window
from Src.Media.tags import Tags

_HARMLESS = frozenset({b"ALPH", b"ANIM"})
_METADATA = frozenset({b"EXIF", b"XMP ", b"ICCP"})
_PICTURE = frozenset({b"VP8 ", b"VP8L"})
_EXTENDED = b"VP8X"
_FRAME = b"ANMF"
# ExifTool counts so much of a frame's duration, in milliseconds.
_MOST_OF_A_FRAME = 0x0FFF
# What XMP says of a film's length ExifTool would take for this file's.
_DURATION = re.compile(rb"duration", re.IGNORECASE)


def read_webp(fd: int) -> FastAnswer:
    """The tags of a WebP that is whole. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    window = Window(fd)
    riff, stated, form = struct.unpack("<4sI4s", window.at(0, 12))
    if riff != b"RIFF" or form != b"WEBP" or stated + 8 != window.size:
        raise Unusual("WebP of another length")
    tags: Tags = {}
    blocks = dict.fromkeys(_METADATA, b"")
    milliseconds: int | None = None
    names: set[bytes] = set()
    position, pieces = 12, 0
    while position < window.size:
        name, size = struct.unpack("<4sI", window.at(position, 8))
        data, position = position + 8, position + 8 + size + size % 2
        if position > window.size or not size:
            raise Unusual("WebP chunk of odd kind")
        pieces += 1
        if pieces > MOST_PIECES:
            raise Unusual("very many pieces")
        # The size of the picture comes first, as it should: otherwise one in EXIF would win.
        if (not names and name not in _PICTURE and name != _EXTENDED) or (name in names and name != _FRAME):
            raise Unusual("WebP chunk of odd kind")
        names.add(name)
        if name == _EXTENDED or (name in _PICTURE and _EXTENDED not in names):
            width, height = _size(name, window.at(data, 10))
            tags["ImageWidth"], tags["ImageHeight"] = str(width), str(height)
        elif name == _FRAME:
            (duration,) = struct.unpack_from("<I", window.at(data, 16), 12)
            milliseconds = (milliseconds or 0) + (duration & _MOST_OF_A_FRAME)
        elif name in _METADATA:
            blocks[name] = window.at(data, size)
        elif name not in _PICTURE and name not in _HARMLESS:
            raise Unusual("WebP chunk of odd kind")
    if _DURATION.search(blocks[b"XMP "]):
        raise Unusual("WebP duration in XMP")
    if b"ICCP" in names:
        check_icc_profile(blocks[b"ICCP"])
    if milliseconds is not None:
        tags["Duration"] = f"{milliseconds / 1000:.15g}"
    return FastAnswer(tags, read_exif_and_xmp(blocks[b"EXIF"], blocks[b"XMP "], tags))


def _size(name: bytes, data: bytes) -> tuple[int, int]:
    """Width and height, in pixels."""
    if name == _EXTENDED:
        return int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    if name == b"VP8L":
        if data[0] != 0x2F:
            raise Unusual("WebP picture of odd form")
        (sides,) = struct.unpack_from("<I", data, 1)
        return (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
    if data[3:6] != b"\x9d\x01\x2a":
        raise Unusual("WebP picture of odd form")
    width, height = struct.unpack_from("<HH", data, 6)
    return width & 0x3FFF, height & 0x3FFF
