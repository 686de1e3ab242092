"""What was decided about a photo in Google Photos: Takeout's JSON says it, and the overlay takes it over.

Favourite, description, people (as tags), album, archived. What somebody has decided here comes first: of such a field,
word or album nothing is taken over, whatever became of it since. What lay in the trash there is hidden here, and kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from Src.Library.overlay import acts, albums, changes
from Src.Library.overlay.changes import Decision, DecisionRefused
from Src.Library.overlay.current import among, key_of, write
from Src.Library.overlay.events import Change, record
from Src.Media.takeout import TakeoutNote
from Src.Media.words import LONGEST_TAG
from Src.Shared.models import OverlayEvent

logger = logging.getLogger(__name__)


def decide(session: Session, note: TakeoutNote, album: str | None, sha256: str) -> bool:
    """Writes what is new in it, in the session's transaction. To be done again it changes nothing. Always true."""
    decisions = _decisions(note, album)
    for decision in decisions:
        decision.prepare(session)
    originals = changes.locked(session, among([sha256]))
    if not decisions or not originals:
        return True
    decided = {
        key_of(sha256, *row)
        for row in session.execute(
            select(OverlayEvent.field, OverlayEvent.before, OverlayEvent.after).where(OverlayEvent.file_hash == sha256)
        )
    }
    wanted = [change for decision in decisions for change in decision.changes(session, originals)]
    new = [one for one in wanted if one.before != one.after and not _is_decided(one, decided)]
    if any(one.file_hash is not None for one in new):
        act = acts.begin(session, "takeout", acts.TAKEOUT)
        write(session, new)
        record(session, act, new)
    return True


def _is_decided(change: Change, decided: Collection[object]) -> bool:
    return (
        change.file_hash is not None and key_of(change.file_hash, change.field, change.before, change.after) in decided
    )


def _decisions(note: TakeoutNote, album: str | None) -> list[Decision]:
    people = [name[:LONGEST_TAG] for name in note.people]
    people = [name for name in people if _decidable(partial(changes.tag, [name], remove=False)) is not None]
    wanted: list[Callable[[], Decision]] = []
    if album is not None:
        wanted.append(partial(albums.add, album[: albums.LONGEST_NAME]))
    if note.is_favourite:
        wanted.append(partial(changes.rate, 5))
    if note.description is not None:
        wanted.append(partial(changes.describe, note.description))
    if people:
        wanted.append(partial(changes.tag, people, remove=False))
    if note.is_archived or note.is_trashed:
        wanted.append(partial(changes.hide, off=False))
    return [decision for make in wanted if (decision := _decidable(make)) is not None]


def _decidable(make: Callable[[], Decision]) -> Decision | None:
    """None: it cannot be decided, as a name of which no letter can be shown. The JSON file still has it."""
    try:
        return make()
    except DecisionRefused as reason:
        logger.info("not taken over from Takeout: %s", reason)
        return None
