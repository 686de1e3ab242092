"""The fast reader for TIFF and raw photos that are TIFF inside: their directories as ExifTool goes through them.

A tag may stand in several directories (the preview's, the sensor's, the thumbnail's). Which one counts is a matter of
the order and of the picture that a directory is of: `_Found` decides as ExifTool's FoundTag does.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from functools import partial

from Src.Media import picture_data
from Src.Media.readers.apple_notes import HEADER as APPLE
from Src.Media.readers.apple_notes import read_apples_notes
from Src.Media.readers.exif_format import (
    CAMERA,
    DATES,
    EXIF_POINTER,
    GPS_POINTER,
    IFD,
    LONG,
    MODIFIED,
    ORIENTATION,
    PRINTABLE,
    RATING,
    RATING_PERCENT,
    SHORT,
    XP_TEXTS,
    xp_text,
)  # fmt: skip
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.file_trailer import check_no_trailer
from Src.Media.readers.icc_profile import check_icc_profile
from Src.Media.readers.photoshop_reader import IPTC_RESOURCE, may_have_words, read_iptc
from Src.Media.readers.tiff_directory import Directory, Entry
from Src.Media.readers.window import MOST_OF_A_PIECE, MOST_XMP, Window
from Src.Media.readers.xmp_reader import read_xmp
from Src.Media.tags import Tags

_MOST_DIRECTORIES = 24
_MOST_SUB_DIRECTORIES = 10

_DATE = re.compile(rb"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")
_DIGITS = re.compile(rb"\d{1,9} *")
_OFFSET = re.compile(rb"[+-]\d\d:\d\d")


def _form_of(name: str) -> re.Pattern[bytes]:
    return _OFFSET if name.startswith("Offset") else _DIGITS if name.startswith("SubSec") else _DATE


_TEXTS = {
    **{tag: (name, PRINTABLE) for tag, name in CAMERA.items()},
    MODIFIED: ("ModifyDate", _DATE),
    **{tag: (name, _form_of(name)) for tag, name in DATES.items()},
}
# Name, formats, and whether it counts only where no other directory has it (ExifTool's priority 0).
_NUMBERS = {
    0x100: ("ImageWidth", (SHORT, LONG), True),
    0x101: ("ImageHeight", (SHORT, LONG), True),
    ORIENTATION: ("Orientation", (SHORT,), True),
    RATING: ("Rating", (SHORT,), True),
    RATING_PERCENT: ("RatingPercent", (SHORT,), True),
    0xA002: ("ExifImageWidth", (SHORT, LONG), False),
    0xA003: ("ExifImageHeight", (SHORT, LONG), False),
}
# Where a maker's notes have a tag of the same name, ExifTool prefers another of those in EXIF. They have none of these.
_NEVER_A_MAKER_S = frozenset({"ImageWidth", "ImageHeight", "ExifImageWidth", "ExifImageHeight"})


def _ranges(*pairs: int) -> frozenset[int]:
    return frozenset(tag for first, last in zip(pairs[::2], pairs[1::2], strict=True) for tag in range(first, last + 1))


# Tags that change nothing in our fields, in whatever directory they stand: ExifTool's table of EXIF without those that
# lead to more, have a name of ours, or are made of other tags.
_PLAIN = (
    _ranges(
        0x1, 0x2, 0xB, 0xB, 0x102, 0x102, 0x106, 0x10E, 0x115, 0x116, 0x118, 0x131, 0x13B, 0x149, 0x14C, 0x15F,
        0x191, 0x195, 0x1B1, 0x1B5, 0x200, 0x22F, 0x1000, 0x1002, 0x4747, 0x4747, 0x7000, 0x7037,
        0x80A3, 0x80E6, 0x8214, 0x821A, 0x827D, 0x828F, 0x8298, 0x82AC, 0x830E, 0x830E, 0x8335, 0x835F,
        0x847E, 0x84F0, 0x877F, 0x8782, 0x8822, 0x8824, 0x8827, 0x8835, 0x9000, 0x9000, 0x9009, 0x9009,
        0x9101, 0x9217, 0x923A, 0x923F, 0x9286, 0x9286, 0x9400, 0x9406, 0x9C9C, 0x9C9D, 0x9C9F, 0x9C9F, 0xA000, 0xA001,
        0xA004, 0xA004,
        0xA010, 0xA011, 0xA101, 0xA102, 0xA20B, 0xA217, 0xA300, 0xA302, 0xA401, 0xA40A, 0xA40C, 0xA40C, 0xA420, 0xA420,
        0xA430, 0xA435, 0xA460, 0xA462, 0xA480, 0xA481, 0xA500, 0xA500, 0xC4A5, 0xC4A5, 0xC580, 0xC580, 0xC5E0, 0xC5E0,
        0xC613, 0xC633, 0xC635, 0xC635, 0xC640, 0xC640, 0xC65A, 0xC660, 0xC68B, 0xC68B, 0xC68D, 0xC68E, 0xC690, 0xC690,
        0xC692, 0xC692, 0xC6BF, 0xC6C5, 0xC6F3, 0xC6F4, 0xC6F6, 0xC6FE, 0xC714, 0xC71F, 0xC725, 0xC726, 0xC740, 0xC741,
        0xC74E, 0xC74E, 0xC761, 0xC764, 0xC772, 0xC772, 0xC789, 0xC789, 0xC791, 0xC793, 0xC7A1, 0xC7B5,
        0xC7D5, 0xC7D5, 0xC7E9, 0xC7EE, 0xCD2D, 0xCD40, 0xCD42, 0xCD43, 0xCD45, 0xCD46, 0xCD48, 0xCD4F, 0xEA1C, 0xEA1D,
    )
    # Canon's, of the raw picture's slices and sizes, which ExifTool does not know.
    | {0xC5D8, 0xC5D9, 0xC6DC, 0xC6DD}
)  # fmt: skip
_GPS = frozenset(range(0x20))
_GPS_TIMES = frozenset({7, 0x1D})
# Compressions by which ExifTool knows the kinds of makers.
_MAKERS_COMPRESSIONS = frozenset({32767, 32770, 32772, 32867, 34713, 65000, 65535})
_STRIP_PLACES, _STRIP_SIZES = 0x111, 0x117
# Photoshop's resources that hold EXIF or XMP of their own.
_PHOTOSHOP_METADATA = (b"8BIM\x04\x22", b"8BIM\x04\x23", b"8BIM\x04\x24")
_ADOBE_DATA = b"Adobe\0"
_MAKERS_NOTES_OF_DNG = b"MakN"
# Sony's: where the encrypted directory is, how large, its key, and what Sony's own program wrote. (Not what Minolta's
# cameras have there, which has a size.)
_SONY_PLACE, _SONY_SIZE = 0x7200, 0x7201
_SONY_TAGS = frozenset({_SONY_PLACE, _SONY_SIZE, 0x7221, 0x7240, 0x7241})
_MAGIC = {"ORF": frozenset({0x4F52, 0x5352})}
_TIFF_MAGIC = frozenset({42})
_CR2_SIGNATURE = b"CR\x02\0"
# What stands behind the header of other files than ours.
_OTHER_SIGNATURES = frozenset({b"\xba\xb0\xac\xbb", b"Exif"})

BELIEVED_ENDINGS = {".arw": "ARW", ".cr2": "CR2", ".eip": "EIP", ".iiq": "IIQ", ".sr2": "SR2"}
"""Of names: ExifTool believes them, and reads some tags as this kind has them, or takes another size."""


_ENDINGS_OF_RW2 = frozenset({"", ".rw2", ".raw", ".rwl"})


def is_misnamed(kind: str, name: str) -> bool:
    """Whether ExifTool would take a file of this kind for another one by its name."""
    ending = os.path.splitext(name)[1].lower()
    if kind == "RW2":  # whose tags mean something else in other kinds
        return ending not in _ENDINGS_OF_RW2
    return kind in READERS and BELIEVED_ENDINGS.get(ending, kind) != kind


def read_tiff(kind: str, fd: int) -> FastAnswer:
    """The tags of a file of this kind. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    photo = Photo(kind, fd)
    photo.read()
    damage = picture_data.tiff_damage(fd) if kind in picture_data.OF_TIFF else None
    return FastAnswer(photo.tags(), photo.other_dates, damage)


