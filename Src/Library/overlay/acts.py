"""Acts: what people do to originals, one row each.

One that touches only the ledger is begun as done, in the transaction of its events. One that touches files is begun as
pending or running, and finished when the files are where they belong.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from Src.Shared.ledger_text import plain_text
from Src.Shared.models import Act

Status = Literal["pending", "running", "done", "failed", "undone"]


ITSELF = "photo-factory"
TAKEOUT = "Google Takeout"
# Programs that have changed an XMP file beside an original.
DARKTABLE, DIGIKAM, LIGHTROOM = "darktable (XMP file)", "digiKam (XMP file)", "Lightroom (XMP file)"
ANOTHER = "another program (XMP file)"
NOBODY = (ITSELF, TAKEOUT, DARKTABLE, DIGIKAM, LIGHTROOM, ANOTHER)
"""Who did what no person did here: `undo` by itself leaves it."""


def begin(
    session: Session,
    kind: str,
    who: str,
    *,
    selection: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    undoes: uuid.UUID | None = None,
    status: Status = "done",
) -> Act:
    """Writes the row of an act, by the database's clock; it is there when the session commits.

    `kind`: the command's name. `selection`: as the person wrote it. `undoes`: the act that this one takes back.
    """
    act = Act(
        who=plain_text(who),
        kind=kind,
        selection=None if selection is None else plain_text(selection),
        parameters=dict(parameters or {}),
        undoes=undoes,
        status=status,
    )
    session.add(act)
    session.flush()
    return act


def finish(session: Session, act: Act, status: Status, message: str | None = None) -> None:
    """Says what became of an act, also of one that another session has read."""
    values = {"status": status, "message": None if message is None else plain_text(message)}
    session.execute(update(Act).where(Act.id == act.id).values(**values))
    for name, value in values.items():
        set_committed_value(act, name, value)


def took_back(session: Session, act: Act) -> None:
    """Notes that an act has taken another one back: where that had taken back a third, this one is done again."""
    target = act.undoes
    session.execute(update(Act).where(Act.id == target).values(status="undone"))
    again = select(Act.undoes).where(Act.id == target, Act.undoes.is_not(None)).scalar_subquery()
    session.execute(update(Act).where(Act.id == again).values(status="done"))
