"""What the tags of a file and of its companions mean; whoever read them gives them in ExifTool's words."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from Src.Media.capture_date import Precision
from Src.Media.date_sources import Found, Sources, capture_date_of
from Src.Media.kinds import KINDS
from Src.Media.places import NOWHERE, Place, place_in
from Src.Media.shots import NO_SHOT, Shot, shot_of
from Src.Media.tags import Answer, Tags
from Src.Media.takeout import TakeoutNote
from Src.Media.words import SAYS_NOTHING, Words, words_in
from Src.Shared.disk.files import OpenFile


@dataclass(frozen=True, slots=True)
class Subject:
    """The file that is asked about."""

    file: str | OpenFile
    """Open, or its absolute path, as `os.fsdecode` gives it."""
    name: str
    """Its original name, which may hold a date."""
    kind: str
    """Its type by content, in ExifTool's words: "JPEG", "HEIC", "MP4", …"""
    mtime_ns: int
    folder: int | None = None
    """The open folder that an open file is in: its companions are looked for there."""


class UsedSidecar(NamedTuple):
    """The sidecar beside a file that had a say in its metadata."""

    name: str
    """In the folder of the file."""
    sha256: str
    size: int
    without: Metadata
    """What the file says without it: it may be another photo's."""


class Metadata(NamedTuple):
    """What a file tells about itself; see the design, "When was it taken"."""

    captured_at: datetime
    """The naive wall clock where it was taken."""
    captured_at_offset: int | None
    """Minutes east of UTC, where the file states them."""
    date_source: str
    """Its name in `date_sources`' list."""
    date_precision: Precision
    """How exact `captured_at` is; what it leaves open is the first it can be."""
    latitude: float | None
    """Signed decimal degrees, north positive."""
    longitude: float | None
    """Signed decimal degrees, east positive."""
    width: int | None
    """Pixels as stored: a rotation that the file asks for is not applied."""
    height: int | None
    orientation: int | None
    """How a viewer must turn it, as EXIF numbers it (1 to 8); None: the file does not say."""
    duration_seconds: float | None
    camera_make: str | None
    camera_model: str | None
    rating: int | None
    """-1 (rejected), 0 (none) to 5."""
    error: str | None
    """Why the file is broken; it has the other fields nonetheless, as far as they could be read."""
    words: Words = SAYS_NOTHING
    shot: Shot = NO_SHOT
    sidecar: UsedSidecar | None = None


def interpret(
    subject: Subject,
    answer: Answer,
    sidecar: Answer | None,
    zone: ZoneInfo,
    now: datetime,
    takeout: TakeoutNote | None = None,
) -> Metadata:
    """The meaning of a file's tags and of what its companions say; `now` is the wall clock in `zone`."""
    tags = answer.tags
    beside = sidecar.tags if sidecar is not None else {}
    place = _place(tags, beside, takeout)
    sources = Sources(tags, beside, takeout.taken if takeout is not None else None, subject.name, subject.mtime_ns)
    found: Found = capture_date_of(sources, place, zone, now)
    width, height = _size(subject, tags)
    kind = KINDS.get(subject.kind)
    return Metadata(
        captured_at=found.when,
        captured_at_offset=found.offset,
        date_source=found.source,
        date_precision=found.precision,
        latitude=place.latitude,
        longitude=place.longitude,
        width=width,
        height=height,
        orientation=_orientation(subject, tags),
        duration_seconds=_duration(subject, tags) if kind is not None and kind.moves else None,
        camera_make=_camera(tags, "Make"),
        camera_model=_camera(tags, "Model"),
        rating=rating_in(beside, tags),
        error=answer.error and answer.error[:LONGEST_TEXT],
        words=words_in(beside, tags),
        shot=shot_of(tags, subject.name),
    )


def _place(tags: Tags, beside: Tags, takeout: TakeoutNote | None) -> Place:
    """The sidecar's wins: somebody wrote it about this photo later. Takeout's fills a gap."""
    for tags_of_one in (beside, tags):
        place = place_in(tags_of_one)
        if place != NOWHERE:
            return place
    return takeout.place if takeout is not None else NOWHERE


LONGEST_TEXT = 1000
"""Characters that are kept of a text which a file gives: no maker's name is longer, and a file may hold megabytes."""

# AVCHD names makers by number.
_H264_MAKES = {"259": "Panasonic", "264": "Sony", "4113": "Canon", "4356": "JVC"}
_XML_CAMERA = {"Make": "XML:DeviceManufacturer", "Model": "XML:DeviceModelName"}


