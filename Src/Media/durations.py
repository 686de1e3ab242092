"""How long a film is, where ExifTool only estimates it: MPEG program streams, Ogg."""

from __future__ import annotations

import os
import re
import struct

_ENDS = 2 * 1024 * 1024  # bytes of a stream that are looked at, at its beginning and at its end
_LONGEST = 7 * 24 * 3600.0  # seconds; what seems longer is no duration

# Program streams (ISO/IEC 11172-1, 13818-1)

# A packet of pictures, the beginning of a group of pictures, or of one, as they follow each other.
_TOKEN = re.compile(rb"\0\0\x01(?:[\xe0-\xef]|\xb8|\x00(..))", re.DOTALL)
_GROUP = 0xB8
_SEQUENCE = re.compile(rb"\0\0\x01\xb3...(.)", re.DOTALL)
_RATES = (24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60000 / 1001, 60)  # pictures a second, by their number from 1


def of_program_stream(fd: int) -> float | None:
    """Seconds from the first picture to the end of the last."""
    size = os.fstat(fd).st_size
    start = os.pread(fd, _ENDS, 0)
    rate = _SEQUENCE.search(start)
    if rate is None or not 1 <= rate[1][0] & 0x0F <= len(_RATES):
        return None
    picture = 1 / _RATES[(rate[1][0] & 0x0F) - 1]
    head = _shown(start, picture)
    tail = _shown(os.pread(fd, _ENDS, max(0, size - _ENDS)), picture)
    # (where recordings were joined, the clock begins anew: what ends before it begins is not known)
    return _sound(max(tail) - min(head) + picture) if head and tail else None


def _shown(data: bytes, picture: float) -> list[float]:
    """When the pictures of a piece of a stream are shown, as far as that can be told.

    Few packets state a time; a picture states its number in its group.
    """
    shown: list[float] = []
    group: float | None = None  # when the group's first picture is shown
    stated: int | None = None
    for found in _TOKEN.finditer(data):
        if found[1] is not None:
            number = int.from_bytes(found[1], "big") >> 6
            if stated is not None:
                group, stated = stated / 90_000 - number * picture, None
            if group is not None:
                shown.append(group + number * picture)
        elif data[found.end() - 1] == _GROUP:
            group = max(shown) + picture if shown else None
        elif (time := _time_of(data, found.end() + 2)) is not None:
            stated = time
    return shown


def _time_of(data: bytes, at: int) -> int | None:
    """The time that a packet states, in 90,000ths of a second."""
    if data[at : at + 1] and data[at] & 0xC0 == 0x80:  # of 13818-1
        at = at + 3 if len(data) > at + 1 and data[at + 1] & 0x80 else len(data)
    else:  # of 11172-1: stuffing, then perhaps the size of a buffer
        while data[at : at + 1] == b"\xff":
            at += 1
        if data[at : at + 1] and data[at] & 0xC0 == 0x40:
            at += 2
    stamp = data[at : at + 5]
    if len(stamp) < 5 or stamp[0] & 0xE0 != 0x20 or not stamp[0] & stamp[2] & stamp[4] & 1:
        return None
    return (stamp[0] & 0x0E) << 29 | stamp[1] << 22 | (stamp[2] & 0xFE) << 14 | stamp[3] << 7 | stamp[4] >> 1


# Ogg (RFC 3533), with pictures of Theora


def of_ogg(fd: int) -> float | None:
    """Seconds of the stream of pictures, by the number of its last frame."""
    head = os.pread(fd, 64 * 1024, 0)
    at = head.find(b"\x80theora")
    page = head.rfind(b"OggS", 0, at)
    if at < 0 or page < 0 or len(head) < at + 42:
        return None
    serial = head[page + 14 : page + 18]
    numerator, denominator = struct.unpack_from(">II", head, at + 22)
    shift = int.from_bytes(head[at + 40 : at + 42], "big") >> 5 & 0x1F
    size = os.fstat(fd).st_size
    tail = os.pread(fd, _ENDS, max(0, size - _ENDS))
    last = -1
    position = tail.find(b"OggS")
    while position >= 0:
        if tail[position + 14 : position + 18] == serial and len(tail) >= position + 14:
            granule = int.from_bytes(tail[position + 6 : position + 14], "little", signed=True)
            last = max(last, granule)
        position = tail.find(b"OggS", position + 4)
    if last < 0 or not numerator or not denominator:
        return None
    frames = (last >> shift) + (last & ((1 << shift) - 1))
    return _sound(frames * denominator / numerator)


def _sound(seconds: float) -> float | None:
    return round(seconds, 3) if 0.001 <= seconds <= _LONGEST else None
