"""What somebody does to photos in the gallery.

It comes through the page, and not through a route: only the page knows who has logged in.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import streamlit as st

from Src.Dashboard import act_bar
from Src.Dashboard.act_bar import Doing
from Src.Dashboard.data import acts
from Src.Dashboard.data.acts import NotDone
from Src.Dashboard.data.standing import Submitted
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.plain import plain
from Src.Shared.database import LedgerUnavailable

_Act = Callable[[Sequence[uuid.UUID], str], Submitted]


def _redate(ids: Sequence[uuid.UUID], value: str) -> Submitted:
    """A shift, as +1:00 or -7:12, or a date."""
    return acts.redate_by(ids, value) if value[:1] in "+-" else acts.redate_to(ids, value)


def read_place(said: str) -> tuple[float, float]:
    """Latitude and longitude. Raises NotDone."""
    latitude, _, longitude = said.partition(",")
    try:
        return float(latitude), float(longitude)
    except ValueError:
        raise NotDone(f'"{plain(said, 40)}" is no place: write latitude and longitude, as -33.8568, 151.2153') from None


_ACTS: Mapping[str, tuple[_Act, str]] = {
    "favourite": (lambda ids, _: acts.favourite(ids), "Favourite"),
    "no-favourite": (lambda ids, _: acts.favourite(ids, off=True), "No favourite any more"),
    "hide": (lambda ids, _: acts.hide(ids), "Hidden"),
    "unhide": (lambda ids, _: acts.hide(ids, off=True), "Shown again"),
    "tag": (lambda ids, value: acts.tag(ids, [value]), "Tag {}"),
    "untag": (lambda ids, value: acts.tag(ids, [value], remove=True), "Without the tag {}"),
    "album": (acts.add_to_album, "Into the album {}"),
    "out-of-album": (acts.remove_from_album, "Out of the album {}"),
    "cover": (lambda ids, value: acts.put_on_cover(value, ids[0]), "Cover of the album {}"),
    "redate": (_redate, "Date {}"),
    "remove": (lambda ids, _: acts.remove(ids), "To the trash"),
    "rate": (lambda ids, value: acts.rate(ids, int(value)), "{} of 5 stars"),
    "turn": (lambda ids, value: acts.rotate(ids, int(value)), "Turned"),
    "title": (acts.title, "Title"),
    "describe": (acts.describe, "Description"),
    "place": (lambda ids, value: acts.place(ids, *read_place(value)), "Place"),
}
_NUMBERS = {"rate": range(6), "turn": (90, 180, 270)}  # which values an act takes, where it takes numbers
_UNDO = "undo"  # what it takes back is an act, and no photo


_ANSWERED = "gallery_acts"  # in the session
_MOST_REFUSED = 100  # that are remembered: the script asks for few at once


@dataclass
class Answered:
    """What the gallery's script need not send again: it sends all acts, by their numbers, until they are answered."""

    done: int = 0  # up to this number
    refused: list[int] = field(default_factory=list)  # of these, what could not be done


def answered() -> Answered:
    """In this browser's session."""
    found: Answered = st.session_state.setdefault(_ANSWERED, Answered())
    return found


def do_all(asked: object) -> None:
    """Asks for the acts that the gallery's script has sent, each once, in their order.

    Streamlit may end this whenever something touches the session: another click came. So an act counts as answered from
    just before it is written, and nothing of the session is touched in between. What was not reached is sent again.
    """
    known = answered()
    for one in asked if isinstance(asked, list) else []:
        number = one.get("number") if isinstance(one, dict) else None
        if isinstance(number, int) and number > known.done:
            do(one.get("what"), one.get("photos"), one.get("value"), partial(_answer, known, number))
            known.done = max(known.done, number)  # also what means nothing


def _answer(known: Answered, number: int, act: Callable[[], Submitted]) -> Submitted:
    known.done = number
    try:
        return act()
    except (NotDone, LedgerUnavailable, TooSlow):
        known.refused = [*known.refused, number][-_MOST_REFUSED:]
        raise


def _just_do(act: Callable[[], Submitted]) -> Submitted:
    return act()


def do(
    what: object,
    photos: object,
    value: object,
    doing: Doing = _just_do,
) -> None:
    """Asks for an act, as the gallery's script has sent it; the bar says what came of it.

    `photos`: their ids; of an act that is taken back, its own.
    """
    if not isinstance(what, str) or not isinstance(photos, list) or not isinstance(value, str):
        return
    if what not in (*_ACTS, _UNDO) or (what in _NUMBERS and value not in map(str, _NUMBERS[what])):
        return
    try:
        ids = [uuid.UUID(photo) for photo in photos if isinstance(photo, str)]
    except ValueError:
        return
    if what == _UNDO:
        for act_id in ids[:1]:
            act_bar.take_back(act_id, doing)
        return
    act, said = _ACTS[what]
    if ids:
        act_bar.do(partial(doing, partial(act, ids, value.strip())), said.format(plain(value.strip(), 60)))
