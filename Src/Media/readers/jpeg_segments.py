"""Which application segments of a JPEG hold what, as far as it is known what ExifTool takes from them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.jpeg_structure import Head, segments
from Src.Media.readers.photoshop_reader import HEADER as _PHOTOSHOP

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"

# ExifTool has no tag for these that our fields use; a test asks its tables.
_WITHOUT_TAGS: dict[int, tuple[bytes, ...]] = {
    0xE0: (b"JFIF\0", b"JFXX\0", b"AVI1", b"Ocad"),
    0xE2: (b"ICC_PROFILE\0", b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"),
    0xE3: (b"Meta\0\0", b"META\0\0", b"Stim\0", b"\xff\xd8\xff\xdb"),
    0xE4: (b"SCALADO\0", b"QTI Debug Metadata\0"),
    0xE5: (b"ssuniqueid\0",),
    0xEA: (b"AROT\0", b"UNICODE\0"),
    0xEB: (b"HDR_RI ",),
    0xEC: (b"Ducky",),
    0xED: (b"Adobe_CM",),
    0xEE: (b"Adobe",),
}
# Of these it knows a camera and a date of their own, which count where EXIF has none: CIFF, Casio's, FLIR's, JUMBF (if
# it holds no metadata of another kind), and the text that Olympus and Agfa wrote.
_WITH_OTHER_TAGS: dict[int, tuple[bytes, ...]] = {
    0xE0: (b"II\x1a\0\0\0HEAPJPGM",),
    0xE1: (b"QVCI\0", b"FLIR\0"),
    0xEB: (b"JP",),
    0xEC: (b"",),
}
# Makers put what they like there. What ExifTool knows of it has groups of its own, no EXIF, XMP or IPTC ...
_MAKERS = frozenset({*range(0xE3, 0xEB), 0xEE, 0xEF})
# ... but for these.
_NOT_THE_MAKERS: dict[int, tuple[bytes, ...]] = {0xE4: (b"FPXR\0",), 0xE9: (b"Media Jukebox\0",)}

_PREVIEW = re.compile(rb"(?:QVGA\0|BGTH)?\xff\xd8\xff[\xdb\xe0\xe1]")
_NO_PREVIEW = re.compile(rb"FPXR\0|....IJPEG\0", re.DOTALL)
# ExifTool makes room for so many parts as the highest number says.
_MOST_JUMBF = 10_000
# Boxes of EXIF or XMP, and what would look like an error of ExifTool's own. (An "urn:uuid:" is a name.)
_METADATA_IN_JUMBF = re.compile(rb"(?<!urn:)uuid|xml |[Ee]rror|[Ww]arning")
# A size other than the frame's, which ExifTool would prefer if it found it later.
_SIZE_IN_XMP = re.compile(rb"(?<!tiff:)[Ii]mage(?:Width|Height|Length)|svg")

# Start of frame, of whatever coding: not the tables and markers of their kind.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TABLES = frozenset({0xC4, 0xCC, 0xDA, 0xDB, 0xDD, 0xFE})  # scan, restart interval and comment, too


@dataclass(slots=True)
class Found:
    """The segments of a JPEG up to its picture."""

    scan: int = 0  # where the picture data begin
    frame: bytes = b""
    exif: bytes = b""  # from its TIFF header on
    xmp: bytes = b""
    extended_xmp: list[bytes] = field(default_factory=list)  # segments without their name
    photoshop: list[bytes] = field(default_factory=list)
    other: str | None = None  # the reason to hand over where another camera or date may count
    _jumbf: list[bytes] = field(default_factory=list)
    _before: int = 0  # the marker of the segment before
    _in_preview: bool = False


def find_segments(fd: int) -> Found:
    """Reads the headers. Raises Unusual where something is in them whose meaning is not known."""
    head, found = Head(fd), Found()
    for marker, start, end in segments(head):
        if 0xE0 <= marker <= 0xEF:
            _take(found, marker, head.data[start:end])
        elif marker in _FRAMES:
            if found.frame or end - start < 6:
                raise Unusual("more than one frame")
            found.frame = head.data[start:end]
        elif marker not in _TABLES:
            raise Unusual("segment of odd kind")
        found.scan, found._before = end, marker
    if not found.frame:
        raise Unusual("no frame")
    if found._jumbf and _METADATA_IN_JUMBF.search(b"".join(found._jumbf)):
        raise Unusual("metadata in JUMBF")
    return found


def _take(found: Found, marker: int, data: bytes) -> None:
    """An application segment."""
    name = f"segment APP{marker - 0xE0}"
    if found.frame and (not data.startswith(_XMP) or _SIZE_IN_XMP.search(data)):
        raise Unusual("metadata behind the frame")
    if marker == 0xE1 and data.startswith(_EXIF):
        if found.exif:
            raise Unusual("EXIF twice")
        found.exif = data[len(_EXIF) :]
    elif marker == 0xE1 and data.startswith(_XMP):
        if found.xmp:
            raise Unusual("XMP twice")
        found.xmp = data[len(_XMP) :]
    elif marker == 0xE1 and data.startswith(_EXTENDED_XMP):
        found.extended_xmp.append(data[len(_EXTENDED_XMP) :])
    elif marker == 0xED and data.startswith(_PHOTOSHOP):
        if found.photoshop and found._before != marker:
            raise Unusual("Photoshop's resources twice")
        found.photoshop.append(data)
    elif marker == 0xE2 and _is_preview(found, data):
        found._in_preview = True
    elif data.startswith(_WITHOUT_TAGS.get(marker, ())):
        pass
    elif data.startswith(_WITH_OTHER_TAGS.get(marker, ())):
        found.other = name
        if marker == 0xEB:  # (each part repeats the header of the box)
            if int.from_bytes(data[4:8], "big") > _MOST_JUMBF:
                raise Unusual("JUMBF of odd form")
            found._jumbf.append(data[16:])
    elif marker in _MAKERS and not data.startswith(_NOT_THE_MAKERS.get(marker, ())):
        found.other = name
    else:
        raise Unusual(name)


def _is_preview(found: Found, data: bytes) -> bool:
    """Whether it is a picture in a segment of its own, or the rest of one that began in the segment before."""
    goes_on = found._in_preview and found._before == 0xE2 and not _NO_PREVIEW.match(data)
    return goes_on or _PREVIEW.match(data) is not None
