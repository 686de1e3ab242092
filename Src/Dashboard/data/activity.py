"""What happened to incoming files, and where a photo is."""

from __future__ import annotations

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
def latest() -> list[Event]:
    """The last events, newest first."""
    return _latest("")


@st.cache_data(ttl=10, max_entries=20, show_spinner=False)
def latest_of(fates: tuple[str, ...]) -> list[Event]:
    """The last events of these fates, newest first. Of rare ones it takes looking through all events."""
    return _latest("WHERE e.fate = ANY(:fates)", fates=list(fates))


@st.cache_data(ttl=10, max_entries=100, show_spinner=False)
def search(name: str) -> Findings:
    """Every event of files whose name or folder holds the text (`*` and `?` are wildcards), newest first.

    That takes looking at all events; where it would take longer than SEARCH_LIMIT, only names that begin with the text
    are found, by their index.
    """
    pattern = like(name)
    try:
        anywhere = "e.original_name ILIKE :pattern ESCAPE '!' OR e.original_path ILIKE :pattern ESCAPE '!'"
        return Findings(_found(anywhere, pattern), everywhere=True)
    except TooSlow:
        beginning = "lower(e.original_name) LIKE :pattern ESCAPE '!'"
        return Findings(_found(beginning, pattern.lower().lstrip("%")), everywhere=False)


def like(name: str) -> str:
    """A LIKE pattern (escape character `!`) for what a person typed."""
    pattern = to_ledger(name)
    for char in "!%_":
        pattern = pattern.replace(char, f"!{char}")
    if "*" in name or "?" in name:
        return pattern.replace("*", "%").replace("?", "_")
    return f"%{pattern}%"


def _latest(where: str, **values: Any) -> list[Event]:
    statement = text(
        f"SELECT {_COLUMNS} FROM ingest_events e {where} ORDER BY e.happened_at DESC, e.id DESC LIMIT :most"
    )
    with ledger().session() as session:
        return [_event(row) for row in session.execute(statement, {**values, "most": MOST})]


def _found(where: str, pattern: str) -> tuple[Event, ...]:
    # A content that came twice is kept once, perhaps under the other's name: the original's row tells.
    statement = text(
        f"SELECT {_COLUMNS}, a.final_path AS kept_at FROM "
        f"(SELECT * FROM ingest_events e WHERE {where} ORDER BY e.happened_at DESC, e.id DESC LIMIT :most) e "
        "LEFT JOIN media_assets a ON a.file_hash = e.file_hash ORDER BY e.happened_at DESC, e.id DESC"
    )
    with ledger().session() as session:
        session.execute(text(f"SET LOCAL statement_timeout = {int(SEARCH_LIMIT * 1000)}"))
        return tuple(_event(row) for row in session.execute(statement, {"pattern": pattern, "most": MOST}))


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
