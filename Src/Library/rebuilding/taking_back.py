"""Taking back what the last rebuild has replaced, where nobody has changed or decided it since."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.rebuilding.beside import Beside, RebuildProblem, of_album
from Src.Library.rebuilding.columns import COMPARED, Row
from Src.Library.rebuilding.differences import Difference, Differences, Kind
from Src.Library.rebuilding.originals import PARKED, PARKED_DAY

_COLUMNS = ", ".join(COMPARED)
# What a decision sets, by its field: where one was made since, these columns stay, whatever they say.
_SET_BY = {
    "captured_at": ("captured_at", "captured_at_offset", "date_source", "date_precision", "final_path"),
    "hidden": ("is_hidden",),
    **{name: (name,) for name in ("rating", "location", "title", "description", "rotation")},
}
_LATER = "FROM overlay_events AS e, {beside}.state AS s WHERE e.seq > s.placed_seq AND "
# By kind of what was added: what of `kept` still stands as it was added, and the events `e` that speak of it.
_ADDED = {
    "album item": (
        "JOIN album_items AS i ON i.album_id = (k.after->>'album_id')::uuid "
        "AND i.asset_id = (k.after->>'asset_id')::uuid "
        "JOIN media_assets AS a ON a.id = i.asset_id",
        "e.file_hash = a.file_hash AND e.field = 'album' AND k.after->>'album_id' IN (e.before->>'id', e.after->>'id')",
        "DELETE FROM album_items AS i USING {beside}.kept AS k WHERE k.seq = ANY (CAST(:seqs AS bigint[])) "
        "AND i.album_id = (k.after->>'album_id')::uuid AND i.asset_id = (k.after->>'asset_id')::uuid",
    ),
    "word": (
        "JOIN media_assets AS a ON a.file_hash = k.key "
        "JOIN asset_tags AS t ON t.asset_id = a.id AND t.tag = k.after->>'tag'",
        "e.file_hash = k.key AND e.field = 'tag' "
        "AND lower(k.after->>'tag') IN (lower(e.before #>> '{}'), lower(e.after #>> '{}'))",
        "DELETE FROM asset_tags AS t USING {beside}.kept AS k, media_assets AS a "
        "WHERE k.seq = ANY (CAST(:seqs AS bigint[])) AND a.file_hash = k.key AND t.asset_id = a.id "
        "AND t.tag = k.after->>'tag'",
    ),
    "album": (
        "JOIN albums AS a ON a.id = k.key::uuid",
        f"{of_album('k.key')}) OR EXISTS (SELECT FROM album_items AS i WHERE i.album_id = a.id",
        "DELETE FROM albums AS a USING {beside}.kept AS k WHERE k.seq = ANY (CAST(:seqs AS bigint[])) "
        "AND a.id = k.key::uuid",
    ),
}


class TakingBack:
    """In one transaction, under the vault's lock and that of albums."""

    def __init__(self, session: Session, beside: Beside, found: Differences) -> None:
        self._session = session
        self._beside = beside.name
        self._found = found

    def run(self) -> None:
        """Raises RebuildProblem where nothing is kept."""
        if self._run("SELECT count(*) FROM {beside}.kept").scalar_one() == 0:
            raise RebuildProblem(
                "nothing to undo: no rebuild has changed the database, or it was undone, or the tables are of a later "
                "version since"
            )
        self._run(  # a decision about one of them waits for this, or this for it
            "SELECT a.id FROM media_assets AS a WHERE a.file_hash IN (SELECT key FROM {beside}.kept "
            "WHERE kind IN ('original', 'word')) OR a.id IN (SELECT (after->>'asset_id')::uuid FROM {beside}.kept "
            "WHERE kind = 'album item') ORDER BY a.id FOR UPDATE OF a"
        )
        self._remove("album item")
        self._remove("word")
        self._remove("album")
        self._albums()
        self._owners()
        self._added()
        self._corrected()
        self._run("DELETE FROM {beside}.kept")
        self._run("UPDATE {beside}.state SET placed_at = NULL")

    def _remove(self, kind: Kind) -> None:
        joined, later, delete = _ADDED[kind]
        rows = self._run(
            f"SELECT k.seq, k.key, EXISTS (SELECT {_LATER}{later}) FROM {{beside}}.kept AS k {joined} "
            "WHERE k.kind = :kind AND k.before IS NULL ORDER BY k.seq",
            kind=kind,
        ).all()
        for _, key, is_later in rows:
            self._found.add(Difference("not put back" if is_later else "put back", kind, key))
        self._run(delete, seqs=[seq for seq, _, is_later in rows if not is_later])

    def _albums(self) -> None:
        is_right = (
            "a.name = k.after->>'name' AND a.cover_hash IS NOT DISTINCT FROM k.after->>'cover_hash' "
            "AND NOT EXISTS (SELECT FROM albums AS x WHERE x.id <> a.id AND lower(x.name) = lower(k.before->>'name')) "
            f"AND NOT EXISTS (SELECT {_LATER}{of_album('k.key')})"
        )
        rows = self._run(
            f"SELECT k.key, k.before, k.after, {is_right} FROM {{beside}}.kept AS k JOIN albums AS a "
            "ON a.id = k.key::uuid WHERE k.kind = 'album' AND k.before IS NOT NULL ORDER BY k.seq"
        ).all()
        for key, before, after, as_left in rows:
            if as_left:
                self._run(
                    "UPDATE albums SET name = :name, cover_hash = :cover WHERE id = CAST(:id AS uuid)",
                    id=key,
                    name=before["name"],
                    cover=before["cover_hash"],
                )
            self._found.add(
                Difference("put back" if as_left else "not put back", "album", before["name"], after, before)
            )

    def _owners(self) -> None:
        rows = self._run(
            "UPDATE companions AS c SET original_hash = k.before->>'original_hash' FROM {beside}.kept AS k "
            "WHERE k.kind = 'companion' AND k.before IS NOT NULL AND c.id = k.key::uuid "
            "AND c.original_hash = k.after->>'original_hash' RETURNING c.final_path"
        )
        for path in rows.scalars():
            self._found.add(Difference("put back", "companion", path))

    def _added(self) -> None:
        """Rows that the rebuild added go, but for originals of which something else is known: how they came, or what
        was made of them since. (`forget_rebuilt` takes no other rows away.)"""
        used = (
            "EXISTS (SELECT FROM ingest_events AS e WHERE e.file_hash = k.key AND e.fate <> 'rebuilt') "
            f"OR EXISTS (SELECT {_LATER}e.file_hash = k.key) "
            "OR EXISTS (SELECT FROM file_moves AS m WHERE m.file_hash = k.key) "
            "OR a.final_path <> k.after->>'final_path'"
        )
        rows = self._run(
            f"SELECT k.key, a.final_path, {used} FROM {{beside}}.kept AS k "
            "JOIN media_assets AS a ON a.file_hash = k.key WHERE k.kind = 'original' AND k.before IS NULL ORDER BY 2"
        ).all()
        for _, path, is_used in rows:
            self._found.add(Difference("not put back" if is_used else "put back", "original", path))
        stays = [sha256 for sha256, _, is_used in rows if is_used]
        companions = self._run(
            "SELECT k.key FROM {beside}.kept AS k JOIN companions AS c ON c.id = k.key::uuid "
            "WHERE k.kind = 'companion' AND k.before IS NULL AND c.final_path = k.after->>'final_path' "
            "AND c.coming_hash IS NULL AND NOT EXISTS (SELECT FROM file_moves AS m WHERE m.companion_id = c.id) "
            "AND NOT coalesce(c.original_hash = ANY (CAST(:stays AS text[])), false)",
            stays=stays,
        ).scalars()
        relations = self._run(
            "SELECT key FROM {beside}.kept WHERE kind = 'relation' "
            "AND NOT (after->>'from_hash' = ANY (CAST(:stays AS text[])) "
            "OR after->>'to_hash' = ANY (CAST(:stays AS text[])))",
            stays=stays,
        ).scalars()
        self._run(
            "SELECT forget_rebuilt(CAST(:originals AS text[]), CAST(:companions AS text[]), "
            "CAST(:relations AS text[]))",
            originals=[sha256 for sha256, _, is_used in rows if not is_used],
            companions=list(companions),
            relations=list(relations),
        )

    def _corrected(self) -> None:
        """Columns get their old values, where they are still as the rebuild has left them."""
        rows = self._run(
            f"SELECT k.before, k.after, to_jsonb(a), ARRAY(SELECT DISTINCT e.field {_LATER}e.file_hash = k.key) "
            "FROM {beside}.kept AS k JOIN media_assets AS a ON a.file_hash = k.key "
            "WHERE k.kind = 'original' AND k.before IS NOT NULL ORDER BY a.id FOR UPDATE OF a"
        ).all()
        same = []
        for row in rows:
            _, after, now, fields = row
            decided = {column for field in fields for column in _SET_BY.get(field, ())}
            if decided.isdisjoint(after) and all(now[column] == value for column, value in after.items()):
                same.append(row)
        while True:  # a path that another row holds, which stays, is not free
            moving = {now["file_hash"] for before, _, now, _ in same if "final_path" in before}
            free = [
                row for row in same if self._holder(row[0].get("final_path"), row[2]["file_hash"]) in moving | {None}
            ]
            if len(free) == len(same):
                break
            same = free
        hashes = {now["file_hash"] for _, _, now, _ in same}
        back: list[Row] = []
        for before, after, now, _ in rows:
            if now["file_hash"] in hashes:
                back.append({**{column: now[column] for column in COMPARED}, **before, "file_hash": now["file_hash"]})
                self._found.add(Difference("put back", "original", back[-1]["final_path"], after, before))
            else:
                self._found.add(Difference("not put back", "original", now["final_path"], before, after))
        if not back:
            return
        moved = [row["file_hash"] for row in back]
        self._run(
            "UPDATE media_assets AS a SET final_path = :place || a.file_hash FROM {beside}.kept AS k "
            "WHERE k.kind = 'original' AND k.before ? 'final_path' AND a.file_hash = k.key "
            "AND a.file_hash = ANY (CAST(:moved AS text[]))",
            place=PARKED,
            moved=moved,
        )
        self._run(
            f"UPDATE media_assets AS a SET ({_COLUMNS}) = ROW({', '.join(f'n.{column}' for column in COMPARED)}) "
            "FROM json_populate_recordset(CAST(NULL AS media_assets), CAST(:rows AS json)) AS n "
            "WHERE a.file_hash = n.file_hash",
            rows=json.dumps(back),
        )
        self._run("DELETE FROM manifest_marks WHERE day = :day", day=PARKED_DAY)

    def _holder(self, path: str | None, file_hash: str) -> str | None:
        """Whose row names a path: another's."""
        asked = "SELECT file_hash FROM media_assets WHERE final_path = :path AND file_hash <> :own"
        return None if path is None else self._run(asked, path=path, own=file_hash).scalar()

    def _run(self, statement: str, **values: Any) -> Any:
        return self._session.execute(text(statement.replace("{beside}", self._beside)), values)
