"""XMP sidecars: what a person decided about a photo, as one says it, and how XMP spells that.

`xmp_writing.py` writes them.

`dc:title` and `dc:description` have a text for each language: the default one's is read, else the first. Of the two
dates `exif:DateTimeOriginal` comes before `photoshop:DateCreated`. A value in a form that XMP does not have is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from Src.Media.capture_date import Stamp, parse_stamp
from Src.Media.metadata import rating_in
from Src.Media.places import NOWHERE, Place, place_in
from Src.Media.readers.xmp_reader import COORDINATE, degrees_in
from Src.Media.tags import Tags
from Src.Media.xmp_document import (
    LANGUAGE,
    Document,
    Element,
    Name,
    Property,
    items,
    parse,
    simple_text,
    struct_fields,
)

DC, EXIF = "http://purl.org/dc/elements/1.1/", "http://ns.adobe.com/exif/1.0/"
PHOTOSHOP, XMP = "http://ns.adobe.com/photoshop/1.0/", "http://ns.adobe.com/xap/1.0/"
_MWG_RS = "http://www.metadataworkinggroup.com/schemas/regions/"
_AREA = "http://ns.adobe.com/xmp/sType/Area#"

RATING = Name(XMP, "Rating")
DATES = (Name(EXIF, "DateTimeOriginal"), Name(PHOTOSHOP, "DateCreated"))
COORDINATES = (Name(EXIF, "GPSLatitude"), Name(EXIF, "GPSLongitude"))
REFS = (Name(EXIF, "GPSLatitudeRef"), Name(EXIF, "GPSLongitudeRef"))
TITLE, DESCRIPTION, SUBJECT = Name(DC, "title"), Name(DC, "description"), Name(DC, "subject")
OURS = frozenset({RATING, *DATES, *COORDINATES, *REFS, TITLE, DESCRIPTION, SUBJECT})
DEFAULT_LANGUAGE = "x-default"


class Region(NamedTuple):
    """A part of a picture, and who or what is there (mwg-rs). Its middle and size are parts of the picture's."""

    name: str | None
    kind: str | None
    """Face, Pet, Focus or BarCode."""
    x: float | None
    y: float | None
    width: float | None
    height: float | None


@dataclass(frozen=True, slots=True)
class Said:
    """What a sidecar says; None: nothing."""

    rating: int | None = None
    """-1 (rejected), 0 (none) to 5."""
    taken: Stamp | None = None
    place: Place | None = None
    title: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()


def read_sidecar(content: bytes) -> Said:
    """What a sidecar says. Raises NotXmp."""
    return said_in(parse(content))


def said_in(document: Document) -> Said:
    """What a sidecar says that was read."""
    return Said(
        rating=rating_in({"XMP:Rating": text_of(document, RATING).strip()}, {}),
        taken=next((stamp for name in DATES if (stamp := parse_stamp(text_of(document, name))) is not None), None),
        place=place_of(document),
        title=language_text(document, TITLE),
        description=language_text(document, DESCRIPTION),
        tags=tags_of(document),
        regions=_regions(document),
    )


def found(document: Document, name: Name) -> list[Property]:
    """The properties of a name: one, where the file is as it should be."""
    return [one for one in document.properties() if one.name == name]


def text_of(document: Document, name: Name) -> str:
    """A simple property's; empty where there is none."""
    for one in found(document, name):
        return simple_text(one) or ""
    return ""


def language_text(document: Document, name: Name) -> str | None:
    """The default language's, else the first."""
    for one in found(document, name):
        given = items(one)
        chosen: Property = next(
            (item for item in given if language_of(item) == DEFAULT_LANGUAGE), given[0] if given else one
        )
        return simple_text(chosen) or None
    return None


def language_of(item: Element) -> str | None:
    """Which language an item of `dc:title` or `dc:description` is in."""
    return next((one.text for one in item.attributes if one.name == LANGUAGE), None)


def tags_of(document: Document) -> tuple[str, ...]:
    """Each once, in their order."""
    texts: list[str | None] = []
    for one in found(document, SUBJECT)[:1]:
        is_list = isinstance(one, Element) and one.children
        texts = [simple_text(item) for item in items(one)] if is_list else [simple_text(one)]
    return tuple(dict.fromkeys(text for text in texts if text and text.strip()))


def place_of(document: Document) -> Place | None:
    """Where it was taken, by the coordinates and, where a program wrote them apart, their hemispheres."""
    tags: Tags = {}
    for name, ref in zip(COORDINATES, REFS, strict=True):
        text = text_of(document, name).strip()
        match = COORDINATE.fullmatch(text)
        tags[f"XMP:{name.local}"] = degrees_in(match) if match is not None else text
        tags[f"Composite:Stated{name.local}"] = text
        tags[f"XMP:{ref.local}"] = text_of(document, ref)
    place = place_in(tags)
    return None if place == NOWHERE else place


def date_text(stamp: Stamp) -> str:
    """As XMP writes a date (ISO 8601), as far as it is known."""
    when: datetime = stamp.when
    if stamp.precision != "second":
        return when.isoformat()[: {"year": 4, "month": 7, "day": 10}[stamp.precision]]
    text = when.isoformat().rstrip("0") if when.microsecond else when.isoformat()
    if stamp.offset is None:
        return text
    hours, minutes = divmod(abs(stamp.offset), 60)
    return f"{text}{'-' if stamp.offset < 0 else '+'}{hours:02d}:{minutes:02d}"


def coordinate_texts(latitude: float, longitude: float) -> tuple[str, str]:
    """As XMP writes a position: degrees, minutes with up to eight decimals (20 micrometres), and the hemisphere.

    Raises ValueError for what is no position.
    """
    if not (math.isfinite(latitude) and math.isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180):
        raise ValueError(f"{latitude}, {longitude} is no position")
    return _coordinate_text(latitude, "NS"), _coordinate_text(longitude, "EW")


def _coordinate_text(degrees: float, letters: str) -> str:
    minutes = (abs(Decimal(repr(float(degrees)))) * 60).quantize(Decimal("1e-8"))
    whole, rest = divmod(minutes, 60)
    shown = f"{rest:f}".rstrip("0")
    return f"{whole:.0f},{shown}{'0' if shown.endswith('.') else ''}{letters[degrees < 0]}"


def _regions(document: Document) -> tuple[Region, ...]:
    regions: list[Region] = []
    for one in found(document, Name(_MWG_RS, "Regions")):
        listed = struct_fields(one).get(Name(_MWG_RS, "RegionList"))
        regions += [_region(item) for item in items(listed)]
    return tuple(regions)


def _region(item: Element) -> Region:
    said = struct_fields(item)
    area = said.get(Name(_MWG_RS, "Area"))
    numbers = struct_fields(area)
    if _field(numbers, Name(_AREA, "unit")) not in (None, "normalized"):
        numbers = {}
    x, y, width, height = (_number(_field(numbers, Name(_AREA, side))) for side in "xywh")
    return Region(_field(said, Name(_MWG_RS, "Name")), _field(said, Name(_MWG_RS, "Type")), x, y, width, height)


def _field(said: dict[Name, Property], name: Name) -> str | None:
    one = said.get(name)
    return (simple_text(one) or None) if one is not None else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
