"""`duplicates`: which incoming files were dropped, and against which original."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from Src.Factory import report
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.models import IngestEvent, MediaAsset
from Src.Shared.settings import Settings
from Src.Shared.words import counted

_AT_ONCE = 1000


def show_duplicates(settings: Settings, *, as_json: bool) -> int:
    """All of them, the first first. FOUND: none was. Raises LedgerUnavailable."""
    database = Database(settings, service="factory")
    number = 0
    try:
        database.ensure_ready()
        with database.session() as session:
            for one in _duplicates(session):
                number += 1
                if as_json:
                    print(report.json_text(one))
                else:
                    what = f"{one['dropped']}  is  {one['original'] or one['original_then']}"
                    report.line(one["when"][:19].replace("T", " "), what)
    finally:
        database.close()
    if not as_json:
        nothing = "No file was dropped as a duplicate. What an import finds again, unchanged, it only counts."
        report.say(f"{counted(number, 'duplicate')}." if number else nothing)
    return ExitCode.WELL if number else ExitCode.FOUND


def _duplicates(session: Session) -> Iterator[dict[str, Any]]:
    event = IngestEvent
    asked = (
        select(
            event.happened_at,
            event.source,
            event.original_path,
            event.file_hash,
            event.file_size,
            event.final_path,
            MediaAsset.final_path.label("is_at"),
        )
        .outerjoin(MediaAsset, MediaAsset.file_hash == event.file_hash)
        .where(event.fate == "duplicate")
        .order_by(event.happened_at, event.id)
        .execution_options(yield_per=_AT_ONCE)
    )
    for row in session.execute(asked):
        yield {
            "when": row.happened_at.isoformat(),
            "dropped": row.original_path,
            "source": row.source,
            "size": row.file_size,
            "hash": row.file_hash,
            "original": row.is_at,
            "original_then": row.final_path,
        }
