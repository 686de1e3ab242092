"""What is known of one original, in words: facts in the order in which people ask, and all that happened to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from Src.Dashboard import words
from Src.Dashboard.components import length, shown_name
from Src.Dashboard.data.acts import NOBODY
from Src.Dashboard.data.known import Known, Related
from Src.Dashboard.resources import settings
from Src.Library.overlay.history import Decided
from Src.Library.overlay.undo import KIND as UNDO

Facts = Iterator[tuple[str, str]]

_SOURCES = {
    "mtime": "the file's modification time, because the photo has no date (may be wrong)",
    "filename": "the file's name",
    "arrival": "the day it was added, because neither the photo nor the file has a usable date (may be wrong)",
    "correction": "a person, who corrected it",
    "takeout:photoTakenTime": "Google Takeout's file beside it",
    "gps:DateTime": "the satellites that the camera heard",
    "exif:ModifyDate": "the last change of the photo by a camera or program (may be wrong)",
}
FATES = {
    "ingested": "added",
    "duplicate": "duplicate, not kept twice",
    "restored": "restored",
    "unwanted": "removed before, in the trash",
    "rebuilt": "found in the library's folder",
    "companion": "a file that belongs to a photo",
    "not_media": "not a photo or video, left in the inbox",
    "failed": "failed, will be tried again",
    "dead_letter": "failed for good",
}
_COMPANIONS = {
    "xmp": "what other programs know (XMP)",
    "aae": "Apple's edits (AAE)",
    "thm": "small picture (THM)",
    "audio": "sound",
    "srt": "subtitles (SRT)",
    "lrv": "small film (LRV)",
    "takeout": "Google Takeout's facts",
}
_RELATIONS = {  # by kind and whether the other points here
    ("live_photo", True): "its film (Live Photo)",
    ("live_photo", False): "the photo of which this is the film (Live Photo)",
    ("raw_jpeg", True): "the camera's picture of it",
    ("raw_jpeg", False): "the raw photo of which this is the picture",
    ("edited", True): "an edited copy of it",
    ("edited", False): "the photo of which this is an edited copy",
}


def facts_of(known: Known) -> Facts:
    """What is known of an original, in the order in which people ask."""
    row = known.row
    zone = settings().zone
    if row["title"]:
        yield "Title", row["title"]
    if row["description"]:
        yield "Description", row["description"]
    yield "Taken", _taken(row["captured_at"], row["captured_at_offset"], row["date_precision"])
    yield "Date known from", date_known_from(row["date_source"])
    location = row["location"]
    yield "Location", _place(location) if location else "not known"
    yield "Camera", _camera(row["camera_make"] or "", row["camera_model"] or "")
    if known.albums:
        yield words.plural(len(known.albums), "Album"), ", ".join(known.albums)
    if known.tags:
        yield words.plural(len(known.tags), "Tag"), ", ".join(known.tags)
    if row["rating"] is not None:
        yield "Rating", words.counted(row["rating"], "star")
    if row["is_hidden"]:
        yield "Hidden", "yes: only what asks for hidden photos shows it"
    if row["rotation"]:
        yield "Turned", f"{row['rotation']}° clockwise by a person; the file is as it came"
    yield "Name", shown_name(row["original_name"])
    kind = row["media_kind"]
    yield "Kind", f"{kind}, {length(row['duration_seconds'])}" if row["duration_seconds"] else kind
    yield "Size", _size(row)
    for other in known.related:
        yield "Belongs to it" if other.points_here else "Belongs to", _related(other)
    for one in known.beside:
        rest = "" if one.is_filed else " (not filed yet)"
        yield "File beside it", f"{_COMPANIONS.get(one.kind, one.kind)}: {shown_name(one.path)}{rest}"
    yield "Kept at", shown_name(row["final_path"])
    yield "Came as", shown_name(row["original_path"])
    yield "Added", words.moment(row["ingested_at"].astimezone(zone), seconds=True)
    verified = row["verified_at"]
    yield "Read again", words.moment(verified.astimezone(zone)) if verified else "not since it was added"
    yield "SHA-256", row["file_hash"]


def date_known_from(source: str) -> str:
    """What a date was taken from, for people; behind it the field's own name, where it is one."""
    if (known := _SOURCES.get(source)) is not None:
        return known
    where = "the XMP file beside it" if source.startswith("sidecar:") else "the file itself"
    return f"{where} ({source})"


