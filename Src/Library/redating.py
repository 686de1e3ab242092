"""Corrected dates: what `redate` gives each original, and what it gets back when that is undone.

A date that a person has set (`date_source` is `correction`) beats what any file says, now and later.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from sqlalchemy import Row, Table, Text, any_, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from Src.Library.beside import note_paths, standing_beside
from Src.Library.deed import Asked, Deed, Settled, taken_back
from Src.Library.move_plan import Wanted, own_name
from Src.Library.open_places import OpenPlaces
from Src.Library.original_path import path_in_row
from Src.Library.overlay import events
from Src.Library.overlay.events import Change
from Src.Media.capture_date import FIRST_YEAR, FUTURE_TOLERANCE, Precision, parse_stamp
from Src.Shared.errors import FactoryError
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import Act, MediaAsset, OverlayEvent

CORRECTION = "correction"  # date_source of what a person has set

_ASSETS = cast(Table, MediaAsset.__table__)
_EVENTS = cast(Table, OverlayEvent.__table__)
_SHIFT = re.compile(r"([+-]?)(?:(?:(\d{1,6}):)?(\d{1,7}):([0-5]\d):([0-5]\d)|(\d{1,7}):([0-5]\d))", re.ASCII)
_COLUMNS = ("captured_at", "captured_at_offset", "date_source", "date_precision")
_LONGEST_STEP = 100 * 365 * 86_400  # seconds between two of a sequence


class DateRefused(FactoryError):
    """A date that nobody can mean. The message is one line; nothing was changed."""

    about = "redate"


class Date(NamedTuple):
    """When an original was taken, as its row has it."""

    captured_at: datetime
    captured_at_offset: int | None
    date_source: str
    date_precision: str

    def as_json(self) -> dict[str, Any]:
        """As events have it."""
        return {**self._asdict(), "captured_at": self.captured_at.isoformat()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Date:
        return cls(
            datetime.fromisoformat(value["captured_at"]),
            value["captured_at_offset"],
            value["date_source"],
            value["date_precision"],
        )


def read_shift(said: str) -> timedelta:
    """±H:MM, ±H:MM:SS or ±D:H:MM:SS. Raises DateRefused."""
    match = _SHIFT.fullmatch(said.strip())
    if match is None:
        raise DateRefused(f"--shift {said}: write +H:MM, -H:MM:SS or +D:H:MM:SS, as --shift -7:12")
    sign, days, hours, minutes, seconds, short_hours, short_minutes = match.groups(default="0")
    shift = timedelta(
        days=int(days),
        hours=int(hours) + int(short_hours),
        minutes=int(minutes) + int(short_minutes),
        seconds=int(seconds),
    )
    if not shift:
        raise DateRefused(f"--shift {said}: this changes nothing")
    return -shift if sign == "-" else shift


def shift_parameters(shift: timedelta) -> dict[str, Any]:
    """What the act of a shift says of itself."""
    return {"shift": int(shift.total_seconds())}


def set_parameters(said: str, every: str | None) -> dict[str, Any]:
    """What the act of a date that is set says of itself; `every`: seconds between one original and the next.

    Raises DateRefused.
    """
    stamp = parse_stamp(said)
    if stamp is None:
        raise DateRefused(f"--set {said}: write a date, as 2019, 2019-07-04 or '2019-07-04 12:30:00'")
    step = 0.0
    if every is not None:
        try:
            step = float(every)
        except ValueError:
            step = 0.0
        if not 0 < step <= _LONGEST_STEP:
            raise DateRefused(f"--every {every}: write seconds, as --every 60")
        if stamp.precision != "second":
            raise DateRefused(f"--every {every}: the first date needs a time of day, as '2019-07-04 12:30:00'")
    return {"set": stamp.when.isoformat(), "offset": stamp.offset, "precision": stamp.precision, "every": step}


class Redate(Deed):
    """Gives originals other dates. `hashes` of the act are in the order of a sequence."""

    def __init__(self, parameters: Mapping[str, Any], latest: datetime) -> None:
        """`latest`: the wall clock after which nothing was taken. Raises DateRefused."""
        self._shift: timedelta | None = None
        self._latest = latest + FUTURE_TOLERANCE
        self._place: dict[str, int] = {}
        if "shift" in parameters:
            try:
                self._shift = timedelta(seconds=int(parameters["shift"]))
            except (TypeError, ValueError, OverflowError) as error:
                raise DateRefused(
                    f"a shift of {parameters['shift']} s: no photo can have that date; nothing was changed"
                ) from error
        else:
            try:
                precision = cast(Precision, str(parameters.get("precision", "second")))
                first = datetime.fromisoformat(parameters["set"])
                self._first = Date(first, parameters.get("offset"), CORRECTION, precision)
                self._every = timedelta(seconds=float(parameters.get("every") or 0))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise DateRefused(f"the new date is not understood: {error}") from error
            self._place = {sha256: number for number, sha256 in enumerate(parameters["hashes"])}

    def check(self, session: Session, hashes: Sequence[str]) -> None:
        """Raises DateRefused, for all of them, where one would get a date that none can have."""
        try:
            if self._shift is None:
                ends = [self._first.captured_at, self._first.captured_at + self._every * max(len(self._place) - 1, 0)]
            else:
                times = func.min(_ASSETS.c.captured_at), func.max(_ASSETS.c.captured_at)
                row = session.execute(select(*times).where(_among(hashes))).one()
                ends = [end + self._shift for end in row if end is not None]
        except OverflowError:
            raise DateRefused("no photo can have that date; nothing was changed") from None
        for end in ends:
            if end.year < FIRST_YEAR or end > self._latest:
                why = "before the first photograph" if end.year < FIRST_YEAR else "to come"
                raise DateRefused(f"{end:%Y-%m-%d %H:%M:%S} is {why}; nothing was changed")

    def new_date(self, sha256: str, now: Date) -> Date | None:
        """What an original gets; None: it is left as it is."""
        if self._shift is not None:
            return now._replace(captured_at=now.captured_at + self._shift, date_source=CORRECTION)
        return self._first._replace(captured_at=self._first.captured_at + self._every * self._place[sha256])

    def wanted(self, session: Session, hashes: Sequence[str], places: OpenPlaces) -> Asked:
        asked = Asked()
        rows = {row.file_hash: row for row in self._rows(session, hashes)}
        beside = standing_beside(session, places, hashes)
        for sha256 in hashes:
            row = rows.get(sha256)
            if row is None:
                asked.refused[sha256] = "it is not in the library any more"
                continue
            new = self.new_date(sha256, _date(row))
            path = path_in_row(row.final_path, row.id)
            if new is None:
                asked.refused[sha256] = "its date was changed again since"
                continue
            folder = f"Originals/{new.captured_at.year:04d}/{new.captured_at.date().isoformat()}"
            if path is None or os.path.dirname(path) == folder:
                asked.in_place.append(sha256)
                continue
            name = own_name(from_ledger(row.original_name), os.path.basename(path))
            asked.wanted.append(Wanted(sha256, row.file_size, path, folder, name, beside.get(sha256, ())))
        return asked

    def settle(self, session: Session, act: Act, settled: Settled) -> None:
        rows = {row.file_hash: row for row in self._rows(session, list(settled.paths), lock=True)}
        undoes = taken_back(session, act, "captured_at")
        changes, new_rows = [], []
        for sha256, to_path in settled.paths.items():
            row = rows.get(sha256)
            new = None if row is None else self.new_date(sha256, _date(row))
            if row is None or new is None:
                continue
            before, after = _date(row).as_json(), new.as_json()
            changes.append(Change(sha256, "captured_at", before, after, undoes.get(sha256)))
            path = row.final_path if to_path is None else to_ledger(to_path)
            new_rows.append({"file_hash": sha256, "final_path": path, **new.as_json()})
        if new_rows:
            session.execute(_UPDATE, {"rows": json.dumps(new_rows)})
        events.record(session, act, changes)
        note_paths(session, settled.companions)

    def _rows(self, session: Session, hashes: Sequence[str], *, lock: bool = False) -> Sequence[Row[Any]]:
        names = ("id", "file_hash", "file_size", "original_name", "final_path", *_COLUMNS)
        asked = select(*(_ASSETS.c[name] for name in names)).where(_among(hashes))
        return session.execute(asked.with_for_update() if lock else asked).all()


class RedateBack(Redate):
    """Gives originals the dates that they had before an act, where nobody has changed them since."""

    def __init__(self, session: Session, undone: uuid.UUID) -> None:
        asked = select(_EVENTS.c.file_hash, _EVENTS.c.before, _EVENTS.c.after).where(
            _EVENTS.c.act_id == undone, _EVENTS.c.field == "captured_at"
        )
        self._back = {
            sha256: (Date.from_json(before), Date.from_json(after))
            for sha256, before, after in session.execute(asked)
            if before is not None and after is not None
        }

    def check(self, session: Session, hashes: Sequence[str]) -> None:
        """Each date was one that an original had."""

    def new_date(self, sha256: str, now: Date) -> Date | None:
        before, after = self._back.get(sha256, (None, None))
        return before if now == after else None


_UPDATE = text(
    "UPDATE media_assets AS a SET final_path = n.final_path, captured_at = n.captured_at, "
    "captured_at_offset = n.captured_at_offset, date_source = n.date_source, date_precision = n.date_precision "
    "FROM json_to_recordset(CAST(:rows AS json)) AS n(file_hash text, final_path text, captured_at timestamp, "
    "captured_at_offset smallint, date_source text, date_precision text) WHERE a.file_hash = n.file_hash"
)


def _date(row: Row[Any]) -> Date:
    return Date(*(getattr(row, name) for name in _COLUMNS))


def _among(hashes: Sequence[str]) -> Any:
    return _ASSETS.c.file_hash == any_(literal(list(hashes), ARRAY(Text)))