class _Found:
    """The tags found so far. ExifTool's FoundTag decides which of two with one name counts."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.disputed: set[str] = set()
        """The names of tags that have several values."""
        self.main_picture: str | None = None
        """The name of the directory of the full-size picture."""

    def add(self, name: str, value: str, directory: str, *, is_weak: bool) -> None:
        """A weak tag gives way to the one before it, unless it is the main picture's."""
        if self.values.get(name, value) != value:
            self.disputed.add(name)
        if name not in self.values or not is_weak or directory == self.main_picture:
            self.values[name] = value


class _Picture:
    """What a directory says of the picture that it is of."""

    def __init__(self, directory: str) -> None:
        self.name = directory
        self.is_reduced = self.is_uncompressed = False
        self.strips: list[Entry] = []
        """Their places and their sizes."""

    def check(self, directory: Directory, end: int) -> None:
        """Raises Unusual where a preview is cut short: ExifTool reads one that is not compressed, and would warn."""
        if not (self.is_reduced and self.is_uncompressed and self.strips):
            return
        values = [directory.numbers(entry, SHORT, LONG) for entry in sorted(self.strips)]
        if [entry.tag for entry in sorted(self.strips)] != [_STRIP_PLACES, _STRIP_SIZES]:
            raise Unusual("preview of odd form")
        if sum(values[1]) > MOST_OF_A_PIECE or any(at + size > end for at, size in zip(*values, strict=False)):
            raise Unusual("cut short")


