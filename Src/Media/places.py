"""Where was it taken: signed degrees out of what a file and its companions state.

EXIF and AVCHD keep the hemisphere apart from the number (`GPSLatitudeRef`); XMP writes it behind the number ("68,0W"),
but some programs (Apple's) write a number alone and the hemisphere as an element of its own. A number whose Ref says
the other hemisphere is turned; one whose sign cannot be known is no place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from Src.Media.tags import Tags


class Place(NamedTuple):
    """Signed decimal degrees, north and east positive; None: unknown."""

    latitude: float | None
    longitude: float | None


NOWHERE = Place(None, None)

_LETTERS = {"Latitude": "NS", "Longitude": "EW"}
_MOST = {"Latitude": 90, "Longitude": 180}
# Groups whose numbers have no sign, and a Ref that says which it is.
_UNSIGNED = ("EXIF", "H264")
_LETTER_BEHIND = re.compile(r"[NSEW]\s*\Z", re.IGNORECASE)


def place_in(tags: Tags) -> Place:
    """The place that one file states, both coordinates by one source."""
    for latitude, longitude in zip(_coordinates(tags, "Latitude"), _coordinates(tags, "Longitude"), strict=True):
        if latitude is not None and longitude is not None and not latitude == longitude == 0:
            return Place(latitude, longitude)
    return NOWHERE


def _coordinates(tags: Tags, axis: str) -> Iterator[float | None]:
    yield _composite(tags, axis)
    yield _xmp(tags, axis)


def _composite(tags: Tags, axis: str) -> float | None:
    """As ExifTool puts number and Ref together; it takes whatever is no S or W for north and east."""
    for group in _UNSIGNED:
        if f"{group}:GPS{axis}" in tags and _side(tags.get(f"{group}:GPS{axis}Ref"), axis) is None:
            return None
    return _degrees(tags.get(f"Composite:GPS{axis}"), axis)


def _xmp(tags: Tags, axis: str) -> float | None:
    degrees = _degrees(tags.get(f"XMP:GPS{axis}"), axis)
    if degrees is None:
        return None
    side = _side(tags.get(f"XMP:GPS{axis}Ref"), axis)
    if side is not None:
        return abs(degrees) * side
    stated = tags.get(f"Composite:StatedGPS{axis}", "").strip()
    # "-68" has its sign, "68,0E" its letter, and "68" may be either side of Greenwich.
    return degrees if stated.startswith(("-", "+")) or _LETTER_BEHIND.search(stated) else None


def _side(text: str | None, axis: str) -> int | None:
    """1 for north and east, -1 for south and west, None where the Ref says neither."""
    first = (text or "").strip("\0 ")[:1].upper()
    if not first or first not in _LETTERS[axis]:
        return None
    return 1 if first == _LETTERS[axis][0] else -1


def _degrees(text: str | None, axis: str) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) <= _MOST[axis] else None
