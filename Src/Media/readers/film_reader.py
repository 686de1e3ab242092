"""The fast reader for films in QuickTime's boxes: MP4, MOV, M4V, 3GP (ISO/IEC 14496-12, Apple's QTFF).

It answers only where its answer provably equals ExifTool's: every box must be one that is known to be harmless or is
read here. Texts about the film are `film_texts.py`'s.
"""

from __future__ import annotations

import math
import re
import struct
from datetime import date, timedelta

from Src.Media.readers import film_texts
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.film_texts import Texts
from Src.Media.readers.iso_boxes import (
    PADDING,
    Box,
    IsoFile,
    boxes_in,
    demand_once,
    only_box,
    sample_entries,
)
from Src.Media.tags import Tags

# (`beam`: what WhatsApp adds)
_TOP = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"beam"})
_MOVIE = frozenset({b"mvhd", b"trak", b"udta", b"meta", b"iods", b"free", b"skip", b"wide"})
_TRACK = frozenset({b"tkhd", b"edts", b"mdia", b"tref", b"tapt", b"load", b"udta", b"meta", b"free", b"skip"})
_MEDIA = frozenset({b"mdhd", b"hdlr", b"minf", b"elng", b"free"})
_INFORMATION = frozenset({b"vmhd", b"smhd", b"hmhd", b"nmhd", b"sthd", b"gmhd", b"hdlr", b"dinf", b"stbl", b"free"})
_SAMPLES = frozenset(
    {
        b"stsd", b"stts", b"ctts", b"cslg", b"stsc", b"stsz", b"stz2", b"stco", b"co64", b"stss", b"stps", b"stsh",
        b"padb", b"stdp", b"sdtp", b"sbgp", b"sgpd", b"subs", b"saiz", b"saio", b"free",
    }
)  # fmt: skip
_MOST_TRACKS = 64

# Seconds from the epoch of these clocks, 1904, to that of Unix; a smaller number counts from 1970 already.
_EPOCH = (66 * 365 + 17) * 24 * 3600
_LATEST = 1 << 34  # seconds: beyond what Python and Perl write as dates alike
_FIRST_DAY = date(1970, 1, 1)
_EXACT = 1 << 53  # whole numbers that Perl keeps exact


