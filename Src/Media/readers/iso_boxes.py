"""The boxes of an ISO media file (ISO/IEC 14496-12), walked strictly: what does not line up is Unusual.

`Media/isobmff.py` forgives, because it says whether a file is broken; here whatever ExifTool might forgive in another
way is handed over.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from Src.Media.readers.fast_answer import Unusual

# What describes a phone's picture, its EXIF too, mostly stands in these first bytes.
_HEAD = 64 * 1024
MOST_BYTES = 8 * 1024 * 1024  # of one box that is read: the table of contents of some hours of film
_MOST_TOP_BOXES = 64
_MOST_BOXES = 2048  # at one level: a picture of 200 megapixels has some hundred tiles

_MOST_ENTRIES = 16
_MOST_OF_ENTRIES = 64 * 1024

_HEADER = struct.Struct(">I4s")
# ExifTool knows what cameras hide in boxes of padding by a name in their first bytes.
_NAME_WITHIN = 16
_NAME = re.compile(rb"[A-Za-z ]{3}")
_ADVERTISED = b"IsoMedia File"  # what GPAC writes there
_NO_TRAILER = 16  # bytes: what cameras append is longer
PADDING = frozenset({b"free", b"skip"})
# Boxes in which ExifTool finds more than is read here: fragments, notes of makers, dates and places of other kinds.
_NAMED = frozenset(
    {
        b"moov", b"moof", b"mvex", b"uuid", b"meta", b"udta", b"xml ", b"mini", b"XMP_", b"date", b"loci", b"Xtra",
        b"----", b"GPMF", b"FIRM", b"NCDT", b"CNTH", b"CAME", b"TAGS", b"PANA", b"pnot", b"PICT", b"cmov",
        b"gps ", b"IDIT",
    }
)  # fmt: skip


class Box(NamedTuple):
    """A box: its type, where its content starts and where it ends."""

    name: bytes
    start: int
    end: int


class IsoFile:
    """An open file of boxes: its beginning in memory, the rest read as it is asked for."""

    def __init__(self, fd: int) -> None:
        self.size = os.fstat(fd).st_size
        self._fd = fd
        self._head = os.pread(fd, _HEAD, 0)

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two offsets, all of them."""
        if not 0 <= start <= end <= self.size or end - start > MOST_BYTES:
            raise Unusual("box too large")
        if end <= len(self._head):
            return self._head[start:end]
        data = os.pread(self._fd, end - start, start)
        if len(data) != end - start:
            raise Unusual("file changes")
        return data

    def boxes(self) -> Iterator[Box]:
        """The boxes of the file; the last of them, if it is media data, may have no size of its own."""
        start = 0
        for _ in range(_MOST_TOP_BOXES):
            if start + 8 > self.size:
                if start != self.size:
                    raise Unusual("bytes behind the last box")
                return
            header = self.read(start, min(start + 16, self.size))
            size, name = _HEADER.unpack_from(header)
            content = start + 8
            if size == 1:
                if len(header) < 16:
                    raise Unusual("box sizes")
                size, content = int.from_bytes(header[8:16], "big"), start + 16
            elif size == 0 and name == b"mdat":
                size = self.size - start
            elif size == 0 and start:
                return self._demand_padding(start)  # ExifTool, too, ends there
            end = start + size
            if end < content or end > self.size:
                raise Unusual("box sizes")
            yield Box(name, content, end)
            start = end
        raise Unusual("many boxes")

    def known_boxes(self, known: Collection[bytes], *, needs_type: bool) -> Iterator[Box]:
        """The boxes of the file but its padding, each of a known type. `needs_type`: the first must be `ftyp`, which
        may be missing else, and stands nowhere else."""
        for number, box in enumerate(self.boxes()):
            is_first, is_type = number == 0, box.name == b"ftyp"
            if box.name not in known or (is_type and not is_first) or (needs_type and is_first and not is_type):
                raise unknown_box(box.name)
            if box.name in PADDING:
                self._demand_nameless(box)
            else:
                yield box

    def _demand_padding(self, start: int) -> None:
        """Raises Unusual where the rest of the file may be something that a camera has appended."""
        rest = self.read(start, min(self.size, start + _HEAD))
        if start + len(rest) < self.size or (len(rest) > _NO_TRAILER and rest.strip(b"\0")):
            raise Unusual("bytes behind the last box")

    def _demand_nameless(self, box: Box) -> None:
        """Raises Unusual where padding has content: some cameras put their metadata there."""
        start = self.read(box.start, min(box.end, box.start + _NAME_WITHIN))
        if _NAME.search(start) and not start.startswith(_ADVERTISED):
            raise Unusual("padding with content")


def boxes_in(data: bytes, start: int, end: int, known: Collection[bytes]) -> list[Box]:
    """The boxes that fill `data[start:end]`, each of a known type; QuickTime may end them with zeros."""
    found: list[Box] = []
    while start + 8 <= end:
        size, name = _HEADER.unpack_from(data, start)
        if name not in known:
            raise unknown_box(name)
        if size < 8 or start + size > end:
            raise Unusual("box sizes")
        if len(found) >= _MOST_BOXES:
            raise Unusual("many boxes")
        found.append(Box(name, start + 8, start + size))
        start += size
    if data[start:end].strip(b"\0"):
        raise Unusual("bytes behind the last box")
    return found


def sample_entries(data: bytes, box: Box) -> list[bytes]:
    """The descriptions in an `stsd` (14496-12, 8.5.2), their sizes and types before them.

    ExifTool believes their number, however few bytes there are for them, and looks for boxes at each of the bytes.
    """
    count, at = int.from_bytes(data[box.start + 4 : box.start + 8], "big"), box.start + 8
    if not 1 <= count <= _MOST_ENTRIES or box.end - box.start > _MOST_OF_ENTRIES:
        raise Unusual("descriptions of samples")
    entries = []
    for _ in range(count):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 16 or at + size > box.end:
            raise Unusual("descriptions of samples")
        entries.append(data[at : at + size])
        at += size
    if data[at : box.end].strip(b"\0"):
        raise Unusual("descriptions of samples")
    return entries


def unknown_box(name: bytes) -> Unusual:
    """The reason that names a box, if it is a known one; files could have any other."""
    return Unusual(f"box {name.decode('ascii')}" if name in _NAMED else "box of unknown type")


def only_box(boxes: Iterable[Box], name: bytes) -> Box | None:
    """The one box of this type. Raises Unusual where there are two."""
    found = [box for box in boxes if box.name == name]
    demand_once(found, (name,))
    return found[0] if found else None


def demand_once(boxes: Collection[Box], names: Collection[bytes]) -> None:
    """Raises Unusual where a box of one of these types stands twice."""
    found = [box.name for box in boxes if box.name in names]
    if len(found) != len(set(found)):
        raise Unusual("doubled box")
