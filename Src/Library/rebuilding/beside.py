"""The schema beside the ledger, in the same database, in which a rebuild makes all rows anew.

Nothing else looks into it. It has the ledger's own tables without their triggers, and three more: `was` (what the
ledger's rows were when the rebuild began, as digests: a row that is another by now, somebody has changed meanwhile),
`kept` (what the last rebuild has replaced, row by row) and `state`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from Src.Library.rebuilding.columns import COMPARED, TAGS_OF
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.errors import FactoryError
from Src.Shared.models import Act, OverlayEvent
from Src.Shared.settings import Settings

ANSWER_LIMIT = 3600.0  # seconds for one statement: some go over all rows of a large library

ALBUM = "name || chr(1) || coalesce(cover_hash, '')"  # SQL: what a rebuild may change in an album
_NO_RIGHT = "42501"  # SQLSTATE
_EMPTIED = (
    *("media_assets", "asset_tags", "albums", "album_items", "acts", "overlay_events", "companions"),
    *("asset_relations", "ingest_events", "vault", "trash", "tombstones", "left_paths", "was"),
)


class RebuildProblem(FactoryError):
    """A rebuild that cannot be made. The message is one line."""

    about = "rebuild"


class Beside:
    """The place of one rebuild at a time: the operation's turn keeps others out."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self.live, self.name = "", ""  # the two schemas, quoted, once it was opened

    def open(self) -> None:
        """Makes it where there is none of the ledger's version. Raises RebuildProblem, LedgerUnavailable."""
        try:
            with self._database.session() as session:
                self._open(session)
                asked = f"SELECT schema_revision = (SELECT version_num FROM alembic_version) FROM {self.name}.state"
                if session.execute(text(asked)).scalar() is not True:  # its tables have other columns
                    session.execute(text("SELECT close_rebuild()"))
                    self._open(session)
        except LedgerUnavailable as error:
            cause = error.__cause__
            if getattr(cause.orig if isinstance(cause, DBAPIError) else cause, "pgcode", None) == _NO_RIGHT:
                raise RebuildProblem(
                    "the database's owner may not make a schema there: as its administrator, GRANT CREATE ON "
                    "DATABASE … TO that role"
                ) from error
            raise

    def _open(self, session: Session) -> None:
        asked = "SELECT quote_ident(current_schema()), quote_ident(open_rebuild())"
        self.live, self.name = session.execute(text(asked)).one()

    def begin(self) -> bool:
        """Notes what the ledger's rows are; whether a rebuild that was begun goes on. After `open`."""
        with self._database.session() as session:
            begun = session.execute(text(f"SELECT begun_at FROM {self.name}.state FOR UPDATE")).scalar_one()
            if begun is not None:
                self._take_decisions(session)
                return True
            self._empty(session)
            self._take_decisions(session)
            for kind, rows in _now(self.live).items():
                session.execute(
                    text(f"INSERT INTO {self.name}.was (kind, key, digest) SELECT '{kind}', * FROM ({rows}) AS now")
                )
            session.execute(text(f"UPDATE {self.name}.state SET begun_at = now()"))
        return False

    def _take_decisions(self, session: Session) -> None:
        """The ledger's own acts and events are evidence, as the overlay beside the vault is."""
        for table in (Act.__table__, OverlayEvent.__table__):
            # (what is not mirrored yet, the ledger itself mirrors)
            names = [column.name for column in table.columns]
            values = ["true" if name == "is_mirrored" else name for name in names]
            session.execute(
                text(
                    f"INSERT INTO {self.name}.{table.name} ({', '.join(names)}) OVERRIDING SYSTEM VALUE "  # type: ignore[attr-defined]
                    f"SELECT {', '.join(values)} FROM {self.live}.{table.name} ON CONFLICT DO NOTHING"  # type: ignore[attr-defined]
                )
            )
        events = f"{self.name}.overlay_events"
        session.execute(
            text(
                "SELECT setval(pg_get_serial_sequence(:events, 'seq'), greatest(max(seq), 1)) "
                f"FROM (SELECT max(seq) AS seq FROM {events}) AS last HAVING max(seq) IS NOT NULL"
            ),
            {"events": events},
        )

    def give_up(self) -> None:
        """What was begun counts no more; the next rebuild begins anew. What was replaced last is still kept."""
        with self._database.session() as session:
            session.execute(text(f"UPDATE {self.name}.state SET begun_at = NULL"))
            self._empty(session)

    def clean_up(self) -> None:
        """Frees the room of what is in place by now."""
        with self._database.session() as session:
            if session.execute(text(f"SELECT begun_at IS NULL FROM {self.name}.state FOR UPDATE")).scalar_one():
                self._empty(session)

    def _empty(self, session: Session) -> None:
        session.execute(text("TRUNCATE " + ", ".join(f"{self.name}.{table}" for table in _EMPTIED)))

    def database(self) -> Database:
        """The way to the rows that are made anew: their tables come before the ledger's own. After `open`."""
        path = f"{self.name}, {self.live}, pg_temp"
        return Database(self._settings, service="factory", search_path=path)

    def believe(self, paths: Sequence[str]) -> None:
        """Takes the rows of these originals (ledger text) over from the ledger as they are."""
        if not paths:
            return
        chosen = f"SELECT id FROM {self.live}.media_assets WHERE final_path = ANY (CAST(:paths AS text[]))"
        with self._database.session() as session:
            for table, column in (("media_assets", "id"), ("asset_tags", "asset_id")):
                session.execute(
                    text(
                        f"INSERT INTO {self.name}.{table} SELECT * FROM {self.live}.{table} "
                        f"WHERE {column} IN ({chosen}) ON CONFLICT DO NOTHING"
                    ),
                    {"paths": list(paths)},
                )


def digest(row: str, schema: str) -> str:
    """SQL: what a rebuild may change in an original's row, in a few bytes."""
    columns = ", ".join(f"{row}.{column}" for column in COMPARED)
    return f"md5(ROW({columns})::text || {TAGS_OF.format(schema=schema, row=row)})"


def _now(live: str) -> dict[str, str]:
    """SQL: key and digest of all rows of each kind."""
    return {
        "original": f"SELECT a.file_hash, {digest('a', live)} FROM {live}.media_assets AS a",
        "companion": f"SELECT final_path, original_hash FROM {live}.companions WHERE final_path IS NOT NULL",
        "album": f"SELECT id::text, {ALBUM} FROM {live}.albums",
        "album item": f"SELECT i.album_id || ' ' || a.file_hash, '' FROM {live}.album_items AS i "
        f"JOIN {live}.media_assets AS a ON a.id = i.asset_id",
        "relation": f"SELECT kind || ' ' || from_hash || ' ' || to_hash, '' FROM {live}.asset_relations",
    }
