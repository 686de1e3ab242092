"""Acts that touch files, as they are asked for by who may not carry them out: the dashboard writes one row, and the
Librarian does what it says between two batches (`file_acts.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Table, select, update
from sqlalchemy.orm import Session

from Src.Library.overlay import acts
from Src.Library.overlay.undo import KIND as UNDO
from Src.Shared.errors import FactoryError
from Src.Shared.models import Act, OverlayEvent

WITHDRAWN = "taken back before it was carried out"
OPEN = ("pending", "running")  # statuses of what is to be carried out, or gone on with

_EVENTS = cast(Table, OverlayEvent.__table__)


class NotToTakeBack(FactoryError):
    """An act that cannot be taken back now. The message is one line; nothing was changed."""

    about = "undo"


def ask(
    session: Session, kind: str, who: str, hashes: Sequence[str], parameters: Mapping[str, Any] | None = None
) -> Act:
    """Writes an act that waits for the Librarian. It means these originals, whatever comes or goes meanwhile."""
    given = {**(parameters or {}), "hashes": list(hashes)}
    return acts.begin(session, kind, who, parameters=given, status="pending")


def ask_back(session: Session, act: Act, who: str) -> Act:
    """Writes the act that takes another one back, which has moved files; it waits for the Librarian.

    The caller holds the row of `act` locked. Raises NotToTakeBack.
    """
    if act.kind == "empty":
        raise NotToTakeBack("what was emptied from the trash is gone for good")
    if act.status in (*OPEN, "undone"):
        raise NotToTakeBack(f"this act is {act.status}: it cannot be taken back now")
    asked = select(Act.id).where(Act.undoes == act.id, Act.status.in_(OPEN))
    if session.execute(asked.limit(1)).first() is not None:
        raise NotToTakeBack("somebody takes this act back already")
    hashes = changed_by(session, act.id)
    if not hashes:
        raise NotToTakeBack("this act has changed nothing")
    return acts.begin(session, UNDO, who, parameters={"hashes": hashes}, undoes=act.id, status="pending")


def withdraw(session: Session, act: Act) -> bool:
    """Takes an act back that nobody has begun to carry out; whether it was one. What waits cannot begin meanwhile."""
    still = update(Act).where(Act.id == act.id, Act.status == "pending")
    done = session.execute(still.values(status="undone", message=WITHDRAWN).returning(Act.id)).first()
    return done is not None


def changed_by(session: Session, act: uuid.UUID) -> list[str]:
    """The originals that an act has changed, by their hashes, in the order in which it did."""
    asked = select(_EVENTS.c.file_hash).where(_EVENTS.c.act_id == act, _EVENTS.c.file_hash.is_not(None))
    return list(dict.fromkeys(session.execute(asked.order_by(_EVENTS.c.seq)).scalars()))