class Photo:
    """A file that is gone through."""

    def __init__(self, kind: str, fd: int) -> None:
        self._kind = kind
        self._window = Window(fd)
        self._found = _Found()
        self._seen: set[int] = set()
        self._taken: set[int] = set()
        self._xmp = b""
        self._place: Tags = {}
        self._said: Tags = {}  # in words, and of the shot
        self._has_makers_notes = False  # which may say what made it
        self.other_dates: str | None = None
        self._order = ""
        check_no_trailer(fd, self._window.size)

    def read(self) -> None:
        """Goes through all directories. Raises as `read_tiff` does."""
        header = self._window.at(0, 16)
        self._order = {b"II": "<", b"MM": ">"}[header[:2]] if header[:2] in (b"II", b"MM") else ""
        if not self._order:
            raise Unusual("TIFF header of another kind")
        magic, start = struct.unpack_from(self._order + "HI", header, 2)
        signature = header[8:12]
        if magic not in _MAGIC.get(self._kind, _TIFF_MAGIC) or (start >= 16 and signature in _OTHER_SIGNATURES):
            raise Unusual("TIFF header of another kind")
        if (self._kind == "CR2") != (start >= 16 and signature == _CR2_SIGNATURE):
            raise Unusual("TIFF header of another kind")
        number = 0
        while start:
            directory = self._directory(start)
            self._go_through(directory, f"IFD{number}")
            start, number = directory.following, number + 1

    def tags(self) -> Tags:
        """What was found, as `Answer` has it."""
        values = self._found.values
        if (self._has_makers_notes or self._xmp) and self._found.disputed - _NEVER_A_MAKER_S:
            raise Unusual("EXIF tag twice, and MakerNotes or XMP")
        for name in CAMERA.values():
            text = values.get(name, "").strip()
            # ("true" comes out of ExifTool's JSON as a truth value)
            if text.lower() in ("true", "false") or (not text and self._has_makers_notes):
                raise Unusual("no camera in EXIF")
        tags: Tags = {f"EXIF:{name}": value for name, value in values.items()}
        tags |= self._place | self._said
        tags |= self._size()
        if self._xmp:
            in_xmp = read_xmp(self._xmp, tags)
            self.other_dates = self.other_dates or in_xmp
        return tags

    def _size(self) -> Tags:
        values = self._found.values
        width, height = values.get("ImageWidth"), values.get("ImageHeight")
        if width is None or height is None:
            raise Unusual("no size in the directories")
        tags = {"ImageWidth": width, "ImageHeight": height}
        if self._kind == "CR2":  # whose directories are of smaller pictures
            width, height = values.get("ExifImageWidth", ""), values.get("ExifImageHeight", "")
            if width.strip("0") == "" or height.strip("0") == "":
                raise Unusual("no size in the directories")
        return {**tags, "Composite:ImageSize": f"{width} {height}"}

    def _directory(self, start: int) -> Directory:
        if start in self._seen:  # ExifTool reads no directory twice
            raise Unusual("EXIF directory twice")
        if len(self._seen) == _MOST_DIRECTORIES:
            raise Unusual("very many directories")
        self._seen.add(start)
        return Directory(self._window, self._order, start)

    def _go_through(self, directory: Directory, name: str) -> None:
        picture = _Picture(name)
        for entry in directory.entries:
            if entry.tag in _OF_A_PICTURE:
                _OF_A_PICTURE[entry.tag](self, directory, entry, picture)
            elif entry.tag not in _PLAIN:
                self._take(directory, entry, name)
        picture.check(directory, self._window.size)

    def _take(self, directory: Directory, entry: Entry, name: str) -> None:
        """Takes what an entry of the directory of that name says."""
        tag = entry.tag
        if tag in _TEXTS:
            title, pattern = _TEXTS[tag]
            self._found.add(title, directory.text(entry, pattern), name, is_weak=False)
        elif tag in _NUMBERS:
            title, formats, is_weak = _NUMBERS[tag]
            self._found.add(title, str(directory.number(entry, *formats)), name, is_weak=is_weak)
        elif (name, tag) in _SPECIAL:
            if tag in self._taken:
                raise Unusual("EXIF tag twice")
            self._taken.add(tag)
            _SPECIAL[name, tag](self, directory, entry)
        else:
            raise Unusual("EXIF tag of unknown meaning")

    def _subfile(self, directory: Directory, entry: Entry, picture: _Picture) -> None:
        """NewSubfileType: 0 is the full-size picture. The old one counts otherwise."""
        kind, full_size = directory.number(entry, SHORT, LONG), 0 if entry.tag == 0xFE else 1
        picture.is_reduced |= entry.tag == 0xFE and kind == 1
        if kind == full_size and self._found.main_picture is None:
            self._found.main_picture = picture.name

    def _compression(self, directory: Directory, entry: Entry, picture: _Picture) -> None:
        compression = directory.number(entry, SHORT, LONG)
        picture.is_uncompressed |= compression == 1
        if compression in _MAKERS_COMPRESSIONS and self._kind == "CR2":
            raise Unusual("compression of another kind")  # for ExifTool it is another kind then, with another size

    def _strips(self, _directory: Directory, entry: Entry, picture: _Picture) -> None:
        picture.strips.append(entry)

    def _sub_directories(self, directory: Directory, entry: Entry) -> None:
        starts = directory.numbers(entry, LONG, IFD)
        if not 0 < len(starts) <= _MOST_SUB_DIRECTORIES:
            raise Unusual("TIFF directory of odd form")
        for number, start in enumerate(starts):
            sub = self._directory(start)
            self._go_through(sub, f"SubIFD{number or ''}")
            if sub.following and not number:
                raise Unusual("TIFF directory of odd form")

    def _exif(self, directory: Directory, entry: Entry) -> None:
        self._go_through(self._directory(directory.number(entry, LONG, IFD)), "ExifIFD")

    def _interoperability(self, directory: Directory, entry: Entry) -> None:
        self._go_through(self._directory(directory.number(entry, LONG, IFD)), "InteropIFD")

    def _makers_notes(self, directory: Directory, entry: Entry) -> None:
        if directory.start_of(entry) == APPLE:
            read_apples_notes(directory.value(entry), self._said)
        self._has_makers_notes = True
        self.other_dates = "MakerNotes date"  # some makers keep one of their own there

    def _gps(self, directory: Directory, entry: Entry) -> None:
        gps = self._directory(directory.number(entry, LONG, IFD))
        entries = {one.tag: one for one in gps.entries}
        if not entries.keys() <= _GPS or len(entries) != len(gps.entries):
            raise Unusual("EXIF tag in an odd directory")
        if entries.keys() & _GPS_TIMES:
            self.other_dates = self.other_dates or "GPS date"
        for ref, axis, letters in ((1, "Latitude", "NS"), (3, "Longitude", "EW")):
            if ref not in entries and ref + 1 not in entries:
                continue
            if ref not in entries or ref + 1 not in entries:
                raise Unusual("EXIF position without its hemisphere")
            side = gps.text(entries[ref], PRINTABLE)
            if len(side) != 1 or side not in letters:
                raise Unusual("EXIF position without its hemisphere")
            value = gps.degrees(entries[ref + 1])
            self._place[f"Composite:GPS{axis}"] = f"{-value if side in 'SW' else value:.15g}"

    def _add_xmp(self, directory: Directory, entry: Entry) -> None:
        if entry.size > MOST_XMP:
            raise Unusual("very large metadata")
        packet = directory.value(entry)
        if not packet or (_IMAGE_SIZE.search(packet) and "ImageWidth" not in self._found.values):
            raise Unusual("XMP before the size")
        self._xmp = packet

    def _windows_text(self, directory: Directory, entry: Entry) -> None:
        self._said[f"EXIF:{XP_TEXTS[entry.tag]}"] = xp_text(directory.value(entry), entry.format)

    def _iptc(self, directory: Directory, entry: Entry) -> None:
        record = directory.value(entry)
        if may_have_words(record):
            read_iptc(record, self._said, with_date=False)
        self.other_dates = "IPTC date"

    def _photoshop(self, directory: Directory, entry: Entry) -> None:
        if any(resource in directory.value(entry) for resource in _PHOTOSHOP_METADATA):
            raise Unusual("metadata in Photoshop's resources")
        if IPTC_RESOURCE in directory.value(entry) and may_have_words(directory.value(entry)):
            raise Unusual("IPTC words")
        self.other_dates = "IPTC date"

    def _icc_profile(self, directory: Directory, entry: Entry) -> None:
        check_icc_profile(directory.value(entry))

    def _dng_version(self, _directory: Directory, _entry: Entry) -> None:
        if self._kind != "DNG":
            raise Unusual("DNG tag in another kind")

    def _private_data(self, directory: Directory, entry: Entry) -> None:
        if self._kind == "ARW":
            self._sony_data(directory, entry)
        elif self._kind == "DNG":
            data = directory.value(entry)
            if data.startswith(_ADOBE_DATA):
                _check_adobe_data(data)
        else:
            raise Unusual("private data of a maker")
        self._has_makers_notes = True
        self.other_dates = "MakerNotes date"

    def _sony_data(self, directory: Directory, entry: Entry) -> None:
        """Checks Sony's own directory (SR2Private), which leads to an encrypted one."""
        if entry.size != 4:
            raise Unusual("private data of a maker")
        (start,) = struct.unpack(self._order + "I", directory.value(entry))
        data = self._directory(start)
        entries = {one.tag: one for one in data.entries}
        if not entries.keys() <= _SONY_TAGS or len(entries) != len(data.entries):
            raise Unusual("private data of a maker")
        if _SONY_PLACE in entries and _SONY_SIZE in entries:
            place, size = (data.number(entries[tag], LONG) for tag in (_SONY_PLACE, _SONY_SIZE))
            if size > MOST_OF_A_PIECE or place + size > self._window.size:
                raise Unusual("cut short")


