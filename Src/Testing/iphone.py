"""What an iPhone gives: Live Photos (HEIC and MOV with one content identifier), edited copies, AAE files.

(ExifTool makes no MakerNotes where there are none: they are written here, byte by byte.)
"""

from __future__ import annotations

import struct
import subprocess
from datetime import datetime
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

_ASCII, _LONG, _UNDEFINED = 2, 4, 7
AAE = b'<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict/></plist>\n'


def _directory(entries: list[tuple[int, int, bytes]], start: int, order: str, end: bytes = bytes(4)) -> bytes:
    head, data = struct.pack(f"{order}H", len(entries)), b""
    values = start + 2 + 12 * len(entries) + 4
    for tag, form, value in entries:
        count = len(value) // 4 if form == _LONG else len(value)
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}I", values + len(data))
        data += b"" if len(value) <= 4 else value
        head += struct.pack(f"{order}HHI", tag, form, count) + place
    return head + end + data


def exif(taken: datetime, content_id: str | None, burst_id: str | None = None) -> bytes:
    """EXIF of an iPhone, from its TIFF header on."""
    ids = [(0x0B, burst_id), (0x11, content_id)]
    notes = [(tag, _ASCII, id_.encode() + b"\0") for tag, id_ in ids if id_ is not None]
    apple = b"Apple iOS\0\0\1MM" + _directory(notes, 14, ">") if notes else b""
    date = f"{taken:%Y:%m:%d %H:%M:%S}".encode() + b"\0"
    own = [(0x9003, _ASCII, date), *([(0x927C, _UNDEFINED, apple)] if apple else [])]
    main = [(0x10F, _ASCII, b"Apple\0"), (0x110, _ASCII, b"iPhone 12\0"), (0x8769, _LONG, struct.pack("<I", 100))]
    block = b"II*\0" + struct.pack("<I", 8) + _directory(main, 8, "<")
    return block.ljust(100, b"\0") + _directory(own, 100, "<")


def photo(
    taken: datetime, content_id: str | None = None, *, colour: int = 0, form: str = "HEIF", burst_id: str | None = None
) -> bytes:
    """A HEIC, or a JPEG; other colours are other bytes."""
    pytest.importorskip("pillow_heif").register_heif_opener()
    buffer = BytesIO()
    image = Image.new("RGB", (64, 64), (colour * 37 % 256, colour * 101 % 256, 99))
    image.save(buffer, form, exif=b"Exif\0\0" + exif(taken, content_id, burst_id))
    return buffer.getvalue()


def film(folder: Path, taken: datetime, content_id: str | None = None, *, colour: int = 0) -> bytes:
    """A MOV, with the keys that an iPhone writes; taken where clocks show UTC."""
    path = folder / "film.mov"
    keys = {"com.apple.quicktime.creationdate": f"{taken:%Y-%m-%dT%H:%M:%S}+0000"}
    if content_id is not None:
        keys["com.apple.quicktime.content.identifier"] = content_id
    said = [part for key, value in keys.items() for part in ("-metadata", f"{key}={value}")]
    picture = f"color=0x{colour % 0xFFFFFF:06x}:size=64x64:duration=0.2:rate=5"
    coded = ["-c:v", "mpeg4", "-movflags", "use_metadata_tags", "-f", "mov"]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, *said, *coded, path], check=True, timeout=300
    )
    content = path.read_bytes()
    path.unlink()
    return content