def _camera(tags: Tags, name: str) -> str | None:
    for key in (f"EXIF:{name}", f"QuickTime:{name}", f"XMP:{name}", _XML_CAMERA[name], name):
        value = tags.get(key, "").replace("\0", "").strip()
        if key == "Make" and value == tags.get("H264:Make"):
            value = _H264_MAKES.get(value, "")
        if value:
            return value[:LONGEST_TEXT].rstrip()
    return None


def rating_in(beside: Tags, tags: Tags) -> int | None:
    """-1 (rejected), 0 (none) to 5, as a sidecar and its photo state it; the sidecar's comes first."""
    for one, name in _RATINGS:
        number = _number((beside if one == "sidecar" else tags).get(name))
        if number is None:
            continue
        if name.endswith("Percent"):
            if 0 <= number <= 100:
                return bisect_left(_MOST_PERCENT, number)
        elif -1 <= number <= 5:
            return round(number)
    return None


_RATINGS = (
    ("sidecar", "XMP:Rating"),
    ("sidecar", "XMP:RatingPercent"),
    ("photo", "XMP:Rating"),
    ("photo", "EXIF:Rating"),
    ("photo", "XMP:RatingPercent"),
    ("photo", "EXIF:RatingPercent"),
)
# Windows writes 1, 25, 50, 75 and 99 per cent for one to five stars, and shows so many stars up to these.
_MOST_PERCENT = (0, 12, 37, 62, 87, 100)


def _size(subject: Subject, tags: Tags) -> tuple[int | None, int | None]:
    """Pixels as stored: of a film without its display's proportions, of a raw photo and not of its preview."""
    kind = KINDS.get(subject.kind)
    if kind is not None and kind.is_raw:
        of_sensor = re.fullmatch(r"(\d+)[ x](\d+)", tags.get("Composite:ImageSize", ""))
        if of_sensor is not None and _pixels(of_sensor[1]) and _pixels(of_sensor[2]):
            return _pixels(of_sensor[1]), _pixels(of_sensor[2])
    for prefix in ("QuickTime:Source", ""):
        width, height = (_pixels(tags.get(f"{prefix}Image{side}")) for side in ("Width", "Height"))
        if width is not None and height is not None:
            return width, height
    return _pixels(tags.get("ImageWidth")), _pixels(tags.get("ImageHeight"))


# EXIF's names for a turn, clockwise, that a viewer must make.
_TURNS = {90: 6, 180: 3, 270: 8}


def _orientation(subject: Subject, tags: Tags) -> int | None:
    kind = KINDS.get(subject.kind)
    if kind is None or not kind.turns_by_container:
        number = _number(tags.get("EXIF:Orientation"))
        return int(number) if number in (1, 2, 3, 4, 5, 6, 7, 8) else None
    turn = _number(tags.get("Composite:Rotation") if kind.is_video else tags.get("QuickTime:Rotation"))
    if turn in (1, 2, 3) and not kind.is_video:  # a picture's, as ExifTool 13 gives it: in quarters; 12 gave degrees
        turn *= 90
    return _TURNS.get(round(turn) % 360) if turn is not None else None


def _number(text: str | None) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _pixels(text: str | None) -> int | None:
    number = _number(text)
    # What the ledger's column can hold; no image is larger.
    return int(number) if number is not None and 1 <= number < 2**31 else None


_CLOCK_TIME = re.compile(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d*)?)", re.ASCII)


# Of these ExifTool estimates it from the size and the bit rate, wide of the truth.
_ESTIMATED = frozenset({"MPEG", "OGV"})


def _duration(subject: Subject, tags: Tags) -> float | None:
    """Seconds; what the structure of the file says wins, and an unknown duration is none, never 0."""
    if subject.kind in _ESTIMATED:
        return _number(tags.get("Structure:Duration"))
    if subject.kind == "WMV":  # the time that a player fills its buffer counts there
        total, preroll = _number(tags.get("ASF:Duration")), _number(tags.get("ASF:Preroll"))
        if total is not None and preroll is not None and total > preroll / 1000:
            return round(total - preroll / 1000, 3)
    for key in ("Structure:Duration", "Duration", "Matroska:Duration", "Composite:Duration"):
        text = tags.get(key, "")
        clock = _CLOCK_TIME.match(text)
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3]) if clock is not None else _number(text)
        if seconds is not None and seconds > 0:
            return seconds
    return None
