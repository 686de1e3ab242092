"""What can be asked of an original: each field of the selection language, and the condition that it means."""

from __future__ import annotations

import re
import unicodedata
import uuid
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple, NoReturn
from zoneinfo import ZoneInfo

from sqlalchemy import Boolean, ColumnElement, and_, exists, func, literal_column, or_, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from Src.Library.selection.grammar import Value
from Src.Media.kinds import KINDS
from Src.Shared import words
from Src.Shared.ledger_text import plain_text, to_ledger
from Src.Shared.models import GUESSED_DATE, Companion, MediaAsset

FAVOURITE = 5  # a favourite is what has all stars

_Condition = ColumnElement[bool]


class Meaning(NamedTuple):
    """What a term means: a condition on `media_assets`, and the same in words."""

    condition: _Condition
    words: str


@dataclass(frozen=True)
class Asked:
    """A term that is being read: how its value is compared, and what is needed to understand it."""

    comparison: str
    value: Value
    zone: ZoneInfo  # in which `added:` counts days
    today: date
    refuse: Callable[[str], NoReturn]  # raises SelectionError, which points at the value
    session: Session | None = None  # in which it may be looked up what there is

    @property
    def text(self) -> str:
        """The value."""
        return self.value.text

    def equals(self) -> None:
        """Refuses every comparison but this one."""
        if self.comparison not in (":", "="):
            self.refuse(f"{self.comparison} compares numbers and dates; write a colon here")


Field = Callable[[Asked], Meaning]


# Texts


def like(
    asked: Asked,
    *columns: ColumnElement[str] | InstrumentedAttribute[str | None] | InstrumentedAttribute[str],
    is_plain: bool = False,
) -> _Condition:
    """Equal but for capitals, where * is any letters and ? is one. A name may be composed in two ways (NFC, NFD).

    `is_plain`: the columns hold words of people, and no ledger text.
    """
    asked.equals()
    if not asked.text:
        asked.refuse("a text is missing")
    spellings = {unicodedata.normalize(form, asked.text) for form in ("NFC", "NFD")} | {asked.text}
    texts = sorted((plain_text(one) if is_plain else to_ledger(one)).replace("\0", "") for one in spellings)
    return or_(*(_alike(column, asked.value, text) for column in columns for text in texts))


def _alike(column: ColumnElement[str] | InstrumentedAttribute[Any], value: Value, text: str) -> _Condition:
    """The same as ILIKE, in a form that an index of lower-case texts answers."""
    if value.quoted or not any(wildcard in text for wildcard in "*?"):
        return func.lower(column) == func.lower(text)
    for letter in "!%_":
        text = text.replace(letter, f"!{letter}")
    return func.lower(column).like(func.lower(text.replace("*", "%").replace("?", "_")), escape="!")


def _name(asked: Asked) -> Meaning:
    if asked.text == "*" and not asked.value.quoted:
        return Meaning(true(), "all originals")
    in_vault = func.substr(MediaAsset.final_path, len("Originals/YYYY/YYYY-MM-DD/") + 1)
    return Meaning(like(asked, MediaAsset.original_name, in_vault), f"named {asked.text}")


def _path(asked: Asked) -> Meaning:
    below = func.substr(MediaAsset.final_path, len("Originals/") + 1)
    return Meaning(like(asked, MediaAsset.final_path, below), f"at {asked.text}")


def _hash(asked: Asked) -> Meaning:
    asked.equals()
    if not re.fullmatch("[0-9a-f]{8,64}", asked.text.lower()):
        asked.refuse("a hash is 8 to 64 of the digits 0-9 and a-f, the first ones of its SHA-256")
    found = MediaAsset.file_hash.startswith(asked.text.lower())
    return Meaning(found, f"with a SHA-256 that begins with {asked.text.lower()}")


def _id(asked: Asked) -> Meaning:
    asked.equals()
    try:
        found = uuid.UUID(asked.text)
    except ValueError:
        asked.refuse("an id looks like 0190b5a4-7e3c-7b1f-8a57-0242ac120002")
    return Meaning(MediaAsset.id == found, f"with the id {found}")


# Kinds and flags

_CLASSES: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    "raw": ("raw photos", lambda name: KINDS[name].is_raw),
    "photo": ("photos", lambda name: not KINDS[name].is_video),
    "video": ("videos", lambda name: KINDS[name].is_video),
}
_SPELLINGS = {"JPG": "JPEG", "TIF": "TIFF", "MPG": "MPEG"}


def _kind(asked: Asked) -> Meaning:
    asked.equals()
    if asked.text.lower() in _CLASSES:
        said, belongs = _CLASSES[asked.text.lower()]
        return Meaning(MediaAsset.media_kind.in_([name for name in KINDS if belongs(name)]), said)
    name = _SPELLINGS.get(asked.text.upper(), asked.text.upper())
    if name not in KINDS:
        asked.refuse(f"no such kind; there are raw, photo, video, {', '.join(KINDS)}")
    return Meaning(MediaAsset.media_kind == name, f"of kind {name}")


