"""What happened to incoming files, and where a photo is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.resources import ledger
from Src.Shared.ledger_text import to_ledger

MOST = 200  # events shown
SEARCH_LIMIT = 2.0  # seconds

_COLUMNS = (
    "e.id, e.happened_at, e.fate, e.source, e.original_name, e.original_path, e.message, e.attempts, "
    "coalesce(a.final_path, e.final_path) AS kept_at, a.id AS photo"
)


@dataclass(frozen=True, slots=True)
class Event:
    """What became of one file. `kept_at` (below the storage root) and `photo` are where its content is now."""

    id: uuid.UUID
    happened_at: datetime
    fate: str
    source: str
    original_name: str
    original_path: str
    message: str | None
    attempts: int | None
    kept_at: str | None
    photo: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Findings:
    events: tuple[Event, ...]
    everywhere: bool  # False: only names that begin with the text were looked at


@st.cache_data(ttl=2, show_spinner=False)
def latest() -> list[Event]:
    """The last events, newest first."""
    return _events("")


@st.cache_data(ttl=10, max_entries=20, show_spinner=False)
def latest_of(fates: tuple[str, ...]) -> list[Event]:
    """The last events of these fates, newest first. Of rare ones it takes looking through all events."""
    return _events("WHERE e.fate = ANY(:fates)", fates=list(fates))


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


@st.cache_data(ttl=10, max_entries=100, show_spinner=False)
def event(id_: uuid.UUID) -> Event | None:
    """One event; None where there is none of that id."""
    found = _events("WHERE e.id = :id", id=id_)
    return found[0] if found else None


def _found(where: str, pattern: str) -> tuple[Event, ...]:
    return tuple(_events(f"WHERE {where}", limit=SEARCH_LIMIT, pattern=pattern))


def _events(where: str, *, limit: float | None = None, **values: Any) -> list[Event]:
    # A content that came twice is kept once, perhaps under the other's name: the original's row knows.
    statement = text(
        f"SELECT {_COLUMNS} FROM (SELECT * FROM ingest_events e {where} ORDER BY e.happened_at DESC, e.id DESC "
        "LIMIT :most) e LEFT JOIN media_assets a ON a.file_hash = e.file_hash ORDER BY e.happened_at DESC, e.id DESC"
    )
    with ledger().session() as session:
        if limit is not None:
            session.execute(text(f"SET LOCAL statement_timeout = {int(limit * 1000)}"))
        return [Event(**row._mapping) for row in session.execute(statement, {**values, "most": MOST})]
