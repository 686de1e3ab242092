"""The trash: what a person has removed from the library, until they restore it or empty the trash (docs/TRASH.md).

`Storage/Trash/YYYY/YYYY-MM-DD/` has the files, the table `trash` their whole rows. Emptying leaves a tombstone of each.
"""

from __future__ import annotations

import json
import os
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Boolean, Select, Table, Text, any_, delete, func, literal, literal_column, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from Src.Library.backed_up import at_a_copy, set_flags
from Src.Library.beside import Beside, note_paths, standing_beside
from Src.Library.deed import Asked, Deed, Settled, taken_back
from Src.Library.move_plan import Wanted, own_name
from Src.Library.open_places import OpenPlaces
from Src.Library.original_path import NotAnOriginal, checked_place, path_in_row
from Src.Library.overlay import events
from Src.Library.overlay.events import EMPTIED, Change
from Src.Library.selection.selection import Selection
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import Act, Base, MediaAsset, Tombstone, TrashItem

_ASSETS = cast(Table, MediaAsset.__table__)
_TRASH = cast(Table, TrashItem.__table__)
_TOMBSTONES = cast(Table, Tombstone.__table__)
_FINDINGS = "original_findings"  # of a file that is not there any more: nobody wants it back


class Removed(NamedTuple):
    """Content that a person has removed."""

    by: str
    at: datetime
    size: int
    trash_path: str | None  # as on disk; None: it has gone for good


def removed(session: Session, hashes: Sequence[str]) -> dict[str, Removed]:
    """Which of these contents a person has removed, by hash."""
    if not hashes:
        return {}
    found = {}
    for table, path in ((_TOMBSTONES, literal(None)), (_TRASH, _TRASH.c.trash_path)):
        columns = (table.c.file_hash, table.c.removed_by, table.c.removed_at, table.c.file_size, path)
        for sha256, by, at, size, where in session.execute(select(*columns).where(_among(table, hashes))):
            found[sha256] = Removed(by, at, size, None if where is None else from_ledger(where))
    return found


def removed_words(one: Removed) -> str:
    """Why content is unwanted."""
    when = f"removed by {one.by} on {one.at:%Y-%m-%d}"
    if one.trash_path is not None:
        return f"{when}; it is in the trash: {to_ledger(one.trash_path)}"
    return f"{when} for good; it went to the trash, and ./factory trash restore brings it back"


def in_trash(meant: Selection) -> Select[tuple[str, str, int, datetime, str, str, bool]]:
    """What a selection means of the trash: hash, path, size, when, by whom, where it stood, whether a copy is known.

    The selection's conditions are on `media_assets`; here that name is the removed rows'.
    """
    names = [column.name for column in _ASSETS.columns]
    listed = ", ".join(f"(asset).{name}" for name in names)
    whole = "SELECT jsonb_populate_record(CAST(NULL AS media_assets), asset) AS asset FROM trash"
    rows = text(f"SELECT {listed} FROM ({whole}) AS t").columns(*(_ASSETS.c[name] for name in names))
    columns = (_TRASH.c.file_hash, _TRASH.c.trash_path, _TRASH.c.file_size, _TRASH.c.removed_at, _TRASH.c.removed_by)
    return (
        select(*columns, _ASSETS.c.final_path, literal_column(at_a_copy("trash.file_hash"), Boolean))
        .join(_ASSETS, _ASSETS.c.file_hash == _TRASH.c.file_hash)
        .where(meant.condition)
        .order_by(_TRASH.c.removed_at, _TRASH.c.trash_path)
        .add_cte(rows.cte("media_assets"))
    )


