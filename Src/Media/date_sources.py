"""Which date of a file, of its companions, and of its name and file time is the one it was taken at.

The sources, in the order they are asked, as `Metadata.date_source` names them (the design's table; the numbers are its
rows). Local ones are wall clock; the UTC ones become the wall clock of the place, where it is known, or of the
factory's zone, and leave the offset empty: the file does not state it, we concluded it.

    0b  sidecar:xmp:DateTimeOriginal, sidecar:xmp:DateCreated
    1   exif:DateTimeOriginal         local, with SubSecTimeOriginal and OffsetTimeOriginal
    2   quicktime:CreationDate        local with its offset (Apple)
        quicktime:ContentCreateDate   likewise (Apple's ©day)
        quicktime:DateTimeOriginal    user data's, or a dash camera's IDIT; local
        riff:DateTimeOriginal         IDIT; local
        xml:CreationDateValue         Sony's NonRealTimeMeta; local with its offset
        makernotes:DateTimeOriginal   Nikon, Casio, …; local
        …:DateTimeOriginal            of any other group (APP12, FLIR, DV, RED, …); local
    3   xmp:DateCreated               photoshop's, where it and the next differ by more than a day: a scan's original
        exif:CreateDate               local, with SubSecTimeDigitized and OffsetTimeDigitized
    4   quicktime:CreateDate, quicktime:MediaCreateDate   UTC; local where a GoPro wrote it or a TimeZone is stated
        matroska:DateTimeOriginal     UTC
        asf:CreationDate, mxf:CreateDate, flash:Creation_time   UTC
        h264:DateTimeOriginal         local with its offset, if stated (AVCHD: M2TS)
        flash:CreateDate, real:CreateDate, vorbis:Date    local, with their offset if stated
    5   xmp:DateCreated, xmp:DateTimeOriginal, xmp:CreateDate, iptc:DateCreated
        sidecar:xmp:CreateDate
        takeout:photoTakenTime        UTC; before all of the file's own where it differs by more than a day
    6   png:CreationTime, png:CreateDate, riff:DateCreated (ICRD)
    7   gps:DateTime                  UTC; EXIF's, then XMP's
    8   filename                      local, or UTC where the name says so
    9   exif:ModifyDate               local, with SubSecTime and OffsetTime
    10  mtime                         the file's own time on disk
        arrival                       where not even that can be: when it came
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from Src.Media import capture_date, file_name_date
from Src.Media.capture_date import Precision, Stamp
from Src.Media.places import Place
from Src.Media.tags import Tags

# Where these two dates of a file differ by more, they are two dates: a photo's and its scan's, or a corrected one.
ANOTHER_DATE = timedelta(days=1)

GUESSES = ("mtime", "arrival")  # sources that say nothing of when it was taken


class Found(NamedTuple):
    """A capture date: naive wall clock, the stated offset, the source's name, how exact it is."""

    when: datetime
    offset: int | None
    source: str
    precision: Precision = "second"


class Sources(NamedTuple):
    """All that may know when it was taken."""

    tags: Tags
    sidecar: Tags
    takeout: datetime | None
    """Naive, UTC."""
    name: str
    mtime_ns: int


class _Candidate(NamedTuple):
    source: str
    stamp: Stamp | None
    is_utc: bool = False


def capture_date_of(sources: Sources, place: Place, zone: ZoneInfo, now: datetime) -> Found:
    """The first date of the table that can be one; `now` is the wall clock in `zone`.

    A year or a month alone is made exact by a later source that lies within it.
    """
    clock = _Clock(place, zone, now)
    inexact: Found | None = None
    for candidate in _candidates(sources):
        found = clock.read(candidate)
        if found is None:
            continue
        if found.source == "takeout:photoTakenTime" and inexact is not None:
            continue
        if inexact is not None and not capture_date.period_holds(
            Stamp(inexact.when, None, inexact.precision), found.when
        ):
            continue
        if found.precision in ("year", "month"):
            inexact = inexact or found
            continue
        return _corrected(found, sources, clock)
    if inexact is not None:
        return _corrected(inexact, sources, clock)
    modified = clock.read(_Candidate("exif:ModifyDate", _exif_stamp(sources.tags, "ModifyDate", "")))
    if modified is not None:
        return modified
    at = capture_date.from_nanoseconds(sources.mtime_ns, zone)
    if at is None or not capture_date.is_plausible(at, now) or capture_date.is_clock_zero(Stamp(at, None)):
        return Found(now, None, "arrival")
    return Found(at, None, "mtime")


