"""What is true of originals by now, field by field: read from the ledger's columns and tables, and written there.

Events name an original by its hash and hold values as JSON; here these become columns of `media_assets`, rows of
`asset_tags` and of `albums`. What names no original of the ledger changes nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, any_, delete, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from Src.Library.overlay.events import Change
from Src.Shared.models import Album, AlbumItem, AssetTag, MediaAsset

_ALBUMS_LOCK = 0x416C62756D  # "Album": the advisory lock of whoever changes albums

# Of each field that is a column: its name and type in SQL.
_COLUMNS: Mapping[str, tuple[str, str]] = {
    "rating": ("rating", "smallint"),
    "location": ("location", "jsonb"),
    "title": ("title", "text"),
    "description": ("description", "text"),
    "hidden": ("is_hidden", "boolean"),
    "rotation": ("rotation", "smallint"),
}
_DATE = ("captured_at", "captured_at_offset", "date_source", "date_precision")


class Key(NamedTuple):
    """What a decision is about: a field of an original, one of its words, its place in one album, an album itself."""

    file_hash: str | None
    field: str
    part: str = ""  # of a tag the word, of an album its id


def key_of(file_hash: str | None, field: str, before: Any, after: Any) -> Key:
    """What an event is about."""
    value = before if after is None else after
    if field in ("tag", "person"):
        return Key(file_hash, field, same_word(value))
    return Key(file_hash, field, value["id"] if field == "album" else "")


def same_word(tag: str) -> str:
    """Equal for words that differ only in capitals."""
    return tag.lower()


def among(hashes: Iterable[str]) -> Any:
    """The condition that an original is one of these: one array, not a parameter for each."""
    return MediaAsset.file_hash == any_(literal(list(hashes), ARRAY(Text)))


def lock_albums(session: Session) -> None:
    """Until the transaction ends nobody else makes or removes an album. To be taken before any original is locked."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ALBUMS_LOCK})


