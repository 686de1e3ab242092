"""`find`: where is my photo?"""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import or_, select

from Src.Factory import report
from Src.Library.inbox import walk_files
from Src.Library.original_path import is_path
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.disk.files import regular_file_state
from Src.Shared.errors import ExitCode
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import InboxFile, IngestEvent, MediaAsset, Tombstone, TrashItem
from Src.Shared.settings import Settings

_MOST = 1000
_VAULT = "Originals"


def show_fates(settings: Settings, *, name: str, as_json: bool) -> ExitCode:
    """Prints every event of files whose name matches. FOUND: nothing is known of any; ERROR: an original that is
    kept does not stand there as it was filed. Raises LedgerUnavailable, which has another code."""
    database = Database(settings, service="factory")
    try:
        database.ensure_ready()
        events = _events(settings, database, name)
    finally:
        database.close()
    _look_at_each(settings, events)
    waiting = _in_inbox(settings, name)
    code = ExitCode.WELL if events or waiting else ExitCode.FOUND
    if any(event["is"] not in (None, "there", "in the trash", "deleted") for event in events):
        code = ExitCode.ERROR
    if as_json:
        report.print_json({"events": events, "in_inbox": waiting})
        return code
    if events:
        columns = ("when", "fate", "came as", "is kept at", "note")
        rows = (
            (
                event["happened_at"].astimezone(settings.zone).strftime("%Y-%m-%d %H:%M:%S"),
                event["fate"],
                event["original_path"],
                _where(event),
                event["message"],
            )
            for event in events
        )
        report.table(columns, rows)
    for path in waiting:
        report.line("in inbox", path)
    if not events and not waiting:
        report.say("Nothing is known of a file of that name.")
    return code


def _look_at_each(settings: Settings, events: list[dict[str, Any]]) -> None:
    """Adds what the disk says: the ledger may tell of an original that somebody has taken away."""
    vault = Vault(settings.storage)
    try:
        is_there = vault.is_marked()
    except VaultTrouble:
        is_there = False
    for event in events:
        path, size = event["kept_at"] or event["final_path"], event.pop("kept_size")
        if event["in_trash"] is not None:
            event["is"] = "in the trash"
        elif path is None or (event["kept_at"] is None and event["is_deleted"]):
            event["is"] = "deleted" if event["is_deleted"] else None
        elif not is_there:
            event["is"] = "the vault is not there"
        else:
            event["is"] = _state(vault, from_ledger(path), size if size is not None else event["file_size"])


def _state(vault: Vault, path: str, size: int | None) -> str:
    if not is_path(path):
        return "no path of the vault"
    try:
        with vault.opened(os.path.dirname(path)) as folder:
            state = regular_file_state(os.path.basename(path), folder)
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    except OSError as error:
        return f"unreadable ({error.strerror})"
    if state is None:
        return "gone"
    return "there" if size is None or state.size == size else "changed"


def _where(event: dict[str, Any]) -> str | None:
    """Only what stands there is kept there."""
    path = event["in_trash"] or event["kept_at"] or event["final_path"]
    return path if path is None or event["is"] == "there" else f"{event['is'].upper()}: {path}"


def _events(settings: Settings, database: Database, name: str) -> list[dict[str, Any]]:
    patterns = [_like(spelling) for spelling in _spellings(_as_noted(settings, name))]
    event, asset = IngestEvent, MediaAsset
    columns = (
        event.happened_at, event.fate, event.source, event.original_name, event.original_path, event.file_hash,
        event.file_size, event.final_path, asset.final_path.label("kept_at"),
        asset.file_size.label("kept_size"), TrashItem.trash_path.label("in_trash"),
        Tombstone.file_hash.is_not(None).label("is_deleted"), event.message, event.attempts, event.next_try_at,
    )  # fmt: skip
    names = (event.original_name, event.original_path)
    columns_of_names = (*names, event.final_path, asset.final_path) if _is_in_vault(name) else names
    matches = or_(*(column.ilike(pattern, escape="!") for column in columns_of_names for pattern in patterns))
    statement = (
        select(*columns)
        .outerjoin(asset, asset.file_hash == event.file_hash)
        .outerjoin(TrashItem, TrashItem.file_hash == event.file_hash)
        .outerjoin(Tombstone, Tombstone.file_hash == event.file_hash)
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
        for spelling in _spellings(_as_noted(settings, name))
    ]
    inbox = str(settings.inbox)
    if not settings.inbox.is_dir():
        return []
    paths = (path[len(inbox) + 1 :] for path, _ in walk_files(inbox))
    return [
        to_ledger(path)
        for path in paths
        if any(
            fnmatch.fnmatchcase(shown.lower(), pattern)
            for shown in (path, path.rpartition("/")[2])
            for pattern in patterns
        )
    ]


def _as_noted(settings: Settings, name: str) -> str:
    """A path into the inbox or the vault as the ledger has it: below the inbox, or from `Originals` on. By the folder's
    name, not its path: a container knows that under another one."""
    for folder, kept in ((settings.inbox.name, ""), (_VAULT, f"{_VAULT}/")):
        _, found, below = name.partition(f"/{folder}/")
        if found and name.startswith(("/", "~", ".")):
            return kept + below
    return name


def _is_in_vault(name: str) -> bool:
    return f"{_VAULT}/" in name


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
