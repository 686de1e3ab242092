"""EXIF (CIPA DC-008) as a block of bytes: the tags that our fields need, where their reading equals ExifTool's."""

from __future__ import annotations

import re
import struct

from Src.Media.readers.apple_notes import read_apples_notes
from Src.Media.readers.exif_format import (
    ASCII,
    BYTE,
    CAMERA,
    DATES,
    ENTRY,
    EXIF_POINTER,
    GPS_POINTER,
    IFD,
    LONG,
    MODIFIED,
    ORIENTATION,
    PRINTABLE,
    RATING,
    RATING_PERCENT,
    RATIONAL,
    SHORT,
    SIGNED_RATIONAL,
    SIZES,
    UNDEFINED,
    XP_TEXTS,
    byte_order,
    decimal_degrees,
    fractions,
    xp_text,
)  # fmt: skip
from Src.Media.readers.fast_answer import Unusual, has_own_date
from Src.Media.tags import Tags

_GPS_TIME, _GPS_DAY = 0x7, 0x1D

# ExifTool has one table for the tags of all directories but the GPS one. Of these it makes more than one value:
# directories, XMP, IPTC, Photoshop's resources, which of several pictures is the main one. (A test asks its table.)
_MORE = frozenset(
    {
        *(0xFE, 0xFF, 0x14A, 0x190, 0x2BC, 0x4748, 0x8290, 0x83BB, 0x8568, 0x8606, 0x8649, 0x8773, 0x888A, 0x935C),
        *(0xBC80, 0xBC81),
    }
)
# What is private to raw photos begins here; and what cameras write into JPEGs nonetheless.
_PRIVATE = 0xC000
_PRINT_IM, _PADDING = 0xC4A5, 0xEA1C
_HARMLESS_PRIVATE = frozenset({_PRINT_IM, 0xC6D2, 0xC6D3, _PADDING, 0xEA1D})

# Xiaomi's settings, JSON: from version 13 on, ExifTool makes a tag of each key. None may be like one that we ask for.
_XIAOMI_SETTINGS = 0x9999
_LIKE_A_TAG_OF_OURS = re.compile(
    rb"dat|time|creat|subsec|width|height|size|make|model|gps|rating|orient|rotat|duration|error|warning", re.IGNORECASE
)

_MAKER_NOTES, _INTEROP_POINTER = 0x927C, 0xA005
_WORDS = frozenset({RATING_PERCENT, *XP_TEXTS})
_OF_IFD0 = frozenset({0x10F, 0x110, ORIENTATION, MODIFIED, RATING, EXIF_POINTER, GPS_POINTER, *_WORDS})
_OF_EXIF = frozenset({_MAKER_NOTES, _INTEROP_POINTER, *DATES})
# What must not stand in a directory, because it is another's, or more than a value.
_ODD_IN_IFD0 = _MORE | _OF_EXIF
_ODD_IN_IFD1 = _ODD_IN_IFD0 | {RATING, EXIF_POINTER, GPS_POINTER} | _WORDS
_ODD_IN_EXIF = _MORE | _OF_IFD0
_ODD_IN_INTEROP = _ODD_IN_IFD1 | _OF_IFD0
_ODD_IN_GPS: frozenset[int] = frozenset()
# Where the first directory lacks one of these, ExifTool takes the thumbnail's.
_ALSO_THE_THUMBNAIL_S = frozenset({0x10F, 0x110, ORIENTATION, MODIFIED})

_DAY = re.compile(rb"\d{4}:\d\d:\d\d")


