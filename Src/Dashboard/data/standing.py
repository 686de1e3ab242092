"""An act that people have asked for, and how it stands."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from Src.Library.overlay.undo import KIND as UNDO
from Src.Shared.models import Act, OverlayEvent

State = Literal["waiting", "running", "done", "failed", "undone"]

_STATES: dict[str, State] = {"pending": "waiting"}


@dataclass(frozen=True, slots=True)
class Standing:
    """An act, and how it stands."""

    id: uuid.UUID
    kind: str  # the command's name: rate, tag, remove, undo, ...
    of: str  # the kind of the act that it takes back; else its own
    who: str
    at: datetime
    state: State
    meant: int  # originals
    changed: int  # of these, so far
    message: str | None  # what came of it, where it is not simply done
    undoes: uuid.UUID | None = None  # the act that this one takes back

    @property
    def is_open(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def can_undo(self) -> bool:
        """Whether `undo` may be asked for: what waits is withdrawn, what was emptied is gone."""
        if self.state == "waiting":
            return True
        is_of_album = self.state == "done" and self.of == "album"
        return is_of_album or (self.state in ("done", "failed") and self.changed > 0 and self.of != "empty")


@dataclass(frozen=True, slots=True)
class Submitted:
    """What came of asking for an act, when its function returns."""

    standing: Standing | None  # None: all was as it should be already
    meant: int  # originals that there are of those that were given
    changed: int  # that are changed already
    gone: int = 0  # that were given, and are not in the library (or the trash) any more

    @property
    def id(self) -> uuid.UUID | None:
        return None if self.standing is None else self.standing.id


def standing_of(session: Session, act: uuid.UUID) -> Standing | None:
    """How an act stands now; None: there is no such act."""
    undone = select(Act.kind, Act.id).subquery()
    hashes = Act.parameters["hashes"]
    meant_ = case((func.jsonb_typeof(hashes) == "array", func.jsonb_array_length(hashes)))
    columns = (
        *(Act.id, Act.kind, func.coalesce(undone.c.kind, Act.kind), Act.who, Act.happened_at, Act.status),
        *(meant_, Act.message, Act.undoes),
    )
    found = session.execute(select(*columns).outerjoin(undone, undone.c.id == Act.undoes).where(Act.id == act)).first()
    if found is None:
        return None
    id_, kind, of, by, at, status, meant, message, undoes = found
    touched = select(func.count(OverlayEvent.file_hash.distinct())).where(OverlayEvent.act_id == act)
    changed = session.execute(touched).scalar_one()
    of = of if kind == UNDO else kind
    state = _STATES.get(status, status)
    return Standing(id_, kind, of, by, at, state, changed if meant is None else meant, changed, message, undoes)