class Remove(Deed):
    """Takes originals out of the library into the trash."""

    def check(self, session: Session, hashes: Sequence[str]) -> None:
        """Whatever is in the library may go."""

    def wanted(self, session: Session, hashes: Sequence[str], places: OpenPlaces) -> Asked:
        asked = Asked()
        columns = (_ASSETS.c.id, _ASSETS.c.file_hash, _ASSETS.c.file_size, _ASSETS.c.final_path, _ASSETS.c.captured_at)
        rows = {row.file_hash: row for row in session.execute(select(*columns).where(_among(_ASSETS, hashes)))}
        beside = standing_beside(session, places, hashes)
        for sha256 in hashes:
            row = rows.get(sha256)
            path = None if row is None else path_in_row(row.final_path, row.id)
            if row is None or path is None:
                asked.refused[sha256] = "it is not in the library"
                continue
            folder = f"Trash/{row.captured_at.year:04d}/{row.captured_at.date().isoformat()}"
            name = os.path.basename(path)
            asked.wanted.append(Wanted(sha256, row.file_size, path, folder, name, beside.get(sha256, ())))
        return asked

    def settle(self, session: Session, act: Act, settled: Settled) -> None:
        hashes = list(settled.paths)
        rows = session.execute(
            text(
                "SELECT id, file_hash, file_size, original_name, to_jsonb(media_assets) AS asset FROM media_assets "
                "WHERE file_hash = ANY (:hashes) FOR UPDATE"
            ),
            {"hashes": hashes},
        ).all()
        ids = {row.id: row.file_hash for row in rows}
        belongings = _take_belongings(session, ids)
        companions = _companions_of(session, settled)
        new = [
            {
                "file_hash": row.file_hash,
                "file_size": row.file_size,
                "original_name": row.original_name,
                "trash_path": to_ledger(path),
                "removed_by": act.who,
                "act_id": act.id,
                "asset": row.asset,
                "belongings": belongings.get(row.id, {}),
                "companions": companions.get(row.file_hash, {}),
            }
            for row in rows
            if (path := settled.paths[row.file_hash]) is not None
        ]
        if new:
            put = insert(_TRASH)
            # What came in again after its file in the trash had gone: the first row says what people had decided.
            session.execute(
                put.on_conflict_do_update(
                    index_elements=["file_hash"],
                    set_={name: put.excluded[name] for name in ("trash_path", "removed_by", "act_id")},
                ).returning(_TRASH.c.file_hash),  # else each row would be sent by itself
                new,
            )
        _take_from_library(session, hashes)
        note_paths(session, dict.fromkeys(settled.companions))
        _record(session, act, [row.file_hash for row in rows], None, True)


class Restore(Deed):
    """Brings originals back from the trash to their days, with all that the ledger knew of them."""

    def check(self, session: Session, hashes: Sequence[str]) -> None:
        """Whatever is in the trash may come back."""

    def wanted(self, session: Session, hashes: Sequence[str], places: OpenPlaces) -> Asked:
        asked = Asked()
        known = select(_ASSETS.c.file_hash).where(_among(_ASSETS, hashes))
        in_library = set(session.execute(known).scalars())
        rows = {row.file_hash: row for row in _items(session, hashes)}
        for sha256 in hashes:
            row = rows.get(sha256)
            path = None if row is None else _path_of(row)
            if row is None or path is None:
                asked.refused[sha256] = "it is not in the trash any more"
            elif sha256 in in_library:
                asked.refused[sha256] = "it is in the library already"
            else:
                day = datetime.fromisoformat(row.asset["captured_at"]).date()
                stood = os.path.basename(from_ledger(row.asset["final_path"]))
                name = own_name(from_ledger(row.original_name), stood)
                folder = f"Originals/{day.year:04d}/{day.isoformat()}"
                asked.wanted.append(Wanted(sha256, row.file_size, path, folder, name, _beside(row, places)))
        return asked

    def settle(self, session: Session, act: Act, settled: Settled) -> None:
        rows = _items(session, list(settled.paths), lock=True)
        assets = [
            {**row.asset, "final_path": to_ledger(path)}
            for row in rows
            if (path := settled.paths[row.file_hash]) is not None
        ]
        _insert(session, _ASSETS, assets, may_be_left_out=False)
        belongings: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            for table, lines in row.belongings.items():
                belongings[table] += lines
        for table, lines in belongings.items():
            if table in Base.metadata.tables:
                _insert(session, Base.metadata.tables[table], lines, may_be_left_out=True)
        hashes = [row.file_hash for row in rows]
        session.execute(delete(_TRASH).where(_among(_TRASH, hashes)))
        session.execute(delete(_TOMBSTONES).where(_among(_TOMBSTONES, hashes)))
        set_flags(session, hashes)  # copies have come and gone meanwhile
        note_paths(session, settled.companions)
        _record(session, act, hashes, True, None)


class Empty(Deed):
    """Removes from the trash for good. Bytes leave in no other way."""

    def check(self, session: Session, hashes: Sequence[str]) -> None:
        """Whoever asks has been asked twice."""

    def wanted(self, session: Session, hashes: Sequence[str], places: OpenPlaces) -> Asked:
        asked = Asked()
        rows = {row.file_hash: row for row in _items(session, hashes)}
        for sha256 in hashes:
            row = rows.get(sha256)
            path = None if row is None else _path_of(row)
            if row is None or path is None:
                asked.refused[sha256] = "it is not in the trash any more"
                continue
            try:
                places.lstat(path)
            except FileNotFoundError:  # by another hand: only its row is left
                asked.in_place.append(sha256)
                continue
            except OSError:  # the move says why
                pass
            asked.wanted.append(Wanted(sha256, row.file_size, path, None, beside=_beside(row, places)))
        return asked

    def settle(self, session: Session, act: Act, settled: Settled) -> None:
        rows = _items(session, list(settled.paths), lock=True)
        stones = [
            {
                "file_hash": row.file_hash,
                "file_size": row.file_size,
                "original_name": row.original_name,
                "final_path": row.asset["final_path"],
                "removed_at": row.removed_at,
                "removed_by": row.removed_by,
                "emptied_by": act.who,
                "act_id": act.id,
            }
            for row in rows
        ]
        if stones:
            put = insert(_TOMBSTONES)
            names = [name for name in stones[0] if name != "file_hash"]
            session.execute(
                put.on_conflict_do_update(
                    index_elements=["file_hash"],
                    set_={"emptied_at": func.now(), **{name: put.excluded[name] for name in names}},
                ).returning(_TOMBSTONES.c.file_hash),
                stones,
            )
        hashes = [row.file_hash for row in rows]
        session.execute(delete(_TRASH).where(_among(_TRASH, hashes)))
        _record(session, act, hashes, True, EMPTIED)


