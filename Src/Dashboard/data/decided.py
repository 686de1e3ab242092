"""What people have decided, as pages show it: an original's words and albums, and which there are."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.data import acts
from Src.Dashboard.data.library import COLUMNS, Photo
from Src.Dashboard.resources import ledger

PAGE = 60  # photos of an album


@dataclass(frozen=True, slots=True)
class OfPhoto:
    """What hangs on one original."""

    tags: tuple[str, ...]
    albums: tuple[str, ...]  # by name


@dataclass(frozen=True, slots=True)
class AlbumShown:
    """An album, how many originals it has, and the one that stands for it."""

    id: uuid.UUID
    name: str
    originals: int
    cover: Photo | None


def of_photo(photo: uuid.UUID) -> OfPhoto:
    tags = text("SELECT tag FROM asset_tags WHERE asset_id = :photo ORDER BY lower(tag)")
    albums = text(
        "SELECT name FROM album_items JOIN albums ON albums.id = album_id WHERE asset_id = :photo ORDER BY lower(name)"
    )
    with ledger().session() as session:
        found = (tuple(session.scalars(one, {"photo": photo})) for one in (tags, albums))
        return OfPhoto(*found)


@acts.forget_with
@st.cache_data(ttl=5, show_spinner=False)
def albums() -> tuple[AlbumShown, ...]:
    """All of them, by name. What is hidden is not counted and stands for none, as in the gallery."""
    asked = text(
        "SELECT a.id AS album, a.name, coalesce(n.originals, 0) AS number, c.* FROM albums AS a "
        "LEFT JOIN LATERAL (SELECT count(*) AS originals FROM album_items AS i "
        "JOIN media_assets AS m ON m.id = i.asset_id WHERE i.album_id = a.id AND NOT m.is_hidden) AS n ON true "
        f"LEFT JOIN LATERAL (SELECT {COLUMNS} FROM media_assets AS m LEFT JOIN album_items AS i "
        "ON i.asset_id = m.id AND i.album_id = a.id WHERE NOT m.is_hidden AND (m.file_hash = a.cover_hash OR m.id = "
        "(SELECT f.asset_id FROM album_items AS f JOIN media_assets AS o ON o.id = f.asset_id "
        "WHERE f.album_id = a.id AND NOT o.is_hidden ORDER BY f.position, f.asset_id LIMIT 1)) "
        "ORDER BY m.file_hash IS DISTINCT FROM a.cover_hash LIMIT 1) AS c ON true ORDER BY lower(a.name)"
    )
    found = []
    with ledger().session() as session:
        for row in session.execute(asked).mappings():
            rest = {name: value for name, value in row.items() if name not in ("album", "name", "number")}
            cover = None if rest["id"] is None else Photo(**rest)
            found.append(AlbumShown(row["album"], row["name"], row["number"], cover))
    return tuple(found)


@acts.forget_with
@st.cache_data(ttl=5, max_entries=50, show_spinner=False)
def in_album(album: uuid.UUID, page: int) -> tuple[Sequence[Photo], bool]:
    """Photos of an album in its order, and whether there are more."""
    asked = text(
        f"SELECT {COLUMNS} FROM media_assets AS m JOIN album_items AS i ON i.asset_id = m.id "
        "WHERE i.album_id = :album AND NOT m.is_hidden ORDER BY i.position, m.id LIMIT :limit OFFSET :skip"
    )
    values = {"album": album, "limit": PAGE + 1, "skip": page * PAGE}
    with ledger().session() as session:
        photos = [Photo(**row._mapping) for row in session.execute(asked, values)]
    return photos[:PAGE], len(photos) > PAGE
