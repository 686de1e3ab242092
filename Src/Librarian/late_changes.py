"""What a companion that comes after its photo changes in the photo's row."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from Src.Librarian.record.companions import Original
from Src.Media.capture_date import Precision, wall_clock_now
from Src.Media.date_sources import Found, late_takeout
from Src.Media.metadata import Metadata
from Src.Media.places import Place
from Src.Media.takeout import TakeoutNote
from Src.Media.words import Words

# The dates that a sidecar's xmp:CreateDate comes before (docs/MEDIA.md).
_WEAKER = (
    "sidecar:",
    "takeout:",
    "png:",
    "riff:DateCreated",
    "gps:",
    "filename",
    "exif:ModifyDate",
    "mtime",
    "arrival",
)
# The columns of what a person decides on.
_FIELDS = {
    "captured_at": ("captured_at", "captured_at_offset", "date_source", "date_precision"),
    "location": ("location", "is_geocoded"),
    "rating": ("rating",),
    "title": ("title",),
    "description": ("description",),
}
TAGS = "tags"
"""No column: the words that a sidecar says."""


def of_sidecar(says: Metadata, row: Original) -> dict[str, Any]:
    """What an XMP sidecar changes: somebody wrote it about this photo later."""
    changes: dict[str, Any] = {}
    source = says.date_source
    if source.startswith("sidecar:") and (source != "sidecar:xmp:CreateDate" or row.date_source.startswith(_WEAKER)):
        changes |= _date(Found(says.captured_at, says.captured_at_offset, source, says.date_precision))
    if says.latitude is not None and says.longitude is not None:
        changes |= _location(Place(says.latitude, says.longitude))
    if says.rating is not None:
        changes["rating"] = says.rating
    changes |= {name: said for name in ("title", "description") if (said := getattr(says.words, name)) is not None}
    if says.words.tags:
        changes[TAGS] = says.words.tags
    return changes


def of_sidecar_beside(says: Metadata, row: Original) -> dict[str, Any]:
    """As `of_sidecar`, of a photo that was read with its sidecar: what its file says itself, no sidecar says."""
    assert says.sidecar is not None
    own = says.sidecar.without
    only_there = says._replace(
        rating=says.rating if says.rating != own.rating else None,
        words=Words(
            says.words.title if says.words.title != own.words.title else None,
            says.words.description if says.words.description != own.words.description else None,
            says.words.tags if says.words.tags != own.words.tags else (),
        ),
    )
    if (says.latitude, says.longitude) == (own.latitude, own.longitude):
        only_there = only_there._replace(latitude=None, longitude=None)
    return of_sidecar(only_there, row)


def of_takeout(note: TakeoutNote, row: Original, zone: ZoneInfo) -> dict[str, Any]:
    """What Takeout's JSON changes: a date that was corrected there, and a place where the photo has none."""
    changes: dict[str, Any] = {}
    place = note.place
    if row.location is not None:
        place = Place(row.location["lat"], row.location["lon"])
    elif place.latitude is not None:
        changes |= _location(place)
    if note.taken is not None:
        now = wall_clock_now(datetime.now(zone), zone)
        known = Found(row.captured_at, None, row.date_source, cast(Precision, row.date_precision))
        found = late_takeout(known, note.taken, place, zone, now)
        if found is not None and (found.when, found.source) != (row.captured_at, row.date_source):
            changes |= _date(found)
    return changes


def undecided(changes: dict[str, Any], decided: Collection[str]) -> dict[str, Any]:
    """Without what is about a field on which a person has decided: there a late companion says nothing."""
    of_field = {name: field for field, names in _FIELDS.items() for name in names}
    return {name: value for name, value in changes.items() if name == TAGS or of_field[name] not in decided}


def told(changes: dict[str, Any], row: Original) -> list[str]:
    """The same in words."""
    words = []
    if "captured_at" in changes:
        words.append(f"taken {changes['captured_at']}, and not {row.captured_at} ({row.date_source})")
    return [*words, *(name for name in ("location", "rating", "title", "description", TAGS) if name in changes)]


def _date(found: Found) -> dict[str, Any]:
    return {
        "captured_at": found.when,
        "captured_at_offset": found.offset,
        "date_source": found.source,
        "date_precision": found.precision,
    }


def _location(place: Place) -> dict[str, Any]:
    return {"location": {"lat": place.latitude, "lon": place.longitude}, "is_geocoded": False}
