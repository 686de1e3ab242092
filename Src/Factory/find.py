"""`find`: where is my photo?"""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select

from Src.Factory import report
from Src.Librarian.file_watcher import walk_files
from Src.Shared.database import Database
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import InboxFile, IngestEvent, MediaAsset
from Src.Shared.settings import Settings

_MOST = 1000


def show_fates(settings: Settings, name: str, *, as_json: bool) -> int:
    """Prints every event of files whose name matches; 1 where nothing is known of any."""
    database = Database(settings, service="factory")
    try:
        database.ensure_ready()
        events = _events(database, name)
    finally:
        database.close()
    waiting = _in_inbox(settings, name)
    if as_json:
        report.print_json({"events": events, "in_inbox": waiting})
        return 0 if events or waiting else 1
    if events:
        columns = ("when", "fate", "came as", "is kept at", "note")
        rows = (
            (
                event["happened_at"].astimezone(settings.zone).strftime("%Y-%m-%d %H:%M:%S"),
                event["fate"],
                event["original_path"],
                event["kept_at"] or event["final_path"],
                event["message"],
            )
            for event in events
        )
        report.table(columns, rows)
    for path in waiting:
        report.line("in inbox", path)
    if not events and not waiting:
        report.out.print("Nothing is known of a file of that name.")
        return 1
    return 0


def _events(database: Database, name: str) -> list[dict[str, Any]]:
    patterns = [_like(spelling) for spelling in _spellings(name)]
    event, asset = IngestEvent, MediaAsset
    columns = (
        event.happened_at, event.fate, event.source, event.original_name, event.original_path, event.file_hash,
        event.file_size, event.final_path, asset.final_path.label("kept_at"), event.message, event.attempts,
        event.next_try_at,
    )  # fmt: skip
    columns_of_names = (event.original_name, event.original_path)
    matches = or_(*(column.ilike(pattern, escape="!") for column in columns_of_names for pattern in patterns))
    statement = (
        select(*columns)
        .outerjoin(asset, asset.file_hash == event.file_hash)
        .where(matches)
        .order_by(event.happened_at.desc(), event.id.desc())
        .limit(_MOST)
    )
    with database.session() as session:
        found = [dict(row._mapping) for row in session.execute(statement)]
        states = session.execute(
            select(InboxFile.original_path, InboxFile.state).where(
                or_(*(InboxFile.original_path.ilike(pattern, escape="!") for pattern in patterns))
            )
        )
        inbox = dict(states.tuples().all())
    for row in found:
        row["inbox_state"] = inbox.get(row["original_path"])
    return found[::-1]


def _in_inbox(settings: Settings, name: str) -> list[str]:
    """Files of that name that are in the inbox right now."""
    import fnmatch

    patterns = [
        (spelling if _has_wildcard(spelling) else f"*{spelling}*").lower().replace("[", "[[]")
        for spelling in _spellings(name)
    ]
    inbox = str(settings.inbox)
    if not settings.inbox.is_dir():
        return []
    paths = (path[len(inbox) + 1 :] for path, _ in walk_files(inbox))
    return [
        to_ledger(path)
        for path in paths
        if any(fnmatch.fnmatchcase(path.rpartition("/")[2].lower(), pattern) for pattern in patterns)
    ]


def _spellings(name: str) -> set[str]:
    """The name as it may be on disk: as it was typed or, where it was copied from what we show, without escapes."""
    return {name, from_ledger(name)}


def _has_wildcard(name: str) -> bool:
    return "*" in name or "?" in name


def _like(name: str) -> str:
    text = to_ledger(name)
    for char in "!%_":
        text = text.replace(char, f"!{char}")
    if _has_wildcard(name):
        return text.replace("*", "%").replace("?", "_")
    return f"%{text}%"
