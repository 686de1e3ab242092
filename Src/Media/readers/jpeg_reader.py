"""The fast reader for JPEGs: EXIF, XMP and IPTC read in this process, without asking ExifTool.

It answers only where its answer provably equals ExifTool's and hands over at anything unusual: it knows what ExifTool
takes from which segments and tags, and all else is unusual. It walks the headers itself, because Pillow forgives what
ExifTool judges otherwise (doubled tags and segments, wrong formats, values that overlap) without telling.
"""

from __future__ import annotations

import os
import struct

from Src.Media.readers.exif_format import CAMERA
from Src.Media.readers.exif_reader import read_exif
from Src.Media.readers.fast_answer import FastAnswer, Unusual
from Src.Media.readers.jpeg_segments import find_segments
from Src.Media.readers.jpeg_structure import has_end
from Src.Media.readers.jpeg_trailer import read_trailer
from Src.Media.readers.photoshop_reader import read_photoshop
from Src.Media.readers.xmp_reader import check_extended_xmp, read_xmp
from Src.Media.tags import Tags


def read_jpeg(fd: int) -> FastAnswer:
    """The tags of a JPEG. Raises Unusual, ValueError or struct.error where ExifTool must be asked."""
    found = find_segments(fd)
    if not has_end(fd, found.scan):
        raise Unusual("no end of the image")
    height, width = struct.unpack_from(">HH", found.frame, 1)
    tags: Tags = {"ImageWidth": str(width), "ImageHeight": str(height)}
    read_trailer(fd, os.fstat(fd).st_size, tags)
    other_dates: list[str | None] = []
    if found.exif:
        other_dates.append(read_exif(found.exif, tags))
    if found.xmp:
        other_dates.append(read_xmp(found.xmp, tags))
    if found.extended_xmp:
        check_extended_xmp(found.extended_xmp)
    if found.photoshop:
        other_dates.append(read_photoshop(found.photoshop, tags))
    if found.other is not None:
        other_dates.append(found.other)
        if not all(tags.get(f"EXIF:{name}") or tags.get(f"XMP:{name}") for name in CAMERA.values()):
            raise Unusual(found.other)
    return FastAnswer(tags, next(filter(None, other_dates), None))
