"""`list`: the originals that a selection means, one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from Src.Factory import report
from Src.Library.overlay.current import albums_of, tags_of
from Src.Library.selection.selection import Selection, read_selection
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.models import Companion, MediaAsset
from Src.Shared.settings import Settings
from Src.Shared.words import counted

_AT_ONCE = 1000


def list_originals(settings: Settings, *, selection: str, as_json: bool, dry_run: bool) -> int:
    """Prints them, oldest first; 1 where the selection means none.

    `dry_run`: only what the selection means, and how many there are. Raises SelectionError.
    """
    meant = read_selection(selection, settings.zone, datetime.now(UTC))
    database = Database(settings, service="factory")
    try:
        database.ensure_ready()
        with database.session() as session:
            if dry_run:
                return _count(session, meant, as_json=as_json)
            found = False
            for original in _originals(session, meant):
                print(report.json_text(original))
                found = True
            if not found and not as_json:
                report.note(f"This means: {meant.words}. No original.")
            return ExitCode.WELL if found else ExitCode.FOUND
    finally:
        database.close()


def _count(session: Session, meant: Selection, *, as_json: bool) -> int:
    number = session.execute(select(func.count()).select_from(MediaAsset).where(meant.condition)).scalar_one()
    if as_json:
        report.print_json({"selection": meant.text, "means": meant.words, "originals": number})
    else:
        report.say(f"This means: {meant.words}. {counted(number, 'original')}.")
    return ExitCode.WELL if number else ExitCode.FOUND


def _originals(session: Session, meant: Selection) -> Iterator[dict[str, Any]]:
    statement = (
        select(MediaAsset)
        .where(meant.condition)
        .order_by(MediaAsset.captured_at, MediaAsset.id)
        .execution_options(yield_per=_AT_ONCE)
    )
    for some in session.scalars(statement).partitions():
        companions = _companions(session, some)
        ids = [one.id for one in some]
        tags, albums = tags_of(session, ids), albums_of(session, ids)
        for original in some:
            yield {
                **_as_line(original),
                "tags": tags.get(original.id, []),
                "albums": [album["name"] for album in albums.get(original.id, [])],
                "companions": companions.get(original.file_hash, []),
            }
        session.expunge_all()  # a library may be larger than the memory


def _companions(session: Session, originals: Sequence[MediaAsset]) -> dict[str, list[dict[str, str]]]:
    """Those of each hash."""
    statement = (
        select(Companion)
        .where(Companion.original_hash.in_([one.file_hash for one in originals]))
        .order_by(Companion.recorded_at, Companion.id)
    )
    found: dict[str, list[dict[str, str]]] = {}
    for one in session.scalars(statement):
        line = {"kind": one.kind, "came_as": one.original_path, "hash": one.companion_hash}
        if one.final_path is not None and one.filed_at is not None:
            line["path"] = one.final_path
        found.setdefault(one.original_hash or "", []).append(line)
    return found


def _as_line(original: MediaAsset) -> dict[str, Any]:
    """Names and paths as ledger text: a byte that is no UTF-8 is written \\xNN."""
    taken = original.captured_at
    if original.captured_at_offset is not None:
        taken = taken.replace(tzinfo=timezone(timedelta(minutes=original.captured_at_offset)))
    return {
        "path": original.final_path,
        "hash": original.file_hash,
        "size": original.file_size,
        "kind": original.media_kind,
        "captured_at": taken.isoformat(),
        "date_source": original.date_source,
        "rating": original.rating,
        "camera": original.camera_model,
        "location": original.location,
        "came_as": original.original_path,
        "added_at": original.ingested_at.isoformat(),
        "title": original.title,
        "description": original.description,
        "hidden": original.is_hidden,
        "rotation": original.rotation,
    }
