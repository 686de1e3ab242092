"""Which originals a person means: the condition in the ledger, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import NoReturn
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, false, func, not_, or_
from sqlalchemy.orm import Session

from Src.Library.selection import fields
from Src.Library.selection.cameras import camera
from Src.Library.selection.fields import Asked, Field, Meaning
from Src.Library.selection.grammar import All, Any, Node, Not, SelectionError, Term, parse
from Src.Library.selection.overlay_fields import OVERLAY_FIELDS, OVERLAY_FLAGS, OVERLAY_THINGS

FIELDS: Mapping[str, Field] = dict(
    sorted(
        {
            **fields.FIELDS,
            **OVERLAY_FIELDS,
            "camera": camera,
            "is": fields.is_field(OVERLAY_FLAGS),
            "has": fields.has_field(OVERLAY_THINGS),
        }.items()
    )
)


@dataclass(frozen=True)
class Selection:
    """`condition` is one on `media_assets`; `words` say what it means."""

    text: str
    condition: ColumnElement[bool]
    words: str


def read_selection(text: str, zone: ZoneInfo, now: datetime, session: Session | None = None) -> Selection:
    """What a selection means. `zone` and `now`: where and when days such as `added:today` are counted.

    `session`: of the ledger that is asked, where it is asked at once and an index is to answer. Raises SelectionError.
    """
    meaning = _Reader(text, zone, now, session).meaning(parse(text))
    return Selection(text, meaning.condition, meaning.words)


class _Reader:
    def __init__(self, text: str, zone: ZoneInfo, now: datetime, session: Session | None) -> None:
        self._text, self._zone, self._session = text, zone, session
        self._today = now.astimezone(zone).date()

    def meaning(self, node: Node) -> Meaning:
        match node:
            case Term():
                return self._term(node)
            case Not(inner):
                meant = self.meaning(inner)
                # What is unknown is not so: without a rating it is not rated 4 either.
                return Meaning(not_(func.coalesce(meant.condition, false())), f"not ({meant.words})")
            case All(parts):
                meanings = [self.meaning(part) for part in parts]
                return Meaning(and_(*(one.condition for one in meanings)), " and ".join(map(_grouped, meanings, parts)))
            case Any(parts):
                meanings = [self.meaning(part) for part in parts]
                return Meaning(or_(*(one.condition for one in meanings)), " or ".join(map(_grouped, meanings, parts)))

    def _term(self, term: Term) -> Meaning:
        if not term.field and not term.value.quoted and term.value.text.lower() in ("and", "or", "not"):
            reason = f"{term.value.text} joins what stands beside it; in quotation marks it is a name"
            raise SelectionError(reason, self._text, term.position)
        if not term.field and not term.value.quoted and term.value.text[0] in "<>=:":
            reason = "a field, its sign and the value have no blank between them, as rating>=4"
            raise SelectionError(reason, self._text, term.position)
        name = term.field or "name"
        field = FIELDS.get(name)
        if field is None:
            raise SelectionError(_unknown(name), self._text, term.position)

        def refuse(reason: str) -> NoReturn:
            raise SelectionError(reason, self._text, term.value.position)

        return field(Asked(term.comparison, term.value, self._zone, self._today, refuse, self._session))


def _grouped(meaning: Meaning, part: Node) -> str:
    return f"({meaning.words})" if isinstance(part, All | Any) else meaning.words


def _unknown(name: str) -> str:
    if name == "place":
        return "names of places are not known yet; write a position and a distance in km, as near:-33.86,151.21,5"
    near = get_close_matches(name, FIELDS, n=1)
    guess = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(FIELDS)}"
    return f"there is no field {name!r}{guess}"
