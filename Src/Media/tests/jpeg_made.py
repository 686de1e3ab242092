"""JPEGs made by hand, part by part: what no program writes, and what hypothesis varies."""

from __future__ import annotations

import struct
from io import BytesIO

from PIL import Image

Entry = tuple[int, int, int, bytes]  # tag, format, count, value (four bytes or less stand in the entry)
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
MAKE: Entry = (0x10F, ASCII, 6, b"Maker\0")
MODEL: Entry = (0x110, ASCII, 6, b"Model\0")
DATED: list[Entry] = [(0x9003, ASCII, 20, b"2001:02:03 04:05:06\0")]
LATITUDE = struct.pack("<6I", 10, 1, 20, 1, 30, 1)
PLACE: list[Entry] = [
    (1, ASCII, 2, b"S\0"), (2, RATIONAL, 3, LATITUDE), (3, ASCII, 2, b"E\0"), (4, RATIONAL, 3, LATITUDE),
]  # fmt: skip

RDF = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{}'
    "</rdf:RDF></x:xmpmeta>"
)
DESCRIPTION = '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"{}>{}</rdf:Description>'


def _plain() -> tuple[bytes, bytes]:
    """A small picture up to its frame, and the frame with all behind it."""
    buffer = BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "JPEG")
    data = buffer.getvalue()
    frame = data.index(b"\xff\xc0")
    return data[20:frame], data[frame:]  # (without its JFIF segment)


_TABLES, _PICTURE = _plain()
_FRAME_LENGTH = 2 + 17


def jpeg(*segments: bytes, behind_the_frame: bytes = b"", trailer: bytes = b"") -> bytes:
    """A picture of 4 by 3 pixels with these segments."""
    frame, picture = _PICTURE[:_FRAME_LENGTH], _PICTURE[_FRAME_LENGTH:]
    return b"\xff\xd8" + b"".join(segments) + _TABLES + frame + behind_the_frame + picture + trailer


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG; what does not fit in one is cut off."""
    data = data[:65533]
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def xmp_segment(packet: str) -> bytes:
    """XMP as a JPEG has it."""
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet.encode())


def text(tag: int, value: str) -> Entry:
    """A text with its final NUL."""
    data = value.encode("latin-1") + b"\0"
    return tag, ASCII, len(data), data


def directory(entries: list[Entry], start: int, following: int = 0) -> bytes:
    """A directory of EXIF that stands at `start` of its block, and its values behind it."""
    head, values = struct.pack("<H", len(entries)), b""
    for tag, kind, count, value in entries:
        head += struct.pack("<HHI", tag, kind, count)
        if len(value) > 4:
            head += struct.pack("<I", start + 2 + 12 * len(entries) + 4 + len(values))
            values += value
        else:
            head += value.ljust(4, b"\0")
    return head + struct.pack("<I", following) + values


def exif_block(
    main: list[Entry],
    exif: list[Entry] | None = None,
    gps: list[Entry] | None = None,
    thumbnail: list[Entry] | None = None,
) -> bytes:
    """These EXIF directories, 500 bytes apart, from the TIFF header on."""
    pointers = [(0x8769, LONG, 1, struct.pack("<I", 500))] if exif else []
    pointers += [(0x8825, LONG, 1, struct.pack("<I", 1000))] if gps else []
    block = b"II*\0" + struct.pack("<I", 8) + directory([*main, *pointers], 8, 1500 if thumbnail else 0)
    for start, entries in ((500, exif), (1000, gps), (1500, thumbnail)):
        if entries:
            block = block.ljust(start, b"\0") + directory(entries, start)
    return block.ljust(2000, b"\0")


def resource(number: int, data: bytes, name: bytes = b"") -> bytes:
    """One of Photoshop's resources."""
    head = b"8BIM" + struct.pack(">H", number) + bytes([len(name)]) + name + b"\0" * (len(name) % 2 == 0)
    return head + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)


def data_set(record: int, number: int, value: bytes) -> bytes:
    """A value of IPTC's IIM."""
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def samsung_trailer(blocks: list[tuple[int, bytes, bytes]]) -> bytes:
    """What Samsung appends: blocks of kind, name and data, and the directory that says where they are."""
    data, entries = b"", []
    for kind, name, value in blocks:
        block = struct.pack("<HHI", 0, kind, len(name)) + name + value
        entries.append((kind, len(data), len(block)))
        data += block
    body = b"SEFH" + struct.pack("<II", 101, len(entries))
    body += b"".join(struct.pack("<HHII", 0, kind, len(data) - at, size) for kind, at, size in entries)
    return data + body + struct.pack("<I", len(body)) + b"SEFT"
