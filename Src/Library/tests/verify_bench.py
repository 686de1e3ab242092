"""A vault that is verified: its ledger, its files, and what can be asked of both."""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import CursorResult, insert, text

from Src.Library.belonging import Belonging
from Src.Library.custody.verified import Verified
from Src.Library.custody.verify import Plan, Verify
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.ledger_text import to_ledger
from Src.Shared.models import Companion
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import fill

COUNT = 24
ODD_NAME = os.fsdecode(b"IMG \\ \xff\n.jpg")
FULL, QUICK = Plan("full"), Plan("quick")


@dataclass
class Bench:
    settings: Settings
    database: Database
    paths: list[str]  # of originals, as they were taken

    def verify(self, plan: Plan = FULL, begun: datetime | None = None, **more: Any) -> Verified:
        return Verify(self.settings, self.database, plan, **more).run(begun)

    def at(self, number: int) -> Path:
        return self.settings.storage / self.paths[number]

    def sql(self, statement: str, **values: object) -> list[Any]:
        with self.database.session() as session:
            answer = cast("CursorResult[Any]", session.execute(text(statement), values))
            return list(answer.all()) if answer.returns_rows else []

    def findings(self) -> dict[str, str]:
        return dict(tuple(row) for row in self.sql("SELECT final_path, finding FROM original_findings"))

    def beside(self, number: int, name: str, kind: str, content: bytes) -> Path:
        """A companion of an original, filed."""
        sha256 = self.sql("SELECT file_hash FROM media_assets WHERE final_path = :p", p=to_ledger(self.paths[number]))
        path = self.at(number).with_name(name)
        path.write_bytes(content)
        path.chmod(0o440)
        row = {
            "original_hash": sha256[0][0],
            "kind": kind,
            "path_id": uuid.uuid4(),
            "original_path": to_ledger(name),
            "companion_hash": hashlib.sha256(content).hexdigest(),
            "companion_size": len(content),
            "final_path": to_ledger(str(path.relative_to(self.settings.storage))),
            "filed_at": datetime.now(UTC),
        }
        with self.database.session() as session:
            session.execute(insert(Companion).values(**row))
        return path


def filled(settings: Settings, database: Database) -> Bench:
    """With so many originals, some a day; the first has an odd name."""
    vault = Vault(settings.storage)
    fill(vault, database, COUNT, names=[ODD_NAME], step=timedelta(hours=5))
    Belonging(settings, vault).establish(database)
    bench = Bench(settings, database, [])
    rows = bench.sql("SELECT original_path, final_path FROM media_assets ORDER BY captured_at")
    bench.paths = [str(row[1]) for row in rows]
    bench.paths[0] = f"{os.path.dirname(bench.paths[0])}/{ODD_NAME}"
    return bench