def story_of(known: Known) -> Facts:
    """What happened to its file and what people decided about it, when, the oldest first."""
    zone = settings().zone
    story = [(event["happened_at"], _came(event)) for event in known.events]
    story += [(one.happened_at, decided_words(one)) for one in known.decisions]
    for when, what in sorted(story, key=lambda one: one[0]):
        yield words.moment(when.astimezone(zone), seconds=True), what
    if not story:
        yield "", "Nothing is recorded."


def _came(event: Mapping[str, Any]) -> str:
    message = f": {event['message']}" if event["message"] else ""
    return f"{FATES[event['fate']]}, came as {shown_name(event['original_path'])}{message}"


def decided_words(one: Decided) -> str:
    """A decision: what it made so, and who did it."""
    what = _made_so(one.field, one.before, one.after)
    back = ", taken back" if one.kind == UNDO else ""
    return f"{what}{back}, {'on the dashboard' if one.who == NOBODY else f'by {one.who}'}"


def _made_so(field: str, before: Any, after: Any) -> str:
    """Values are as events have them, some of which came out of files that other programs may have written."""
    try:
        return _in_words(field, before, after)
    except (KeyError, TypeError, ValueError):
        return f"{field}: {after}"


def _in_words(field: str, before: Any, after: Any) -> str:
    match field:
        case "rating":
            return f"rated with {words.counted(after, 'star')}" if after else "no stars any more"
        case "captured_at":
            return f"date {_date(after)}, before {_date(before)}" if before else f"date {_date(after)}"
        case "location":
            return f"place {_place(after)}" if after else "no place any more"
        case "title":
            return f'title "{after}"' if after else "title taken away"
        case "description":
            return "described" if after else "description taken away"
        case "hidden":
            return "hidden" if after else "shown again"
        case "rotation":
            return f"turned, now by {after}°" if after else "turned back, as it came"
        case "tag":
            return f'tag "{after}"' if after else f'tag "{before}" taken away'
        case "album":
            return f'into the album "{after["name"]}"' if after else f'out of the album "{before["name"]}"'
        case "removed":
            return "moved to the trash" if after else "brought back out of the trash"
    return f"{field}: {after}"


def _date(value: Mapping[str, Any]) -> str:
    return words.moment(datetime.fromisoformat(value["captured_at"]), seconds=True)


def _place(location: Mapping[str, float]) -> str:
    return f"{location['lat']:.5f}, {location['lon']:.5f}"


def _related(other: Related) -> str:
    return f"{_RELATIONS.get((other.kind, other.points_here), other.kind)}: {shown_name(other.name)}"


def _size(row: Mapping[str, Any]) -> str:
    if not (row["width"] and row["height"]):
        return words.size(row["file_size"])
    width, height = _upright(row["width"], row["height"], row["orientation"])
    if row["rotation"] in (90, 270):
        width, height = height, width
    return f"{words.number(width)} × {words.number(height)} pixels, {words.size(row['file_size'])}"


def _upright(width: int, height: int, orientation: int | None) -> tuple[int, int]:
    """Pixels as a person sees them: a quarter turn changes the sides."""
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def _camera(make: str, model: str) -> str:
    """Many models begin with their maker's name."""
    return (model if model.lower().startswith(make.lower()) else f"{make} {model}").strip() or "not known"


def _taken(moment: datetime, offset: int | None, precision: str) -> str:
    """No more of it than is known."""
    match precision:
        case "year":
            return f"{moment:%Y}"
        case "month":
            return f"{moment:%B %Y}"
        case "day":
            return words.weekday(moment)
    zone = f" ({timezone(timedelta(minutes=offset))})" if offset is not None else ""
    return f"{words.weekday(moment)}, {words.time(moment)}{zone}"
