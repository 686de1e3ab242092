"""What belongs to originals, of a rebuild and of the ledger: companions, what two are to each other, albums.

All of it is only added here: what the rebuild does not find, a person or an earlier file may have said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.rebuilding.beside import ALBUM, Beside, decided_since, of_album
from Src.Library.rebuilding.differences import Difference, What
from Src.Library.rebuilding.kept import Kept
from Src.Library.rebuilding.standing import keep_xmp, make_read_only, stands
from Src.Library.vault import Vault
from Src.Shared.models import IngestEvent


class Belongings:
    """To be used in one transaction, under the vault's lock, after the originals."""

    def __init__(self, session: Session, beside: Beside, vault: Vault, kept: Kept) -> None:
        self._session = session
        self._live, self._beside = beside.live, beside.name
        self._decided = decided_since(beside, "e.file_hash = {}")
        self._decided_album = decided_since(beside, of_album("{}"))
        self._vault = vault
        self._kept = kept

    def compare(self, *, place: bool) -> Iterator[Difference]:
        """All differences. `place`: what is missing is written into the ledger."""
        yield from self._companions(place)
        yield from self._owners(place)
        yield from self._relations(place)
        yield from self._albums(place)
        yield from self._album_items(place)

    def _companions(self, place: bool) -> Iterator[Difference]:
        live, beside = self._live, self._beside
        rows = self._run(
            f"SELECT to_jsonb(n) FROM {beside}.companions AS n WHERE n.filed_at IS NOT NULL AND NOT EXISTS "
            f"(SELECT FROM {live}.companions AS o WHERE n.final_path IN (o.final_path, o.left_path) "
            "OR (o.path_id, o.companion_hash) = (n.path_id, n.companion_hash)) AND NOT EXISTS "
            f"(SELECT FROM {beside}.was AS w WHERE w.kind = 'companion' AND w.key = n.final_path) AND NOT EXISTS "
            f"(SELECT FROM {live}.media_assets AS a WHERE a.final_path = n.final_path) AND NOT EXISTS "
            "(SELECT FROM file_moves AS m "
            "WHERE n.final_path IN (m.from_path, m.to_path)) AND (n.original_hash IS NULL OR EXISTS "
            f"(SELECT FROM {live}.media_assets AS a WHERE a.file_hash = n.original_hash)) ORDER BY n.final_path"
        ).scalars()
        new = []
        for row in rows:
            path, says = row["final_path"], {"original_hash": row["original_hash"]}
            is_there = stands(self._vault, path, row["companion_size"])
            if is_there and place and row["kind"] == "xmp":  # (what comes in is kept before anybody changes it)
                is_there = keep_xmp(self._vault, path, row["companion_hash"])
            if is_there:
                new.append(row)
                yield Difference("added", "companion", path, None, says)
            else:
                yield Difference("stays" if is_there is None else "meanwhile", "companion", path, None, says)
        if place and new:
            self._insert("companions", new)
            self._take_fates([row["final_path"] for row in new])
            for row in new:
                make_read_only(self._vault, row["final_path"])
            self._kept.note("companion", [(row["id"], None, row) for row in new])
        asked = (
            f"SELECT o.final_path, o.companion_hash, coalesce(o.standing_size, o.companion_size), n.companion_hash "
            f"FROM {live}.companions AS o LEFT JOIN {beside}.companions AS n ON n.final_path = o.final_path "
            f"JOIN {beside}.was AS w ON w.kind = 'companion' AND w.key = o.final_path "
            "WHERE o.filed_at IS NOT NULL AND (n.id IS NULL OR o.kind <> 'xmp' AND "
            "n.companion_hash <> o.companion_hash) "
            "ORDER BY o.final_path"
        )
        for path, sha256, size, now in self._run(asked).all():
            if now is not None:
                yield Difference("other bytes", "companion", path, {"companion_hash": sha256}, {"companion_hash": now})
            elif not (is_there := stands(self._vault, path, size)):
                what: What = "stays" if is_there is None else "gone"
                yield Difference(what, "companion", path, {"companion_hash": sha256})

    def _take_fates(self, paths: list[str]) -> None:
        """The fates of companions that get their rows, as of now."""
        names = [column.name for column in IngestEvent.__table__.columns]
        values = ["clock_timestamp()" if name == "happened_at" else name for name in names]
        self._run(
            f"INSERT INTO ingest_events ({', '.join(names)}) SELECT {', '.join(values)} "
            f"FROM {self._beside}.ingest_events WHERE fate = 'companion' "
            "AND original_path = ANY (CAST(:paths AS text[])) ON CONFLICT DO NOTHING",
            paths=paths,
        )

    def _owners(self, place: bool) -> Iterator[Difference]:
        """Companions of an original that is none."""
        rows = self._run(
            f"SELECT o.id::text, o.final_path, o.original_hash, n.original_hash FROM {self._live}.companions AS o "
            f"JOIN {self._beside}.companions AS n ON n.final_path = o.final_path "
            f"JOIN {self._live}.media_assets AS a ON a.file_hash = n.original_hash "
            f"JOIN {self._beside}.was AS w ON w.kind = 'companion' AND w.key = o.final_path "
            "AND w.digest IS NOT DISTINCT FROM o.original_hash WHERE n.original_hash IS DISTINCT FROM o.original_hash "
            f"AND o.original_hash IS NOT NULL "
            f"AND NOT EXISTS (SELECT FROM {self._live}.media_assets AS x WHERE x.file_hash = o.original_hash) "
            "AND NOT EXISTS (SELECT FROM trash AS t WHERE t.file_hash = o.original_hash) ORDER BY o.final_path"
        ).all()
        for _, path, old, new in rows:
            yield Difference("corrected", "companion", path, {"original_hash": old}, {"original_hash": new})
        if place and rows:
            for id_, _, _, new in rows:
                self._run("UPDATE companions SET original_hash = :new WHERE id = CAST(:id AS uuid)", id=id_, new=new)
            self._kept.note(
                "companion", [(id_, {"original_hash": old}, {"original_hash": new}) for id_, _, old, new in rows]
            )

    def _relations(self, place: bool) -> Iterator[Difference]:
        """Those of files that came from one folder, as far as the ledger knows from where they came."""
        live, beside = self._live, self._beside
        folders = " = ".join(f"regexp_replace({row}.original_path, '[^/]*$', '')" for row in ("a", "b"))
        rows = self._run(
            f"SELECT to_jsonb(n), a.final_path FROM {beside}.asset_relations AS n "
            f"JOIN {live}.media_assets AS a ON a.file_hash = n.from_hash "
            f"JOIN {live}.media_assets AS b ON b.file_hash = n.to_hash WHERE NOT EXISTS (SELECT FROM "
            f"{live}.asset_relations AS o WHERE (o.kind, o.from_hash, o.to_hash) = (n.kind, n.from_hash, n.to_hash)) "
            f"AND NOT EXISTS (SELECT FROM {beside}.was AS w WHERE w.kind = 'relation' "
            "AND w.key = n.kind || ' ' || n.from_hash || ' ' || n.to_hash) "
            f"AND ({folders} OR a.content_id = b.content_id OR starts_with(a.original_path, 'Originals/') "
            "OR starts_with(b.original_path, 'Originals/')) ORDER BY 2"
        ).all()
        for row, path in rows:
            yield Difference(
                "added", "relation", path, None, {name: row[name] for name in ("kind", "from_hash", "to_hash")}
            )
        if place and rows:
            self._insert("asset_relations", [row for row, _ in rows])
            keyed = [(" ".join((row["kind"], row["from_hash"], row["to_hash"])), None, row) for row, _ in rows]
            self._kept.note("relation", keyed)

    def _albums(self, place: bool) -> Iterator[Difference]:
        live, beside = self._live, self._beside
        rows = self._run(
            f"SELECT to_jsonb(n) FROM {beside}.albums AS n WHERE NOT EXISTS (SELECT FROM {live}.albums AS o "
            f"WHERE o.id = n.id OR lower(o.name) = lower(n.name)) AND NOT EXISTS (SELECT FROM {beside}.was AS w "
            f"WHERE w.kind = 'album' AND w.key = n.id::text) AND NOT {self._decided_album.format('n.id::text')} "
            "ORDER BY n.name"
        ).scalars()
        new = list(rows)
        for row in new:
            yield Difference("added", "album", row["name"], None, {"id": row["id"]})
        if place and new:
            self._insert("albums", new)
            self._kept.note("album", [(row["id"], None, row) for row in new])
        changed = self._run(
            "SELECT o.id::text, jsonb_build_object('name', o.name, 'cover_hash', o.cover_hash), "
            "jsonb_build_object('name', n.name, 'cover_hash', n.cover_hash) "
            f"FROM (SELECT *, {ALBUM} AS said FROM {live}.albums) AS o "
            f"JOIN (SELECT *, {ALBUM} AS said FROM {beside}.albums) AS n ON n.id = o.id "
            f"JOIN {beside}.was AS w ON w.kind = 'album' AND w.key = o.id::text AND w.digest = o.said "
            f"WHERE n.said <> o.said AND NOT {self._decided_album.format('n.id::text')} "
            f"AND NOT EXISTS (SELECT FROM {live}.albums AS x WHERE x.id <> o.id "
            "AND lower(x.name) = lower(n.name)) ORDER BY n.name"
        ).all()
        for id_, old, now in changed:
            yield Difference("corrected", "album", now["name"], old, now)
            if place:
                self._run(
                    "UPDATE albums SET name = :name, cover_hash = :cover WHERE id = CAST(:id AS uuid)",
                    id=id_,
                    name=now["name"],
                    cover=now["cover_hash"],
                )
        if place:
            self._kept.note("album", changed)
        asked = (
            f"SELECT name FROM {live}.albums AS o WHERE NOT EXISTS (SELECT FROM {beside}.albums AS n WHERE n.id = o.id)"
        )
        for name in self._run(f"{asked} ORDER BY name").scalars():
            yield Difference("stays", "album", name)

    def _album_items(self, place: bool) -> Iterator[Difference]:
        live, beside = self._live, self._beside
        rows = self._run(
            "SELECT l.name, a.final_path, "
            "jsonb_build_object('album_id', n.album_id, 'asset_id', a.id, 'position', n.position) "
            f"FROM {beside}.album_items AS n JOIN {beside}.media_assets AS m ON m.id = n.asset_id "
            f"JOIN {live}.media_assets AS a ON a.file_hash = m.file_hash JOIN {live}.albums AS l ON l.id = n.album_id "
            f"WHERE NOT EXISTS (SELECT FROM {live}.album_items AS o "
            f"WHERE o.album_id = n.album_id AND o.asset_id = a.id) "
            f"AND NOT EXISTS (SELECT FROM {beside}.was AS w WHERE w.kind = 'album item' "
            f"AND w.key = n.album_id || ' ' || a.file_hash) AND NOT {self._decided.format('a.file_hash')} "
            f"AND NOT {self._decided_album.format('n.album_id::text')} ORDER BY l.name, n.position, a.final_path"
        ).all()
        for name, path, row in rows:
            yield Difference("added", "album item", path, None, {"album": name, "position": row["position"]})
        if place and rows:
            self._insert("album_items", [row for _, _, row in rows])
            self._kept.note("album item", [(f"{row['album_id']} {row['asset_id']}", None, row) for _, _, row in rows])

    def _insert(self, table: str, rows: list[Any]) -> None:
        self._run(
            f"INSERT INTO {table} SELECT * FROM json_populate_recordset(CAST(NULL AS {table}), CAST(:rows AS json)) "
            "ON CONFLICT DO NOTHING",
            rows=json.dumps(rows),
        )

    def _run(self, statement: str, **values: Any) -> Any:
        return self._session.execute(text(statement), values)
