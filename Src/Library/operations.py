"""Operations: long pieces of work, as the ledger and their locks know them.

The row says what it is and how far it came; whether it still runs, the kernel says: its process holds a lock on a file
that nobody can hold when that process is gone, however it went. So an operation that was killed is known at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Table, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from Src.Library.operation import UNDER_WAY, Operation, OperationProblem, as_ledger, lock_of, of_row, short
from Src.Shared.database import Database
from Src.Shared.ledger_text import plain_text, to_ledger
from Src.Shared.models import Operation as OperationRow
from Src.Shared.settings import Settings

SHOWN_DAYS = 30
_OPERATIONS = cast(Table, OperationRow.__table__)


class Operations:
    """The operations of one factory. Raises LedgerUnavailable wherever the ledger is asked."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.folder = settings.run / "operations"
        self._database = database

    def listed(self) -> list[Operation]:
        """Those under way or stopped, and those that ended within the last 30 days; the newest first."""
        recent = datetime.now(UTC) - timedelta(days=SHOWN_DAYS)
        shown = or_(_OPERATIONS.c.heartbeat_at > recent, _OPERATIONS.c.status.in_((*UNDER_WAY, "failed")))
        return self._read(select(_OPERATIONS).where(shown).order_by(_OPERATIONS.c.created_at.desc()))

    def stopped(self) -> list[Operation]:
        """Those that a person started and that can go on."""
        mine = _OPERATIONS.c.status.in_((*UNDER_WAY, "failed")) & ~_OPERATIONS.c.is_scheduled
        found = self._read(select(_OPERATIONS).where(mine).order_by(_OPERATIONS.c.created_at))
        return [one for one in found if one.is_stopped]

    def like(self, kind: str, parameters: Mapping[str, Any]) -> Operation | None:
        """The latest that is stopped, of this kind and with these parameters: to start it again is to resume it."""
        same = (
            (_OPERATIONS.c.kind == kind)
            & (_OPERATIONS.c.parameters == as_ledger(parameters))
            & _OPERATIONS.c.status.in_((*UNDER_WAY, "failed"))
        )
        found = self._read(select(_OPERATIONS).where(same).order_by(_OPERATIONS.c.created_at.desc()))
        return next((one for one in found if one.is_stopped), None)

    def named(self, beginning: str) -> Operation:
        """The one whose id has this beginning or this end. Raises OperationProblem where it is none or several."""
        wanted = beginning.lower().replace("-", "")
        if len(wanted) < 4 or set(wanted) - set("0123456789abcdef"):
            raise OperationProblem(f"{beginning!r} is no operation's id; ./factory operations lists them")
        plain = func.replace(func.cast(_OPERATIONS.c.id, OperationRow.kind.type), "-", "")
        found = self._read(select(_OPERATIONS).where(plain.startswith(wanted) | plain.endswith(wanted)))
        if len(found) != 1:
            many = f"{len(found)} operations have" if found else "no operation has"
            raise OperationProblem(f"{many} the id {beginning}; ./factory operations lists them")
        return found[0]

    def cancel(self, one: Operation) -> bool:
        """Ends it for good. True: it runs, and ends within seconds; False: it had stopped, and is cancelled now.

        What it has done stays done. Raises OperationProblem where it has ended.
        """
        if one.is_stopped:
            self.discard(one)
            return False
        changed = self._change(one, asked="cancel")
        if not changed:
            raise OperationProblem(f"operation {short(one.id)} has ended meanwhile")
        return True

    def discard(self, one: Operation) -> None:
        """It is not offered again. Raises OperationProblem where it runs, or has ended."""
        self.check_discard(one)
        self._change(one, status="cancelled", message=one.message or "discarded", ended_at=datetime.now(UTC))

    @staticmethod
    def check_discard(one: Operation) -> None:
        """Raises OperationProblem where it runs, or has ended."""
        if not one.is_stopped:
            how = "runs; cancel it" if one.status in UNDER_WAY else "has ended"
            raise OperationProblem(f"operation {short(one.id)} {how}")

    def _change(self, one: Operation, **values: Any) -> bool:
        """Whether the row was still as it was read."""
        same = (_OPERATIONS.c.id == one.id) & (_OPERATIONS.c.status == one.status) & (_OPERATIONS.c.runs == one.runs)
        with self._database.session() as session:
            done = session.execute(update(_OPERATIONS).where(same).values(**values).returning(_OPERATIONS.c.id))
            return done.first() is not None

    def save(self, one: Operation, *, first: bool = False) -> str | None:
        """Writes the row; what is asked of the process that runs it. `first`: of this run, of which nobody has asked
        anything."""
        values = {field.name: getattr(one, field.name) for field in fields(one) if field.name != "is_alive"}
        values["parameters"] = as_ledger(one.parameters)
        values["checkpoint"] = as_ledger(one.checkpoint)
        values["current_item"] = to_ledger(one.current_item).replace("\0", "") if one.current_item else None
        values["message"] = plain_text(one.message) if one.message else None
        add = insert(_OPERATIONS).values(**values)
        kept = ("id", "kind", "parameters", "created_at", "asked")
        replaced: dict[str, Any] = {name: add.excluded[name] for name in values if name not in kept}
        if first or one.status not in UNDER_WAY:
            replaced["asked"] = None
        statement = add.on_conflict_do_update(index_elements=["id"], set_=replaced).returning(_OPERATIONS.c.asked)
        with self._database.session() as session:
            return session.execute(statement).scalar_one_or_none()

    def _read(self, statement: Any) -> list[Operation]:
        with self._database.session() as session:
            rows = session.execute(statement).mappings().all()
        return [of_row(row, self.folder) for row in rows]

    def lock_of(self, id_: uuid.UUID) -> Path:
        """The file that its process holds locked."""
        return lock_of(self.folder, id_)
