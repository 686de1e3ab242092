"""How an AVI or WebP file is built: RIFF chunks, and how long an AVI is (OpenDML counts frames that the first header
does not)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

_MOST_CHUNKS = 256  # at one level, of those that come before a film's pictures
# Writers disagree whether the size of the whole counts its own header and a last byte of padding.
_TOLERANCE = 8
_UNKNOWN = 0xFFFFFFFF  # of what was written without going back, as a stream


class Chunk(NamedTuple):
    """A chunk: its name, the list's type where it is one, where its content starts, and its stated size."""

    name: bytes
    form: bytes
    start: int
    size: int


class Film(NamedTuple):
    """What the chunks of a file say."""

    damage: str | None
    duration: float | None
    """Of an AVI; seconds."""


def examine(fd: int) -> Film:
    """Whether all the data that chunks state is there, and how long the film is."""
    size = os.fstat(fd).st_size
    missing = 0
    duration: float | None = None
    for riff in _chunks(fd, 0, size):
        if riff.name != b"RIFF":  # whatever somebody appended
            break
        if riff.size != _UNKNOWN:
            missing = max(missing, riff.start + riff.size - size)
        if riff.form == b"AVI ":
            duration = _duration(fd, riff, size)
    damage = f"the file is cut short: {missing:,} bytes are missing" if missing > _TOLERANCE else None
    return Film(damage, duration)


def _duration(fd: int, riff: Chunk, size: int) -> float | None:
    for header in _chunks(fd, riff.start + 4, min(size, riff.start + riff.size)):
        if header.form != b"hdrl":
            continue
        end = min(size, header.start + header.size)
        microseconds = frames = rate = scale = length = all_frames = 0
        for chunk in _chunks(fd, header.start + 4, end):
            if chunk.name == b"avih":
                microseconds, frames = _longs(fd, chunk, 0, 4)
            elif chunk.form == b"strl" and not length:
                for part in _chunks(fd, chunk.start + 4, min(end, chunk.start + chunk.size)):
                    if part.name == b"strh" and os.pread(fd, 4, part.start) == b"vids":
                        scale, rate, length = _longs(fd, part, 5, 6, 8)
            elif chunk.form == b"odml":
                for part in _chunks(fd, chunk.start + 4, min(end, chunk.start + chunk.size)):
                    if part.name == b"dmlh":
                        (all_frames,) = _longs(fd, part, 0)
        count = max(number for number in (0, frames, length, all_frames) if number != _UNKNOWN)
        if not count:
            return None
        if rate and scale:
            return count * scale / rate
        return count * microseconds / 1e6 if microseconds else None
    return None


def _longs(fd: int, chunk: Chunk, *places: int) -> tuple[int, ...]:
    """The 32-bit numbers at these places of a chunk."""
    data = os.pread(fd, min(chunk.size, 64), chunk.start).ljust(64, b"\0")
    return tuple(struct.unpack_from("<I", data, 4 * place)[0] for place in places)


def _chunks(fd: int, start: int, end: int) -> Iterator[Chunk]:
    for _ in range(_MOST_CHUNKS):
        header = os.pread(fd, 12, start)
        if start + 8 > end or len(header) < 8:
            return
        name, size = struct.unpack("<4sI", header[:8])
        yield Chunk(name, header[8:12] if name in (b"RIFF", b"LIST") else b"", start + 8, size)
        start += 8 + size + size % 2
