"""The fast reader for GIF (CompuServe's GIF89a): its size, how long it moves, and its XMP."""

from __future__ import annotations

import os
import re
import struct

from Src.Media.readers.exif_and_xmp import read_exif_and_xmp
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.icc_profile import check_icc_profile
from Src.Media.readers.window import MOST_OF_A_PIECE, MOST_XMP
from Src.Media.tags import Tags

_PIECE = 2**18  # bytes that are read at once
_MOST_BLOCKS = 400_000  # of at most 255 bytes: each is looked at
_TRAILER, _IMAGE, _EXTENSION = b";", b",", b"!"
_COMMENT, _GRAPHIC_CONTROL, _APPLICATION = 0xFE, 0xF9, 0xFF
# Those that say how often it is to be shown. Others hold sound, or what nobody knows.
_HARMLESS_APPLICATIONS = frozenset({b"NETSCAPE2.0", b"ANIMEXTS1.0"})
_XMP = b"XMP DataXMP"
_PROFILE = b"ICCRGBG1012"
# XMP is not in blocks, but what stands behind it lets whoever reads it as blocks come out at its end (XMP, part 3).
_END_OF_XMP = re.compile(rb"<\?xpacket end=['\"][wr]['\"]\?>")
# What XMP says of a film's length ExifTool may take for this file's.
_DURATION = re.compile(rb"duration", re.IGNORECASE)


def read_gif(fd: int) -> FastAnswer:
    """The tags of a GIF. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    stream = _Stream(fd)
    signature, width, height, flags = struct.unpack("<6sHHBxx", stream.take(13))
    if signature not in (b"GIF87a", b"GIF89a"):
        raise Unusual("no start of a GIF")
    stream.skip_colours(flags)
    tags: Tags = {"ImageWidth": str(width), "ImageHeight": str(height)}
    hundredths, xmp, has_profile = 0, b"", False
    while (mark := stream.take(1)) != _TRAILER:
        stream.count_piece()
        if mark == _IMAGE:
            stream.skip_colours(stream.take(9)[8])
            stream.take(1)  # the size of a code
            stream.skip_blocks()
            continue
        if mark != _EXTENSION:
            raise Unusual("GIF block of odd kind")
        label, size = stream.take(2)
        if label == _GRAPHIC_CONTROL and size == 4:
            (delay,) = struct.unpack("<xHx", stream.take(size))
            hundredths += delay
        elif label == _APPLICATION and size == 11:
            application = stream.take(size)
            if application == _XMP and not xmp:
                xmp = _xmp_in(stream.take_blocks(MOST_XMP, with_sizes=True))
                continue
            if application == _PROFILE and not has_profile:
                check_icc_profile(stream.take_blocks(MOST_OF_A_PIECE))
                has_profile = True
                continue
            if application not in _HARMLESS_APPLICATIONS:
                raise Unusual("GIF with an application's data")
        elif label == _COMMENT:
            stream.take(size)
            if not size:  # it is over already
                continue
        else:
            raise Unusual("GIF block of odd kind")
        stream.skip_blocks()
    if hundredths:
        tags["Duration"] = f"{hundredths / 100:.15g}"
    return FastAnswer(tags, read_exif_and_xmp(b"", xmp, tags))


def _xmp_in(data: bytes) -> bytes:
    end = _END_OF_XMP.search(data)
    if end is None or _DURATION.search(data):
        raise Unusual("XMP of odd form")
    return data[: end.end()]


class _Stream:
    """A file from its beginning to its end, in pieces."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data, self._at, self._next = b"", 0, 0
        self._blocks = _MOST_BLOCKS

    def take(self, size: int) -> bytes:
        """The next bytes. Raises Unusual where there are fewer."""
        if self._at + size > len(self._data):
            self._read_on(size)
        self._at += size
        return self._data[self._at - size : self._at]

    def count_piece(self) -> None:
        """Raises Unusual where there are very many."""
        self._blocks -= 1
        if self._blocks <= 0:
            raise Unusual("very many pieces")

    def skip_colours(self, flags: int) -> None:
        if flags & 0x80:
            self.take(3 * (2 << (flags & 7)))

    def take_blocks(self, most: int, *, with_sizes: bool = False) -> bytes:
        """What follows in blocks, up to an empty one. Raises Unusual where it is too much."""
        taken = bytearray()
        while size := self.take(1)[0]:
            if with_sizes:
                taken.append(size)
            taken += self.take(size)
            if len(taken) > most:
                raise Unusual("very large metadata")
        return bytes(taken)

    def skip_blocks(self) -> None:
        """What follows in blocks, up to an empty one."""
        data, at = self._data, self._at
        while True:
            while at < len(data):
                size = data[at]
                at += 1 + size
                self._blocks -= 1
                if not size:
                    break
            else:
                self._at = at
                self._read_on(1)
                data, at = self._data, self._at
                if self._blocks > 0:
                    continue
            self._at = at
            if self._blocks <= 0:
                raise Unusual("very many pieces")
            return

    def _read_on(self, size: int) -> None:
        """Reads so that `size` bytes are at hand, from a place that may lie behind what was read."""
        begin = self._next - len(self._data) + self._at
        self._data, self._at = os.pread(self._fd, max(size, _PIECE), begin), 0
        self._next = begin + len(self._data)
        if len(self._data) < size:
            raise Unusual("cut short")
