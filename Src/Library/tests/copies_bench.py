"""A vault with a copy, for the tests of copies."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import CursorResult, insert, text
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.copies.done import CopyDone
from Src.Library.custody.copies.opening import add_copy, open_copy
from Src.Library.custody.copies.pace import Pace
from Src.Library.custody.copies.rows import CopyRow, CopyRows
from Src.Library.custody.copies.run import CopyRun
from Src.Library.custody.copies.target import Target
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import Companion
from Src.Shared.settings import Settings

Wrap = Callable[[Target], Target]


@dataclass
class CopyBench:
    settings: Settings
    database: Database
    hashes: list[str]  # of originals, as they were taken

    @contextlib.contextmanager
    def sessions(self) -> Iterator[Session]:
        belonging = Belonging(self.settings, Vault(self.settings.storage))
        belonging.establish(self.database)
        with self.database.session() as session:
            belonging.check(session)
            yield session

    @property
    def rows(self) -> CopyRows:
        return CopyRows(self.sessions)

    def add(self, name: str, target: str | Path, *, encrypted: bool = False) -> CopyRow:
        return add_copy(self.settings, self.sessions, name, str(target), encrypted=encrypted)[0]

    def row(self, name: str) -> CopyRow:
        found = self.rows.named(name)
        assert found is not None
        return found

    def run(self, name: str, *, wrap: Wrap = lambda one: one, pace: Pace | None = None, **more: Any) -> CopyDone:
        row = self.row(name)
        run = CopyRun(self.settings, self.database, row, pace=pace or Pace(None), **more)
        with open_copy(self.settings, self.sessions, row) as target:
            return run.run(wrap(target))

    def sql(self, statement: str, **values: object) -> list[Any]:
        with self.database.session() as session:
            answer = cast("CursorResult[Any]", session.execute(text(statement), values))
            return list(answer.all()) if answer.returns_rows else []

    def flags(self) -> tuple[int, int]:
        """How many originals are backed up by their flag, and how many by the rows of copies."""
        flagged = self.sql("SELECT count(*) FROM media_assets WHERE is_backed_up AND backed_up_at IS NOT NULL")
        there = self.sql(
            "SELECT count(DISTINCT a.id) FROM media_assets AS a JOIN copied_files AS f "
            "ON f.original_hash = a.file_hash AND f.file_hash = a.file_hash"
        )
        return flagged[0][0], there[0][0]

    def counted_wrongly(self, name: str, folder: Path) -> list[str]:
        """Promise of a copy: what counts is there, and right. This looks from outside."""
        flagged, there = self.flags()
        wrong = [] if flagged == there else [f"{flagged} flags, {there} rows"]
        for page in self.rows.there(self.row(name).id):
            for one in page:
                path = folder / one.path
                if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
                    wrong.append(one.path)
        return wrong

    def beside(self, number: int, name: str, kind: str, content: bytes) -> Path:
        """A companion of an original, filed."""
        [[path]] = self.sql("SELECT final_path FROM media_assets WHERE file_hash = :h", h=self.hashes[number])
        file = (self.settings.storage / from_ledger(path)).with_name(name)
        file.write_bytes(content)
        row = {
            "original_hash": self.hashes[number],
            "kind": kind,
            "path_id": uuid.uuid4(),
            "original_path": to_ledger(name),
            "companion_hash": hashlib.sha256(content).hexdigest(),
            "companion_size": len(content),
            "final_path": to_ledger(str(file.relative_to(self.settings.storage))),
            "filed_at": datetime.now(UTC),
        }
        with self.database.session() as session:
            session.execute(insert(Companion), [row])
        return file

    def original(self, number: int) -> str:
        """Its path, relative to the storage."""
        [[path]] = self.sql("SELECT final_path FROM media_assets WHERE file_hash = :h", h=self.hashes[number])
        return from_ledger(path)


class Wrapped:
    """A target in which something happens."""

    def __init__(self, inner: Target) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def files_below(folder: Path) -> dict[str, bytes]:
    """All files, by path."""
    return {
        os.path.relpath(os.path.join(at, name), folder): Path(at, name).read_bytes()
        for at, _, names in os.walk(folder)
        for name in names
    }


def flip_keeping_time(path: Path) -> None:
    """One bit, as a disk loses it: its time stays."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.chmod(0o640)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
