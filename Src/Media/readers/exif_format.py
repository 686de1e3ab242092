"""What all readers of EXIF (CIPA DC-008) and of TIFF 6.0 know: formats, numbers of tags, and ExifTool's arithmetic."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from Src.Media.readers.fast_answer import Unusual

# Formats of values, and the size of one value of each, by its number.
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_RATIONAL, IFD = 1, 2, 3, 4, 5, 7, 10, 13
SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
# An entry of a directory, by the byte order: tag, format, count, and the value or where it stands.
ENTRY = {order: struct.Struct(order + "HHII") for order in "<>"}

EXIF_POINTER, GPS_POINTER = 0x8769, 0x8825
ORIENTATION, MODIFIED, RATING = 0x112, 0x132, 0x4746
RATING_PERCENT = 0x4749
# What Windows writes: UTF-16, little-endian.
XP_TEXTS = {0x9C9B: "XPTitle", 0x9C9E: "XPKeywords"}
CAMERA = {0x10F: "Make", 0x110: "Model"}
DATES = {
    0x9003: "DateTimeOriginal",
    0x9291: "SubSecTimeOriginal",
    0x9011: "OffsetTimeOriginal",
    0x9004: "CreateDate",
    0x9292: "SubSecTimeDigitized",
    0x9012: "OffsetTimeDigitized",
    0x9290: "SubSecTime",
    0x9010: "OffsetTime",
}
PRINTABLE = re.compile(rb"[\x20-\x7e]*")


def byte_order(block: bytes) -> str:
    """The byte order of a block of EXIF, as `struct` writes it. Raises Unusual where it has no header of TIFF."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        raise Unusual("EXIF without a TIFF header")
    return order


def xp_text(value: bytes, form: int) -> str:
    """A text of Windows' as ExifTool reads it. Raises Unusual where that is not known for sure."""
    if form not in (BYTE, UNDEFINED) or len(value) % 2:
        raise Unusual("Windows' text of odd form")
    try:
        text = value.decode("utf-16-le").rstrip("\0")
    except UnicodeDecodeError as error:
        raise Unusual("Windows' text of odd form") from error
    # (Perl's half of a pair, and marks of byte order, are another matter)
    if not _PLAIN_TEXT.fullmatch(text):
        raise Unusual("Windows' text of odd form")
    return text.lower() if text.lower() in ("true", "false") else text


_PLAIN_TEXT = re.compile("[\x20-\x7e\xa0-\ud7ff\ue000-\ufefe]*")


def fractions(parts: Sequence[int]) -> list[float]:
    """Numerators and denominators in turn as fractions, of which ExifTool keeps ten significant digits."""
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [float(f"{numerator / denominator:.10g}") for numerator, denominator in pairs]


def decimal_degrees(degree: float, minute: float, second: float) -> float:
    """In this order, as ExifTool adds (ToDegrees)."""
    return degree + (minute + second / 60) / 60
