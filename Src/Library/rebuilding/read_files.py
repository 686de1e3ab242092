"""In which state each file was read for its row beside the ledger: a run that goes on reads again what has changed.

Of the place beside the ledger (`beside.py`); without a schema's name in a session that looks there first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Shared.disk.files import FileState
from Src.Shared.ledger_text import from_ledger, int8, to_ledger

_FILES = (
    "unnest(CAST(:paths AS text[]), CAST(:sizes AS bigint[]), CAST(:mtimes AS bigint[]), CAST(:ctimes AS bigint[])) "
    "AS f (path, size, mtime_ns, ctime_ns)"
)
_AT_ONCE = 1000
# What is made of a file: its row, and what belongs to that.
_GONE = "SELECT id FROM media_assets WHERE final_path = ANY (CAST(:paths AS text[]))"
_GONE_HASHES = _GONE.replace("SELECT id", "SELECT file_hash")
_FORGET = (
    f"DELETE FROM asset_tags WHERE asset_id IN ({_GONE})",
    f"DELETE FROM album_items WHERE asset_id IN ({_GONE})",
    f"DELETE FROM asset_relations WHERE from_hash IN ({_GONE_HASHES}) OR to_hash IN ({_GONE_HASHES})",
    f"DELETE FROM ingest_events WHERE fate = 'rebuilt' AND file_hash IN ({_GONE_HASHES})",
    "DELETE FROM media_assets WHERE final_path = ANY (CAST(:paths AS text[]))",
    "DELETE FROM ingest_events WHERE fate = 'companion' AND original_path = ANY (CAST(:paths AS text[]))",
    "DELETE FROM companions WHERE final_path = ANY (CAST(:paths AS text[]))",
    "DELETE FROM read_files WHERE path = ANY (CAST(:paths AS text[]))",
)


def begin_again(session: Session, schema: str) -> None:
    """No file was met yet."""
    session.execute(text(f"UPDATE {schema}.read_files SET is_met = false WHERE is_met"))


def note(session: Session, files: Mapping[str, FileState], schema: str | None = None) -> None:
    """Files (paths as on disk) get rows now, as they were read in these states."""
    if not files:
        return
    table = "read_files" if schema is None else f"{schema}.read_files"
    session.execute(
        text(
            f"INSERT INTO {table} (path, size, mtime_ns, ctime_ns, is_met) SELECT f.*, true FROM {_FILES} "
            "ON CONFLICT (path) DO UPDATE SET (size, mtime_ns, ctime_ns, is_met) = "
            "(excluded.size, excluded.mtime_ns, excluded.ctime_ns, true)"
        ),
        _arrays(files),
    )


def met(session: Session, files: Mapping[str, FileState], known: Collection[str]) -> set[str]:
    """Files that stand in the vault: those of the `known`, which have rows, that are as they were read.

    The rows of the other known ones go: they are to be read again.
    """
    if not known:
        return set()
    found = session.execute(
        text(
            f"UPDATE read_files AS r SET is_met = true FROM {_FILES} "
            "WHERE (r.path, r.size, r.mtime_ns, r.ctime_ns) = (f.path, f.size, f.mtime_ns, f.ctime_ns) RETURNING r.path"
        ),
        _arrays({path: files[path] for path in known}),
    ).scalars()
    same = {from_ledger(path) for path in found}
    _forget(session, [to_ledger(path) for path in known if path not in same])
    return same


def forget_unmet(session: Session) -> None:
    """All of the vault was met: rows of other files go."""
    left = "SELECT path FROM read_files WHERE NOT is_met LIMIT :most"
    while paths := list(session.execute(text(left), {"most": _AT_ONCE}).scalars()):
        _forget(session, paths)


def _forget(session: Session, paths: list[str]) -> None:
    if paths:
        for statement in _FORGET:
            session.execute(text(statement), {"paths": paths})


def _arrays(files: Mapping[str, FileState]) -> dict[str, Any]:
    return {
        "paths": [to_ledger(path) for path in files],
        "sizes": [state.size for state in files.values()],
        "mtimes": [int8(state.mtime_ns) for state in files.values()],
        "ctimes": [int8(state.ctime_ns) for state in files.values()],
    }
