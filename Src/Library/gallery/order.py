"""In which order somebody looks at originals, and at which of them: the condition in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    SQLColumnExpression,
    and_,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session

from Src.Library.selection.fields import FAVOURITE
from Src.Library.selection.grammar import All, Node, Not, Term, parse
from Src.Library.selection.grammar import Any as Either
from Src.Library.selection.selection import read_selection
from Src.Media.date_sources import GUESSES
from Src.Shared.models import GUESSED_DATE, LibraryDay, MediaAsset


class Order(Enum):
    """What is looked at. All but ADDED go by the time when a photo was taken; the newest comes first."""

    TAKEN = "taken"
    ADDED = "added"
    THIS_DAY = "this-day"
    GUESSED = "guessed"
    FAVOURITES = "favourites"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Looked:
    """What somebody looks at: an order, and a selection within it (empty: all)."""

    order: Order
    selection: str
    zone: ZoneInfo  # in which days are counted that begin and end by the clock of this factory
    now: datetime

    @property
    def moment(self) -> SQLColumnExpression[datetime]:
        """The column by which originals stand in this order."""
        return MediaAsset.ingested_at if self.order is Order.ADDED else MediaAsset.captured_at

    @property
    def is_counted(self) -> bool:
        """Whether counters or an index know all that is looked at, but for what is hidden."""
        return self.order in _COUNTED and not self.selection.strip()

    @property
    def names_hidden(self) -> bool:
        """Whether somebody asks for hidden originals by name. Else they are left out."""
        return self.order is Order.HIDDEN or (bool(self.selection.strip()) and _names_hidden(parse(self.selection)))

    def day(self) -> ColumnElement[date]:
        """The day under which an original stands."""
        if self.order is Order.ADDED:
            return cast(func.timezone(str(self.zone), MediaAsset.ingested_at), Date)
        return cast(MediaAsset.captured_at, Date)

    def during(self, first: date, last: date) -> ColumnElement[bool]:
        """The condition that an original stands under one of these days, in a form that an index answers."""
        return and_(self.moment >= self._begin(first), self.moment < self._begin(last + timedelta(days=1)))

    def condition(self, session: Session) -> ColumnElement[bool]:
        """Which originals are looked at. Raises SelectionError."""
        parts = [self.of_order()]
        if self.order is Order.THIS_DAY:
            parts.append(self._on_this_day(session))
        if not self.names_hidden:
            parts.append(MediaAsset.is_hidden.is_(False))
        if self.selection.strip():
            parts.append(read_selection(self.selection, self.zone, self.now, session).condition)
        return and_(*parts)

    def of_order(self) -> ColumnElement[bool]:
        """What the order itself asks for, whatever is hidden or selected."""
        return _CONDITIONS[self.order]() if self.order in _CONDITIONS else true()

    def _begin(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone if self.order is Order.ADDED else None)

    def _on_this_day(self, session: Session) -> ColumnElement[bool]:
        """The same day of earlier years: counters say which of them have originals."""
        today = self.now.astimezone(self.zone).date()
        there = select(LibraryDay.day).where(
            func.to_char(LibraryDay.day, "MM-DD") == f"{today:%m-%d}", LibraryDay.day < today, LibraryDay.originals > 0
        )
        days: Sequence[date] = session.scalars(there).all()
        return or_(false(), *(self.during(day, day) for day in days))


def _of_a_known_day() -> ColumnElement[bool]:
    return and_(MediaAsset.date_source.not_in(GUESSES), MediaAsset.date_precision.in_(("second", "day")))


_CONDITIONS: dict[Order, Any] = {
    Order.THIS_DAY: _of_a_known_day,
    Order.GUESSED: lambda: literal_column(f"({GUESSED_DATE})", Boolean),
    Order.FAVOURITES: lambda: MediaAsset.rating == FAVOURITE,
    Order.HIDDEN: lambda: MediaAsset.is_hidden,
}
# Each with an index of what it asks for.
_COUNTED = (Order.TAKEN, Order.ADDED, Order.GUESSED, Order.FAVOURITES)


def _names_hidden(node: Node) -> bool:
    match node:
        case Term(field, _, value, _):
            return field == "is" and value.text.lower() == "hidden"
        case Not(inner):
            return _names_hidden(inner)
        case All(parts) | Either(parts):
            return any(map(_names_hidden, parts))
