"""Taking acts back, each original as far as nobody has decided otherwise since.

An undo is an act too, and its events name the events that they take back: so it can be taken back itself, and two acts
one after the other. What was changed since by an act that is still in force is left, and counted.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, any_, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from Src.Library.overlay import acts
from Src.Library.overlay.current import Key, album_value, key_of, lock_albums, same_word, values, write
from Src.Library.overlay.events import Change, record
from Src.Shared.errors import FactoryError
from Src.Shared.models import Act, Album, AlbumItem, OverlayEvent

KIND = "undo"
FIELDS_OF_FILES = frozenset({"captured_at", "removed"})  # whoever takes these back moves files
_AT_ONCE = 5000


class MovesFiles(FactoryError):
    """To take this act back is to move files, which is not done here."""

    about = "undo"


class Undone(NamedTuple):
    """What came of taking one act back."""

    act: Act  # that was taken back
    restored: int  # originals that are as they were before it
    left: int  # originals that were changed since, or are not here any more
    by: Act | None  # None: nothing was restored, or only counted


class Event(NamedTuple):
    """A row of the overlay's events."""

    id: uuid.UUID
    act_id: uuid.UUID
    file_hash: str | None
    field: str
    before: Any
    after: Any
    undoes: uuid.UUID | None

    @property
    def key(self) -> Key:
        return key_of(self.file_hash, self.field, self.before, self.after)


_COLUMNS = (
    OverlayEvent.id,
    OverlayEvent.act_id,
    OverlayEvent.file_hash,
    OverlayEvent.field,
    OverlayEvent.before,
    OverlayEvent.after,
    OverlayEvent.undoes,
)
_IN_FORCE = (Act.status == "done", Act.kind != KIND, Act.who.not_in(acts.NOBODY))  # of what persons have done


def last_act(session: Session) -> Act | None:
    """The last thing that a person has done and that is in force."""
    asked = (
        select(Act)
        .where(Act.status == "done", Act.kind != KIND, Act.who.not_in(acts.NOBODY))
        .order_by(Act.happened_at.desc(), Act.id.desc())
    )
    return session.scalars(asked.limit(1)).first()


def acts_since(session: Session, moment: datetime) -> Sequence[Act]:
    """What was done since then and is in force, the last first."""
    asked = select(Act).where(
        Act.status == "done", Act.kind != KIND, Act.who.not_in(acts.NOBODY), Act.happened_at >= moment
    )
    return session.scalars(asked.order_by(Act.happened_at.desc(), Act.id.desc())).all()


def undo(session: Session, act: Act, who: str, *, dry_run: bool = False) -> Undone:
    """Takes an act back, in the session's transaction; an undo too. Raises MovesFiles.

    `dry_run`: only counts.
    """
    if not dry_run:
        lock_albums(session)
    events = _of_act(session, act)
    if any(one.field in FIELDS_OF_FILES for one in events):
        raise MovesFiles(f"the act {act.id} ({act.kind}) has moved files")
    restored: set[str] = set()
    meant = {one.file_hash for one in events if one.file_hash is not None}
    by: Act | None = None
    # Albums themselves come last: one goes when nothing is in it any more, and stands before anything is put into it.
    of_albums = [one for one in events if one.file_hash is None]
    made_again = [one for one in of_albums if one.after is None]
    for some in (made_again, *_by_original(events), [one for one in of_albums if one.after is not None]):
        changes = _back(session, some, lock=not dry_run)
        restored |= {one.file_hash for one in changes if one.file_hash is not None}
        if changes and not dry_run:
            by = by or acts.begin(session, KIND, who, undoes=act.id, parameters={"act": str(act.id)})
            write(session, changes)
            record(session, by, changes)
    left = len(meant - restored)
    if by is not None:
        acts.took_back(session, by)
        acts.finish(session, by, "done", f"{left} left: they were changed since" if left else None)
    return Undone(act, len(restored), left, by)


def _of_act(session: Session, act: Act) -> list[Event]:
    asked = select(*_COLUMNS).where(OverlayEvent.act_id == act.id).order_by(OverlayEvent.seq.desc())
    return [Event(*row) for row in session.execute(asked)]


