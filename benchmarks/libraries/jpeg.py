"""Puts JPEGs together as devices do (ITU-T T.81, CIPA DC-007): segments, then picture data, then trailers."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import ImageCms

_START = b"\xff\xd8"
_SCAN = 0xDA


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def exif(tiff: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + tiff)


def xmp(packet: str) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet.encode())


def more_xmp(data: bytes) -> bytes:
    """What does not fit into one segment (XMP specification, part 3): the same GUID in each."""
    room = 65400
    return b"".join(
        segment(
            0xE1,
            b"http://ns.adobe.com/xmp/extension/\0"
            + b"0123456789ABCDEF0123456789ABCDEF"
            + struct.pack(">II", len(data), at)
            + data[at : at + room],
        )
        for at in range(0, len(data), room)
    )


def profile() -> bytes:
    """A colour profile."""
    return segment(0xE2, b"ICC_PROFILE\0\x01\x01" + icc())


def icc() -> bytes:
    """That of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def multi_picture(first: int, second: int) -> bytes:
    """The index of a file that holds two pictures, of these sizes (CIPA DC-007)."""
    entries = struct.pack(">IIIHH", 0x030000, first, 0, 0, 0) + struct.pack(">IIIHH", 0, second, first, 0, 0)
    ifd = struct.pack(">H", 3)
    ifd += struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")
    ifd += struct.pack(">HHII", 0xB001, 4, 1, 2)
    ifd += struct.pack(">HHII", 0xB002, 7, 32, 8 + 2 + 36 + 4)
    return segment(0xE2, b"MPF\0MM\0*\0\0\0\x08" + ifd + bytes(4) + entries)


def joined(picture: bytes, *segments: bytes, trailer: bytes = b"") -> bytes:
    """The picture data of a JPEG after these segments in place of its own application segments."""
    return _START + b"".join(segments) + picture[_after(picture) :] + trailer


def with_header_of(sample: Path, picture: bytes) -> bytes | None:
    """A real photo's application segments and comments before another picture's data; None where it is broken."""
    content = sample.read_bytes()
    found = _segments(content)
    if found is None:
        return None
    kept = b"".join(
        content[at : at + 2 + length] for at, marker, length in found if 0xE0 <= marker <= 0xEF or marker == 0xFE
    )
    return _START + kept + picture[_after(picture) :]


def _after(content: bytes) -> int:
    """Where the first segment begins that is no application's."""
    return next(at for at, marker, _ in _segments(content) or () if not 0xE0 <= marker <= 0xEF)


def _segments(content: bytes) -> list[tuple[int, int, int]] | None:
    """Place, marker and length of each segment up to the picture data; None where they do not line up."""
    found, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, length = struct.unpack_from(">BH", content, at + 1)
        found.append((at, marker, length))
        if marker == _SCAN:
            return found
        at += 2 + length
    return None
