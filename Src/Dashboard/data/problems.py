"""What needs a person: files that failed, what nobody can file, originals with errors, what is not media."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.resources import ledger, settings
from Src.Library.findings import Findings, read_findings
from Src.Library.held_files import ask_for_retry
from Src.Library.held_words import ADVICE, HeldState
from Src.Library.refused_rows import RefusedRow, refused_rows
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import asking

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

    photo: uuid.UUID
    final_path: str
    reason: str | None
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class NotMedia:
    original_path: str
    size: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Odd:
    """What nobody can file as it is."""

    original_path: str  # absolute where it was found by an import
    state: HeldState
    reason: str | None
    since: datetime


@st.cache_data(ttl=2, show_spinner=False)
def failures() -> list[Failure]:
    """Dead letters first, then by their next try."""
    statement = text(
        "SELECT original_path, state, last_error, attempts, next_try_at, first_seen_at FROM inbox_files "
        "WHERE state IN ('failing', 'dead_letter') ORDER BY state, next_try_at NULLS FIRST, original_path LIMIT :most"
    )
    with ledger().session() as session:
        return [Failure(*row) for row in session.execute(statement, {"most": MOST})]


@st.cache_data(ttl=5, show_spinner=False)
def broken() -> list[Broken]:
    """Originals with errors, the newest first."""
    statement = text(
        "SELECT id, final_path, error_message, captured_at FROM media_assets "
        "WHERE has_errors ORDER BY id DESC LIMIT :most"
    )
    with ledger().session() as session:
        return [Broken(*row) for row in session.execute(statement, {"most": MOST})]


@dataclass(frozen=True, slots=True)
class Damaged:
    """Damaged originals that were moved aside: their paths below the storage root, or why those cannot be seen."""

    paths: tuple[str, ...]
    error: str | None = None


@st.cache_data(ttl=5, show_spinner=False)
def damaged() -> Damaged:
    try:
        return Damaged(tuple(Vault(settings().storage).damaged.listed()))
    except OSError as error:
        return Damaged((), error.strerror or str(error))


@st.cache_data(ttl=5, show_spinner=False)
def not_media() -> list[NotMedia]:
    statement = text(
        "SELECT original_path, file_size, first_seen_at FROM inbox_files "
        "WHERE state = 'not_media' ORDER BY first_seen_at DESC, original_path LIMIT :most"
    )
    with ledger().session() as session:
        return [NotMedia(*row) for row in session.execute(statement, {"most": MOST})]


@st.cache_data(ttl=5, show_spinner=False)
def findings() -> Findings:
    """Originals that are gone or changed, as they were last looked at."""
    with ledger().session() as session:
        return read_findings(asking(session), MOST)


@st.cache_data(ttl=5, show_spinner=False)
def refused() -> list[RefusedRow]:
    """Rows that the ledger refuses; on disk, beside the vault."""
    try:
        return refused_rows(settings().state)[:MOST]
    except VaultTrouble:
        return []


@st.cache_data(ttl=5, show_spinner=False)
def odd() -> list[Odd]:
    """Unreadable folders first: photos may be in them."""
    statement = text(
        "SELECT original_path, state, last_error, first_seen_at FROM inbox_files WHERE state = ANY(:odd) "
        "ORDER BY state <> 'unreadable', state, original_path LIMIT :most"
    )
    with ledger().session() as session:
        return [Odd(*row) for row in session.execute(statement, {"odd": list(ADVICE), "most": MOST})]


def retry() -> int:
    """Makes every failed file due now; a running Librarian takes them up within seconds. How many there were."""
    with ledger().session():  # is it there? what follows would wait for it
        pass
    count = ask_for_retry(ledger().database)
    failures.clear()
    odd.clear()
    return count
