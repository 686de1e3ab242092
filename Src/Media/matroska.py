"""How a Matroska or WebM file is built (RFC 8794, RFC 9559): elements, its tracks, whether it is whole."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

EBML = 0x1A45DFA3
_DOC_TYPE = 0x4282
_SEGMENT, _INFO, _TRACKS, _TRACK, _TRACK_TYPE = 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0x83
_CLUSTER, _SCALE, _DURATION = 0x1F43B675, 0x2AD7B1, 0x4489
_VIDEO = 1
_MOST_ELEMENTS = 4096  # at one level; clusters of a long film are many, but none is looked into
_MOST_TEXT = 64


class Element(NamedTuple):
    """An element: its id, where its content starts, where it ends, and where it says so (None: it does not)."""

    id: int
    start: int
    end: int
    stated_end: int | None


def doc_type(fd: int) -> str | None:
    """`matroska`, `webm`, or what else the header says; None: it is no EBML file."""
    size = os.fstat(fd).st_size
    header = next(_elements(fd, 0, size), None)
    if header is None or header.id != EBML:
        return None
    for element in _elements(fd, header.start, header.end):
        if element.id == _DOC_TYPE:
            text = os.pread(fd, min(element.end - element.start, _MOST_TEXT), element.start)
            return text.partition(b"\0")[0].decode("latin-1")
    return None


def has_only_sound(fd: int) -> bool:
    """Whether its tracks are known and none of them is one to look at."""
    types: list[int] = []
    for element in _parts(fd):
        if element.id == _CLUSTER:
            break
        if element.id == _TRACKS:
            for track in _elements(fd, element.start, element.end):
                if track.id == _TRACK:
                    types += [
                        _number(fd, part) for part in _elements(fd, track.start, track.end) if part.id == _TRACK_TYPE
                    ]
            break
    return bool(types) and _VIDEO not in types


class Film(NamedTuple):
    """What the elements of a film say."""

    damage: str | None
    duration: float | None
    """Seconds."""


def examine(fd: int) -> Film:
    """Whether all the data that elements state is there, and how long the film is."""
    size = os.fstat(fd).st_size
    segment = _segment(fd)
    if segment is None:
        return Film("the file is cut short: it has no content behind its header", None)
    duration: float | None = None
    known, missing = False, 0
    for element in _elements(fd, segment.start, segment.end):
        known = True
        if element.id == _INFO:
            duration = _duration(fd, element)
        if element.stated_end is not None:
            missing = max(missing, element.stated_end - size)
        if segment.stated_end is not None and element.id == _CLUSTER:
            break  # the segment itself says how long it is
    if segment.stated_end is not None:
        missing = max(missing, segment.stated_end - size)
    if missing > 0:
        return Film(f"the file is cut short: {missing:,} bytes are missing", duration)
    return Film(None if known else "the file is cut short: its segment is empty", duration)


def _duration(fd: int, info: Element) -> float | None:
    scale, units = 1_000_000, None
    for element in _elements(fd, info.start, info.end):
        if element.id == _SCALE:
            scale = _number(fd, element)
        elif element.id == _DURATION:
            data = os.pread(fd, 8, element.start)[: element.end - element.start]
            if len(data) in (4, 8):
                (units,) = struct.unpack(">f" if len(data) == 4 else ">d", data)
    return units * scale / 1e9 if units is not None and 0 < units < 1e15 else None


def _number(fd: int, element: Element) -> int:
    return int.from_bytes(os.pread(fd, min(8, element.end - element.start), element.start), "big")


def _segment(fd: int) -> Element | None:
    for element in _elements(fd, 0, os.fstat(fd).st_size):
        if element.id == _SEGMENT:
            return element
    return None


def _parts(fd: int) -> Iterator[Element]:
    segment = _segment(fd)
    return _elements(fd, segment.start, segment.end) if segment is not None else iter(())


def _elements(fd: int, start: int, end: int) -> Iterator[Element]:
    """The elements between two offsets; after one of unknown size (a live recording's) there is no next."""
    for _ in range(_MOST_ELEMENTS):
        if start >= end:
            return
        header = os.pread(fd, 12, start)
        id_length = _length(header[:1], 4)
        if id_length is None:
            return
        size_length = _length(header[id_length : id_length + 1], 8)
        content = start + id_length + (size_length or 0)
        if size_length is None or len(header) < id_length + size_length:
            return
        size = int.from_bytes(header[id_length : id_length + size_length], "big") & ((1 << 7 * size_length) - 1)
        unknown = size == (1 << 7 * size_length) - 1
        stated = None if unknown else content + size
        yield Element(
            int.from_bytes(header[:id_length], "big"), content, end if stated is None else min(stated, end), stated
        )
        if stated is None:
            return
        start = stated


def _length(first: bytes, most: int) -> int | None:
    """How many bytes a number of variable length has, by its first one."""
    if not first or first[0] == 0:
        return None
    length = 9 - first[0].bit_length()
    return length if length <= most else None