def _flags() -> Mapping[str, Meaning]:
    favourite = Meaning(MediaAsset.rating == FAVOURITE, "favourites")
    return {
        "favourite": favourite,
        "favorite": favourite,
        "rated": Meaning(MediaAsset.rating > 0, "rated"),
        "damaged": Meaning(MediaAsset.has_errors.expression, "with something wrong in the file"),
        "located": Meaning(MediaAsset.location.is_not(None), "with a position"),
    }


def is_field(more: Mapping[str, Meaning]) -> Field:
    """`is:`, with flags that are known elsewhere."""
    return lambda asked: _is(asked, {**_flags(), **more})


def _is(asked: Asked, flags: Mapping[str, Meaning]) -> Meaning:
    asked.equals()
    if asked.text.lower() in _CLASSES:
        return _kind(asked)
    if asked.text.lower() not in flags:
        asked.refuse(f"no such property; there are {', '.join([*flags, *_CLASSES])}")
    return flags[asked.text.lower()]


def _things() -> Mapping[str, Meaning]:
    return {
        "position": _flags()["located"],
        "rating": _flags()["rated"],
        "sidecar": Meaning(
            exists().where(Companion.original_hash == MediaAsset.file_hash, Companion.kind == "xmp"), "with an XMP file"
        ),
        "companion": Meaning(
            exists().where(Companion.original_hash == MediaAsset.file_hash), "with a file that belongs to it"
        ),
        "camera": Meaning(MediaAsset.camera_model.is_not(None), "with a known camera"),
    }


def has_field(more: Mapping[str, Meaning]) -> Field:
    """`has:`, with things that are known elsewhere."""
    return lambda asked: _has(asked, {**_things(), **more})


def _has(asked: Asked, things: Mapping[str, Meaning]) -> Meaning:
    asked.equals()
    if asked.text.lower() not in things:
        asked.refuse(f"no such thing; there are {', '.join(things)}")
    return things[asked.text.lower()]


# Numbers

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(b?)", re.IGNORECASE)


def _number(column: ColumnElement[Any], said: str, *, in_bytes: bool = False, most: float = float(2**63 - 1)) -> Field:
    """`said`: a term in words, where {} stands for the amount."""

    def one(asked: Asked, value: str) -> float:
        match = _NUMBER.fullmatch(value)
        if match is None or (not in_bytes and (match[2] or match[3])):
            asked.refuse(
                "a number of bytes is expected, as 500000, 500kB or 2.5MB" if in_bytes else "a number is expected"
            )
        exact = float(match[1]) * _UNITS[match[2].lower()]
        number = int(exact) if exact.is_integer() else exact  # an index of whole numbers knows no others
        if number > most:
            asked.refuse(f"the most is {most:,.0f}")
        return number

    def read(asked: Asked) -> Meaning:
        low, dots, high = asked.text.partition("..")
        if dots and asked.comparison in (":", "="):
            bounds = [compare(column, one(asked, end)) for end, compare in ((low, _at_least), (high, _at_most)) if end]
            if not bounds:
                asked.refuse("a range is missing its ends, as 3..5, 3.. or ..5")
            if low and high and one(asked, low) > one(asked, high):
                asked.refuse("the range ends before it begins")
            return Meaning(and_(*bounds), said.format(_ends(low, high)))
        number = one(asked, asked.text)
        return Meaning(_COMPARED[asked.comparison](column, number), said.format(_SAID[asked.comparison] + asked.text))

    return read


def _at_least(column: ColumnElement[float], number: float) -> _Condition:
    return column >= number


def _at_most(column: ColumnElement[float], number: float) -> _Condition:
    return column <= number


def _ends(low: str, high: str) -> str:
    return f"{low} to {high}" if low and high else f"{low} or more" if low else f"{high} or less"


_COMPARED: Mapping[str, Callable[[ColumnElement[float], float], _Condition]] = {
    ":": lambda column, number: column == number,
    "=": lambda column, number: column == number,
    ">=": _at_least,
    "<=": _at_most,
    ">": lambda column, number: column > number,
    "<": lambda column, number: column < number,
}
_SAID = {":": "", "=": "", ">=": "at least ", "<=": "at most ", ">": "over ", "<": "under "}


# Times

_DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


class _Days(NamedTuple):
    first: date
    last: date


def _days(asked: Asked, said: str) -> _Days:
    """A year, a month or a day."""
    if said.lower() in ("today", "yesterday"):
        day = asked.today - timedelta(days=said.lower() == "yesterday")
        return _Days(day, day)
    match = _DAY.fullmatch(said)
    if match is None:
        asked.refuse("a date is expected, as 2019, 2019-07, 2019-07-04, today or yesterday")
    year, month, day_number = (int(part) if part else None for part in match.groups())
    try:
        first = date(year or 0, month or 1, day_number or 1)
        last = first if day_number else date(first.year, month or 12, monthrange(first.year, month or 12)[1])
    except ValueError:
        asked.refuse(f"there is no such day as {said}")
    return _Days(first, last)