def read_film(fd: int) -> FastAnswer:
    """The tags of a film. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    file = IsoFile(fd)
    movie = only_box(file.known_boxes(_TOP, needs_type=False), b"moov")
    if movie is None:
        raise Unusual("no table of contents")
    return FastAnswer(_Film(file.read(movie.start, movie.end)).tags())


class _Film:
    """The content of a `moov` box."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._tags: Tags = {}
        self._texts = Texts()
        self._handlers: list[tuple[bytes, int]] = []  # of each `hdlr`, in their order: type, number of its track
        self._angles: dict[int, float | None] = {}  # by the number of the track, from 1
        parts = boxes_in(data, 0, len(data), _MOVIE)
        demand_once(parts, (b"mvhd", b"udta", b"meta"))
        if not any(part.name == b"mvhd" for part in parts):
            raise Unusual("no header of the film")
        if sum(part.name == b"trak" for part in parts) > _MOST_TRACKS:
            raise Unusual("many tracks")
        tracks = 0
        for part in parts:
            if part.name == b"mvhd":
                self._movie_header(part)
            elif part.name == b"trak":
                tracks += 1
                self._track(part, tracks)
            elif part.name in (b"udta", b"meta"):
                self._about(part, 0)

    def tags(self) -> Tags:
        tags = {**self._tags, **self._texts.tags}
        angle = self._rotation()
        if angle is not None:
            tags["Composite:Rotation"] = f"{angle:.15g}"
        return tags

    def _about(self, box: Box, track: int) -> None:
        """Texts about the film or about one of its tracks."""
        if box.name == b"udta" and track:
            film_texts.demand_harmless(self._data, box)
            return
        read = film_texts.read_meta if box.name == b"meta" else film_texts.read_user_data
        handler = read(self._data, box, self._texts)
        if handler is not None:
            self._handler(handler, track)

    def _movie_header(self, box: Box) -> None:
        wide, data = self._version(box, 100), self._data
        created, _, scale, length = struct.unpack_from(">QQIQ" if wide else ">IIII", data, box.start + 4)
        if length >= _EXACT:
            raise Unusual("unknown duration")
        self._tags["QuickTime:CreateDate"] = _date(created)
        self._tags["Duration"] = f"{length / scale if scale else length:.15g}"

    def _track(self, box: Box, number: int) -> None:
        parts = boxes_in(self._data, box.start, box.end, _TRACK)
        demand_once(parts, _TRACK - PADDING)
        if not {part.name for part in parts} >= {b"tkhd", b"mdia"}:
            raise Unusual("track without a header")
        for part in parts:
            if part.name == b"tkhd":
                self._track_header(part, number)
            elif part.name == b"mdia":
                self._media(part, number)
            elif part.name in (b"udta", b"meta"):
                self._about(part, number)

    def _track_header(self, box: Box, number: int) -> None:
        at = box.start + (88 if self._version(box, 84) else 76)
        cosine, sine = (_fixed(value) for value in struct.unpack_from(">ii", self._data, at - 36))
        angle = math.atan2(sine, cosine) * 180 / 3.14159 if sine or cosine else None
        if angle is not None:
            angle = int((angle + 360 if angle < 0 else angle) * 1000 + 0.5) / 1000
        self._angles[number] = angle
        for side, value in zip(("Width", "Height"), struct.unpack_from(">II", self._data, at), strict=True):
            pixels = value >> 16 if value & 0xFFF00000 else value  # Pentax writes whole numbers
            if pixels:  # the first track that states it counts
                self._tags.setdefault(f"Image{side}", str(pixels))

    def _media(self, box: Box, track: int) -> None:
        parts = boxes_in(self._data, box.start, box.end, _MEDIA)
        if [part.name for part in parts if part.name in (b"mdhd", b"hdlr", b"minf")] != [b"mdhd", b"hdlr", b"minf"]:
            raise Unusual("order of boxes")
        for part in parts:
            if part.name == b"mdhd":
                created = struct.unpack_from(">Q" if self._version(part, 24) else ">I", self._data, part.start + 4)[0]
                self._tags["QuickTime:MediaCreateDate"] = _date(created)  # the last track's counts
            elif part.name == b"hdlr":
                self._handler(part, track)
        self._information(next(part for part in parts if part.name == b"minf"), track)

    def _information(self, box: Box, track: int) -> None:
        kind = self._handlers[-1][0]
        if kind in _DATA_HANDLERS:
            raise Unusual("handler of a track")
        parts = boxes_in(self._data, box.start, box.end, _INFORMATION)
        demand_once(parts, _INFORMATION - PADDING)
        for part in parts:
            if part.name == b"hdlr":
                self._handler(part, track)
                if self._handlers[-1][0] not in _DATA_HANDLERS:
                    raise Unusual("handler of a track")
            elif part.name == b"stbl":
                tables = boxes_in(self._data, part.start, part.end, _SAMPLES)
                demand_once(tables, (b"stsd",))
                for table in tables:
                    if table.name == b"stsd":
                        for entry in sample_entries(self._data, table):
                            if kind == b"vide":
                                self._picture(entry)

    def _handler(self, box: Box, track: int) -> None:
        content = self._data[box.start : box.end]
        if len(content) < 24:
            raise Unusual("box sizes")
        if not track and content[8:12] == b"vide":
            raise Unusual("handler of a track")
        self._handlers.append((content[8:12], track))
        self._say("HandlerDescription", content[24:])

    def _picture(self, entry: bytes) -> None:
        """How the pictures of a track are coded: their size is that of the pixels as stored."""
        if len(entry) < _ENTRY or _FOREIGN.search(entry) or _hidden_box(entry):
            raise Unusual("descriptions of samples")
        width, height = struct.unpack_from(">HH", entry, 32)
        self._tags["QuickTime:SourceImageWidth"] = str(width)
        self._tags["QuickTime:SourceImageHeight"] = str(height)
        self._say("CompressorName", entry[50:82])

    def _say(self, name: str, content: bytes) -> None:
        """Keeps a text that ends at its first NUL, be it Pascal's or C's; the last that is not empty counts."""
        text = content.partition(b"\0")[0]
        if text and text[0] < 0x20 and text[0] < len(text):
            text = text[1 : 1 + text[0]]
        if not text:
            return
        if not _ASCII.fullmatch(text):
            raise Unusual("text that is not ASCII")
        self._tags[f"QuickTime:{name}"] = text.decode("ascii")

    def _version(self, box: Box, least: int) -> bool:
        """Whether the box has times of 64 bits; it must be as long as it is then."""
        wide = self._data[box.start] == 1
        if self._data[box.start] > 1 or box.end - box.start < least + (12 if wide else 0):
            raise Unusual("version of a box")
        return wide

    def _rotation(self) -> float | None:
        """Of the track that ExifTool takes for the film's: the last handler's if it is for pictures, else the first."""
        order = [*self._handlers[-1:], *self._handlers[:-1]]
        return next((self._angles.get(track) for kind, track in order if kind == b"vide"), None)


_DATA_HANDLERS = (b"alis", b"url ")
_ENTRY = 86  # bytes of a description before the boxes in it
_ASCII = re.compile(rb"[\x01-\x7f]*")
# Canon's raw pictures have a size of their own there; what is encrypted may hide anything.
_FOREIGN = re.compile(rb"CMP1|CDI1|\A.{4}(?:encv|drmi)", re.DOTALL)
_MOST_IN_ENTRY = 32
_BOX_NAME = re.compile(rb"(?=[\w ]{4})", re.ASCII)


def _hidden_box(entry: bytes) -> bool:
    """Whether ExifTool, which looks for boxes at every byte of a description, finds some before they begin.

    Also where there are so many that to look would take long.
    """
    end = len(entry)
    for found in _BOX_NAME.finditer(entry, 12, _ENTRY + 3):
        at, boxes = found.start() - 4, 0
        while at + 8 <= end and _BOX_NAME.match(entry, at + 4):
            size, boxes = int.from_bytes(entry[at : at + 4], "big"), boxes + 1
            if at + size == end:
                return found.start() - 4 < _ENTRY
            if size < 8:
                break
            if boxes == _MOST_IN_ENTRY:
                return True
            at += size
    return False


def _date(seconds: int) -> str:
    """A time of the boxes as ExifTool writes it."""
    if seconds >= _LATEST:
        raise Unusual("date far in the future")
    seconds -= _EPOCH if seconds >= _EPOCH else 0
    if not seconds:
        return "0000:00:00 00:00:00"
    days, rest = divmod(seconds, 24 * 3600)
    day = _FIRST_DAY + timedelta(days=days)
    return f"{day:%Y:%m:%d} {rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def _fixed(value: int) -> float:
    """A number with 16 bits behind the point, with the digits that ExifTool keeps."""
    return int(value / 0x10000 * 1e5 + (0.5 if value > 0 else -0.5)) / 1e5
