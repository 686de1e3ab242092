"""When and where was it taken, with what, and how large is it: the design's "date and place" stage.

Two readers find the tags: `jpeg_reader` for most camera JPEGs, ExifTool for everything else. Both give
them in ExifTool's words, and this module alone decides what they mean. A file next to the photo
(`IMG.jpg.xmp` or `IMG.xmp`) may say what the photo does not.

The date sources, in the order they are asked, as `Metadata.date_source` names them:

    exif:DateTimeOriginal         local, with SubSecTimeOriginal and OffsetTimeOriginal
    exif:CreateDate               local, with SubSecTimeDigitized and OffsetTimeDigitized
    quicktime:CreationDate        local with its offset (Apple)
    h264:DateTimeOriginal         local with its offset, if stated (AVCHD: M2TS)
    riff:DateTimeOriginal         local (AVI)
    quicktime:CreateDate          UTC (MP4, MOV)
    quicktime:MediaCreateDate     UTC
    matroska:DateTimeOriginal     UTC (MKV, WebM)
    xmp:DateCreated               photoshop's; local, with its offset if stated
    xmp:DateTimeOriginal          exif's; likewise
    xmp:CreateDate                likewise
    iptc:DateCreated              local, with TimeCreated
    sidecar:xmp:...               the three of XMP, in the file next to it
    gps:DateTime                  UTC
    filename                      as written
    mtime                         the last resort

The ones that are UTC become the wall clock of the place, where it is known, or of the factory's zone, and
leave `captured_at_offset` empty: the file does not state the offset, we concluded it.
"""

import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo

from Src.Librarian import capture_date, jpeg_reader, jpeg_structure, pillow_reader
from Src.Librarian.capture_date import Stamp
from Src.Librarian.exiftool_reader import Answer, ExifToolReader, Tags

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """The file that is asked about."""

    path: str
    """Absolute, as `os.fsdecode` gives it."""
    name: str
    """Its original name, which may hold a date."""
    kind: str
    """Its type by content, in ExifTool's words: "JPEG", "HEIC", "MP4", …"""
    mtime_ns: int


class Metadata(NamedTuple):
    """What a file tells about itself; see the design, "When was it taken"."""

    captured_at: datetime
    """The naive wall clock where it was taken."""
    captured_at_offset: int | None
    """Minutes east of UTC, where the file states them."""
    date_source: str
    latitude: float | None
    """Signed decimal degrees, north positive."""
    longitude: float | None
    """Signed decimal degrees, east positive."""
    width: int | None
    """Pixels as stored: a rotation that the file asks for is not applied."""
    height: int | None
    duration_seconds: float | None
    camera_make: str | None
    camera_model: str | None
    rating: int | None
    """-1 (rejected), 0 (none) to 5."""
    error: str | None
    """Why the file is broken; it has the other fields nonetheless, as far as they could be read."""


class Found(NamedTuple):
    """A capture date: naive wall clock, the stated offset, the source's name."""

    when: datetime
    offset: int | None
    source: str


