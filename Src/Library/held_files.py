"""What stays in the inbox, in the ledger's `inbox_files`: failing files, dead letters, no media, sidecars, what is odd.

So a restart neither reports them anew nor forgets how often they were tried. Losing this table harms nothing: the
files are still in the inbox.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import Table, delete, not_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from Src.Library.held_words import WAYS_OUT, HeldState
from Src.Library.inbox import is_inbox_path
from Src.Library.tree import Odd
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.disk.files import FileState
from Src.Shared.ledger_text import from_ledger, int8, plain_text, to_ledger
from Src.Shared.models import InboxFile

logger = logging.getLogger(__name__)

_FILES = cast(Table, InboxFile.__table__)
_IMPORTED = _FILES.c.state.in_(WAYS_OUT) & _FILES.c.original_path.startswith("/")
_MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class HeldFile:
    """Why a file stays in the inbox."""

    original_path: str  # relative to the inbox, as on disk
    state: HeldState
    file_size: int
    mtime_ns: int
    inode: int
    attempts: int = 0
    last_error: str | None = None
    next_try_at: datetime | None = None

    @property
    def is_odd(self) -> bool:
        """Whether nobody can file it as it is."""
        return self.state in WAYS_OUT

    @classmethod
    def of_odd(cls, found: Odd) -> HeldFile:
        size, mtime_ns, _, inode, _ = found.state or (0, 0, 0, 0, 0)
        return cls(found.path, found.kind, size, mtime_ns, inode, last_error=found.reason)

    @classmethod
    def of(
        cls,
        original_path: str,
        at: FileState,
        state: HeldState,
        attempts: int = 0,
        last_error: str | None = None,
        next_try_at: datetime | None = None,
    ) -> HeldFile:
        return cls(original_path, state, at.size, at.mtime_ns, at.inode, attempts, last_error, next_try_at)


class HeldFilesTable:
    """Reads and writes `inbox_files`. While the ledger is away nothing is written, and nothing raised."""

    def __init__(self, database: Database, ready: Callable[[], bool] = lambda: True) -> None:
        """`ready`: whether the ledger is there and has its tables."""
        self._database = database
        self._ready = ready
        self._told: set[str] = set()

    def load(self, *, failures_only: bool = False) -> list[HeldFile] | None:
        """All that are in the inbox, or only failing ones and dead letters; None while the ledger is away."""
        if not self._ready():
            return None
        statement = select(*(_FILES.c[field] for field in HeldFile.__dataclass_fields__))
        statement = statement.where(not_(_IMPORTED))
        if failures_only:
            in_peace = _FILES.c.state.in_(("not_media", "companion", "sidecar"))
            statement = statement.where(not_(in_peace) | _FILES.c.file_anyway)
        try:
            with self._database.session() as session:
                rows = session.execute(statement).all()
        except LedgerUnavailable:
            return None
        held = [HeldFile(from_ledger(row[0]), *row[1:]) for row in rows]
        return [replace(one, inode=one.inode % 2**64) for one in held if self._leads_inside(one.original_path)]

    def _leads_inside(self, path: str) -> bool:
        inside = is_inbox_path(path)
        if not inside and path not in self._told:
            self._told.add(path)
            logger.error("the database's row of %r in inbox_files is not believed: it leads out of the inbox", path)
        return inside

    def save(self, files: Sequence[HeldFile]) -> bool:
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

    def save_odd(self, source: str, found: Sequence[HeldFile], *, forget_before: datetime | None) -> bool:
        """What an import found that nobody can file, at and below one of its sources; whether that could be written.

        `forget_before`: when this import began, if it has looked at everything. What only an earlier one had found
        there is forgotten.
        """
        if not self.save(found):
            return False
        if forget_before is None:
            return True
        own, below = to_ledger(source), to_ledger(source.rstrip("/") + "/")
        gone = delete(_FILES).where(
            _FILES.c.state.in_(WAYS_OUT),
            (_FILES.c.original_path == own) | _FILES.c.original_path.startswith(below, autoescape=True),
            _FILES.c.updated_at < forget_before,
        )
        try:
            with self._database.session() as session:
                session.execute(gone)
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

    What an import could not file is forgotten: only the next import looks there again. Raises LedgerUnavailable.
    """
    with database.session() as session:
        # A function of the ledger, because who may ask may not change the files' rows.
        return int(session.execute(text("SELECT ask_for_retry()")).scalar_one())


def ask_to_file(database: Database, name: str) -> list[str]:
    """Has the Librarian file a sidecar of the inbox that belongs to no photo here; the paths to which the name leads.

    The name is a path relative to the inbox, or the end of one. Nothing is asked where it leads to none or to several.
    Raises LedgerUnavailable.
    """
    whole = to_ledger(name)
    ends = _FILES.c.original_path.endswith(f"/{whole}", autoescape=True)
    with database.session() as session:
        rows = select(_FILES.c.original_path).where(_FILES.c.state == "sidecar", not_(_IMPORTED))
        found = list(session.execute(rows.where((_FILES.c.original_path == whole) | ends)).scalars())
        exact = [path for path in found if path == whole] or found
        if len(exact) == 1:
            now = datetime.now(UTC)
            asked = update(_FILES).where(_FILES.c.path_id == path_id(from_ledger(exact[0])))
            session.execute(asked.values(file_anyway=True, next_try_at=now, updated_at=now))
    return [from_ledger(path) for path in exact]


def path_id(original_path: str) -> uuid.UUID:
    """A key of fixed size for a path of any length."""
    return uuid.UUID(path_key(to_ledger(original_path)))


def path_key(text_of_path: str) -> str:
    """The same as 32 hex digits, of a path that is ledger text."""
    return hashlib.sha256(text_of_path.encode()).hexdigest()[:32]
