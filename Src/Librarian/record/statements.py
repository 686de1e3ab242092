"""What recording asks and tells the ledger: each a single statement for a whole batch."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    Update,
    any_,
    column,
    literal,
    select,
    text,
    union_all,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from Src.Librarian.passage import AssetRow, CompanionRow, EventRow, Kept, LedgerEntry
from Src.Library.original_path import path_in_row
from Src.Shared.models import Companion, IngestEvent, MediaAsset, Tombstone, TrashItem

ASSETS = cast(Table, MediaAsset.__table__)
EVENTS = cast(Table, IngestEvent.__table__)
COMPANIONS = cast(Table, Companion.__table__)
# What a restored original takes over from the newcomer. Flags of work done on the same bytes stay.
_TAKEN_OVER = ("file_hash", "final_path", "ingested_at", "has_errors", "error_message")


def has_originals(session: Session) -> bool:
    """Whether the ledger knows any original, be it a removed one."""
    columns = (ASSETS.c.file_hash, TrashItem.file_hash, Tombstone.file_hash)
    return any(session.execute(select(column_).limit(1)).first() is not None for column_ in columns)


def take_place(restored: Sequence[Mapping[str, object]]) -> Update:
    """One statement for all, of each original the last."""
    of_hash = {asset["file_hash"]: tuple(asset[name] for name in _TAKEN_OVER) for asset in restored}
    columns = [column(name, ASSETS.c[name].type) for name in _TAKEN_OVER]
    new = values(*columns, name="new").data(list(of_hash.values()))
    return (
        update(ASSETS)
        .where(ASSETS.c.file_hash == new.c.file_hash)
        .values({name: new.c[name] for name in _TAKEN_OVER[1:]} | {"verified_at": None})
    )


def owners(session: Session, paths: Sequence[str]) -> dict[str, str]:
    """Whose these paths are (ledger text): the hash of each original's, and `companion HASH` of each companion's."""
    if not paths:
        return {}
    of_companions = [
        select(literal("companion ") + COMPANIONS.c.companion_hash, column_).where(_among(column_, paths))
        for column_ in (COMPANIONS.c.final_path, COMPANIONS.c.left_path)
    ]
    of_originals = select(ASSETS.c.file_hash, ASSETS.c.final_path).where(_among(ASSETS.c.final_path, paths))
    rows = session.execute(union_all(*of_companions, of_originals))
    return {path: whose for whose, path in rows}


def insert_new(
    session: Session, table: Table, rows: Sequence[EventRow] | Sequence[AssetRow] | Sequence[CompanionRow]
) -> set[uuid.UUID]:
    """Inserts the rows that conflict with none; returns their ids.

    All rows go as one JSON text: to write them as parameters takes several times as long, here and there.
    """
    if not rows:
        return set()
    names = ", ".join(rows[0])
    statement = text(
        f"INSERT INTO {table.name} ({names}) "
        f"SELECT {names} FROM json_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS json)) "
        "ON CONFLICT DO NOTHING RETURNING id"
    )
    values = json.dumps(rows, ensure_ascii=False, default=str)
    return set(session.execute(statement.columns(table.c.id), {"rows": values}).scalars())


def insert_tags(session: Session, entries: Sequence[LedgerEntry]) -> None:
    """Writes the tags of new originals, as their files say."""
    rows = [{"asset_id": entry.asset["id"], "tag": tag} for entry in entries if entry.asset for tag in entry.tags]
    if rows:
        statement = (
            "INSERT INTO asset_tags (asset_id, tag) SELECT asset_id, tag "
            "FROM json_to_recordset(CAST(:rows AS json)) AS said(asset_id uuid, tag text) ON CONFLICT DO NOTHING"
        )
        session.execute(text(statement), {"rows": json.dumps(rows, default=str)})


def kept(session: Session, hashes: Sequence[str]) -> dict[str, Kept]:
    if not hashes:
        return {}
    columns = (ASSETS.c.file_hash, ASSETS.c.final_path, ASSETS.c.file_size, ASSETS.c.id)
    rows = session.execute(select(*columns).where(_among(ASSETS.c.file_hash, hashes)))
    return {sha256: Kept(path_in_row(path, row), size, row) for sha256, path, size, row in rows}


def _among(column_: ColumnElement[Any], texts: Iterable[str]) -> ColumnElement[bool]:
    """One array, not a parameter for each."""
    return column_ == any_(literal(list(texts), ARRAY(Text)))
