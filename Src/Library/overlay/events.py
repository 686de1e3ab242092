"""Events of the overlay: one row for each original and field that an act has changed.

What `before` and `after` hold, by field (JSON; null: nothing, unknown):

- `rating`: 0 to 5. `title`, `description`: a text. `hidden`: true or false. `rotation`: 0, 90, 180, 270.
- `captured_at`: {"captured_at": "2024-05-01T12:00:00", "captured_at_offset": 120, "date_source": "overlay",
  "date_precision": "second"}, by the columns' names; the offset in minutes east of UTC, or null.
- `location`: {"lat": -33.86, "lon": 151.21}.
- `tag`: a word. Before null, after a word: added. Before a word, after null: removed.
- `album`: with a file_hash {"id": ..., "name": ..., "position": ...}, that an original is in an album; without one
  {"id": ..., "name": ..., "cover": ..., "made_at": ...}, the album itself.
- `removed`: true while it is in the trash, "emptied" where it has gone for good.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Shared.models import Act, OverlayEvent, new_id

_AT_ONCE = 5000
EMPTIED = "emptied"  # what `removed` is of an original that has gone for good


@dataclass(frozen=True, slots=True)
class Change:
    """What one field of one original was, and is now. Without a hash: an album itself."""

    file_hash: str | None
    field: str
    before: Any
    after: Any
    undoes: uuid.UUID | None = None  # the event that this takes back


def record(session: Session, act: Act, changes: Iterable[Change]) -> int:
    """Writes the events of an act, in their order; how many. What is after as it was before is no event.

    The caller changes the rows themselves in the same transaction, and holds them locked (`FOR UPDATE`) since it read
    `before`: so two decisions about one original have the order in which they were made.
    """
    written = 0
    real = (change for change in changes if change.before != change.after)
    while some := [_row(act, change) for change in islice(real, _AT_ONCE)]:
        written += len(insert_new(session, some))
    return written


def insert_new(session: Session, rows: Sequence[Mapping[str, Any]]) -> set[uuid.UUID]:
    """Inserts events, in their order, of which no row is there yet; returns their ids. All have the same columns.

    All rows go as one JSON text: to write them as parameters takes several times as long.
    """
    if not rows:
        return set()
    names = ", ".join(rows[0])
    statement = text(
        f"INSERT INTO overlay_events ({names}) SELECT {names} "
        "FROM json_populate_recordset(CAST(NULL AS overlay_events), CAST(:rows AS json)) "
        "ON CONFLICT (id) DO NOTHING RETURNING id"
    ).columns(OverlayEvent.id)
    return set(session.execute(statement, {"rows": json.dumps(rows, default=str)}).scalars())


def _row(act: Act, change: Change) -> dict[str, Any]:
    return {
        "id": new_id(),
        "act_id": act.id,
        "who": act.who,
        "file_hash": change.file_hash,
        "field": change.field,
        "before": change.before,
        "after": change.after,
        "undoes": change.undoes,
    }
