"""Replay: what stands in the mirror and not in the ledger is decided again, as after the loss of the ledger.

Acts and events get their rows back, and each original becomes what the last event says of it. Events of originals that
the ledger does not know are kept as they are: `settle` applies them when the original comes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Text, any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.orm import Session

from Src.Library.overlay import acts
from Src.Library.overlay.current import Key, among, key_of, lock_albums, values, write
from Src.Library.overlay.events import Change, insert_new
from Src.Library.overlay.lines import ActLine, EventLine
from Src.Library.overlay.mirror import Mirror, Unread
from Src.Shared.models import Act, MediaAsset, OverlayEvent

_AT_ONCE = 5000
# What the columns and tables of `current.py` hold.
_STATES = frozenset(("rating", "captured_at", "location", "title", "description", "hidden", "rotation", "tag", "album"))


@dataclass(slots=True)
class Replayed:
    """What a replay has found and done."""

    lines: int = 0  # acts and events in the mirror
    events: int = 0  # that the ledger did not have
    originals: int = 0  # that they are about
    unknown: int = 0  # of these, that the ledger does not know
    unread: list[Unread] = field(default_factory=list)


def replay(session: Session, mirror: Mirror) -> Replayed:
    """Brings the mirror into the ledger, in the session's transaction. Can be repeated. Raises VaultTrouble.

    What the ledger has beyond the mirror must be in it already (`Mirror.bring_up`): the order of lines decides.
    """
    done = Replayed()
    lock_albums(session)
    latest: dict[Key, Any] = {}
    touched: set[Key] = set()
    lines = mirror.read(done.unread)
    while some := list(islice(lines, _AT_ONCE)):
        done.lines += len(some)
        _insert_acts(session, [one for one in some if isinstance(one, ActLine)])
        events = [one for one in some if isinstance(one, EventLine)]
        new = _insert_events(session, events)
        done.events += len(new)
        for one in events:
            if one.field in _STATES:
                key = key_of(one.file_hash, one.field, one.before, one.after)
                latest[key] = (one.before, one.after)
                if one.id in new:
                    touched.add(key)
    hashes = {key.file_hash for key in touched if key.file_hash is not None}
    done.originals = len(hashes)
    done.unknown = len(hashes) - _known(session, hashes)
    # Albums stand before anything is put into them.
    _apply(session, {key: latest[key] for key in touched if key.file_hash is None})
    of_originals = sorted(key for key in touched if key.file_hash is not None)
    for start in range(0, len(of_originals), _AT_ONCE):
        _apply(session, {key: latest[key] for key in of_originals[start : start + _AT_ONCE]})
    return done


def settle(session: Session, hashes: Collection[str]) -> int:
    """Makes originals what the ledger's own events say of them; how many fields of them changed.

    For those whose row was made anew: out of the trash, or by a rebuild.
    """
    events = select(OverlayEvent.file_hash, OverlayEvent.field, OverlayEvent.before, OverlayEvent.after).where(
        OverlayEvent.file_hash == any_(literal(list(hashes), ARRAY(Text)))
    )
    latest: dict[Key, Any] = {}
    for sha256, name, before, after in session.execute(events.order_by(OverlayEvent.seq)):
        if name in _STATES:
            latest[key_of(sha256, name, before, after)] = (before, after)
    return _apply(session, latest)


def settle_albums(session: Session) -> None:
    """Makes albums what the ledger's own events say of them: before originals are settled, which go into them."""
    asked = select(OverlayEvent.field, OverlayEvent.before, OverlayEvent.after).where(OverlayEvent.file_hash.is_(None))
    latest: dict[Key, Any] = {}
    for name, before, after in session.execute(asked.order_by(OverlayEvent.seq)):
        if name in _STATES:
            latest[key_of(None, name, before, after)] = (before, after)
    _apply(session, latest)


def _apply(session: Session, latest: dict[Key, Any]) -> int:
    hashes = sorted({key.file_hash for key in latest if key.file_hash is not None})
    now = values(session, hashes, lock=True) if hashes else {}
    changes = []
    for key, (before, after) in latest.items():
        if key.file_hash is None:
            changes.append(Change(None, key.field, before, after))
        elif Key(key.file_hash, "rating") in now and now.get(key) != after:
            there = now.get(key)
            # What goes must be named as it stands there: another spelling of a word, say.
            if there is not None and key.field == "tag":
                changes.append(Change(key.file_hash, key.field, there, after))
            elif there is not None or after is not None:
                changes.append(Change(key.file_hash, key.field, before if there is None else there, after))
    write(session, changes)
    return len(changes)


def _known(session: Session, hashes: Collection[str]) -> int:
    found: int = session.execute(select(func.count()).select_from(MediaAsset).where(among(hashes))).scalar_one()
    return found


def _insert_acts(session: Session, lines: Sequence[ActLine]) -> None:
    if not lines:
        return
    rows = [
        {
            "id": one.id,
            "happened_at": one.happened_at,
            "who": one.who,
            "kind": one.kind,
            "selection": one.selection,
            "parameters": one.parameters,
            "status": "done",
            "message": one.message,
            "undoes": one.undoes,
        }
        for one in lines
    ]
    inserted = insert_or_not(Act).values(rows).on_conflict_do_nothing().returning(Act.id)
    new = set(session.execute(inserted).scalars())
    for one in lines:
        if one.id in new and one.undoes is not None:
            acts.took_back(session, Act(id=one.id, undoes=one.undoes))


def _insert_events(session: Session, lines: Sequence[EventLine]) -> set[Any]:
    """The ids of those that are new."""
    rows = [
        {
            "id": one.id,
            "act_id": one.act,
            "happened_at": one.happened_at.isoformat(),
            "who": one.who,
            "file_hash": one.file_hash,
            "field": one.field,
            "before": one.before,
            "after": one.after,
            "undoes": one.undoes,
            "is_mirrored": True,
        }
        for one in lines
    ]
    return insert_new(session, rows)
