"""The fast reader for PNG: its size, EXIF, XMP and text, where their reading equals ExifTool's.

ExifTool reads on to the end: what stands behind the picture counts as well.
"""

from __future__ import annotations

import re
import struct
import zlib

from Src.Media.readers.exif_and_xmp import read_exif_and_xmp
from Src.Media.readers.exiftool_reader import ASKED
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.icc_profile import check_icc_profile
from Src.Media.readers.window import MOST_OF_A_PIECE, MOST_PIECES, Window
from Src.Media.tags import Tags

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Chunks that hold nothing of ours (PNG 3rd edition, its registered extensions, and those of Apple and Android).
_HARMLESS = frozenset(
    b"PLTE bKGD cHRM cICP cLLI gAMA gIFg gIFt gIFx hIST iDOT mDCV npTc npLb npOl oFFs pCAL pHYs sBIT sCAL sPLT sRGB "
    b"sTER tIME tRNS vpAg".split()
)
_MOST_METADATA = 200  # chunks of it
_XMP = b"XML:com.adobe.xmp"
_PROFILE = b"Raw profile type "
_CREATION_TIME = b"Creation Time"
_KEYWORD = re.compile(rb"[ -~]{1,79}")
# ExifTool's tag for a text is its keyword without blanks and signs. These are tags that we ask for.
_TAKEN = frozenset(name.lower() for name in ASKED)
# ExifTool may warn of a text by its keyword, and a warning with such a word would say that the file is damaged.
_ALARMING = re.compile(rb"truncat|corrupt|error|invalid|bad|unexpected", re.IGNORECASE)
# ImageMagick writes EXIF in hexadecimal digits.
_HEXADECIMAL = re.compile(rb"\n[^\n]*\n\s*(\d{1,8})\n([0-9a-fA-F\s]*)")
_PLAIN = re.compile(rb"[ -~]{0,100}")
_EXIF_HEADER = b"Exif\0\0"


