"""What was decided about originals, and what was true of them at a moment."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from Src.Library.overlay.current import key_of, values
from Src.Shared.models import Act, MediaAsset, OverlayEvent

_LISTS = {"tag": "tags", "album": "albums"}


@dataclass(frozen=True, slots=True)
class Decided:
    """One event, with its act."""

    id: uuid.UUID
    act: uuid.UUID
    happened_at: datetime
    who: str
    kind: str
    field: str
    before: Any
    after: Any
    status: str | None  # of the act


@dataclass(frozen=True, slots=True)
class History:
    """What was decided about one original, the first first."""

    final_path: str  # ledger text
    file_hash: str
    events: Sequence[Decided]


def histories(session: Session, condition: ColumnElement[bool], most: int) -> list[History]:
    """Of the originals that are meant, the oldest first; at most so many of them."""
    asked = select(MediaAsset.final_path, MediaAsset.file_hash).where(condition)
    originals = session.execute(asked.order_by(MediaAsset.captured_at, MediaAsset.id).limit(most)).all()
    hashes = [sha256 for _, sha256 in originals]
    of_hash: dict[str, list[Decided]] = {sha256: [] for sha256 in hashes}
    event = OverlayEvent
    columns = (
        *(event.file_hash, event.id, event.act_id, event.happened_at, event.who),
        *(Act.kind, event.field, event.before, event.after, Act.status),
    )
    rows = select(*columns).outerjoin(Act, Act.id == event.act_id)
    among = event.file_hash == any_(literal(hashes, ARRAY(Text)))
    for sha256, *row in session.execute(rows.where(among).order_by(event.seq)):
        of_hash[sha256].append(Decided(*row))
    return [History(path, sha256, of_hash[sha256]) for path, sha256 in originals]


def at(session: Session, history: History, moment: datetime) -> dict[str, Any]:
    """What was true of an original at a moment, field by field: of now, less what was decided later."""
    now = values(session, [history.file_hash])
    for event in reversed(history.events):
        if event.happened_at > moment:
            now[key_of(history.file_hash, event.field, event.before, event.after)] = event.before
    then: dict[str, Any] = {name: [] for name in _LISTS.values()}
    for key, value in sorted(now.items(), key=lambda item: (item[0].field, item[0].part)):
        if key.field not in _LISTS:
            then[key.field] = value
        elif value is not None:
            then[_LISTS[key.field]].append(value["name"] if key.field == "album" else value)
    return then
