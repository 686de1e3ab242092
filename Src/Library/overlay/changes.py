"""Decisions about all that a selection means: what changes, written with its events in one transaction.

A decision says for each original what is to become true. What is true already is no change, and no event.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from Src.Library.overlay import acts
from Src.Library.overlay.current import same_word, tags_of, write
from Src.Library.overlay.events import Change, record
from Src.Media.words import LONGEST_TAG, LONGEST_TITLE
from Src.Shared.errors import FactoryError
from Src.Shared.ledger_text import plain_text
from Src.Shared.models import Act, MediaAsset

LONGEST_DESCRIPTION = 100_000  # characters
_AT_ONCE = 5000


class DecisionRefused(FactoryError):
    """No such thing can be decided. The message says why."""


class Original(NamedTuple):
    """An original that is meant, as it stands."""

    id: uuid.UUID
    file_hash: str
    rating: int | None
    title: str | None
    description: str | None
    hidden: bool
    rotation: int
    location: dict[str, float] | None


_COLUMNS = (
    MediaAsset.id,
    MediaAsset.file_hash,
    MediaAsset.rating,
    MediaAsset.title,
    MediaAsset.description,
    MediaAsset.is_hidden,
    MediaAsset.rotation,
    MediaAsset.location,
)


@dataclass(frozen=True)
class Decision:
    """What is decided; `kind` and `parameters` are written into the act."""

    kind: str
    parameters: Mapping[str, Any]
    changes: Callable[[Session, Sequence[Original]], Iterator[Change]]
    prepare: Callable[[Session], None] = field(default=lambda _session: None)  # before an original is locked
    in_order: bool = False  # the originals come as they were taken, which costs a sort


class Done(NamedTuple):
    """What came of a decision: how many originals were meant, and how many changed."""

    meant: int
    changed: int
    act: Act | None  # None: nothing changed


def carry_out(
    session: Session,
    decision: Decision,
    condition: ColumnElement[bool],
    *,
    who: str,
    selection: str | None = None,
    dry_run: bool = False,
) -> Done:
    """Changes all that is meant, in the session's transaction. `condition` is one on `media_assets`.

    `dry_run`: counts, and writes nothing. Raises DecisionRefused.
    """
    if not dry_run:
        decision.prepare(session)
    order = (MediaAsset.captured_at, MediaAsset.id) if decision.in_order else (MediaAsset.id,)
    asked = select(*_COLUMNS).where(condition).order_by(*order)
    if not dry_run:
        if decision.in_order:  # everybody locks originals in one order: two that do not wait for each other for ever
            locked_ = select(MediaAsset.id).where(condition).order_by(MediaAsset.id).with_for_update(of=MediaAsset)
            session.execute(select(func.count()).select_from(locked_.subquery()))
        asked = asked.with_for_update(of=MediaAsset)
    meant = changed = 0
    act: Act | None = None
    for some in session.execute(asked, execution_options={"yield_per": _AT_ONCE}).partitions():
        originals = [Original(*row) for row in some]
        meant += len(originals)
        changes = [one for one in decision.changes(session, originals) if one.before != one.after]
        changed += len({one.file_hash for one in changes if one.file_hash is not None}) or bool(changes)
        if changes and not dry_run:
            act = act or acts.begin(session, decision.kind, who, selection=selection, parameters=decision.parameters)
            write(session, changes)
            record(session, act, changes)
    return Done(meant, changed, act)


def locked(session: Session, condition: ColumnElement[bool]) -> list[Original]:
    """Few originals, which nobody else changes until the session's transaction ends."""
    asked = select(*_COLUMNS).where(condition).order_by(MediaAsset.id).with_for_update(of=MediaAsset)
    return [Original(*row) for row in session.execute(asked)]


def rate(rating: int, kind: str = "rate") -> Decision:
    """0 to 5 stars."""
    if rating not in range(6):
        raise DecisionRefused(f"a rating is 0 to 5 stars, and not {rating}")
    return _of_column(kind, "rating", {"rating": rating}, lambda _: rating)


def favour(off: bool) -> Decision:
    """All stars; `off`: none, of those that have all."""
    if not off:
        return rate(5, "favourite")
    return _of_column("favourite", "rating", {"off": True}, lambda one: 0 if one.rating == 5 else one.rating)


def place(latitude: float, longitude: float) -> Decision:
    """Where it was taken, in degrees."""
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise DecisionRefused("a latitude is -90 to 90, a longitude -180 to 180")
    if latitude == longitude == 0:
        raise DecisionRefused("0,0 is what cameras write that do not know where they are; it is taken for no place")
    where = {"lat": latitude, "lon": longitude}
    return _of_column("place", "location", {"location": where}, lambda _: where)


def title(said: str) -> Decision:
    """Its title; an empty text: none."""
    words = _text(said, LONGEST_TITLE, "title")
    return _of_column("title", "title", {"title": words}, lambda _: words)


def describe(said: str) -> Decision:
    """What is said about it; an empty text: nothing."""
    words = _text(said, LONGEST_DESCRIPTION, "description")
    return _of_column("describe", "description", {"description": words}, lambda _: words)


def hide(off: bool) -> Decision:
    """Hidden, or not any more."""
    return _of_column("hide", "hidden", {"off": True} if off else {}, lambda _: not off)


def rotate(degrees: int) -> Decision:
    """Shown turned clockwise, from how it is shown now."""
    if degrees not in (90, 180, 270):
        raise DecisionRefused(f"a photo is turned by 90, 180 or 270 degrees, and not by {degrees}")
    return _of_column("rotate", "rotation", {"degrees": degrees}, lambda one: (one.rotation + degrees) % 360)


def tag(words: Sequence[str], *, remove: bool) -> Decision:
    """Words added, or removed. A word that an original has in other capitals, it has."""
    wanted: dict[str, str] = {}
    for word in words:
        cleaned = _text(" ".join(word.split()), LONGEST_TAG, "tag")
        if cleaned is None:
            raise DecisionRefused("a tag is empty")
        wanted.setdefault(same_word(cleaned), cleaned)

    def changes(session: Session, originals: Sequence[Original]) -> Iterator[Change]:
        tags = tags_of(session, [one.id for one in originals])
        for one in originals:
            has = {same_word(word): word for word in tags.get(one.id, ())}
            for key, word in wanted.items():
                if remove and key in has:
                    yield Change(one.file_hash, "tag", has[key], None)
                elif not remove and key not in has:
                    yield Change(one.file_hash, "tag", None, word)

    return Decision("tag", {"tags": list(wanted.values()), **({"remove": True} if remove else {})}, changes)


def _of_column(kind: str, name: str, parameters: Mapping[str, Any], becomes: Callable[[Original], Any]) -> Decision:
    def changes(_session: Session, originals: Sequence[Original]) -> Iterator[Change]:
        for one in originals:
            yield Change(one.file_hash, name, getattr(one, name), becomes(one))

    return Decision(kind, parameters, changes)


def _text(said: str, longest: int, what: str) -> str | None:
    cleaned = plain_text(said).strip()
    if len(cleaned) > longest:
        raise DecisionRefused(f"a {what} has up to {longest:,} characters, and this one has {len(cleaned):,}")
    return cleaned or None