def read_png(fd: int) -> FastAnswer:
    """The tags of a PNG. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    window = Window(fd)
    if window.at(0, 8) != _SIGNATURE:
        raise Unusual("no start of a PNG")
    tags: Tags = {}
    found = _Blocks()
    position = 8
    for _ in range(MOST_PIECES):
        size, name = struct.unpack(">I4s", window.at(position, 8))
        data, following = position + 8, position + 12 + size
        if (name == b"IHDR") != (position == 8):
            raise Unusual("PNG header elsewhere than first")
        if name == b"IEND":
            if size or following != window.size:
                raise Unusual("trailer")
            return FastAnswer(tags, read_exif_and_xmp(found.exif, found.xmp, tags))
        if name == b"IHDR":
            width, height = struct.unpack_from(">II", window.at(data, 13))
            tags["ImageWidth"], tags["ImageHeight"] = str(width), str(height)
        elif name in _METADATA:
            window.at(data, size + 4)
            found.count()
            _METADATA[name](found, window.at(data, size), tags)
        elif name != b"IDAT" and name not in _HARMLESS:
            raise Unusual("PNG chunk of unknown kind")
        position = following
    raise Unusual("very many pieces")


class _Blocks:
    """The EXIF and the XMP of a file, each once at most."""

    exif = xmp = b""
    _room = MOST_OF_A_PIECE  # bytes that all that is compressed may have together
    _left = _MOST_METADATA

    def count(self) -> None:
        """Counts a chunk. Raises Unusual where there are absurdly many."""
        self._left -= 1
        if self._left < 0:
            raise Unusual("very many pieces")

    def add_exif(self, data: bytes, _tags: Tags) -> None:
        if self.exif or not data:
            raise Unusual("EXIF twice")
        self.exif = data

    def add_xmp(self, packet: bytes) -> None:
        if self.xmp or not packet:
            raise Unusual("XMP twice")
        self.xmp = packet

    def add_icc_profile(self, data: bytes, _tags: Tags) -> None:
        name, compressed = _parted(data)
        if name and compressed[:1] != b"\0":
            raise Unusual("ICC profile of odd form")
        check_icc_profile(self._inflated(compressed[1:]))

    def add_text(self, data: bytes, tags: Tags) -> None:
        keyword, value = _parted(data)
        self._add(keyword, value, tags)

    def add_compressed_text(self, data: bytes, tags: Tags) -> None:
        keyword, value = _parted(data)
        if value[:1] != b"\0":
            raise Unusual("PNG compression of odd form")
        self._add(keyword, self._inflated(value[1:]), tags)

    def add_international_text(self, data: bytes, tags: Tags) -> None:
        keyword, rest = _parted(data)
        if len(rest) < 4 or rest[0] > 1 or rest[1]:
            raise Unusual("PNG compression of odd form")
        language, behind = _parted(rest[2:])
        _, value = _parted(behind)
        if rest[0]:
            value = self._inflated(value)
        if keyword == _XMP:
            self.add_xmp(value)
        else:
            self._add(keyword, value, tags, language)

    def _add(self, keyword: bytes, value: bytes, tags: Tags, language: bytes = b"") -> None:
        if not _KEYWORD.fullmatch(keyword) or _ALARMING.search(keyword) or keyword == _XMP:
            raise Unusual("PNG text that is a tag of ours")
        if keyword.startswith(_PROFILE):
            self._add_profile(keyword[len(_PROFILE) :], value, tags)
            return
        name = "".join(re.findall("[-_a-z0-9]", keyword.decode("ascii").lower()))
        if keyword == _CREATION_TIME:  # (of another spelling ExifTool does not convert the date)
            if language or "PNG:CreationTime" in tags or not _PLAIN.fullmatch(value):
                raise Unusual("PNG date of odd form")
            tags["PNG:CreationTime"] = _creation_time(value.decode("ascii"))
        elif name in _TAKEN or name in _OF_OTHER_NAME:
            raise Unusual("PNG text that is a tag of ours")

    def _add_profile(self, kind: bytes, value: bytes, tags: Tags) -> None:
        digits = _HEXADECIMAL.fullmatch(value)
        if digits is None:
            raise Unusual("PNG profile of odd form")
        data = bytes.fromhex(digits[2].decode("ascii"))
        if len(data) != int(digits[1]):
            raise Unusual("PNG profile of odd form")
        if kind in (b"exif", b"APP1"):
            self.add_exif(data.removeprefix(_EXIF_HEADER), tags)
        elif kind == b"xmp":
            self.add_xmp(data)
        elif kind in (b"icc", b"icm"):
            check_icc_profile(data)
        else:
            raise Unusual("PNG profile of odd form")

    def _inflated(self, data: bytes) -> bytes:
        stream = zlib.decompressobj()
        try:
            inflated = stream.decompress(data, self._room)
        except zlib.error as reason:
            raise Unusual("PNG compression of odd form") from reason
        self._room -= len(inflated)
        if not stream.eof or self._room <= 0:
            raise Unusual("PNG compression of odd form")
        return inflated


_METADATA = {
    b"eXIf": _Blocks.add_exif,
    b"tEXt": _Blocks.add_text,
    b"zTXt": _Blocks.add_compressed_text,
    b"iTXt": _Blocks.add_international_text,
    b"iCCP": _Blocks.add_icc_profile,
}
# Keywords whose tag has another name.
_OF_OTHER_NAME = frozenset({"create-date", "warning"})


def _parted(data: bytes) -> tuple[bytes, bytes]:
    first, zero, rest = data.partition(b"\0")
    if not zero:
        raise Unusual("PNG text of odd form")
    return first, rest


_RFC_1123 = re.compile(
    r"(\d+)\s*(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s*(\d+)\s+(\d+):(\d{2})(:\d{2})?\s*(\S*)",
    re.ASCII | re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OFFSET = re.compile(r"([-+]\d+):?(\d{2})", re.ASCII)
# Hours east of UTC, by RFC 822's names. (Those of its military zones are ExifTool's.)
_HOURS = {"UT": 0, "GMT": 0, "UTC": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8}
_HOURS |= {"PDT": -7, "Z": 0}
_HOURS |= {letter: -number for number, letter in enumerate("ABCDEFGHIKLM", start=1)}
_HOURS |= {letter: number for number, letter in enumerate("NOPQRSTUVWXY", start=1)}


def _creation_time(text: str) -> str:
    """A date in RFC 1123's words as EXIF writes it, or the text as it is (ExifTool's ConvertPNGDate)."""
    match = _RFC_1123.search(text)
    if match is None:
        return text
    year, zone = int(match[3]), match[7]
    if year < 100:
        year += 1900 if year > 70 else 2000
    if zone.upper() in _HOURS:
        hours = _HOURS[zone.upper()]
        zone = f"{'-' if hours < 0 else '+'}{abs(hours):02}:00"
    elif zone:
        offset = _OFFSET.match(zone)
        if offset is None:
            return text
        zone = f"{offset[1]}:{offset[2]}"
    month = _MONTHS.index(match[2].lower()) + 1
    day, hour, minute = int(match[1]), int(match[4]), int(match[5])
    return f"{year:04}:{month:02}:{day:02} {hour:02}:{minute:02}{match[6] or ':00'}{zone}"
