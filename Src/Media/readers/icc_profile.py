"""An ICC profile (ICC.1:2022): whether ExifTool reads it without complaint, and without a tag that our fields need."""

from __future__ import annotations

import struct

from Src.Media.readers.fast_answer import Unusual

_HEADER, _ENTRY = 128, 12
_MOST_TAGS = 0x100
_MOST_LANGUAGES = 200
# Its entries have names of their own, which may be those of our tags.
_METADATA = b"meta"


def check_icc_profile(profile: bytes) -> None:
    """Raises Unusual where ExifTool might warn of the profile, or take a tag of ours from it."""
    if len(profile) < _HEADER + 4 or struct.unpack_from(">I", profile)[0] != len(profile):
        raise Unusual("ICC profile of odd form")
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    start = _HEADER + 4
    if not 1 <= count < _MOST_TAGS or start + _ENTRY * count > len(profile):
        raise Unusual("ICC profile of odd form")
    for at in range(start, start + _ENTRY * count, _ENTRY):
        tag, offset, size = struct.unpack_from(">4sII", profile, at)
        if tag == _METADATA or offset + size > len(profile):
            raise Unusual("ICC profile of odd form")
        if profile[offset : offset + 4] == b"mluc" and size > 4 and not _is_sound(profile[offset : offset + size]):
            raise Unusual("ICC profile of odd form")


def _is_sound(texts: bytes) -> bool:
    """Whether a text in several languages (multiLocalizedUnicodeType) lies within its tag."""
    if len(texts) < 28:
        return True  # passed over
    count, length = struct.unpack_from(">II", texts, 8)
    if length < 12:
        return True  # likewise
    if count > _MOST_LANGUAGES or 16 + count * length > len(texts):
        return False
    places = (struct.unpack_from(">II", texts, 16 + length * number + 4) for number in range(count))
    return all(start + size <= len(texts) for size, start in places)
