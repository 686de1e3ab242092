"""Putting a rebuild in place, and taking it back: each one transaction, under the vault's lock.

What differs is written; all other rows are right as they stand. So nobody who reads or writes the ledger meanwhile is
kept waiting but for single rows, and until the commit the ledger is what it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.overlay.current import lock_albums
from Src.Library.overlay.mirror import Mirror
from Src.Library.overlay.replay import Replayed, replay
from Src.Library.rebuilding.belongings import Belongings
from Src.Library.rebuilding.beside import Beside, RebuildProblem
from Src.Library.rebuilding.columns import COMPARED, Row
from Src.Library.rebuilding.differences import Difference, Differences
from Src.Library.rebuilding.kept import Kept
from Src.Library.rebuilding.listed import not_found
from Src.Library.rebuilding.originals import PARKED, PARKED_DAY, Originals
from Src.Library.vault import Vault
from Src.Shared.database import Database

_COLUMNS = ", ".join(COMPARED)


class Placing:
    """For one factory. `is_noted`: of these hashes, those that wait in the journal."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        belonging: Belonging,
        beside: Beside,
        is_noted: Callable[[Sequence[str]], Collection[str]],
    ) -> None:
        self._database = database
        self._vault = vault
        self._belonging = belonging
        self._beside = beside
        self._is_noted = is_noted

    def put(self, found: Differences, *, place: bool) -> Replayed | None:
        """Compares, and with `place` makes the ledger what the rebuild says; what was decided and only stood beside
        the vault. Raises VaultTrouble, LedgerUnavailable."""
        mirror = Mirror(self._vault)
        if place:
            mirror.bring_up(self._database, self._belonging)
        with self._vault.lock():
            self._vault.check()
            with found.written(self._vault), self._database.session() as session:
                self._belonging.check(session)
                replayed = replay(session, mirror) if place else None
                lock_albums(session)
                kept = Kept(session, self._beside.name)
                for part in (
                    Originals(session, self._beside, self._vault, kept, self._is_noted),
                    Belongings(session, self._beside, self._vault, kept),
                ):
                    for one in part.compare(place=place):
                        found.add(one)
                for one in not_found(session, self._vault, f"{self._beside.name}."):
                    found.add(one)
                if place:
                    done = f"UPDATE {self._beside.name}.state SET begun_at = NULL"
                    session.execute(text(f"{done}, placed_at = now()" if kept.count else done))
        return replayed

    def take_back(self, found: Differences) -> None:
        """Puts back what the last rebuild has replaced, where nobody has changed it since.

        Raises RebuildProblem where nothing is kept, VaultTrouble, LedgerUnavailable.
        """
        with self._vault.lock():
            self._vault.check()
            with found.written(self._vault), self._database.session() as session:
                self._belonging.check(session)
                lock_albums(session)
                _TakingBack(session, self._beside, found).run()


