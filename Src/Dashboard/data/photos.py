"""The last originals."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.resources import ledger
from Src.Dashboard.thumbnails import Original


@dataclass(frozen=True, slots=True)
class Photo:
    name: str
    original: Original


@st.cache_data(ttl=2, show_spinner=False)
def latest(most: int = 12) -> list[Photo]:
    """The last that were filed, newest first."""
    statement = text(
        "SELECT original_name, file_hash, final_path, media_kind FROM media_assets "
        "ORDER BY ingested_at DESC, id DESC LIMIT :most"
    )
    with ledger().session() as session:
        return [Photo(row[0], Original(*row[1:])) for row in session.execute(statement, {"most": most})]
