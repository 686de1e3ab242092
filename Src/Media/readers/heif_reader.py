"""The fast reader for pictures in HEIF (ISO/IEC 23008-12): HEIC, HEIF, AVIF.

It answers only where its answer provably equals ExifTool's. ExifTool takes a picture's metadata from its items, by
their type, and its size and rotation from the properties in the order in which they stand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from Src.Media.readers.exif_reader import read_exif
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.iso_boxes import PADDING, Box, IsoFile, boxes_in, demand_once, only_box
from Src.Media.readers.xmp_reader import read_xmp, says_anything
from Src.Media.tags import Tags

# `mpvd` is the film of Samsung's motion photos, `sefd` what else it appends: no date, place or camera.
_FILM = b"mpvd"
_TOP = frozenset({b"ftyp", b"meta", b"mdat", b"free", b"skip", b"wide", _FILM, b"sefd"})
_META = frozenset({b"hdlr", b"dinf", b"pitm", b"iinf", b"iref", b"iprp", b"iloc", b"idat", b"grpl", b"free"})
_NEEDED = frozenset({b"hdlr", b"pitm", b"iinf", b"iprp", b"iloc"})
_REFERENCES = frozenset(
    {
        b"dimg",
        b"thmb",
        b"auxl",
        b"cdsc",
        b"base",
        b"prem",
        b"exbl",
        b"tbas",
        b"dpnd",
        b"eroi",
        b"evir",
        b"mask",
        b"pred",
    }
)
# Those of ISO/IEC 23008-12, AV1-ISOBMFF and Apple's; none but `ispe` and `irot` says anything that we keep.
_PROPERTIES = frozenset(
    {
        b"ispe", b"irot", b"imir", b"colr", b"pixi", b"auxC", b"pasp", b"rloc", b"clap", b"hvcC", b"av1C", b"avcC",
        b"lhvC", b"vvcC", b"j2kH", b"jpgC", b"clli", b"mdcv", b"cclv", b"amve", b"lsel", b"a1op", b"a1lx", b"iscl",
        b"udes", b"altt", b"cmin", b"cmex", b"rref", b"crtt", b"mdft", b"free",
    }
)  # fmt: skip
_XMP = b"application/rdf+xml"
# What XMP about another image than the primary one (a gain map, a depth map) must not speak of: ExifTool would mix it
# with what the primary one says.
_OF_THE_PHOTO = (b"Date", b"GPS", b"Make", b"Model", b"Rating", b"Orientation")


@dataclass(slots=True)
class _Item:
    kind: bytes
    is_plain: bool = True  # neither encoded nor protected
    place: tuple[int, int] | None = None  # in the file, if it stands there in one piece
    describes: set[int] = field(default_factory=set)


def read_heif(fd: int) -> FastAnswer:
    """The tags of a picture. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    file = IsoFile(fd)
    boxes = list(file.known_boxes(_TOP, needs_type=True))
    meta = only_box(boxes, b"meta")
    if meta is None:
        raise Unusual("no description of pictures")
    answer = _Picture(file, file.read(meta.start, meta.end)).answer()
    if any(box.name == _FILM for box in boxes):
        answer.tags["QuickTime:MotionPhotoVideo"] = ""  # (ExifTool says how large it is)
    return answer


