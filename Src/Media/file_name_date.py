"""The date in a file's name, as cameras, dash cameras, messengers and screenshots of many languages write it.

Only year-month-day, from 1990 on, with one kind of separator or none; day-month-year only where Telegram writes it.
Digits that border letters or other digits are part of something else (an id, a number), unless the letters are what
cameras write before a date.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from Src.Media.capture_date import Precision, subseconds

FIRST_YEAR = 1990


class NameDate(NamedTuple):
    """A date in a name: the wall clock it states, whether that is UTC, and how exact it is."""

    when: datetime
    is_utc: bool
    precision: Precision


# Letters of scripts that put blanks between words; a Chinese "截屏2023-12-25" has none.
_LETTER = r"A-Za-z\u00aa-\u02af\u0370-\u058f"
# What is written right before a date: IMG20231225123456, GMT20231225-123456 (Zoom), NO20231225-123456 (70mai).
_PREFIX = r"IMG|VID|PXL|MVIMG|PANO|BURST|SAVE|REC|MOV|PIC|GMT|NO|EV|PA|LA|TL|FILE|Screenshot|screenshot|photo|video"
_START = rf"(?<![{_LETTER}\d])(?:{_PREFIX})?"
_YMD = r"(?P<year>(?:19|20)\d\d)(?P<sep>[-_.:]?)(?P<month>\d\d)(?P=sep)(?P<day>\d\d)"
# Between day and time: a blank, "T", " - ", or a word or two of any language: "at", "um", "a las", "alle ore", "à".
_JOINT = rf"(?:[-_.T ]|,\ |\ -\ |_at_|,?[\ _](?:[{_LETTER}()]{{1,6}}\.?[\ _]){{1,2}})?"
_BEFORE_NOON = r"上午|오전|午前"
_AFTER_NOON = r"下午|오후|午後"
_TIME = rf"""
    (?P<half_first>(?:{_BEFORE_NOON}|{_AFTER_NOON})\ ?)?
    (?P<hour>\d\d?)(?P<tsep>[-_.:h\ \uff1a]?)(?P<minute>\d\d)[-_.:m\ \uff1a]?(?P<second>\d\d)(?P<milli>\d{{3}})?
"""
# A camera's letter may follow: …A and …B (front, rear), …F, …R; Z says UTC.
_END = rf"(?:(?:[._,](?P<fraction>\d{{3,6}}))?(?P<utc>Z)(?![{_LETTER}\d])|[A-Z](?![{_LETTER}\d])|(?![{_LETTER}\d]))"
_HALF = r"(?:[\ _.\u00a0\u202f]{0,2}(?P<half>[AaPp])\.?[\ \u00a0\u202f]?[Mm](?![A-Za-z])\.?)"
_NAME_DATE_TIME = re.compile(rf"{_START}{_YMD}{_JOINT}{_TIME}(?:{_HALF}|{_END})", re.ASCII | re.VERBOSE)
_NAME_DATE = re.compile(rf"{_START}{_YMD}(?![{_LETTER}\d])", re.ASCII | re.VERBOSE)
# 2026_0820_045542_F.MP4, of dash cameras
_DASH_CAMERA = re.compile(
    rf"{_START}(?P<year>20\d\d)_(?P<month>\d\d)(?P<day>\d\d)_(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d){_END}",
    re.ASCII,
)
_TELEGRAM = re.compile(
    r"@(?P<day>\d\d)-(?P<month>\d\d)-(?P<year>(?:19|20)\d\d)_(?P<hour>\d\d)-(?P<minute>\d\d)-(?P<second>\d\d)(?!\d)",
    re.ASCII,
)
_UTC_NAME = re.compile(rf"(?<![{_LETTER}\d])(?:PXL_|GMT[-_]?)\Z", re.ASCII)


def from_file_name(name: str) -> Iterator[NameDate]:
    """The dates a file's name may mean, best first: those with a time, then days alone (at midnight).

    The last dot's ending is no part of it.
    """
    stem = name.rpartition(".")[0] or name
    for pattern in (_TELEGRAM, _DASH_CAMERA):
        for match in pattern.finditer(stem):
            yield from _moment(match, int(match["hour"]))
    for match in _NAME_DATE_TIME.finditer(stem):
        part = match.groupdict()
        if len(part["hour"]) == 1 and not (part["tsep"].strip() and part["sep"]):
            continue  # one digit for the hour only where separators say that it is one
        hour, half = int(part["hour"]), part["half"]
        if part["half_first"]:
            half = "P" if re.match(_AFTER_NOON, part["half_first"]) else "A"
        if half and not 1 <= hour <= 12:
            # "下午13.30" and "13.30 PM" are written by those who count to 24.
            if hour > 23 or not part["half_first"]:
                continue
            half = None
        if half:
            hour = hour % 12 + (12 if half in "Pp" else 0)
        yield from _moment(match, hour, is_utc=bool(part["utc"]) or _says_utc(stem, match))
    for match in _NAME_DATE.finditer(stem):
        try:
            day = datetime(int(match["year"]), int(match["month"]), int(match["day"]))
        except ValueError:
            continue
        if day.year >= FIRST_YEAR:
            yield NameDate(day, False, "day")


def _says_utc(stem: str, match: re.Match[str]) -> bool:
    return _UTC_NAME.search(stem, 0, match.start("year")) is not None


def _moment(match: re.Match[str], hour: int, *, is_utc: bool = False) -> Iterator[NameDate]:
    part = match.groupdict()
    try:
        day = datetime(int(part["year"]), int(part["month"]), int(part["day"]))
    except ValueError:
        return
    minute, second = int(part["minute"]), int(part["second"])
    if day.year < FIRST_YEAR or hour > 24 or minute > 59 or second > 60:
        return
    # (hour 24 and second 60 as in tags)
    when = (
        day
        + timedelta(hours=hour % 24, minutes=minute, seconds=second)
        + subseconds(part.get("milli") or part.get("fraction"))
    )
    yield NameDate(when, is_utc, "second")
