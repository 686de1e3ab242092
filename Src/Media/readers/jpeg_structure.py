"""How a JPEG is built (ITU-T T.81, annex B): its segments up to the picture data, and whether it has an end."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from Src.Media.readers.fast_answer import Unusual
from Src.Shared.disk.files import NotARegularFile, OpenFile, reading

# Headers of a camera's JPEG, thumbnail and all, are rarely longer; what is longer takes a second read.
HEAD = 64 * 1024
MAX_HEAD = 4 * 1024 * 1024
NEAR_TAIL = 4 * 1024
FAR_TAIL = 1024 * 1024
_CHUNK = 1024 * 1024
_MOST_DECODED = 64 * 1024 * 1024
_MOST_PIXELS = 120_000_000
# The decoder wants to see so much behind the last block, and no more: what is missing in earnest it does not replace.
_LOOKED_AHEAD = bytes(8)

CUT_SHORT = "JPEG has no end: the file is cut short"
END_OF_IMAGE = b"\xff\xd9"


Segment = tuple[int, int, int]  # marker, where its data starts and where it ends


class Head:
    """The bytes of a file from its start on (or that of a JPEG in it), read as far as they are asked for."""

    def __init__(self, fd: int, start: int = 0) -> None:
        self.fd, self._start = fd, start
        self.data = os.pread(fd, HEAD, start)

    def reach(self, end: int) -> bool:
        """Whether the file has `end` bytes (and that is not absurdly far); they are in `data` then."""
        if len(self.data) < end <= MAX_HEAD:
            # As much again, up to the most: headers of megabytes are not copied once more for each segment.
            more = max(end - len(self.data), min(len(self.data), MAX_HEAD - len(self.data)))
            self.data += os.pread(self.fd, more, self._start + len(self.data))
        return len(self.data) >= end


def segments(head: Head) -> Iterator[Segment]:
    """The segments up to and including the start of the first scan; Unusual where they do not line up."""
    if not head.reach(4) or head.data[:2] != b"\xff\xd8":
        raise Unusual("no start of a JPEG")
    position = 2
    while True:
        if not head.reach(position + 4):
            raise Unusual("ends in its headers")
        prefix, marker, length = struct.unpack_from(">BBH", head.data, position)
        if prefix == marker == 0xFF:  # may fill the space before a marker (B.1.1.2)
            position += 1
            continue
        # No other padding, no markers without a length: cameras write neither before the scan.
        if prefix != 0xFF or not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xD9 or length < 2:
            raise Unusual("padding between segments")
        end = position + 2 + length
        if not head.reach(end):
            raise Unusual("ends in its headers")
        yield marker, position + 4, end
        if marker == 0xDA:
            return
        position = end


def jpeg_damage(file: str | OpenFile) -> str | None:
    """Why a JPEG is broken, or None.

    A JPEG has an end-of-image marker behind its first scan; the compressed data itself can not hold these two bytes.
    It is looked for from the end of the file, for phones append videos. Some phones leave the marker out, and copies
    may be padded with zeros: where there is none, the picture itself must be complete.
    """
    try:
        with reading(file) as fd:
            start = _scan_start(fd)
            whole = has_end(fd, start) or _ends_anywhere(fd, start) or _is_complete(fd, start)
            return None if whole else CUT_SHORT
    except (OSError, NotARegularFile):
        return None  # unreadable is not broken: whoever needs the bytes will say so


def _ends_anywhere(fd: int, start: int) -> bool:
    before = b""
    for position in range(start, os.fstat(fd).st_size, _CHUNK):
        data = os.pread(fd, _CHUNK, position)
        if END_OF_IMAGE in before + data:
            return True
        before = data[-1:]
    return False


def _is_complete(fd: int, start: int) -> bool:
    """Whether a JPEG without its end can be decoded to the last line, without the zeros it may be padded with."""
    end = os.fstat(fd).st_size
    while end > start:
        begin = max(start, end - _CHUNK)
        data = os.pread(fd, end - begin, begin).rstrip(b"\0")
        if data:
            end = begin + len(data)
            break
        end = begin
    if not start < end <= _MOST_DECODED:
        return False
    try:
        with Image.open(BytesIO(os.pread(fd, end, 0) + _LOOKED_AHEAD), formats=("JPEG",)) as image:
            if image.width * image.height > _MOST_PIXELS:
                return False
            image.draft("L", (image.width // 8, image.height // 8))
            image.load()
    except Exception:  # Pillow raises nearly anything at broken files
        return False
    return True


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
