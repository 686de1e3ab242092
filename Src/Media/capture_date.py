"""The rules of the design's date table ("When was it taken"), without any I/O.

What a date looks like in metadata, which dates are no dates at all, and how a moment in UTC becomes the wall clock
of a place. Dates in file names are `file_name_date`'s; which source is asked in which order is `date_sources`'s.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# The first photograph that still exists is of 1826 or 1827: nothing was taken before.
FIRST_YEAR = 1826
# Where clocks start that were never set: spreadsheets and Delphi, Macintosh and QuickTime, Unix, DOS, GPS.
# (0000:00:00 is no date at all.)
CLOCK_ZEROS = frozenset(
    {datetime(1899, 12, 30), datetime(1904, 1, 1), datetime(1970, 1, 1), datetime(1980, 1, 1), datetime(1980, 1, 6)}
)
_YEARS_OF_ZEROS = frozenset({1899, 1903, 1904, 1969, 1970, 1979, 1980})  # in the zones west of it, the year before
# A camera set to the easternmost zone while we are in the westernmost is a day ahead.
FUTURE_TOLERANCE = timedelta(days=1)
# Zones of today, each a whole number of quarter hours from UTC.
WESTERNMOST, EASTERNMOST, QUARTER = timedelta(hours=-12), timedelta(hours=14), timedelta(minutes=15)
# Real zones lie within -12:00..+14:00; one hour more, for what double summer time did in its day.
MAX_OFFSET_MINUTES = 15 * 60

Precision = Literal["second", "day", "month", "year"]


class Stamp(NamedTuple):
    """A date as a file states it: its wall clock, the offset in minutes east of UTC if it states one, how exact it is.

    What an inexact date leaves open is the first it can be: "2003:08" is the first of August, at midnight.
    """

    when: datetime
    offset: int | None
    precision: Precision = "second"


_DAY = re.compile(
    r"""(?P<year>\d{4})(?!\d)(?:\s*[:/.-]\s*(?P<month>\d{1,2})(?!\d)(?:\s*[:/.-]\s*(?P<day>\d{1,2})(?!\d))?)?[/]?""",
    re.ASCII | re.VERBOSE,
)
# "20190203", with a clock of 4, 6 or 9 digits behind it or without
_COMPACT_DAY = re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?=(?:\d{4}|\d{6}|\d{9})?(?!\d))", re.ASCII)
_CLOCK = re.compile(
    r"""\s*[T_]?\s*(?P<hour>\d{1,2})\s*:\s*(?P<minute>\d{1,2})(?!\d)
        (?:\s*:\s*(?P<second>\d{1,2})(?!\d)(?:[.,:](?P<fraction>\d*))?)?
        (?:\s*(?P<half>[AaPp])\.?\s?[Mm]\b)?""",
    re.ASCII | re.VERBOSE,
)
# "07.08.09", "07-08-09": all three, for "-05" alone may be a zone
_DOTTED_CLOCK = re.compile(
    r"(?:\s+|\s*[T_]\s*)(?P<hour>\d{1,2})(?P<sep>[.-])(?P<minute>\d{1,2})(?P=sep)(?P<second>\d{1,2})(?!\d)(?:[.,](?P<fraction>\d+))?"
    r"(?:\s*(?P<half>[AaPp])\.?\s?[Mm]\b)?",
    re.ASCII,
)
_COMPACT_CLOCK = re.compile(
    r"(?:\s*T?(?=\d{6})|T?)(?P<hour>\d\d)(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?:(?:[.,]|(?=\d{3}(?!\d)))(?P<fraction>\d*))?)?(?!\d)(?P<half>)",
    re.ASCII,
)
_STATED_ZONE = re.compile(r"\s*(?:(?:GMT|UTC)\s*)?([Zz](?![A-Za-z])|[+-]\d[\d:]*)|\s*(GMT|UTC)(?![A-Za-z])", re.ASCII)
_TIME = re.compile(r"(\d\d):?(\d\d):?(\d\d)(?:\.\d*)?(?:\ *([Zz]|[+-][\d:]*))?", re.ASCII)
_OFFSET = re.compile(r"(?:GMT|UTC)?\s*([+-])(\d{1,2})(?::(\d\d)|(\d\d))?(?::00)?", re.ASCII)

# "Mon, 16 Jan 2023 20:15:29 GMT" (mail), "Mon Jan 16 20:15:29 2023" (C's ctime), "January 16, 2023"
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_WORDY = (
    re.compile(rf"(?:[a-z]{{3,9}},?\s+)?(?P<day>\d{{1,2}})[\s-]+{_MONTH}[\s,-]+(?P<year>\d{{4}})(?!\d),?", re.I),
    re.compile(
        rf"(?:[a-z]{{3,9}},?\s+)?{_MONTH}\s+(?P<day>\d{{1,2}})(?P<clock>\s+\d\d?:\d\d:\d\d)(?:\s+[a-z]+)?"
        r"\s+(?P<year>\d{4})(?!\d)",
        re.I,
    ),
    re.compile(rf"(?:[a-z]{{3,9}},?\s+)?{_MONTH}\s+(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}})(?!\d),?", re.I),
)


def parse_stamp(text: str | None) -> Stamp | None:
    """The date and time in `text`, written as EXIF, XMP, RIFF, PNG and ExifTool write it; None when it is no date.

    It is read as far as it is sound: what follows never voids it. A date without a time is midnight; an offset that
    no clock on earth shows is dropped, the date kept.
    """
    cleaned = _ascii_digits(clean(text))
    match = _DAY.match(cleaned) or _COMPACT_DAY.match(cleaned)
    if match is None:
        return _parse_words(cleaned)
    day = _day(match["year"], match["month"], match["day"])
    if day is None or day.precision != "day":
        return day
    rest = cleaned[match.end() :]
    return _with_clock(day.when, rest, _CLOCK.match(rest) or _DOTTED_CLOCK.match(rest) or _COMPACT_CLOCK.match(rest))


def _parse_words(text: str) -> Stamp | None:
    for pattern in _WORDY:
        match = pattern.match(text)
        if match is not None:
            day = _day(match["year"], str(_MONTHS[match["month"].lower()]), match["day"])
            if day is None or day.precision != "day":
                return day
            rest = match.groupdict().get("clock") or text[match.end() :]
            return _with_clock(day.when, rest, _CLOCK.match(rest))
    return None


def _day(year: str, month: str | None, day: str | None) -> Stamp | None:
    """Midnight of a day. A part that is zero or missing is unknown; so is a 30th of February's day."""
    years, months, days = int(year), int(month or 0), int(day or 0)
    if years == 0 or months > 12 or days > 31:
        return None
    if months == 0:
        return Stamp(datetime(years, 1, 1), None, "year")
    try:
        return Stamp(datetime(years, months, days), None, "day")
    except ValueError:
        return Stamp(datetime(years, months, 1), None, "month")