def drop(session: Session, hashes: Sequence[str]) -> None:
    """Takes the rows of second copies of what is in the trash."""
    if hashes:
        ids = session.execute(select(_ASSETS.c.id, _ASSETS.c.file_hash).where(_among(_ASSETS, hashes)))
        _take_belongings(session, dict(map(tuple, ids)))
        _take_from_library(session, hashes)


def _take_from_library(session: Session, hashes: Sequence[str]) -> None:
    """Deletes the rows of what is in the trash; the ledger itself lets no other row go."""
    session.execute(select(func.take_from_library(literal(list(hashes), ARRAY(Text)))))


def _record(session: Session, act: Act, hashes: Sequence[str], before: object, after: object) -> None:
    undoes = taken_back(session, act, "removed")
    events.record(session, act, [Change(sha256, "removed", before, after, undoes.get(sha256)) for sha256 in hashes])


def _take_belongings(session: Session, ids: Mapping[uuid.UUID, str]) -> dict[uuid.UUID, dict[str, list[Any]]]:
    """Takes the rows that belong to originals from their tables: by the original's id, by table."""
    found: dict[uuid.UUID, dict[str, list[Any]]] = defaultdict(dict)
    for table in Base.metadata.sorted_tables:
        if "asset_id" not in table.c:
            continue
        if table.name != _FINDINGS:
            rows = session.execute(
                text(
                    f"SELECT asset_id, jsonb_agg(to_jsonb(t)) FROM {table.name} AS t WHERE asset_id = ANY (:ids) "
                    "GROUP BY asset_id"
                ),
                {"ids": list(ids)},
            )
            for id_, lines in rows:
                found[id_][table.name] = lines
        session.execute(delete(table).where(table.c.asset_id.in_(list(ids))))
    return found


def _insert(session: Session, table: Table, rows: Sequence[Mapping[str, Any]], *, may_be_left_out: bool) -> None:
    """Rows that were taken from a table, also by a version in which it had fewer columns, or more.

    `may_be_left_out`: what has another row's key by now, or belongs to what is not there any more, is left out. An
    original's own row is not: without it nothing would know of the file, so the ledger refuses, and the file goes back.
    """
    of_names: dict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of_names[tuple(column.name for column in table.columns if column.name in row)].append(row)
    lives = "".join(
        f" AND EXISTS (SELECT FROM albums WHERE albums.id = r.{column.name})"
        for column in table.columns
        if column.name == "album_id"
    )
    unless_there = " ON CONFLICT DO NOTHING" if may_be_left_out else ""
    for names, some in of_names.items():
        listed = ", ".join(names)
        session.execute(
            text(
                f"INSERT INTO {table.name} ({listed}) SELECT {listed} FROM "
                f"jsonb_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS jsonb)) AS r WHERE true{lives}"
                f"{unless_there}"
            ),
            {"rows": json.dumps(some)},
        )


def _companions_of(session: Session, settled: Settled) -> dict[str, dict[str, str]]:
    """Where companions stand in the trash, by the original's hash and their own id."""
    if not settled.companions:
        return {}
    rows = session.execute(
        text("SELECT id, original_hash FROM companions WHERE id = ANY (:ids)"), {"ids": list(settled.companions)}
    )
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for id_, sha256 in rows:
        path = settled.companions[id_]
        if path is not None:
            found[sha256][str(id_)] = to_ledger(path)
    return found


def _items(session: Session, hashes: Sequence[str], *, lock: bool = False) -> Sequence[TrashItem]:
    asked = select(TrashItem).where(_among(_TRASH, hashes)).execution_options(populate_existing=True)
    return session.scalars(asked.with_for_update() if lock else asked).all()


def _path_of(row: TrashItem) -> str | None:
    try:
        return checked_place(from_ledger(row.trash_path))
    except NotAnOriginal:
        return None


def _beside(row: TrashItem, places: OpenPlaces) -> list[Beside]:
    found = []
    for id_, where in row.companions.items():
        path = from_ledger(where)
        try:
            found.append(Beside(uuid.UUID(id_), path, places.lstat(path).st_size))
        except OSError:  # it has gone
            continue
    return found


def _among(table: Table, hashes: Sequence[str]) -> Any:
    return table.c.file_hash == any_(literal(list(hashes), ARRAY(Text)))
