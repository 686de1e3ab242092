"""How an ISO media file or QuickTime film is built (ISO/IEC 14496-12): boxes, its tracks, whether it is whole."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

MOST_BOXES = 4096  # at one level: far more than any film has, but for the fragments of a very long one
_MOST_TRACKS = 64


class Box(NamedTuple):
    """A box: its type, where its content starts, where it ends, and where it says that it ends."""

    name: bytes
    start: int
    end: int
    stated_end: int


def boxes(fd: int, start: int, end: int) -> Iterator[Box]:
    """The boxes between two offsets. The last may state an end beyond `end`: the file is cut there."""
    for _ in range(MOST_BOXES):
        if start + 8 > end:
            return
        header = os.pread(fd, 16, start)
        if len(header) < 8:
            return
        size, name = struct.unpack(">I4s", header[:8])
        content = start + 8
        if size == 1:
            if len(header) < 16:
                return
            size = int.from_bytes(header[8:16], "big")
            content = start + 16
        elif size == 0:  # to the end of what it stands in
            size = end - start
        if size < content - start:
            return
        yield Box(name, content, min(start + size, end), start + size)
        start += size


def is_text(size: bytes) -> bool:
    """Whether four bytes that should be a box's size are letters."""
    return all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in size)


def has_only_sound(fd: int) -> bool:
    """Whether a film's tracks are known and none of them is one to look at."""
    handlers = list(_handlers(fd))
    return b"soun" in handlers and not any(handler in (b"vide", b"pict", b"auxv") for handler in handlers)


def _handlers(fd: int) -> Iterator[bytes]:
    """The handler type of each track."""
    for movie in boxes(fd, 0, os.fstat(fd).st_size):
        if movie.name != b"moov":
            continue
        for number, track in enumerate(boxes(fd, movie.start, movie.end)):
            if number > _MOST_TRACKS:
                return
            if track.name == b"trak":
                yield from _handler_of(fd, track)
        return


def _handler_of(fd: int, track: Box) -> Iterator[bytes]:
    for media in boxes(fd, track.start, track.end):
        if media.name == b"mdia":
            for part in boxes(fd, media.start, media.end):
                if part.name == b"hdlr":
                    yield os.pread(fd, 4, part.start + 8)
                    return


# What films and pictures are made of. What cameras append is no box; only these can be cut.
_FRAMEWORK = frozenset(
    (
        b"ftyp",
        b"moov",
        b"mdat",
        b"moof",
        b"mfra",
        b"free",
        b"skip",
        b"wide",
        b"uuid",
        b"meta",
        b"sidx",
        b"udta",
        b"jxlc",
        b"jxlp",
    )
)


def film_damage(fd: int) -> str | None:
    """Why a film is broken: it must have its table of contents (`moov`) and all the data that boxes state."""
    size = os.fstat(fd).st_size
    damage, described = None, False
    for box in boxes(fd, 0, size):
        described = described or box.name == b"moov"
        damage = damage or _cut(box, size)
    if not described:
        return "the film has no table of contents (moov): its recording was not finished, or the file is cut short"
    return damage


def image_damage(fd: int) -> str | None:
    """Why a picture of this family is broken: it must have its `meta` box and all the data that boxes state."""
    size = os.fstat(fd).st_size
    damage, described = None, False
    for box in boxes(fd, 0, size):
        described = described or box.name in (b"meta", b"moov")
        damage = damage or _cut(box, size)
    return damage or (None if described else "the file is cut short: it has no description of its pictures (meta)")


def cut(fd: int) -> str | None:
    """Why a JPEG XL is broken: whether its last box states more than there is. (One without boxes is not looked at.)"""
    size = os.fstat(fd).st_size
    if os.pread(fd, 8, 0)[4:] != b"JXL ":
        return None
    return next((reason for box in boxes(fd, 0, size) if (reason := _cut(box, size)) is not None), None)


def packed_metadata(fd: int) -> bool:
    """Whether a JPEG XL has EXIF or XMP that is compressed by Brotli (ISO/IEC 18181-2, `brob`)."""
    if os.pread(fd, 8, 0)[4:] != b"JXL ":
        return False
    packed = (box for box in boxes(fd, 0, os.fstat(fd).st_size) if box.name == b"brob")
    return any(os.pread(fd, 4, box.start) in (b"Exif", b"xml ") for box in packed)


def _cut(box: Box, size: int) -> str | None:
    if box.stated_end <= size or box.name not in _FRAMEWORK:
        return None
    return f"the file is cut short: its {box.name.decode()} box states {box.stated_end - size:,} bytes more"
