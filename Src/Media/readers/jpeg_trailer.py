"""What stands behind the picture of a JPEG: trailers that ExifTool reads tags from."""

from __future__ import annotations

import os
import struct

from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.file_trailer import check_no_trailer
from Src.Media.tags import Tags

_SAMSUNG = b"\0\0SEFT"
_ENTRY = struct.Struct("<2xHII")
_FILM = 0x0A30  # the kind of an entry
_LONGEST_NAME = 100


def read_trailer(fd: int, size: int, tags: Tags) -> None:
    """Adds what Samsung's trailer says of a film in it. Raises Unusual where ExifTool would read other tags from behind
    the picture; `size`: the file's, in bytes.

    What phones append without a trailer (motion photos) has no tags. ExifTool looks for another trailer before
    Samsung's.
    """
    is_samsungs = os.pread(fd, len(_SAMSUNG), size - len(_SAMSUNG)) == _SAMSUNG
    check_no_trailer(fd, _start_of_samsungs(fd, size, tags) if is_samsungs else size)


def _start_of_samsungs(fd: int, size: int, tags: Tags) -> int:
    """Where the data of the trailer begin: "SEFH", version, count, entries, length of all that, "SEFT" stand at the
    end; each entry says how far before them its data begin, and their length."""
    length = int.from_bytes(os.pread(fd, 4, size - 8), "little")
    directory = size - 8 - length
    if not 12 <= length < 0x10000 or directory <= 0:
        raise Unusual("trailer SEFT of odd form")
    head = os.pread(fd, length, directory)
    count = int.from_bytes(head[8:12], "little")
    if not head.startswith(b"SEFH") or 12 + 12 * count > len(head):
        raise Unusual("trailer SEFT of odd form")
    farthest = 0
    for kind, distance, long in _ENTRY.iter_unpack(head[12 : 12 + 12 * count]):
        if distance > directory or not 8 <= long <= distance:
            raise Unusual("trailer SEFT of odd form")
        if kind == _FILM:
            if "MakerNotes:EmbeddedVideoType" in tags:
                raise Unusual("trailer SEFT of odd form")
            tags["MakerNotes:EmbeddedVideoType"] = _name(
                os.pread(fd, min(long, 8 + _LONGEST_NAME), directory - distance)
            )
        farthest = max(farthest, distance)
    return directory - farthest


def _name(data: bytes) -> str:
    """The name at the beginning of an entry's data: behind four bytes and its length."""
    length = int.from_bytes(data[4:8], "little")
    name = data[8 : 8 + length]
    if not 0 < length <= _LONGEST_NAME or len(name) != length or not (name.isascii() and name.decode().isprintable()):
        raise Unusual("trailer SEFT of odd form")
    return name.decode("ascii")
