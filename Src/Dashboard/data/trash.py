"""What is in the trash, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.data import acts
from Src.Dashboard.resources import ledger
from Src.Library.backed_up import at_a_copy

MOST = 500  # rows that a page lists


@dataclass(frozen=True, slots=True)
class Removed:
    """One original in the trash. Names are ledger text."""

    file_hash: str
    original_name: str
    size: int
    captured_at: datetime
    removed_at: datetime
    removed_by: str
    has_copy: bool  # that is known


@dataclass(frozen=True, slots=True)
class Totals:
    originals: int
    size: int
    without_copy: int


_COPY = at_a_copy("trash.file_hash")
_ROWS = (
    "SELECT file_hash, original_name, file_size, (asset->>'captured_at')::timestamp, removed_at, removed_by, "
    f"{_COPY} FROM trash"
)


@acts.forget_with
@st.cache_data(ttl=2, show_spinner=False)
def totals() -> Totals:
    asked = text(
        f"SELECT count(*), coalesce(sum(file_size), 0)::bigint, count(*) FILTER (WHERE NOT {_COPY}) FROM trash"
    )
    with ledger().session() as session:
        return Totals(*session.execute(asked).one())


@acts.forget_with
@st.cache_data(ttl=2, show_spinner=False)
def listed() -> Sequence[Removed]:
    """What was removed last, first."""
    with ledger().session() as session:
        rows = session.execute(text(f"{_ROWS} ORDER BY removed_at DESC, trash_path LIMIT :most"), {"most": MOST})
        return [Removed(*row) for row in rows]


def all_of_it() -> Sequence[Removed]:
    """Everything that is in the trash at this moment, in the same order."""
    with ledger().session() as session:
        rows = session.execute(text(f"{_ROWS} ORDER BY removed_at DESC, trash_path"))
        return [Removed(*row) for row in rows]