def tags_of(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """The words of originals, in the order of the alphabet."""
    found: dict[uuid.UUID, list[str]] = {}
    for asset_id, tag in session.execute(select(AssetTag.asset_id, AssetTag.tag).where(AssetTag.asset_id.in_(ids))):
        found.setdefault(asset_id, []).append(tag)
    return {asset_id: sorted(words, key=same_word) for asset_id, words in found.items()}


def albums_of(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[dict[str, Any]]]:
    """The albums that originals are in, by name, as values of events."""
    columns = (AlbumItem.asset_id, Album.id, Album.name, AlbumItem.position)
    rows = session.execute(
        select(*columns).join(Album, Album.id == AlbumItem.album_id).where(AlbumItem.asset_id.in_(ids))
    )
    found: dict[uuid.UUID, list[dict[str, Any]]] = {}
    for asset_id, id_, name, position in sorted(rows, key=lambda row: same_word(row[2])):
        found.setdefault(asset_id, []).append({"id": str(id_), "name": name, "position": position})
    return found


def album_value(album: Album) -> dict[str, Any]:
    """An album as the value of an event."""
    made_at = album.made_at.isoformat()
    return {"id": str(album.id), "name": album.name, "cover": album.cover_hash, "made_at": made_at}


def values(session: Session, hashes: Collection[str], *, lock: bool = False) -> dict[Key, Any]:
    """What is true of these originals; of one that is not in the ledger, nothing. No key: null.

    `lock`: nobody else changes them until the transaction ends.
    """
    columns = {name: getattr(MediaAsset, name) for name in (*(name for name, _ in _COLUMNS.values()), *_DATE)}
    asked = select(MediaAsset.id, MediaAsset.file_hash, *columns.values()).where(among(hashes)).order_by(MediaAsset.id)
    ids: dict[uuid.UUID, str] = {}
    found: dict[Key, Any] = {}
    for row in session.execute(asked.with_for_update() if lock else asked).mappings():
        sha256 = ids[row["id"]] = row["file_hash"]
        for field, (column, _) in _COLUMNS.items():
            found[Key(sha256, field)] = row[column]
        found[Key(sha256, "captured_at")] = date_value(row)
    for asset_id, words in tags_of(session, list(ids)).items():
        found |= {Key(ids[asset_id], "tag", same_word(word)): word for word in words}
    for asset_id, albums in albums_of(session, list(ids)).items():
        found |= {Key(ids[asset_id], "album", album["id"]): album for album in albums}
    return found


def date_value(row: Mapping[Any, Any]) -> dict[str, Any]:
    """When an original was taken, as the value of an event; `row` has the columns of that."""
    return {**{name: row[name] for name in _DATE}, "captured_at": row["captured_at"].isoformat()}


def write(session: Session, changes: Iterable[Change]) -> None:
    """Makes true what is `after`; of several changes of one key the last."""
    latest = {key_of(one.file_hash, one.field, one.before, one.after): one for one in changes}
    of_field: dict[str, list[Change]] = {}
    for one in latest.values():
        of_field.setdefault(one.field, []).append(one)
    for field, (column, type_) in _COLUMNS.items():
        if some := of_field.get(field):
            _set_column(session, column, type_, some)
    if some := of_field.get("captured_at"):
        _set_dates(session, some)
    if some := of_field.get("tag"):
        _set_tags(session, some)
    if some := of_field.get("album"):
        _set_albums(session, some)


def _set_column(session: Session, column: str, type_: str, changes: Sequence[Change]) -> None:
    # (a stage gives the new place its name)
    more = ", is_geocoded = false" if column == "location" else ""
    statement = (
        f"UPDATE media_assets AS a SET {column} = n.value{more} "
        f"FROM json_to_recordset(CAST(:rows AS json)) AS n(file_hash text, value {type_}) "
        "WHERE a.file_hash = n.file_hash"
    )
    rows = [{"file_hash": one.file_hash, "value": one.after} for one in changes]
    session.execute(text(statement), {"rows": json.dumps(rows)})


def _set_dates(session: Session, changes: Sequence[Change]) -> None:
    statement = (
        f"UPDATE media_assets AS a SET {', '.join(f'{name} = n.{name}' for name in _DATE)} "
        "FROM json_to_recordset(CAST(:rows AS json)) AS n(file_hash text, captured_at timestamp, "
        "captured_at_offset smallint, date_source text, date_precision text) WHERE a.file_hash = n.file_hash"
    )
    rows = [{"file_hash": one.file_hash, **one.after} for one in changes if one.after is not None]
    session.execute(text(statement), {"rows": json.dumps(rows)})


def _set_tags(session: Session, changes: Sequence[Change]) -> None:
    words = "json_to_recordset(CAST(:rows AS json)) AS n(file_hash text, tag text), media_assets AS a"
    # Another spelling of the word goes, too: an original has each once.
    session.execute(
        text(
            f"DELETE FROM asset_tags AS t USING {words} "
            "WHERE a.file_hash = n.file_hash AND t.asset_id = a.id AND t.tag = n.tag"
        ),
        {"rows": _rows(changes, lambda one: {"tag": one.before}, lambda one: one.before is not None)},
    )
    session.execute(
        text(
            f"INSERT INTO asset_tags (asset_id, tag) SELECT a.id, n.tag FROM {words} "
            "WHERE a.file_hash = n.file_hash ON CONFLICT DO NOTHING"
        ),
        {"rows": _rows(changes, lambda one: {"tag": one.after}, lambda one: one.after is not None)},
    )


def _set_albums(session: Session, changes: Sequence[Change]) -> None:
    items = [one for one in changes if one.file_hash is not None]
    albums = [one for one in changes if one.file_hash is None]
    for one in albums:
        if one.after is not None:
            row = {"id": uuid.UUID(one.after["id"]), "name": one.after["name"], "cover_hash": one.after["cover"]}
            made = insert(Album).values(**row, made_at=datetime.fromisoformat(one.after["made_at"]))
            # (another one of the same name stays what it is)
            session.execute(made.on_conflict_do_nothing())
            session.execute(text(_CHANGED_ALBUM), row)
    found = (
        "json_to_recordset(CAST(:rows AS json)) AS n(file_hash text, album_id uuid, position bigint), media_assets AS a"
    )
    gone = _rows(items, lambda one: {"album_id": one.before["id"]}, lambda one: one.after is None)
    session.execute(
        text(
            f"DELETE FROM album_items AS i USING {found} "
            "WHERE a.file_hash = n.file_hash AND i.asset_id = a.id AND i.album_id = n.album_id"
        ),
        {"rows": gone},
    )
    there = _rows(
        items,
        lambda one: {"album_id": one.after["id"], "position": one.after["position"]},
        lambda one: one.after is not None,
    )
    session.execute(
        text(
            f"INSERT INTO album_items (album_id, asset_id, position) SELECT n.album_id, a.id, n.position FROM {found} "
            "WHERE a.file_hash = n.file_hash AND EXISTS (SELECT FROM albums WHERE id = n.album_id) "
            "ON CONFLICT (album_id, asset_id) DO UPDATE SET position = excluded.position"
        ),
        {"rows": there},
    )
    empty = [uuid.UUID(one.before["id"]) for one in albums if one.after is None]
    if empty:
        session.execute(delete(AlbumItem).where(AlbumItem.album_id.in_(empty)))
        session.execute(delete(Album).where(Album.id.in_(empty)))


_CHANGED_ALBUM = (
    "UPDATE albums SET name = :name, cover_hash = :cover_hash WHERE id = :id "
    "AND (name, cover_hash) IS DISTINCT FROM (:name, :cover_hash) "
    "AND NOT EXISTS (SELECT FROM albums AS other WHERE other.id <> :id AND lower(other.name) = lower(:name))"
)


def _rows(changes: Sequence[Change], of: Any, where: Any) -> str:
    return json.dumps([{"file_hash": one.file_hash, **of(one)} for one in changes if where(one)])