def _with_clock(day: datetime, rest: str, match: re.Match[str] | None) -> Stamp:
    """The day with the time that `match` found at the start of `rest`, and the zone behind it."""
    if match is None:
        return Stamp(day, None, "day")
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    if match["half"] and 1 <= hour <= 12:
        hour = hour % 12 + (12 if match["half"] in "Pp" else 0)
    if hour == 24:  # cameras that count 1 to 24 mean the first hour of the day that they state
        hour = 0
    if hour > 24 or minute > 60:
        return Stamp(day, None, "day")
    # The 60th second (and minute) is the next one's first.
    span = timedelta(hours=hour, minutes=minute, seconds=second if second <= 60 else 0)
    try:
        when = day + span
    except OverflowError:
        return Stamp(day, None, "day")
    zone = _STATED_ZONE.match(rest, match.end())
    offset = None if zone is None else 0 if zone[2] else parse_offset(zone[1].rstrip(":"))
    return Stamp(when + subseconds(match["fraction"] if second <= 60 else None), offset)


def parse_offset(text: str | None) -> int | None:
    """Minutes east of UTC in "+01:00", "+5:30", "-0330", "+02", "GMT+02:00" or "Z"; None for anything else."""
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
    if day is None or day.precision not in ("day", "second"):
        return day
    match = _TIME.fullmatch(_ascii_digits(clean(time)))
    if match is None:
        return day
    hour, minute, second, offset = match.groups()
    whole = _with_clock(
        day.when.replace(hour=0, minute=0, second=0, microsecond=0),
        clock := f"{hour}:{minute}:{second}{offset or ''}",
        _CLOCK.match(clock),
    )
    return whole if whole.precision == "second" else day


def clean(text: str | None) -> str:
    """`text` up to its first NUL, as C and ExifTool read strings, without blanks around it."""
    return (text or "").partition("\0")[0].strip()


def _ascii_digits(text: str) -> str:
    """`text` with the digits of every script as 0 to 9: some phones write a date as its owner writes numbers."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)


def is_plausible(when: datetime, now: datetime) -> bool:
    """Whether a camera could have taken a photo then; `now` is the wall clock of the same place."""
    # Compared as a difference: adding a day to a date of the year 9999 would overflow.
    return when.year >= FIRST_YEAR and when - now <= FUTURE_TOLERANCE


def is_clock_zero(stamp: Stamp) -> bool:
    """Whether the date is where a clock starts that was never set, or what that moment is called in another zone.

    A year or month alone is what a person wrote, never a clock.
    """
    if stamp.precision in ("month", "year"):
        return False
    if stamp.when.year not in _YEARS_OF_ZEROS:
        return False
    if stamp.precision == "day":
        return stamp.when in CLOCK_ZEROS
    for zero in CLOCK_ZEROS:
        apart = stamp.when.replace(microsecond=0) - zero
        if stamp.offset is not None:
            if apart in (timedelta(0), timedelta(minutes=stamp.offset)):
                return True
        elif WESTERNMOST <= apart <= EASTERNMOST and apart % QUARTER == timedelta(0):
            return True
    return False


def period_holds(stamp: Stamp, when: datetime) -> bool:
    """Whether `when` is in the year or month that an inexact date names."""
    return when.year == stamp.when.year and (stamp.precision == "year" or when.month == stamp.when.month)


def zone_at(latitude: float | None, longitude: float | None) -> ZoneInfo | None:
    """The time zone of a place (signed degrees), or None where it is unknown."""
    if latitude is None or longitude is None:
        return None
    return _zone_by_name(_asked_for_names(latitude, longitude))


def zone_name_at(latitude: float, longitude: float) -> str:
    """The name of the time zone of a place; empty where there is none."""
    # Most photos need no zone at all: the borders, 33 MB, are loaded for those that do.
    from tzfpy import get_tz

    return get_tz(longitude, latitude)


def ask_for_zone_names(ask: Callable[[float, float], str]) -> None:
    """From now on another process is asked, which has the borders in memory for several."""
    global _asked_for_names
    _asked_for_names = ask


_asked_for_names: Callable[[float, float], str] = zone_name_at


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
