"""What needs a person: files that failed, originals with errors, what is not media."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.resources import ledger
from Src.Librarian.inbox_register import ask_for_retry

MOST = 500  # rows of each kind


@dataclass(frozen=True, slots=True)
class Failure:
    """A file in the inbox that could not be filed; `next_try_at` None: only when a person asks for it."""

    original_path: str
    state: str  # failing or dead_letter
    reason: str | None
    attempts: int
    next_try_at: datetime | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Broken:
    """An original with an error."""

    final_path: str
    reason: str | None
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class NotMedia:
    original_path: str
    size: int
    since: datetime


@st.cache_data(ttl=2, show_spinner=False)
def failures() -> list[Failure]:
    """Dead letters first, then by their next try."""
    statement = text(
        "SELECT original_path, state, last_error, attempts, next_try_at, first_seen_at FROM inbox_files "
        "WHERE state <> 'not_media' ORDER BY state, next_try_at NULLS FIRST, original_path LIMIT :most"
    )
    with ledger().session() as session:
        return [Failure(*row) for row in session.execute(statement, {"most": MOST})]


@st.cache_data(ttl=5, show_spinner=False)
def broken() -> list[Broken]:
    """Originals with errors, the newest first."""
    statement = text(
        "SELECT final_path, error_message, captured_at FROM media_assets WHERE has_errors ORDER BY id DESC LIMIT :most"
    )
    with ledger().session() as session:
        return [Broken(*row) for row in session.execute(statement, {"most": MOST})]


@st.cache_data(ttl=5, show_spinner=False)
def not_media() -> list[NotMedia]:
    statement = text(
        "SELECT original_path, file_size, first_seen_at FROM inbox_files "
        "WHERE state = 'not_media' ORDER BY first_seen_at DESC, original_path LIMIT :most"
    )
    with ledger().session() as session:
        return [NotMedia(*row) for row in session.execute(statement, {"most": MOST})]


def retry() -> int:
    """Makes every failed file due now; a running Librarian takes them up within seconds. How many there were."""
    with ledger().session():  # is it there? what follows would wait for it
        pass
    count = ask_for_retry(ledger().database)
    failures.clear()
    return count
