"""The fast reader for camera JPEGs: EXIF and XMP read in this process, without asking ExifTool.

It answers only where its answer provably equals ExifTool's and hands over (None) at anything unusual: it knows which
segments and tags are harmless, and everything else is unusual. It walks the headers itself, because Pillow forgives
what ExifTool judges otherwise (doubled tags and segments, wrong formats, values that overlap) without telling.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from xml.etree import ElementTree

from Src.Librarian.exiftool_reader import Tags
from Src.Librarian.fingerprint import NotARegularFile, open_regular
from Src.Librarian.jpeg_structure import Head, Unusual, has_end, segments


@dataclass(frozen=True, slots=True)
class FastAnswer:
    """`tags` as `exiftool_reader.Answer` has them.

    `dates_complete`: whether ExifTool would find no other date either. If not, only the EXIF dates are known.
    """

    tags: Tags
    dates_complete: bool


def read_jpeg(path: str) -> FastAnswer | None:
    """The tags of a camera's JPEG, equal to ExifTool's; None: ask ExifTool."""
    try:
        fd = open_regular(path)
    except (OSError, ValueError, NotARegularFile):
        return None
    try:
        return _read_jpeg(fd)
    except (Unusual, OSError, struct.error):
        return None
    finally:
        os.close(fd)


def _read_jpeg(fd: int) -> FastAnswer:
    head = Head(fd)
    exif = xmp = frame = b""
    dates_complete = True
    scan = 0
    for marker, start, end in segments(head):
        scan = end
        if marker in (0xC0, 0xC1, 0xC2):
            if frame or end - start < 6:
                raise Unusual
            frame = head.data[start:end]
        elif 0xE0 <= marker <= 0xEF:
            # The frame's size is the last that ExifTool finds, and wins, if it follows all other metadata.
            if frame:
                raise Unusual
            data = head.data[start:end]
            if marker == 0xE1 and data.startswith(b"Exif\0\0") and not exif:
                exif = data[6:]
            elif marker == 0xE1 and data.startswith(_XMP) and not xmp:
                xmp = data[len(_XMP) :]
                dates_complete = False
            elif marker == 0xED and data.startswith(b"Photoshop 3.0\0"):
                if any(resource in data for resource in _PHOTOSHOP_METADATA):
                    raise Unusual
                dates_complete = False  # IPTC may hold one
            elif not data.startswith(_HARMLESS_SEGMENTS.get(marker, ())):
                raise Unusual
        elif marker not in (0xC4, 0xDA, 0xDB, 0xDD, 0xFE):  # tables, scan, restart interval, comment
            raise Unusual
    if not frame or not has_end(fd, scan) or _TRAILER.search(_tail(fd)):
        raise Unusual
    height, width = struct.unpack_from(">HH", frame, 1)
    tags: Tags = {"ImageWidth": str(width), "ImageHeight": str(height)}
    if exif:
        dates_complete &= _read_exif(exif, tags)
    if xmp:
        _read_xmp(xmp, tags)
        # ExifTool would take the camera from here where EXIF leaves it open.
        if any(f"EXIF:{name}" not in tags and name.encode() in xmp for name in _CAMERA.values()):
            raise Unusual
    return FastAnswer(tags, dates_complete)


_XMP = b"http://ns.adobe.com/xap/1.0/\0"
# EXIF or XMP inside Photoshop's resources would count as the file's.
_PHOTOSHOP_METADATA = (b"8BIM\x04\x22", b"8BIM\x04\x23", b"8BIM\x04\x24")
_HARMLESS_SEGMENTS: dict[int, tuple[bytes, ...]] = {
    0xE0: (b"JFIF\0", b"JFXX\0"),
    0xE2: (b"ICC_PROFILE\0", b"MPF\0"),
    0xEC: (b"Ducky",),
    0xEE: (b"Adobe",),
}
# Trailers that ExifTool reads tags from, known by the last 64 bytes (its IdentifyTrailer).
_TRAILER = re.compile(
    rb"AXS[!*]|\xa1\xb2\xc3\xd4\Z|cbipcbbl|CANON OPTIONAL DATA|zmie|QDIOBS|SEFT|NIKON APP"
    rb"|8db42d694ccc418790edff439fe026bf"
)


def _tail(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    return os.pread(fd, 64, max(0, size - 64))


_ENTRY = {order: struct.Struct(order + "HHII") for order in "<>"}
# EXIF formats: the size of one value.
_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
_ASCII, _SHORT, _LONG, _RATIONAL, _SIGNED_RATIONAL, _IFD = 2, 3, 4, 5, 10, 13

# Tags that change nothing in our fields, wherever they stand in their directory. Not among them: pointers
# to more directories, and whatever holds XMP or IPTC.
_PLAIN = (frozenset(range(0x100, 0x14A)) - {0x10F, 0x110} | {0x201, 0x202} | frozenset(range(0x211, 0x215))) | {
    0x1001,
    0x1002,
    0x4749,
    0x8298,
    0x9C9B,
    0x9C9C,
    0x9C9D,
    0x9C9E,
    0x9C9F,
    0xC4A5,
    0xEA1C,
    0xEA1D,
}
_IFD0 = _PLAIN | {0x10F, 0x110, 0x4746, 0x8769, 0x8825}
_IFD1 = _PLAIN | {0x10F, 0x110}
_EXIF = (
    frozenset(range(0x9000, 0x9300))
    | frozenset(range(0x9400, 0x9407))
    | frozenset(range(0xA000, 0xA500)) - {0xA40B}
    | {0x829A, 0x829D, 0x8822, 0x8824, 0x8827, 0x8828, 0xA500, 0xC4A5, 0xEA1C, 0xEA1D}
    | frozenset(range(0x8830, 0x8836))
)
_GPS = frozenset(range(0x20))
_CAMERA = {0x10F: "Make", 0x110: "Model"}
_MAKER_NOTES = 0x927C
_INTEROP = frozenset({1, 2, 0x1000, 0x1001, 0x1002})

_DATE = re.compile(rb"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")
_DIGITS = re.compile(rb"\d{1,9} *")
_OFFSET = re.compile(rb"[+-]\d\d:\d\d")
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")


class _Directory:
    """One IFD: its tags by number, and the place of the next IFD."""

    __slots__ = ("_data", "_order", "entries", "following")

    def __init__(self, data: bytes, order: str, offset: int, allowed: frozenset[int]) -> None:
        self._data, self._order = data, order
        (count,) = struct.unpack_from(order + "H", data, offset)
        end = offset + 2 + 12 * count
        if offset < 8 or end + 4 > len(data):
            raise Unusual
        self.entries: dict[int, tuple[int, int, int]] = {}  # tag: format, count, where its value stands
        inside, length, entries = offset - 2, len(data), self.entries
        for tag, kind, number, place in _ENTRY[order].iter_unpack(data[offset + 2 : end]):
            inside += 12
            if tag not in allowed or not 1 <= kind <= 13 or (tag in entries and tag in _READ):
                raise Unusual
            size = number * _SIZES[kind]
            if size <= 4:
                place = inside
            elif place < 8 or place + size > length or (place < end and place + size > offset):
                raise Unusual
            entries[tag] = (kind, number, place)
        (self.following,) = struct.unpack_from(order + "I", data, end)

    def text(self, tag: int, pattern: re.Pattern[bytes]) -> str | None:
        """A text that matches the pattern, or is empty; None where there is none."""
        if tag not in self.entries:
            return None
        kind, count, place = self.entries[tag]
        value = self._data[place : place + count].partition(b"\0")[0]
        if kind != _ASCII or not count or not (pattern.fullmatch(value) or not value):
            raise Unusual
        return value.decode("ascii")

    def number(self, tag: int, *kinds: int) -> int | None:
        """A single whole number of one of these formats; None where there is none."""
        if tag not in self.entries:
            return None
        kind, count, place = self.entries[tag]
        if kind not in kinds or count != 1:
            raise Unusual
        (value,) = struct.unpack_from(self._order + ("H" if kind == _SHORT else "I"), self._data, place)
        return int(value)

    def degrees(self, tag: int) -> float | None:
        """Degrees, minutes and seconds as decimal degrees, in ExifTool's arithmetic (ToDegrees)."""
        if tag not in self.entries:
            return None
        kind, count, place = self.entries[tag]
        if kind not in (_RATIONAL, _SIGNED_RATIONAL) or count != 3:
            raise Unusual
        parts = struct.unpack_from(self._order + "6I", self._data, place)
        if 0 in parts[1::2] or (kind == _SIGNED_RATIONAL and max(parts) >= 1 << 31):  # negative
            raise Unusual
        # ExifTool keeps ten significant digits of every fraction.
        degree, minute, second = (float(f"{parts[i] / parts[i + 1]:.10g}") for i in (0, 2, 4))
        return degree + (minute + second / 60) / 60


