"""Files that stay in the inbox, in the ledger's `inbox_files`: failing ones, dead letters, and what is not media.

So a restart neither reports them anew nor forgets how often they were tried. Losing this register harms nothing: the
files are still in the inbox.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, cast

from sqlalchemy import Table, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from Src.Librarian.incoming import IncomingFile
from Src.Librarian.ledger_entry import int8
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.ledger_text import from_ledger, plain_text, to_ledger
from Src.Shared.models import InboxFile

logger = logging.getLogger(__name__)

InboxState = Literal["failing", "dead_letter", "not_media"]

_FILES = cast(Table, InboxFile.__table__)
_MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Stays:
    """Why a file stays in the inbox."""

    original_path: str  # relative to the inbox, as on disk
    state: InboxState
    file_size: int
    mtime_ns: int
    inode: int
    attempts: int = 0
    last_error: str | None = None
    next_try_at: datetime | None = None

    @classmethod
    def of(
        cls,
        file: IncomingFile,
        state: InboxState,
        attempts: int = 0,
        last_error: str | None = None,
        next_try_at: datetime | None = None,
    ) -> Stays:
        at = file.state
        return cls(file.original_path, state, at.size, at.mtime_ns, at.inode, attempts, last_error, next_try_at)


class InboxRegister:
    """Reads and writes `inbox_files`. While the ledger is away nothing is written, and nothing raised."""

    def __init__(self, database: Database, ready: Callable[[], bool] = lambda: True) -> None:
        """`ready`: whether the ledger is there and has its tables."""
        self._database = database
        self._ready = ready

    def load(self, *, failures_only: bool = False) -> list[Stays] | None:
        """All of them, or only failing ones and dead letters; None while the ledger is away."""
        if not self._ready():
            return None
        statement = select(*(_FILES.c[field] for field in Stays.__dataclass_fields__))
        if failures_only:
            statement = statement.where(_FILES.c.state != "not_media")
        try:
            with self._database.session() as session:
                rows = session.execute(statement).all()
        except LedgerUnavailable:
            return None
        stays = [Stays(from_ledger(row[0]), *row[1:]) for row in rows]
        return [replace(one, inode=one.inode % 2**64) for one in stays]

    def save(self, files: Sequence[Stays]) -> bool:
        """Adds or replaces; whether that was possible."""
        if not self._ready():
            return False
        rows = [
            {
                "path_id": path_id(file.original_path),
                "original_path": to_ledger(file.original_path),
                "state": file.state,
                "file_size": file.file_size,
                "mtime_ns": int8(file.mtime_ns),
                "inode": file.inode - 2**64 if file.inode >= 2**63 else file.inode,  # 64 bits, the ledger has a sign
                "attempts": file.attempts,
                "last_error": plain_text(file.last_error) if file.last_error else None,
                "next_try_at": file.next_try_at,
                "updated_at": datetime.now(UTC),
            }
            for file in {file.original_path: file for file in files}.values()
        ]
        add = insert(_FILES)
        kept = {"path_id", "original_path", "first_seen_at"}
        replaced = {column.name: add.excluded[column.name] for column in _FILES.c if column.name not in kept}
        upsert = add.on_conflict_do_update(index_elements=["path_id"], set_=replaced)
        statement = upsert.returning(_FILES.c.path_id)  # without it SQLAlchemy would send each row by itself
        try:
            for at in range(0, len(rows), _MOST_AT_ONCE):
                with self._database.session() as session:
                    session.execute(statement, rows[at : at + _MOST_AT_ONCE])
        except LedgerUnavailable:
            return False
        return True

    def forget(self, original_paths: Sequence[str]) -> bool:
        """They have left the inbox; whether that could be written."""
        if not self._ready():
            return False
        ids = [path_id(path) for path in original_paths]
        try:
            for at in range(0, len(ids), _MOST_AT_ONCE):
                with self._database.session() as session:
                    session.execute(delete(_FILES).where(_FILES.c.path_id.in_(ids[at : at + _MOST_AT_ONCE])))
        except LedgerUnavailable:
            return False
        return True


def ask_for_retry(database: Database) -> int:
    """Makes every failing file and dead letter due now, with all its attempts; returns how many.

    Raises LedgerUnavailable.
    """
    with database.session() as session:
        changed = session.execute(
            update(_FILES)
            .where(_FILES.c.state.in_(("failing", "dead_letter")))
            .values(state="failing", attempts=0, next_try_at=func.now(), updated_at=func.now())
            .returning(_FILES.c.path_id)
        )
        return len(changed.all())


def path_id(original_path: str) -> uuid.UUID:
    """A key of fixed size for a path of any length."""
    return uuid.UUID(bytes=hashlib.sha256(to_ledger(original_path).encode()).digest()[:16])