class _TakingBack:
    """In one transaction."""

    def __init__(self, session: Session, beside: Beside, found: Differences) -> None:
        self._session = session
        self._beside = beside.name
        self._found = found

    def run(self) -> None:
        if self._run("SELECT count(*) FROM {beside}.kept").scalar_one() == 0:
            raise RebuildProblem(
                "nothing to undo: no rebuild has changed the database, or it was undone, or the tables are of a later "
                "version since"
            )
        for kind in ("album item", "word", "album"):
            self._remove(kind)
        self._albums()
        self._owners()
        self._added()
        self._corrected()
        self._run("DELETE FROM {beside}.kept")
        self._run("UPDATE {beside}.state SET placed_at = NULL")

    def _remove(self, kind: str) -> None:
        statements = {
            "album item": "DELETE FROM album_items AS i USING {beside}.kept AS k WHERE k.kind = 'album item' "
            "AND i.album_id = (k.after->>'album_id')::uuid AND i.asset_id = (k.after->>'asset_id')::uuid "
            "RETURNING k.key",
            "word": "DELETE FROM asset_tags AS t USING {beside}.kept AS k, media_assets AS a WHERE k.kind = 'word' "
            "AND a.file_hash = k.key AND t.asset_id = a.id AND t.tag = k.after->>'tag' RETURNING k.key",
            "album": "DELETE FROM albums AS a USING {beside}.kept AS k WHERE k.kind = 'album' "
            "AND k.before IS NULL AND a.id = k.key::uuid "
            "AND NOT EXISTS (SELECT FROM album_items AS i WHERE i.album_id = a.id) RETURNING k.key",
        }
        for key in self._run(statements[kind]).scalars():
            self._found.add(Difference("put back", kind, key))  # type: ignore[arg-type]

    def _albums(self) -> None:
        rows = self._run(
            "UPDATE albums AS a SET name = k.before->>'name', cover_hash = k.before->>'cover_hash' "
            "FROM {beside}.kept AS k WHERE k.kind = 'album' AND k.before IS NOT NULL AND a.id = k.key::uuid "
            "AND a.name = k.after->>'name' AND a.cover_hash IS NOT DISTINCT FROM k.after->>'cover_hash' "
            "AND NOT EXISTS (SELECT FROM albums AS x WHERE x.id <> a.id AND lower(x.name) = lower(k.before->>'name')) "
            "RETURNING a.name"
        )
        for name in rows.scalars():
            self._found.add(Difference("put back", "album", name))

    def _owners(self) -> None:
        rows = self._run(
            "UPDATE companions AS c SET original_hash = k.before->>'original_hash' FROM {beside}.kept AS k "
            "WHERE k.kind = 'companion' AND k.before IS NOT NULL AND c.id = k.key::uuid "
            "AND c.original_hash = k.after->>'original_hash' RETURNING c.final_path"
        )
        for path in rows.scalars():
            self._found.add(Difference("put back", "companion", path))

    def _added(self) -> None:
        """Rows that the rebuild added go, but for originals of which somebody has made something since."""
        used = (
            "EXISTS (SELECT FROM ingest_events AS e WHERE e.file_hash = k.key AND e.happened_at > s.placed_at) "
            "OR EXISTS (SELECT FROM overlay_events AS o WHERE o.file_hash = k.key AND o.happened_at > s.placed_at) "
            "OR a.final_path <> k.after->>'final_path'"
        )
        rows = self._run(
            f"SELECT k.key, a.final_path, {used} FROM {{beside}}.kept AS k CROSS JOIN {{beside}}.state AS s "
            "JOIN media_assets AS a ON a.file_hash = k.key WHERE k.kind = 'original' AND k.before IS NULL ORDER BY 2"
        ).all()
        for _, path, is_used in rows:
            self._found.add(Difference("not put back" if is_used else "put back", "original", path))
        stays = [sha256 for sha256, _, is_used in rows if is_used]
        companions = self._run(
            "SELECT k.key FROM {beside}.kept AS k JOIN companions AS c ON c.id = k.key::uuid "
            "WHERE k.kind = 'companion' AND k.before IS NULL AND c.final_path = k.after->>'final_path' "
            "AND c.coming_hash IS NULL AND NOT "
            "coalesce(c.original_hash = ANY (CAST(:stays AS text[])), false)",
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
            "SELECT k.before, k.after, to_jsonb(a) FROM {beside}.kept AS k "
            "JOIN media_assets AS a ON a.file_hash = k.key "
            "WHERE k.kind = 'original' AND k.before IS NOT NULL ORDER BY a.id FOR UPDATE OF a"
        ).all()
        same = [row for row in rows if all(row[2][column] == value for column, value in row[1].items())]
        while True:  # a path that another row holds, which stays, is not free
            moving = {now["file_hash"] for before, _, now in same if "final_path" in before}
            free = [
                row for row in same if self._holder(row[0].get("final_path"), row[2]["file_hash"]) in moving | {None}
            ]
            if len(free) == len(same):
                break
            same = free
        hashes = {now["file_hash"] for _, _, now in same}
        back: list[Row] = []
        for before, after, now in rows:
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
