"""What happened to incoming files, and where a photo is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import streamlit as st
from sqlalchemy import Row, text

from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.resources import ledger
from Src.Shared.ledger_text import to_ledger

MOST = 200  # events shown
SEARCH_LIMIT = 2.0  # seconds

_COLUMNS = "e.happened_at, e.fate, e.source, e.original_name, e.original_path, e.final_path, e.message, e.attempts"


@dataclass(frozen=True, slots=True)
class Event:
    """One fate of one file. `kept_at` is where its content is now, relative to the storage root."""

    happened_at: datetime
    fate: str
    source: str
    original_name: str
    original_path: str
    kept_at: str | None
    message: str | None
    attempts: int | None


@dataclass(frozen=True, slots=True)
class Findings:
    events: tuple[Event, ...]
    everywhere: bool  # False: only names that begin with the text were looked at


@st.cache_data(ttl=2, show_spinner=False)
def latest(fates: tuple[str, ...] = (), most: int = MOST) -> list[Event]:
    """The last events, newest first; of these fates only, if any are given."""
    where = "WHERE e.fate = ANY(:fates)" if fates else ""
    statement = text(
        f"SELECT {_COLUMNS} FROM ingest_events e {where} ORDER BY e.happened_at DESC, e.id DESC LIMIT :most"
    )
    with ledger().session() as session:
        return [_event(row) for row in session.execute(statement, {"fates": list(fates), "most": most})]


@st.cache_data(ttl=10, max_entries=100, show_spinner=False)
def search(name: str) -> Findings:
    """Every event of files whose name or folder holds the text (`*` and `?` are wildcards), newest first.

    Names that begin with it come from an index, at once. The rest takes looking at all, for SEARCH_LIMIT at most.
    """
    pattern = like(name)
    beginning = _asked("lower(e.original_name) LIKE :begins ESCAPE '!'", begins=pattern.lower().lstrip("%"))
    try:
        anywhere = _asked(
            "(e.original_name ILIKE :pattern ESCAPE '!' OR e.original_path ILIKE :pattern ESCAPE '!')", pattern=pattern
        )
    except TooSlow:
        return Findings(tuple(beginning), everywhere=False)
    return Findings(tuple(anywhere), everywhere=True)


def like(name: str) -> str:
    """A LIKE pattern (escape character `!`) for what a person typed."""
    pattern = to_ledger(name)
    for char in "!%_":
        pattern = pattern.replace(char, f"!{char}")
    if "*" in name or "?" in name:
        return pattern.replace("*", "%").replace("?", "_")
    return f"%{pattern}%"


def _asked(where: str, **values: Any) -> Sequence[Event]:
    # A content that came twice is kept once, perhaps under the other's name: the original's row tells.
    statement = text(
        f"SELECT {_COLUMNS}, a.final_path AS kept_at FROM "
        f"(SELECT * FROM ingest_events e WHERE {where} ORDER BY e.happened_at DESC, e.id DESC LIMIT :most) e "
        "LEFT JOIN media_assets a ON a.file_hash = e.file_hash ORDER BY e.happened_at DESC, e.id DESC"
    )
    with ledger().session() as session:
        session.execute(text(f"SET LOCAL statement_timeout = {int(SEARCH_LIMIT * 1000)}"))
        return [_event(row) for row in session.execute(statement, {**values, "most": MOST})]


def _event(row: Row[Any]) -> Event:
    found = row._mapping
    return Event(
        happened_at=found["happened_at"],
        fate=found["fate"],
        source=found["source"],
        original_name=found["original_name"],
        original_path=found["original_path"],
        kept_at=found.get("kept_at") or found["final_path"],
        message=found["message"],
        attempts=found["attempts"],
    )