def _read_exif(data: bytes, tags: Tags) -> bool:
    """Adds EXIF's tags; returns whether all its dates are among them (its GPS time is not read)."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise Unusual
    (offset,) = struct.unpack_from(order + "I", data, 4)
    main = _Directory(data, order, offset, _IFD0)
    seen = {offset}

    def directory(start: int, allowed: frozenset[int]) -> _Directory:
        if start in seen:  # ExifTool reads no directory twice
            raise Unusual
        seen.add(start)
        return _Directory(data, order, start, allowed)

    rating = main.number(0x4746, _SHORT)
    if rating is not None:
        tags["EXIF:Rating"] = str(rating)
    nobody_else_says = True  # the camera
    if main.following:
        thumbnail = directory(main.following, _IFD1)
        nobody_else_says = not thumbnail.entries.keys() & _CAMERA.keys()
        if thumbnail.following:
            raise Unusual
    exif_offset = main.number(0x8769, _LONG, _IFD)
    if exif_offset is not None:
        exif = directory(exif_offset, _EXIF)
        nobody_else_says &= _MAKER_NOTES not in exif.entries
        interop_offset = exif.number(0xA005, _LONG, _IFD)
        if interop_offset is not None:
            directory(interop_offset, _INTEROP)
        for tag, name, pattern in _DATES:
            text = exif.text(tag, pattern)
            if text is not None:
                tags[f"EXIF:{name}"] = text
    for tag, name in _CAMERA.items():
        text = (main.text(tag, _PRINTABLE) or "").strip()
        # ("true" comes out of ExifTool's JSON as a truth value)
        if text.lower() in ("true", "false") or not (text or nobody_else_says):
            raise Unusual
        if text:
            tags[f"EXIF:{name}"] = text
    gps_offset = main.number(0x8825, _LONG, _IFD)
    if gps_offset is None:
        return True
    gps = directory(gps_offset, _GPS)
    for ref, axis, letters in ((1, "Latitude", "NS"), (3, "Longitude", "EW")):
        side, value = gps.text(ref, _PRINTABLE), gps.degrees(ref + 1)
        if side is None and value is None:
            continue
        if side is None or value is None or len(side) != 1 or side not in letters:
            raise Unusual
        tags[f"Composite:GPS{axis}"] = f"{-value if side in 'SW' else value:.15g}"
    return 7 not in gps.entries and 0x1D not in gps.entries


_DATES = (
    (0x9003, "DateTimeOriginal", _DATE),
    (0x9291, "SubSecTimeOriginal", _DIGITS),
    (0x9011, "OffsetTimeOriginal", _OFFSET),
    (0x9004, "CreateDate", _DATE),
    (0x9292, "SubSecTimeDigitized", _DIGITS),
    (0x9012, "OffsetTimeDigitized", _OFFSET),
)
# Tags whose value is read: one that stands twice has two.
_READ = frozenset({0x10F, 0x110, 0x4746, 0x8769, 0x8825, 0xA005, 1, 2, 3, 4, 7, 0x1D} | {tag for tag, _, _ in _DATES})

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_RATING = "{http://ns.adobe.com/xap/1.0/}Rating"
_MICROSOFT_RATING = re.compile(rb"\bMicrosoftPhoto:Rating\b|RatingPercent")


def _read_xmp(packet: bytes, tags: Tags) -> None:
    """Adds XMP's rating; a place in it is ExifTool's to read."""
    # Other encodings hide the words looked for, and so do entities and CDATA.
    if b"\0" in packet or b"<!" in packet or b"GPS" in packet or b"encoding=" in packet:
        raise Unusual
    if b"Rating" not in packet:
        return
    try:
        root = ElementTree.fromstring(packet.strip())
    except (ElementTree.ParseError, ValueError) as reason:
        raise Unusual from reason
    tops = [description for rdf in root.iter(f"{_RDF}RDF") for description in rdf]
    if any(top.tag != f"{_RDF}Description" for top in tops):
        raise Unusual
    attributes = [top.attrib[_RATING] for top in tops if _RATING in top.attrib]
    elements = [child.text or "" for top in tops for child in top if child.tag == _RATING]
    ratings = attributes + elements
    # One at most, at the top, and no other word of that name anywhere, in whatever namespace or depth.
    words = len(re.findall(rb"\bRating\b", _MICROSOFT_RATING.sub(b"", packet)))
    if len(ratings) > 1 or words != len(attributes) + 2 * len(elements):
        raise Unusual
    if ratings:
        if not re.fullmatch(r"-?[0-9]", ratings[0]):
            raise Unusual
        tags["XMP:Rating"] = ratings[0]