class _Directory:
    """One IFD: its tags by number, and the place of the next IFD."""

    __slots__ = ("_data", "_order", "entries", "following")

    def __init__(self, data: bytes, order: str, offset: int, odd: frozenset[int]) -> None:
        self._data, self._order = data, order
        (count,) = struct.unpack_from(order + "H", data, offset)
        end = offset + 2 + 12 * count
        if offset < 8 or end + 4 > len(data):
            raise Unusual("EXIF directory outside its block")
        self.entries: dict[int, tuple[int, int, int]] = {}  # tag: format, count, where its value stands
        inside, length, entries = offset - 2, len(data), self.entries
        for tag, kind, number, place in ENTRY[order].iter_unpack(data[offset + 2 : end]):
            inside += 12
            if tag in odd or (tag >= _PRIVATE and tag not in _HARMLESS_PRIVATE):
                raise Unusual("EXIF tag in an odd directory")
            if not 1 <= kind <= 13:
                raise Unusual("EXIF format unknown")
            if tag in entries and tag in _READ:
                raise Unusual("EXIF tag twice")
            size = number * SIZES[kind]
            if size <= 4:
                place = inside
            elif place < 8 or place + size > length or (place < end and place + size > offset):
                raise Unusual("EXIF value outside its block")
            if tag == _XIAOMI_SETTINGS and _LIKE_A_TAG_OF_OURS.search(data, place, place + size):
                raise Unusual("settings of odd form")
            entries[tag] = (kind, number, place)
        (self.following,) = struct.unpack_from(order + "I", data, end)

    def text(self, tag: int, pattern: re.Pattern[bytes]) -> str | None:
        """A text that matches the pattern, or is empty; None where there is none."""
        if tag not in self.entries:
            return None
        kind, count, place = self.entries[tag]
        value = self._data[place : place + count].partition(b"\0")[0]
        if kind != ASCII or not count or not (pattern.fullmatch(value) or not value):
            raise Unusual("EXIF text of odd form")
        return value.decode("ascii")

    def bytes_of(self, tag: int) -> bytes | None:
        """A text or bytes without what is behind them; None where it is of another format."""
        kind, count, place = self.entries[tag]
        return self._data[place : place + count].rstrip(b"\0") if kind in (BYTE, ASCII, UNDEFINED) else None

    def whole(self, tag: int) -> bytes:
        """All bytes of a value."""
        kind, count, place = self.entries[tag]
        return self._data[place : place + count * SIZES[kind]]

    def number(self, tag: int, *kinds: int) -> int | None:
        """A single whole number of one of these formats; None where there is none."""
        if tag not in self.entries:
            return None
        kind, count, place = self.entries[tag]
        if kind not in kinds or count != 1:
            raise Unusual("EXIF number of odd format")
        (value,) = struct.unpack_from(self._order + ("H" if kind == SHORT else "I"), self._data, place)
        return int(value)

    def three(self, tag: int) -> tuple[float, float, float] | None:
        """Three fractions, not negative: degrees, minutes and seconds, or a time. None: one of them is none."""
        kind, count, place = self.entries[tag]
        if kind not in (RATIONAL, SIGNED_RATIONAL) or count != 3:
            raise Unusual("GPS value of odd format")
        parts = struct.unpack_from(self._order + "6I", self._data, place)
        if kind == SIGNED_RATIONAL and max(parts) >= 1 << 31:  # negative
            raise Unusual("GPS value of odd format")
        if 0 in parts[1::2]:
            return None
        one, two, three = fractions(parts)
        return one, two, three


