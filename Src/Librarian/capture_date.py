"""The rules of the design's date table ("When was it taken"), without any I/O.

What a date looks like in metadata and in file names, which dates are no dates at all, and how a moment
in UTC becomes the wall clock of a place. Which source is asked in which order is `metadata_extractor`'s.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# The first photograph that still exists is of 1826 or 1827: nothing was taken before.
FIRST_YEAR = 1826
# Where clocks start that were never set: Macintosh and QuickTime, Unix. (0000:00:00 is no date at all.)
CLOCK_ZEROS = frozenset({datetime(1904, 1, 1), datetime(1970, 1, 1)})
# A camera set to the easternmost zone while we are in the westernmost is a day ahead.
FUTURE_TOLERANCE = timedelta(days=1)
# Real zones lie within -12:00..+14:00; one hour more, for what double summer time did in its day.
MAX_OFFSET_MINUTES = 15 * 60


class Stamp(NamedTuple):
    """A date as a file states it: its wall clock, and the offset in minutes east of UTC if it states one."""

    when: datetime
    offset: int | None


_STAMP = re.compile(
    r"""(?P<year>\d{4})[:/.-](?P<month>\d\d)[:/.-](?P<day>\d\d)
        (?:[ T]+(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d*))?)?
           (?:\ *(?P<offset>[Zz]|[+-][\d:]*))?
        )?""",
    re.ASCII | re.VERBOSE,
)
_TIME = re.compile(r"(\d\d):?(\d\d):?(\d\d)(?:\.\d*)?(?:\ *([Zz]|[+-][\d:]*))?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d{1,2})(?::(\d\d)|(\d\d))?(?::00)?", re.ASCII)


def parse_stamp(text: str | None) -> Stamp | None:
    """The date and time in `text`, written as EXIF, XMP and ExifTool write it; None when it is no date.

    A date without a time is midnight. Without a day ("2003", "2003:08") it is no date: it could not say
    which folder the photo belongs to. An offset that no clock on earth shows is dropped, the date kept.
    """
    match = _STAMP.fullmatch(clean(text))
    if match is None:
        return None
    part = match.groupdict()
    when = _moment(part["year"], part["month"], part["day"], part["hour"], part["minute"], part["second"])
    if when is None:
        return None
    return Stamp(when + subseconds(part["fraction"]), parse_offset(part["offset"]))


def parse_offset(text: str | None) -> int | None:
    """Minutes east of UTC in "+01:00", "+5:30", "-0330", "+02" or "Z"; None for anything else."""
    cleaned = clean(text)
    if cleaned in ("Z", "z"):
        return 0
    match = _OFFSET.fullmatch(cleaned)
    if match is None:
        return None
    sign, hours, colon_minutes, plain_minutes = match.groups()
    minutes = int(colon_minutes or plain_minutes or 0)
    total = int(hours) * 60 + minutes
    if minutes > 59 or total > MAX_OFFSET_MINUTES:
        return None
    return -total if sign == "-" else total


def subseconds(text: str | None) -> timedelta:
    """The fraction of a second in a SubSec tag ("123" is 0.123 s), cut to microseconds; 0 for garbage."""
    digits = clean(text)
    if not (digits.isascii() and digits.isdigit()):
        return timedelta(0)
    return timedelta(microseconds=int(digits[:6].ljust(6, "0")))


def join_date_and_time(date: str | None, time: str | None) -> Stamp | None:
    """IPTC keeps day and time apart ("2005:12:14", "14:39:47-05:00"). Without a valid time: midnight."""
    day = parse_stamp(date)
    if day is None:
        return None
    match = _TIME.fullmatch(clean(time))
    if match is None:
        return day
    hour, minute, second, offset = match.groups()
    whole = _moment(f"{day.when.year:04}", f"{day.when.month:02}", f"{day.when.day:02}", hour, minute, second)
    return day if whole is None else Stamp(whole, parse_offset(offset))


def clean(text: str | None) -> str:
    """`text` up to its first NUL, as C and ExifTool read strings, without blanks around it."""
    return (text or "").partition("\0")[0].strip()


def is_plausible(when: datetime, now: datetime) -> bool:
    """Whether a camera could have taken a photo then; `now` is the wall clock of the same place."""
    if when.year < FIRST_YEAR or when.replace(microsecond=0) in CLOCK_ZEROS:
        return False
    # Compared as a difference: adding a day to a date of the year 9999 would overflow.
    return when - now <= FUTURE_TOLERANCE


def zone_at(latitude: float | None, longitude: float | None) -> ZoneInfo | None:
    """The time zone of a place (signed degrees), or None where it is unknown."""
    if latitude is None or longitude is None:
        return None
    # Most photos need no zone at all: the 10 MB of borders are loaded for those that do.
    from tzfpy import get_tz

    return _zone_by_name(get_tz(longitude, latitude))


@lru_cache(maxsize=512)
def _zone_by_name(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a zone newer than this machine's table
        return None


def utc_to_wall_clock(utc: datetime, zone: ZoneInfo) -> datetime | None:
    """The naive wall clock in `zone` at the naive moment `utc`; None at the ends of the calendar."""
    try:
        return utc.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    except (OverflowError, ValueError):
        return None


def to_utc(stamp: Stamp) -> datetime | None:
    """The naive UTC moment of a stamp from a source that is UTC unless it states an offset."""
    try:
        return stamp.when - timedelta(minutes=stamp.offset or 0)
    except OverflowError:
        return None


def wall_clock_now(now: datetime, zone: ZoneInfo) -> datetime:
    """`now` as naive wall clock: converted to `zone` if it knows its own, taken as it is if naive."""
    return now if now.tzinfo is None else now.astimezone(zone).replace(tzinfo=None)


def from_nanoseconds(mtime_ns: int, zone: ZoneInfo) -> datetime | None:
    """The naive wall clock in `zone` of a file time; None when the calendar has no such day."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=mtime_ns // 1000)
        return moment.astimezone(zone).replace(tzinfo=None)
    except (OverflowError, ValueError):
        return None