def _by_original(events: Sequence[Event]) -> list[list[Event]]:
    """Those of originals, some originals at a time, in the order of hashes."""
    of_hash: dict[str, list[Event]] = {}
    for one in events:
        if one.file_hash is not None:
            of_hash.setdefault(one.file_hash, []).append(one)
    hashes = sorted(of_hash)
    return [
        [event for sha256 in hashes[start : start + _AT_ONCE] for event in of_hash[sha256]]
        for start in range(0, len(hashes), _AT_ONCE)
    ]


def _back(session: Session, events: Sequence[Event], *, lock: bool) -> list[Change]:
    """The changes that take these events back, of those that are the last word."""
    if not events:
        return []
    hashes = sorted({one.file_hash for one in events if one.file_hash is not None})
    now = values(session, hashes, lock=lock) if hashes else {}
    albums = _albums(session, events)
    words = _words(session, hashes, [one.id for one in events])
    back = []
    for one in events:
        key = one.key
        if one.file_hash is None:
            is_so = _album_is_so(session, one, albums)
        else:
            is_so = Key(one.file_hash, "rating") in now and _same(key, now.get(key), one.after)
            if key.field == "album" and one.before is not None:
                is_so = is_so and key.part in albums
        if is_so and words[key].is_last(one.id):
            before = now.get(key) if one.file_hash is not None else one.after
            back.append(Change(one.file_hash, one.field, before, one.before, undoes=one.id))
    return back


def _same(key: Key, now: Any, then: Any) -> bool:
    if key.field == "tag":
        return (now is None) == (then is None)
    if key.field == "album":  # under whatever name
        return now == then or (now is not None and then is not None and now["position"] == then["position"])
    return bool(now == then)


def _albums(session: Session, events: Sequence[Event]) -> dict[str, dict[str, Any]]:
    ids = {uuid.UUID(one.key.part) for one in events if one.field == "album"}
    found = session.scalars(select(Album).where(Album.id.in_(ids))) if ids else ()
    return {str(one.id): album_value(one) for one in found}


def _album_is_so(session: Session, event: Event, albums: dict[str, dict[str, Any]]) -> bool:
    """Whether an album is as an event left it, and may become what it was."""
    now = albums.get(event.key.part)
    if (now is None) != (event.after is None):
        return False
    id_ = uuid.UUID(event.key.part)
    if event.before is None:  # it goes, if it is empty
        return session.execute(select(AlbumItem.asset_id).where(AlbumItem.album_id == id_).limit(1)).first() is None
    same_name = select(Album.id).where(func.lower(Album.name) == same_word(event.before["name"]), Album.id != id_)
    return session.execute(same_name).first() is None


@dataclass
class _Word:
    """The decisions about one key, in their order: which is in force, and which was taken back last."""

    stack: list[set[uuid.UUID]] = field(default_factory=list)  # of a decision: its id, and those that did it again
    undone: list[tuple[uuid.UUID, set[uuid.UUID]]] = field(default_factory=list)  # by which event, what

    def add(self, event: Event) -> None:
        if event.undoes is not None and self.stack and event.undoes in self.stack[-1]:
            self.undone.append((event.id, self.stack.pop()))
        elif event.undoes is not None and self.undone and self.undone[-1][0] == event.undoes:
            self.stack.append({*self.undone.pop()[1], event.id})
        else:
            self.stack.append({event.id})
            self.undone.clear()

    def is_last(self, id_: uuid.UUID) -> bool:
        in_force = bool(self.stack) and id_ in self.stack[-1]
        return in_force or (bool(self.undone) and self.undone[-1][0] == id_)


def _words(session: Session, hashes: Sequence[str], ids: Sequence[uuid.UUID]) -> dict[Key, _Word]:
    """What was decided about these originals, and about albums where no original is given."""
    about = OverlayEvent.file_hash == any_(literal(list(hashes), ARRAY(Text)))
    if not hashes:
        about = or_(OverlayEvent.file_hash.is_(None), OverlayEvent.id.in_(ids))
    found: dict[Key, _Word] = {}
    for row in session.execute(select(*_COLUMNS).where(about).order_by(OverlayEvent.seq)):
        event = Event(*row)
        found.setdefault(event.key, _Word()).add(event)
    return found
