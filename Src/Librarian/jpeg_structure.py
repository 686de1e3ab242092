"""How a JPEG is built (ITU-T T.81, annex B): its segments up to the picture data, and whether it has an end."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from Src.Librarian.fingerprint import NotARegularFile, open_regular

# Headers of a camera's JPEG, thumbnail and all, are rarely longer; what is longer takes a second read.
HEAD = 64 * 1024
MAX_HEAD = 4 * 1024 * 1024
NEAR_TAIL = 4 * 1024
FAR_TAIL = 1024 * 1024

CUT_SHORT = "JPEG has no end: the file is cut short"
END_OF_IMAGE = b"\xff\xd9"


class Unusual(Exception):
    """Something whose reading by ExifTool is not known for sure: hand over."""


Segment = tuple[int, int, int]  # marker, where its data starts and where it ends


class Head:
    """The bytes of a file from its start on, read as far as they are asked for."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.data = os.pread(fd, HEAD, 0)

    def reach(self, end: int) -> bool:
        """Whether the file has `end` bytes (and that is not absurdly far); they are in `data` then."""
        if len(self.data) < end <= MAX_HEAD:
            self.data += os.pread(self.fd, max(end - len(self.data), HEAD), len(self.data))
        return len(self.data) >= end


def segments(head: Head) -> Iterator[Segment]:
    """The segments up to and including the start of the first scan; Unusual where they do not line up."""
    if not head.reach(4) or head.data[:2] != b"\xff\xd8":
        raise Unusual
    position = 2
    while True:
        if not head.reach(position + 4):
            raise Unusual
        prefix, marker, length = struct.unpack_from(">BBH", head.data, position)
        # No padding, no markers without a length: cameras write neither before the scan.
        if prefix != 0xFF or not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xD9 or length < 2:
            raise Unusual
        end = position + 2 + length
        if not head.reach(end):
            raise Unusual
        yield marker, position + 4, end
        if marker == 0xDA:
            return
        position = end


def jpeg_damage(path: str) -> str | None:
    """Why the JPEG at `path` is broken, or None: it must have an end-of-image marker after its first scan.

    Looked for from the end of the file, for phones append videos. The compressed data itself can not hold
    the two bytes FF D9; a trailer can, so a cut one passes.
    """
    try:
        fd = open_regular(path)
    except (OSError, NotARegularFile):
        return None  # unreadable is not broken: whoever needs the bytes will say so
    try:
        return None if has_end(fd, _scan_start(fd)) else CUT_SHORT
    except OSError:
        return None
    finally:
        os.close(fd)


def _scan_start(fd: int) -> int:
    """Where the first scan's data starts; where the segments do not line up, the place they end at."""
    start = 2
    try:
        for _, _, end in segments(Head(fd)):
            start = end
    except Unusual:
        pass
    return start


def has_end(fd: int, start: int) -> bool:
    size = os.fstat(fd).st_size
    for span in (NEAR_TAIL, FAR_TAIL):
        begin = max(start, size - span)
        if begin < size and END_OF_IMAGE in os.pread(fd, size - begin, begin):
            return True
    return False