def read_exif(data: bytes, tags: Tags, *, in_jpeg: bool = True) -> str | None:
    """Adds EXIF's tags; returns what else of it may hold a date, if anything: as `FastAnswer.other_dates` says it.

    `in_jpeg`: only there the first directory comes before the thumbnail's where both have a tag.
    """
    order = byte_order(data)
    (offset,) = struct.unpack_from(order + "I", data, 4)
    main = _Directory(data, order, offset, _ODD_IN_IFD0)
    seen = {offset}

    def directory(start: int, odd: frozenset[int]) -> _Directory:
        if start in seen:  # ExifTool reads no directory twice
            raise Unusual("EXIF directory twice")
        seen.add(start)
        return _Directory(data, order, start, odd)

    rating = main.number(RATING, SHORT)
    if rating is not None:
        tags["EXIF:Rating"] = str(rating)
    if not _WORDS.isdisjoint(main.entries):
        _read_words(main, tags)
    orientation = main.number(ORIENTATION, SHORT)
    if orientation is not None:
        tags["EXIF:Orientation"] = str(orientation)
    modified = main.text(MODIFIED, PRINTABLE)
    if modified is not None:
        tags["EXIF:ModifyDate"] = modified
    nobody_else_says = True  # the camera
    other_dates: str | None = None
    if main.following:
        thumbnail = directory(main.following, _ODD_IN_IFD1)
        nobody_else_says = not thumbnail.entries.keys() & CAMERA.keys()
        if thumbnail.entries.keys() & _ALSO_THE_THUMBNAIL_S - main.entries.keys() - CAMERA.keys():
            raise Unusual("EXIF tag of the thumbnail alone")
        if not (in_jpeg or thumbnail.entries.keys().isdisjoint(_ALSO_THE_THUMBNAIL_S - {ORIENTATION})):
            raise Unusual("EXIF tag of the thumbnail, too")
        if thumbnail.following:
            raise Unusual("EXIF with a third directory")
    exif_offset = main.number(EXIF_POINTER, LONG, IFD)
    if exif_offset is not None:
        exif = directory(exif_offset, _ODD_IN_EXIF)
        if _MAKER_NOTES in exif.entries:  # some makers keep a camera and a date of their own there
            nobody_else_says = False
            other_dates = "MakerNotes date"
            read_apples_notes(exif.whole(_MAKER_NOTES), tags)
        interop_offset = exif.number(_INTEROP_POINTER, LONG, IFD)
        if interop_offset is not None:
            directory(interop_offset, _ODD_IN_INTEROP)
        for tag, name in DATES.items():
            text = exif.text(tag, PRINTABLE)
            if text is not None:
                tags[f"EXIF:{name}"] = text
    for tag, name in CAMERA.items():
        text = (main.text(tag, PRINTABLE) or "").strip()
        # ("true" comes out of ExifTool's JSON as a truth value)
        if text.lower() in ("true", "false") or not (text or nobody_else_says):
            raise Unusual("no camera in EXIF")
        if text:
            tags[f"EXIF:{name}"] = text
    gps_offset = main.number(GPS_POINTER, LONG, IFD)
    if gps_offset is None:
        return other_dates
    gps = directory(gps_offset, _ODD_IN_GPS)
    _read_place(gps, tags)
    return _read_gps_date(gps, tags) or other_dates


def _read_words(main: _Directory, tags: Tags) -> None:
    percent = main.number(RATING_PERCENT, SHORT)
    if percent is not None:
        tags["EXIF:RatingPercent"] = str(percent)
    for tag, name in XP_TEXTS.items():
        if tag in main.entries:
            tags[f"EXIF:{name}"] = xp_text(main.whole(tag), main.entries[tag][0])


def _read_place(gps: _Directory, tags: Tags) -> None:
    """Adds the place, where both hemispheres are stated; ExifTool makes none else."""
    for ref, axis, letters in ((1, "Latitude", "NS"), (3, "Longitude", "EW")):
        side = gps.text(ref, PRINTABLE)
        if side is None or ref + 1 not in gps.entries:
            continue
        parts = gps.three(ref + 1)
        if parts is None:  # phones that do not know where they are write 0/0
            if side[:1] in ("S", "W", "s", "w"):  # of which ExifTool makes a 0
                raise Unusual("GPS value of odd format")
            continue
        if len(side) != 1 or side not in letters:
            raise Unusual("EXIF position without its hemisphere")
        degrees = decimal_degrees(*parts)
        tags[f"Composite:GPS{axis}"] = f"{-degrees if side in 'SW' else degrees:.15g}"


def _read_gps_date(gps: _Directory, tags: Tags) -> str | None:
    """Adds the date and time of the GPS, where they may count. Returns the reason to hand over if it is left out."""
    if _GPS_DAY not in gps.entries or _GPS_TIME not in gps.entries:
        return None
    day = gps.bytes_of(_GPS_DAY)
    if has_own_date(tags) or day is None or not _DAY.fullmatch(day):
        return "GPS date"
    parts = gps.three(_GPS_TIME)
    if parts is None:
        return "GPS date"
    hour, minute, second = parts
    seconds = (hour * 60 + minute) * 60 + second
    hours = int(seconds / 3600)
    minutes = int((seconds - hours * 3600) / 60)
    rest = f"{seconds - hours * 3600 - minutes * 60:012.9f}"
    if float(rest) >= 60 or hours > 99:
        return "GPS date"
    tags["Composite:GPSDateTime"] = f"{day.decode()} {hours:02}:{minutes:02}:{rest.rstrip('0').rstrip('.')}Z"
    return None


# Tags whose value is read: one that stands twice has two.
_READ = frozenset({*_OF_IFD0, _INTEROP_POINTER, 1, 2, 3, 4, _GPS_TIME, _GPS_DAY, *DATES})