# -- dates in file names ----------------------------------------------------------------------------------

# Digits on either side would make it part of some longer number: a phone number, an id, epoch milliseconds.
_NAME_DATE_TIME = re.compile(
    r"""(?<!\d)(?P<year>(?:19|20)\d\d)(?P<sep>[-_.:]?)(?P<month>\d\d)(?P=sep)(?P<day>\d\d)
        (?:[-_.T ]|,\ |\ at\ |\ -\ |_at_)?
        (?P<hour>\d\d?)(?P<tsep>[-_.:h]?)(?P<minute>\d\d)[-_.:m]?(?P<second>\d\d)(?P<milli>\d{3})?(?!\d)
        (?:[\ _.\u202f]?(?P<half>[AaPp])\.?[Mm]\b)?""",
    re.ASCII | re.VERBOSE,
)
_NAME_DATE = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<sep>[-_.:]?)(?P<month>\d\d)(?P=sep)(?P<day>\d\d)(?!\d)", re.ASCII
)


def from_file_name(name: str) -> Iterator[datetime]:
    """The dates a file's name may mean, best first: those with a time, then days alone (at midnight).

    Only year-month-day, with one kind of separator or none: 03-04-2019 means two days, depending on who
    wrote it. The last dot's ending is no part of it.
    """
    stem = name.rpartition(".")[0] or name
    for match in _NAME_DATE_TIME.finditer(stem):
        hour, tsep, half = match["hour"], match["tsep"], match["half"]
        if len(hour) == 1 and not (tsep and match["sep"]):
            continue  # one digit for the hour only where separators say that it is one
        if half:
            if not 1 <= int(hour) <= 12:
                continue
            hour = f"{int(hour) % 12 + (12 if half in 'Pp' else 0):02}"
        when = _moment(match["year"], match["month"], match["day"], hour, match["minute"], match["second"])
        if when is not None:
            yield when + subseconds(match["milli"])
    for match in _NAME_DATE.finditer(stem):
        day = _moment(match["year"], match["month"], match["day"], None, None, None)
        if day is not None:
            yield day


def _moment(
    year: str, month: str, day: str, hour: str | None, minute: str | None, second: str | None
) -> datetime | None:
    try:
        return datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None