class _Picture:
    """The content of a `meta` box."""

    def __init__(self, file: IsoFile, data: bytes) -> None:
        self._file, self._data = file, data
        if data[:4] != bytes(4):
            raise Unusual("version of a box")
        found = boxes_in(data, 4, len(data), _META)
        demand_once(found, _META - PADDING)
        parts = {box.name: box for box in found}
        if not parts.keys() >= _NEEDED:
            raise Unusual("no description of pictures")
        self._primary = self._primary_item(parts[b"pitm"])
        self._items = dict(self._item_infos(parts[b"iinf"]))
        self._locate(parts[b"iloc"])
        if b"iref" in parts:
            self._relate(parts[b"iref"])
        self._properties = parts[b"iprp"]

    def answer(self) -> FastAnswer:
        tags: Tags = {}
        exif = [item for item in self._items.values() if item.kind == b"Exif"]
        packets = [item for item in self._items.values() if item.kind == _XMP]
        own = [item for item in packets if self._is_of_primary(item)]
        if len(exif) > 1 or len(own) > 1 or not all(self._is_of_primary(item) for item in exif):
            raise Unusual("doubled metadata")
        other_dates = next((read_exif(self._tiff(item), tags, in_jpeg=False) for item in exif), None)
        for item in packets:
            packet = self._content(item)
            if item in own:
                other_dates = read_xmp(packet, tags) or other_dates
            elif (
                b"\0" in packet
                or b"<!" in packet
                or any(word in packet for word in _OF_THE_PHOTO)
                or says_anything(packet)
            ):
                raise Unusual("XMP about another image")
        self._read_properties(tags)
        return FastAnswer(tags, other_dates)

    def _is_of_primary(self, item: _Item) -> bool:
        return not item.describes or self._primary in item.describes

    def _content(self, item: _Item) -> bytes:
        if item.place is None or not item.is_plain:
            raise Unusual("metadata stored in an unusual way")
        return self._file.read(*item.place)

    def _tiff(self, item: _Item) -> bytes:
        content = self._content(item)
        before = {b"\0\0\0\0": b"", b"\0\0\0\x06": b"Exif\0\0"}.get(content[:4])
        if before is None or not content.startswith(before, 4):
            raise Unusual("header of EXIF")
        return content[4 + len(before) :]

    # -- the boxes --------------------------------------------------------------------------------------------------

    def _primary_item(self, box: Box) -> int:
        version, size = self._data[box.start], box.end - box.start
        if (version, size) not in ((0, 6), (1, 8)):
            raise Unusual("version of a box")
        return int.from_bytes(self._data[box.start + 4 : box.end], "big")

    def _item_infos(self, box: Box) -> Iterator[tuple[int, _Item]]:
        data, start = self._data, box.start
        wide = data[start] != 0
        content = start + (8 if wide else 6)
        if content > box.end:
            raise Unusual("box sizes")
        entries = boxes_in(data, content, box.end, {b"infe"})
        if len(entries) != int.from_bytes(data[start + 4 : content], "big"):
            raise Unusual("count of items")
        seen: set[int] = set()
        for entry in entries:
            number, item = self._item_info(data[entry.start : entry.end])
            if number in seen:
                raise Unusual("doubled item")
            seen.add(number)
            yield number, item

    def _item_info(self, data: bytes) -> tuple[int, _Item]:
        wide = {2: 2, 3: 4}.get(data[0] if data else 0)
        if wide is None or len(data) < 4 + wide + 6:
            raise Unusual("version of a box")
        number = int.from_bytes(data[4 : 4 + wide], "big")
        protection, kind = struct.unpack_from(">H4s", data, 4 + wide)
        texts = data[10 + wide :].split(b"\0")  # the item's name, and of a file in it: its type and its coding
        coded = False
        if kind == b"mime":
            kind = texts[1] if len(texts) > 1 else b""
            coded = len(texts) > 2 and texts[2] != b""
        return number, _Item(kind, protection == 0 and not coded)

    def _locate(self, box: Box) -> None:
        """Where the items stand (14496-12, 8.11.3). Only those in one piece of this file have a place."""
        reader = _Numbers(self._data, box.start, box.end)
        version = reader.next(1)
        reader.next(3)
        widths = reader.next(2)
        of_offset, of_length, of_base, of_index = (widths >> shift & 15 for shift in (12, 8, 4, 0))
        if version > 2 or not {of_offset, of_length, of_base} <= {0, 4, 8} or of_index not in (0, 4, 8):
            raise Unusual("version of a box")
        seen: set[int] = set()
        for _ in range(reader.next(2 if version < 2 else 4)):
            number = reader.next(2 if version < 2 else 4)
            method = reader.next(2) & 15 if version else 0
            elsewhere = reader.next(2)
            base = reader.next(of_base)
            extents = []
            for _ in range(reader.next(2)):
                if version:
                    reader.next(of_index)
                extents.append((base + reader.next(of_offset), reader.next(of_length)))
            if number in seen:
                raise Unusual("doubled item")
            seen.add(number)
            item = self._items.get(number)
            if item is not None and not method and not elsewhere and len(extents) == 1 and extents[0][1]:
                start, length = extents[0]
                item.place = (start, start + length)

    def _relate(self, box: Box) -> None:
        data = self._data
        wide = 4 if data[box.start] else 2
        for reference in boxes_in(data, box.start + 4, box.end, _REFERENCES):
            if reference.name != b"cdsc":
                continue
            reader = _Numbers(data, reference.start, reference.end)
            number, count = reader.next(wide), reader.next(2)
            if reference.end - reference.start != 2 + wide * (1 + count) or number not in self._items:
                raise Unusual("references between items")
            self._items[number].describes.update(reader.next(wide) for _ in range(count))

    def _read_properties(self, tags: Tags) -> None:
        data, box = self._data, self._properties
        found = boxes_in(data, box.start, box.end, {b"ipco", b"ipma"})
        demand_once(found, {b"ipco", b"ipma"})
        if len(found) != 2:
            raise Unusual("properties")
        parts = {part.name: part for part in found}
        users = self._users(parts[b"ipma"])
        sizes, turns = [], []
        for index, prop in enumerate(boxes_in(data, *parts[b"ipco"][1:], _PROPERTIES), start=1):
            value = data[prop.start : prop.end]
            if prop.name == b"ispe":
                if len(value) != 12 or value[:4] != bytes(4) or index not in users:
                    raise Unusual("size of an image")
                if self._primary in users[index]:
                    sizes.append(struct.unpack_from(">II", value, 4))
            elif prop.name == b"irot":
                if len(value) != 1:
                    raise Unusual("rotation of an image")
                turns.append(value[0])
        if len(set(sizes)) != 1:
            raise Unusual("size of an image")
        if len(set(turns)) > 1:  # ExifTool takes a rotation of any image for the picture's
            raise Unusual("rotations of several images")
        tags["ImageWidth"], tags["ImageHeight"] = (str(side) for side in sizes[0])
        if turns:
            tags["QuickTime:Rotation"] = str(turns[0] * 90)

    def _users(self, box: Box) -> dict[int, set[int]]:
        """Which items have each property, by its number from 1 (23008-12, 9.3)."""
        reader = _Numbers(self._data, box.start, box.end)
        version, flags = reader.next(1), reader.next(3)
        wide = 2 if flags & 1 else 1
        users: dict[int, set[int]] = {}
        seen: set[int] = set()
        for _ in range(reader.next(4)):
            number = reader.next(4 if version else 2)
            item = self._items.get(number)
            if number in seen or item is None or item.describes:
                raise Unusual("properties")
            seen.add(number)
            for _ in range(reader.next(1)):
                index = reader.next(wide) & (0x7FFF if wide == 2 else 0x7F)
                users.setdefault(index, set()).add(number)
        return users


class _Numbers:
    """Whole numbers that follow each other, big-endian."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data, self._at, self._end = data, start, end

    def next(self, size: int) -> int:
        """The next of so many bytes; 0 where there are none."""
        at = self._at
        self._at = end = at + size
        if end > self._end:
            raise Unusual("box sizes")
        return int.from_bytes(self._data[at:end], "big")