def _span(asked: Asked) -> tuple[date | None, date | None]:
    """The first and the last day that are meant; None: as far as it goes."""
    low, dots, high = asked.text.partition("..")
    if dots and asked.comparison in (":", "="):
        if not (low or high):
            asked.refuse("a range is missing its ends, as 2019..2021, 2019.. or ..2021")
        first, last = _days(asked, low).first if low else None, _days(asked, high).last if high else None
        if first and last and first > last:
            asked.refuse("the range ends before it begins")
        return first, last
    days = _days(asked, asked.text)
    try:
        match asked.comparison:
            case ">=":
                return days.first, None
            case "<=":
                return None, days.last
            case ">":
                return days.last + timedelta(days=1), None
            case "<":
                return None, days.first - timedelta(days=1)
            case _:
                return days
    except OverflowError:
        asked.refuse("no time is left there")


def _during(first: date | None, last: date | None) -> str:
    if first and last:
        return (
            f"on {words.PLAIN.day(first)}"
            if first == last
            else f"from {words.PLAIN.day(first)} to {words.PLAIN.day(last)}"
        )
    return (
        f"on {words.PLAIN.day(first)} or later"
        if first
        else f"on {words.PLAIN.day(last)} or earlier"
        if last
        else "ever"
    )


def _date(asked: Asked) -> Meaning:
    match asked.text.lower() if asked.comparison in (":", "=") else "":
        case "guessed":
            return Meaning(literal_column(f"({GUESSED_DATE})", Boolean), "whose date is a guess")
        case "exact":
            return Meaning(literal_column(f"(NOT ({GUESSED_DATE}))", Boolean), "whose date is in the file")
    first, last = _span(asked)
    bounds = [MediaAsset.captured_at >= datetime.combine(first, time())] if first else []
    if last is not None and last < date.max:
        bounds.append(MediaAsset.captured_at < datetime.combine(last + timedelta(days=1), time()))
    return Meaning(and_(true(), *bounds), f"taken {_during(first, last)}")


def _year(asked: Asked) -> Meaning:
    if not re.fullmatch(r"\d{4}|\d{4}\.\.(\d{4})?|\.\.\d{4}", asked.text):
        asked.refuse("a year is expected, as 2019, 2019..2021, 2019.. or ..2021")
    return _date(asked)


def _added(asked: Asked) -> Meaning:
    first, last = _span(asked)
    bounds = [MediaAsset.ingested_at >= datetime.combine(first, time(), asked.zone)] if first else []
    if last is not None and last < date.max:
        bounds.append(MediaAsset.ingested_at < datetime.combine(last + timedelta(days=1), time(), asked.zone))
    return Meaning(and_(true(), *bounds), f"added {_during(first, last)}")


# Places

_EARTH = 6371.0088  # km, mean radius (IUGG)


def _near(asked: Asked) -> Meaning:
    asked.equals()
    parts = asked.text.split(",")
    try:
        latitude, longitude, distance = (float(part.removesuffix("km")) for part in parts)
    except ValueError:
        asked.refuse("a position and a distance in km are expected, as near:-33.86,151.21,5")
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and 0 < distance <= 20_100):
        asked.refuse(
            "a position has a latitude of -90 to 90 and a longitude of -180 to 180, and a distance is up to 20,100 km"
        )
    lat, lon = (func.radians(MediaAsset.location[axis].as_float()) for axis in ("lat", "lon"))
    here_lat, here_lon = func.radians(latitude), func.radians(longitude)
    # The haversine formula; a rounding error must not lead out of what asin() takes.
    half = func.power(func.sin((lat - here_lat) / 2), 2) + func.cos(lat) * func.cos(here_lat) * func.power(
        func.sin((lon - here_lon) / 2), 2
    )
    km = 2 * _EARTH * func.asin(func.least(1.0, func.sqrt(half)))
    return Meaning(
        and_(MediaAsset.location.is_not(None), km <= distance), f"within {distance:g} km of {latitude:g}, {longitude:g}"
    )


FIELDS: Mapping[str, Field] = {
    "added": _added,
    "date": _date,
    "duration": _number(MediaAsset.duration_seconds.expression, "{} seconds long"),
    "hash": _hash,
    "height": _number(MediaAsset.height.expression, "{} pixels high"),
    "id": _id,
    "kind": _kind,
    "name": _name,
    "near": _near,
    "path": _path,
    "rating": _number(MediaAsset.rating.expression, "rated {}", most=FAVOURITE),
    "size": _number(MediaAsset.file_size.expression, "of a size of {}", in_bytes=True),
    "taken": _date,
    "width": _number(MediaAsset.width.expression, "{} pixels wide"),
    "year": _year,
}