def _check_adobe_data(data: bytes) -> None:
    """What Adobe's converter keeps of the photo that it converted: only maker's notes have no tags of ours."""
    at = len(_ADOBE_DATA)
    while at + 8 <= len(data):
        name, size = struct.unpack_from(">4sI", data, at)
        at += 8 + size + size % 2
        if name != _MAKERS_NOTES_OF_DNG:
            raise Unusual("private data of a maker")
    if at != len(data):
        raise Unusual("private data of a maker")


_IMAGE_SIZE = re.compile(rb"Image(?:Width|Length|Height)|Pixel[XY]Dimension")

_SPECIAL: dict[tuple[str, int], Callable[[Photo, Directory, Entry], None]] = {
    ("IFD0", 0x14A): Photo._sub_directories,
    ("IFD0", 0x2BC): Photo._add_xmp,
    ("IFD0", 0x83BB): Photo._iptc,
    ("IFD0", 0x8649): Photo._photoshop,
    ("IFD0", EXIF_POINTER): Photo._exif,
    ("IFD0", 0x8773): Photo._icc_profile,
    **{("IFD0", tag): Photo._windows_text for tag in XP_TEXTS},
    ("IFD0", GPS_POINTER): Photo._gps,
    ("IFD0", 0xC612): Photo._dng_version,
    ("IFD0", 0xC634): Photo._private_data,
    ("ExifIFD", 0x927C): Photo._makers_notes,
    ("ExifIFD", 0xA005): Photo._interoperability,
}
_OF_A_PICTURE: dict[int, Callable[[Photo, Directory, Entry, _Picture], None]] = {
    0xFE: Photo._subfile,
    0xFF: Photo._subfile,
    0x103: Photo._compression,
    _STRIP_PLACES: Photo._strips,
    _STRIP_SIZES: Photo._strips,
}
READERS = {kind: partial(read_tiff, kind) for kind in ("TIFF", "DNG", "NEF", "NRW", "CR2", "ARW", "PEF", "SRW", "ORF")}
"""A reader for each kind."""