def _candidates(sources: Sources) -> Iterator[_Candidate]:
    tags, sidecar = sources.tags, sources.sidecar
    for tag in ("XMP:DateTimeOriginal", "XMP:DateCreated"):
        yield _candidate(tag, sidecar)._replace(source=f"sidecar:{_source(tag)}")
    yield _Candidate("exif:DateTimeOriginal", _exif_stamp(tags, "DateTimeOriginal", "Original"))
    yield from _cameras_own(tags)
    digitized = _Candidate("exif:CreateDate", _exif_stamp(tags, "CreateDate", "Digitized"))
    created = _candidate("XMP:DateCreated", tags)
    if digitized.stamp is not None and created.stamp is not None and _are_apart(created.stamp, digitized.stamp):
        yield created
    yield digitized
    yield from _containers(tags)
    for tag in ("XMP:DateCreated", "XMP:DateTimeOriginal", "XMP:CreateDate"):
        yield _candidate(tag, tags)
    iptc = capture_date.join_date_and_time(tags.get("IPTC:DateCreated"), tags.get("IPTC:TimeCreated"))
    yield _Candidate("iptc:DateCreated", iptc)
    yield _candidate("XMP:CreateDate", sidecar)._replace(source="sidecar:xmp:CreateDate")
    if sources.takeout is not None:
        yield _takeout(sources.takeout)
    for tag in ("PNG:CreationTime", "PNG:CreateDate", "RIFF:DateCreated"):
        yield _candidate(tag, tags)
    for tag in ("Composite:GPSDateTime", "XMP:GPSDateTime"):
        yield _Candidate("gps:DateTime", capture_date.parse_stamp(tags.get(tag)), is_utc=True)
    for named in file_name_date.from_file_name(sources.name):
        yield _Candidate("filename", Stamp(named.when, None, named.precision), named.is_utc)


_NOT_OTHERS = frozenset({"EXIF", "XMP", "QuickTime", "RIFF", "XML", "MakerNotes", "Matroska", "H264", "Composite"})


def _cameras_own(tags: Tags) -> Iterator[_Candidate]:
    yield _candidate("QuickTime:CreationDate", tags)
    content = _candidate("QuickTime:ContentCreateDate", tags)
    if not _is_published(content.stamp, tags):
        yield content
    for tag in (
        "QuickTime:DateTimeOriginal",
        "RIFF:DateTimeOriginal",
        "XML:CreationDateValue",
        "MakerNotes:DateTimeOriginal",
    ):
        yield _candidate(tag, tags)
    for tag in tags:
        group, _, name = tag.partition(":")
        if name == "DateTimeOriginal" and group not in _NOT_OTHERS:
            yield _candidate(tag, tags)


def _is_published(content: Stamp | None, tags: Tags) -> bool:
    """Whether Apple's ©day is a bare year after the film was made: no camera's date, but when it came out."""
    made = capture_date.parse_stamp(tags.get("QuickTime:CreateDate"))
    if content is None or made is None or content.precision in ("second", "day") or capture_date.is_clock_zero(made):
        return False
    return made.when.year >= capture_date.FIRST_YEAR and made.when < content.when


def _containers(tags: Tags) -> Iterator[_Candidate]:
    for tag in ("QuickTime:CreateDate", "QuickTime:MediaCreateDate"):
        yield _quicktime(tag, tags)
    matroska = _candidate("Matroska:DateTimeOriginal", tags)
    # The format's own date is UTC and ExifTool says so; a DATE_RECORDED is whatever somebody wrote.
    yield matroska._replace(is_utc=matroska.stamp is not None and matroska.stamp.offset is not None)
    for tag in ("ASF:CreationDate", "MXF:CreateDate", "Flash:Creation_time"):
        yield _candidate(tag, tags)._replace(is_utc=True)
    for tag in ("H264:DateTimeOriginal", "Flash:CreateDate", "Real:CreateDate", "Vorbis:Date"):
        yield _candidate(tag, tags)


_GOPRO = re.compile(r"GoPro|\AH[DX]?\d{1,2}\.\d\d\.\d\d")


def _quicktime(tag: str, tags: Tags) -> _Candidate:
    candidate = _candidate(tag, tags)
    if candidate.stamp is None:
        return candidate
    minutes = tags.get("QuickTime:TimeZone", "")
    if re.fullmatch(r"-?\d{1,3}", minutes) and abs(int(minutes)) <= capture_date.MAX_OFFSET_MINUTES:
        try:
            local = candidate.stamp.when + timedelta(minutes=int(minutes))
        except OverflowError:
            return candidate._replace(stamp=None)
        if not capture_date.is_clock_zero(candidate.stamp):
            return _Candidate(candidate.source, Stamp(local, int(minutes), candidate.stamp.precision))
    return candidate._replace(is_utc=not _is_gopros(tags))