class MetadataExtractor:
    """Reads files in batches; one per worker process, for it owns an ExifTool process."""

    def __init__(self, zone: ZoneInfo, time_limit: float = 20.0) -> None:
        """`zone`: where UTC dates are shown when the place is unknown; `time_limit`: seconds per file."""
        self._zone = zone
        self._exiftool = ExifToolReader(time_limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends ExifTool."""
        self._exiftool.close()

    @property
    def exiftool_version(self) -> str | None:
        """None: there is no ExifTool, and much stays unknown."""
        return self._exiftool.version

    def extract(self, subjects: Sequence[Subject], now: datetime) -> list[Metadata]:
        """One `Metadata` per subject, in order. No content of a file makes it raise."""
        now = capture_date.wall_clock_now(now, self._zone)
        results: list[Metadata | None] = [self._extract_fast(subject, now) for subject in subjects]
        left = [index for index, result in enumerate(results) if result is None]
        if left:
            slow = self._extract_slow([subjects[index] for index in left], now)
            for index, result in zip(left, slow, strict=True):
                results[index] = result
        return [result for result in results if result is not None]

    def _extract_fast(self, subject: Subject, now: datetime) -> Metadata | None:
        """The answer, where it needs no ExifTool."""
        if subject.kind != "JPEG" or find_sidecar(subject.path) is not None:
            return None
        answer = jpeg_reader.read_jpeg(subject.path)
        if answer is None:
            return None
        metadata = interpret(subject, Answer(answer.tags), None, self._zone, now)
        return metadata if answer.dates_complete or metadata.date_source.startswith("exif:") else None

    def _extract_slow(self, subjects: Sequence[Subject], now: datetime) -> list[Metadata]:
        sidecars = [find_sidecar(subject.path) for subject in subjects]
        if self._exiftool.version is None:
            answers = [Answer(pillow_reader.read_image(subject.path)) for subject in subjects]
            known: dict[str, Answer] = {}
        else:
            paths = [subject.path for subject in subjects]
            asked = [*paths, *dict.fromkeys(sidecar for sidecar in sidecars if sidecar is not None)]
            answers = self._exiftool.read(asked)
            known = dict(zip(asked[len(paths) :], answers[len(paths) :], strict=True))
        return [
            interpret(
                subject,
                _with_damage(subject, answer),
                known.get(sidecar) if sidecar is not None else None,
                self._zone,
                now,
            )
            for subject, sidecar, answer in zip(subjects, sidecars, answers, strict=False)
        ]


# -- what the tags mean -----------------------------------------------------------------------------------


def interpret(subject: Subject, answer: Answer, sidecar: Answer | None, zone: ZoneInfo, now: datetime) -> Metadata:
    """The meaning of a file's tags and of its sidecar's; `now` is the wall clock in `zone`."""
    tags = answer.tags
    beside = sidecar.tags if sidecar is not None else {}
    latitude, longitude = _place(tags, beside)
    # The place's zone is looked up only for a date that needs it.
    found = _first_plausible(subject, tags, beside, (latitude, longitude), zone, now)
    return Metadata(
        captured_at=found.when,
        captured_at_offset=found.offset,
        date_source=found.source,
        latitude=latitude,
        longitude=longitude,
        width=_pixels(tags.get("ImageWidth")),
        height=_pixels(tags.get("ImageHeight")),
        duration_seconds=_seconds(tags.get("Duration")) if subject.kind in _MOVING else None,
        camera_make=_camera(tags, "Make"),
        camera_model=_camera(tags, "Model"),
        rating=_rating(tags, beside),
        error=answer.error,
    )


class _Candidate(NamedTuple):
    source: str
    stamp: Stamp | None
    is_utc: bool = False


def _candidates(tags: Tags, beside: Tags) -> Iterator[_Candidate]:
    yield _Candidate("exif:DateTimeOriginal", _exif_stamp(tags, "DateTimeOriginal", "Original"))
    yield _Candidate("exif:CreateDate", _exif_stamp(tags, "CreateDate", "Digitized"))
    for tag in ("QuickTime:CreationDate", "H264:DateTimeOriginal", "RIFF:DateTimeOriginal"):
        yield _candidate(tag, tags)
    for tag in ("QuickTime:CreateDate", "QuickTime:MediaCreateDate", "Matroska:DateTimeOriginal"):
        yield _candidate(tag, tags, is_utc=True)
    for tag in ("XMP:DateCreated", "XMP:DateTimeOriginal", "XMP:CreateDate"):
        yield _candidate(tag, tags)
    iptc = capture_date.join_date_and_time(tags.get("IPTC:DateCreated"), tags.get("IPTC:TimeCreated"))
    yield _Candidate("iptc:DateCreated", iptc)
    for tag in ("XMP:DateCreated", "XMP:DateTimeOriginal", "XMP:CreateDate"):
        yield _candidate(tag, beside)._replace(source=f"sidecar:{_source(tag)}")
    gps = capture_date.parse_stamp(tags.get("Composite:GPSDateTime"))
    yield _Candidate("gps:DateTime", gps, is_utc=True)


def _first_plausible(
    subject: Subject,
    tags: Tags,
    beside: Tags,
    place: tuple[float | None, float | None],
    zone: ZoneInfo,
    now: datetime,
) -> Found:
    for source, stamp, is_utc in _candidates(tags, beside):
        if stamp is None:
            continue
        if not is_utc:
            if capture_date.is_plausible(stamp.when, now):
                return Found(stamp.when, stamp.offset, source)
            continue
        utc = capture_date.to_utc(stamp)
        # A clock's zero is one in UTC here: in Berlin it would look like one in the morning.
        if utc is None or not capture_date.is_plausible(utc, now):
            continue
        local = capture_date.utc_to_wall_clock(utc, capture_date.zone_at(*place) or zone)
        if local is not None and capture_date.is_plausible(local, now):
            return Found(local, None, source)
    for when in capture_date.from_file_name(subject.name):
        if capture_date.is_plausible(when, now):
            return Found(when, None, "filename")
    return Found(capture_date.from_nanoseconds(subject.mtime_ns, zone) or now, None, "mtime")


def _candidate(tag: str, tags: Tags, is_utc: bool = False) -> _Candidate:
    return _Candidate(_source(tag), capture_date.parse_stamp(tags.get(tag)), is_utc)


def _source(tag: str) -> str:
    group, _, name = tag.partition(":")
    return f"{group.lower()}:{name}"


def _exif_stamp(tags: Tags, name: str, suffix: str) -> Stamp | None:
    stamp = capture_date.parse_stamp(tags.get(f"EXIF:{name}"))
    if stamp is None:
        return None
    # Some programs write both into the date itself; the tags made for them come first.
    fraction = capture_date.subseconds(tags.get(f"EXIF:SubSecTime{suffix}"))
    offset = capture_date.parse_offset(tags.get(f"EXIF:OffsetTime{suffix}"))
    when = stamp.when.replace(microsecond=0) + fraction if fraction else stamp.when
    return Stamp(when, stamp.offset if offset is None else offset)


def _place(tags: Tags, beside: Tags) -> tuple[float | None, float | None]:
    """Latitude and longitude from one source that has both, or neither."""
    for source, group in ((tags, "Composite"), (tags, "XMP"), (beside, "Composite"), (beside, "XMP")):
        latitude = _number(source.get(f"{group}:GPSLatitude"))
        longitude = _number(source.get(f"{group}:GPSLongitude"))
        if latitude is None or longitude is None or latitude == longitude == 0:
            continue
        if abs(latitude) <= 90 and abs(longitude) <= 180:
            return latitude, longitude
    return None, None


def _camera(tags: Tags, name: str) -> str | None:
    for key in (f"EXIF:{name}", f"QuickTime:{name}", f"XMP:{name}", name):
        value = tags.get(key, "").replace("\0", "").strip()
        if value:
            return value
    return None


def _rating(tags: Tags, beside: Tags) -> int | None:
    for value in (tags.get("XMP:Rating"), tags.get("EXIF:Rating"), beside.get("XMP:Rating")):
        number = _number(value)
        if number is not None and -1 <= number <= 5:
            return round(number)
    return None


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


# A CR3 or a HEIC has a duration only because its container is made for films.
_MOVING = frozenset({"MP4", "MOV", "M4V", "3GP", "AVI", "M2TS", "MKV", "WEBM", "GIF", "WEBP"})


def _seconds(text: str | None) -> float | None:
    number = _number(text)
    return number if number is not None and number >= 0 else None


# -- sidecars and damage ----------------------------------------------------------------------------------

_SIDECAR_ENDINGS = (".xmp", ".XMP", ".Xmp", ".xMP", ".xmP", ".XMp", ".xMp", ".XmP")


def find_sidecar(path: str) -> str | None:
    """The XMP file that belongs to the photo at `path`: IMG.jpg.xmp before IMG.xmp, in any case."""
    for stem in (path, os.path.splitext(path)[0]):
        for ending in _SIDECAR_ENDINGS:
            # (asked for one by one: to list an inbox of 100,000 files for each photo would not do)
            if os.access(stem + ending, os.F_OK) and stem + ending != path:
                return stem + ending
    return None


# ExifTool's warnings that mean the file itself is damaged or incomplete. Those about maker notes and about
# metadata that another program wrote oddly do not: the picture is whole.
_DAMAGE = re.compile(
    r"truncated|corrupt|missing JPEG SOS|format error\Z|unexpected end|error reading (?!maker|preview|thumb)"
    r"|invalid (atom|chunk|extended) (size|length)|invalid \w+ chunk size|bad \w*IFD\d* directory",
    re.IGNORECASE,
)
_HARMLESS_DAMAGE = re.compile(r"\[minor\]|maker ?notes|XMP|IPTC|ICC_Profile|sample table", re.IGNORECASE)


def damage_in(warnings: Sequence[str]) -> str | None:
    """The first of ExifTool's warnings that tells of a damaged file."""
    for warning in warnings:
        if _DAMAGE.search(warning) and not _HARMLESS_DAMAGE.search(warning):
            return warning
    return None


def _with_damage(subject: Subject, answer: Answer) -> Answer:
    """The answer with why the file is broken, if it is."""
    if answer.error is not None:
        return answer
    # For a JPEG only its own structure counts: the fast reader sees that, but none of the warnings.
    if subject.kind == "JPEG":
        told = [warning for warning in answer.warnings if warning.lower() in _JPEG_DAMAGE]
        error = told[0] if told else jpeg_structure.jpeg_damage(subject.path)
        return Answer(answer.tags, answer.warnings, error)
    return Answer(answer.tags, answer.warnings, damage_in(answer.warnings))


_JPEG_DAMAGE = frozenset({"missing jpeg sos", "jpeg format error"})
