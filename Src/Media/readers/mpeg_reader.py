"""The fast reader for MPEG's program streams (ISO/IEC 11172-1, 13818-1): the size of the pictures, and how long they
are shown. There is nothing else in them that anybody asks for."""

from __future__ import annotations

import os
import re

from Src.Media import durations
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.tags import Tags

_LOOKED_AT = 2**18  # bytes: so far ExifTool looks
_START = re.compile(rb"\0\0\x01[\xb0-\xbf]")
# The header of a sequence of pictures: two sizes of 12 bits, the shape of a dot, the rate. Only its sign is taken, for
# in a broken stream the next one may begin within the header.
_SEQUENCE = re.compile(rb"\0\0\x01\xb3(?=(...)(.)....)", re.DOTALL)
_RATES = range(1, 9)


def read_mpeg(fd: int) -> FastAnswer:
    """The tags of a program stream. Raises Unusual where ExifTool must be asked."""
    head = os.pread(fd, _LOOKED_AT, 0)
    if not _START.match(head):
        raise Unusual("no start of an MPEG")
    for found in _SEQUENCE.finditer(head):
        shape, rate = found[2][0] >> 4, found[2][0] & 0x0F
        if shape in (0, 15) or rate not in _RATES:
            continue
        sides = int.from_bytes(found[1], "big")
        tags: Tags = {"ImageWidth": str(sides >> 12), "ImageHeight": str(sides & 0xFFF)}
        duration = durations.of_program_stream(fd)
        if duration is not None:
            tags["Structure:Duration"] = repr(duration)
        return FastAnswer(tags)
    raise Unusual("MPEG without a picture's size")