def _is_gopros(tags: Tags) -> bool:
    """Whether a GoPro wrote this very file: what was coded anew keeps its firmware's name, and has a date in UTC."""
    compressor = tags.get("QuickTime:CompressorName", "")
    told = (compressor, *(tags.get(f"QuickTime:{name}", "") for name in ("HandlerDescription", "FirmwareVersion")))
    return not compressor.startswith("Lavc") and any(_GOPRO.search(text) for text in told)


class _Clock:
    """Reads candidates as the wall clock of the place; looks its zone up only for a date that needs it."""

    def __init__(self, place: Place, zone: ZoneInfo, now: datetime) -> None:
        self._place = place
        self._zone = zone
        self._now = now

    def read(self, candidate: _Candidate) -> Found | None:
        """The date of a candidate; None where it has none that can be one."""
        source, stamp, is_utc = candidate
        if stamp is None or capture_date.is_clock_zero(stamp):
            return None
        if not is_utc or stamp.precision != "second":
            if capture_date.is_plausible(stamp.when, self._now):
                return Found(stamp.when, stamp.offset, source, stamp.precision)
            return None
        utc = capture_date.to_utc(stamp)
        if utc is None or not capture_date.is_plausible(utc, self._now):
            return None
        local = capture_date.utc_to_wall_clock(utc, self.zone)
        if local is None or not capture_date.is_plausible(local, self._now):
            return None
        return Found(local, None, source, stamp.precision)

    @property
    def zone(self) -> ZoneInfo:
        return capture_date.zone_at(*self._place) or self._zone


_AFTER_TAKEOUT = ("sidecar:", "png:", "gps:", "filename", "takeout:")


def _corrected(found: Found, sources: Sources, clock: _Clock) -> Found:
    """Takeout's date instead of the file's own where they differ by more than a day: it was corrected there."""
    if sources.takeout is None or found.source.startswith(_AFTER_TAKEOUT) or found.source == "riff:DateCreated":
        return found
    takeout = clock.read(_takeout(sources.takeout))
    if takeout is None or not _are_apart(Stamp(found.when, None, found.precision), Stamp(takeout.when, None)):
        return found
    return takeout


def late_takeout(known: Found, moment: datetime, place: Place, zone: ZoneInfo, now: datetime) -> Found | None:
    """Takeout's date, where it comes before the one that a photo was filed with; `moment` is naive, UTC."""
    found = _Clock(place, zone, now).read(_takeout(moment))
    if found is None or known.source.startswith("sidecar:"):
        return None
    if known.source in _WEAKER_THAN_TAKEOUT:
        return found
    are_apart = _are_apart(Stamp(known.when, None, known.precision), Stamp(found.when, None))
    return found if are_apart else None


_WEAKER_THAN_TAKEOUT = (
    *("png:CreationTime", "png:CreateDate", "riff:DateCreated", "gps:DateTime", "filename", "exif:ModifyDate"),
    *GUESSES,
)


def _takeout(moment: datetime) -> _Candidate:
    return _Candidate("takeout:photoTakenTime", Stamp(moment, None), is_utc=True)


def _are_apart(one: Stamp, other: Stamp) -> bool:
    for inexact, exact in ((one, other), (other, one)):
        if inexact.precision in ("year", "month"):
            return not capture_date.period_holds(inexact, exact.when)
    return abs(one.when - other.when) > ANOTHER_DATE


def _candidate(tag: str, tags: Tags) -> _Candidate:
    return _Candidate(_source(tag), capture_date.parse_stamp(tags.get(tag)))


def _source(tag: str) -> str:
    group, _, name = tag.partition(":")
    return f"{group.lower()}:{name}"


def _exif_stamp(tags: Tags, name: str, suffix: str) -> Stamp | None:
    stamp = capture_date.parse_stamp(tags.get(f"EXIF:{name}"))
    if stamp is None or stamp.precision != "second":
        return stamp
    # Some programs write both into the date itself; the tags made for them come first.
    fraction = capture_date.subseconds(tags.get(f"EXIF:SubSecTime{suffix}"))
    offset = capture_date.parse_offset(tags.get(f"EXIF:OffsetTime{suffix}"))
    if offset is None and suffix:
        offset = _general_offset(stamp, tags)
    when = stamp.when.replace(microsecond=0) + fraction if fraction else stamp.when
    return Stamp(when, stamp.offset if offset is None else offset)


def _general_offset(stamp: Stamp, tags: Tags) -> int | None:
    """`OffsetTime` belongs to ModifyDate: it counts for the other dates only while nobody changed the file later."""
    modified = capture_date.parse_stamp(tags.get("EXIF:ModifyDate"))
    if modified is not None and abs(modified.when - stamp.when) > ANOTHER_DATE:
        return None
    return capture_date.parse_offset(tags.get("EXIF:OffsetTime"))
