"""The EXIF and the XMP of one file, of which both may know the camera."""

from __future__ import annotations

import re

from Src.Media.readers.exif_reader import read_exif
from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.window import MOST_XMP
from Src.Media.readers.xmp_reader import read_xmp
from Src.Media.tags import Tags

# One in a namespace that ExifTool does not know would win over the picture's own.
_SIZE = re.compile(rb"(?:width|height)\b", re.IGNORECASE)
_TIFF_SIZE = re.compile(rb"\btiff:ImageWidth\b")


def read_exif_and_xmp(exif: bytes, xmp: bytes, tags: Tags) -> str | None:
    """Adds the tags of both (empty: the file has none); returns what else may hold a date, as `FastAnswer` says it.

    Of a file whose picture's size ExifTool finds first, as in PNG and WebP.
    """
    other_dates = read_exif(exif, tags, in_jpeg=False) if exif else None
    if len(xmp) > MOST_XMP:
        raise Unusual("very large metadata")
    if xmp:
        if _SIZE.search(_TIFF_SIZE.sub(b"", xmp)):
            raise Unusual("size in XMP")
        in_xmp = read_xmp(xmp, tags)
        other_dates = other_dates or in_xmp
    return other_dates
