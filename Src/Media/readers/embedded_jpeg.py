"""The JPEG in a raw photo, which has the EXIF of some makers' (FujiFilm, Panasonic)."""

from __future__ import annotations

import struct

from Src.Media.readers.exif_reader import read_exif
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.file_trailer import check_no_trailer
from Src.Media.readers.jpeg_structure import Head, segments
from Src.Media.tags import Tags

_EXIF = b"Exif\0\0"
_HARMLESS = {0xE0: b"JFIF\0", 0xE2: b"MPF\0"}
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_TABLES = frozenset({0xC4, 0xDA, 0xDB, 0xDD})


def read_embedded_jpeg(fd: int, start: int, size: int) -> FastAnswer:
    """The tags of the JPEG that stands there. Raises as a fast reader does."""
    exif = frame = b""
    end = 0
    head = Head(fd, start)
    for marker, begin, end in segments(head):
        data = head.data[begin:end]
        if marker in _FRAMES and not frame and len(data) >= 6:
            frame = data
        elif marker == 0xE1 and data.startswith(_EXIF) and not exif and not frame:
            exif = data[len(_EXIF) :]
        elif marker not in _TABLES and not (marker in _HARMLESS and data.startswith(_HARMLESS[marker])):
            raise Unusual("preview with other segments")
    if not frame or not exif or end > size:
        raise Unusual("preview of odd form")
    check_no_trailer(fd, start + size)
    height, width = struct.unpack_from(">HH", frame, 1)
    tags: Tags = {"ImageWidth": str(width), "ImageHeight": str(height)}
    # ExifTool knows what kind of file this is before it comes to the JPEG: it reads its EXIF as of no JPEG.
    return FastAnswer(tags, read_exif(exif, tags, in_jpeg=False))
