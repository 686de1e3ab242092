"""What a copy of a photo is to say, and the tags by which it says that. It starts no program: `tagging.py` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from Src.Media.capture_date import Stamp
from Src.Media.kinds import KINDS
from Src.Media.places import Place
from Src.Media.xmp_sidecar import date_text
from Src.Media.xmp_writing import KEEP, Changes

# What Windows and Microsoft's programs show as so many stars (MicrosoftPhoto:Rating).
_PERCENT = {0: 0, 1: 1, 2: 25, 3: 50, 4: 75, 5: 99}


@dataclass(frozen=True, slots=True)
class Known:
    """What a copy is to say. None, no tags: it says of that what the file says."""

    taken: Stamp | None = None
    place: Place | None = None
    rating: int | None = None
    title: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()

    def is_nothing(self) -> bool:
        return self == Known()

    def as_json(self) -> dict[str, Any]:
        """In words of JSON: what is known, and no more."""
        place = self.place
        said = {
            "taken": None if self.taken is None else date_text(self.taken),
            "place": None if place is None else {"lat": place.latitude, "lon": place.longitude},
            "rating": self.rating,
            "title": self.title,
            "description": self.description,
            "tags": list(self.tags) or None,
        }
        return {name: value for name, value in said.items() if value is not None}

    def as_changes(self) -> Changes:
        """For a sidecar."""
        return Changes(
            rating=KEEP if self.rating is None else self.rating,
            taken=KEEP if self.taken is None else self.taken,
            place=KEEP if self.place is None else self.place,
            title=KEEP if self.title is None else self.title,
            description=KEEP if self.description is None else self.description,
            tags=self.tags or KEEP,
        )


def exiftool_tags(known: Known, kind: str) -> dict[str, Any]:
    """The tags, in ExifTool's names, that say it in a file of this kind."""
    is_video = kind in KINDS and KINDS[kind].is_video
    tags: dict[str, Any] = {}
    if known.taken is not None:
        tags |= _date_tags(known.taken, is_video)
    if known.place is not None and known.place.latitude is not None and known.place.longitude is not None:
        tags |= _place_tags(known.place.latitude, known.place.longitude, is_video)
    if known.rating is not None:
        tags["XMP-xmp:Rating"] = known.rating
        if known.rating in _PERCENT:  # a rejected photo has none
            tags["XMP-microsoft:RatingPercent"] = _PERCENT[known.rating]
            if not is_video:
                tags |= {"IFD0:Rating": known.rating, "IFD0:RatingPercent": _PERCENT[known.rating]}
    if known.title:
        tags["XMP-dc:Title"] = known.title
    if known.description:
        tags["XMP-dc:Description"] = known.description
        if not is_video:
            tags["IFD0:ImageDescription"] = known.description
    if known.tags:
        tags["XMP-dc:Subject"] = list(known.tags)
    return tags


def _date_tags(taken: Stamp, is_video: bool) -> dict[str, Any]:
    text = date_text(taken).replace("-", ":", 2).replace("T", " ")
    tags: dict[str, Any] = {"XMP-photoshop:DateCreated": text, "XMP-exif:DateTimeOriginal": text}
    if taken.precision != "second":  # EXIF knows no date without a time
        return tags
    if is_video:
        return {**tags, "Keys:CreationDate": text}
    tags["EXIF:DateTimeOriginal"] = taken.when.strftime("%Y:%m:%d %H:%M:%S").rjust(19, "0")
    if taken.when.microsecond:
        tags["EXIF:SubSecTimeOriginal"] = f"{taken.when.microsecond:06d}".rstrip("0")
    if taken.offset is not None:
        tags["EXIF:OffsetTimeOriginal"] = date_text(taken)[-6:]
    return tags


def _place_tags(latitude: float, longitude: float, is_video: bool) -> dict[str, Any]:
    tags: dict[str, Any] = {"XMP-exif:GPSLatitude": latitude, "XMP-exif:GPSLongitude": longitude}
    if is_video:
        return {**tags, "Keys:GPSCoordinates": f"{latitude} {longitude}"}
    return {
        **tags,
        "EXIF:GPSLatitude": abs(latitude),
        "EXIF:GPSLatitudeRef": "S" if latitude < 0 else "N",
        "EXIF:GPSLongitude": abs(longitude),
        "EXIF:GPSLongitudeRef": "W" if longitude < 0 else "E",
    }


def ending_of(kind: str) -> str:
    """An ending by which ExifTool takes a file for what it is."""
    return f".{kind.lower()}"
