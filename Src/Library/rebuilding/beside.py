"""The schema beside the ledger, in the same database, in which a rebuild makes all rows anew.

Nothing else looks into it. It has the ledger's own tables without their triggers, and four more: `was` (what the
ledger's rows were when the rebuild began, as digests: a row that is another by now, somebody has changed meanwhile),
`read_files` (in which state each file was read), `kept` (what the last rebuild has replaced, row by row) and `state`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from Src.Library.overlay.mirror import Mirror
from Src.Library.rebuilding import read_files
from Src.Library.rebuilding.columns import COMPARED, TAGS_OF
from Src.Library.vault import Vault
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.disk.files import FileState
from Src.Shared.errors import FactoryError
from Src.Shared.ledger_text import to_ledger
from Src.Shared.models import Act, OverlayEvent
from Src.Shared.settings import Settings

ANSWER_LIMIT = 3600.0  # seconds for one statement: some go over all rows of a large library

ALBUM = "name || chr(1) || coalesce(cover_hash, '')"  # SQL: what a rebuild may change in an album
_NO_RIGHT = "42501"  # SQLSTATE
_EMPTIED = (
    *("media_assets", "asset_tags", "albums", "album_items", "acts", "overlay_events", "companions"),
    *("asset_relations", "ingest_events", "vault", "trash", "tombstones", "left_paths", "was", "read_files"),
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

    def begin(self, *, trusting: bool = False) -> bool:
        """Notes what the ledger's rows are, all as of one moment; whether a rebuild that was begun goes on.

        After `open`. `trusting`: rows of files that are not read come in. Whoever does not trust goes on with no such
        rebuild.
        """
        with self._database.session() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            state = f"{self.name}.state"
            begun, trusted = session.execute(text(f"SELECT begun_at, trusted FROM {state} FOR UPDATE")).one()
            if begun is not None and (trusting or not trusted):
                read_files.begin_again(session, self.name)
                session.execute(text(f"UPDATE {state} SET trusted = :trusting"), {"trusting": trusting})
                return True
            self._empty(session)
            self._take_decisions(session)
            for kind, rows in _now(self.live).items():
                session.execute(
                    text(f"INSERT INTO {self.name}.was (kind, key, digest) SELECT '{kind}', * FROM ({rows}) AS now")
                )
            session.execute(
                text(
                    f"UPDATE {state} SET begun_at = now(), trusted = :trusting, "
                    f"decided_seq = (SELECT coalesce(max(seq), 0) FROM {self.live}.overlay_events)"
                ),
                {"trusting": trusting},
            )
        return False

    def bring_up_mirror(self, vault: Vault) -> None:
        """What people decide while the rebuild works stands in the mirror in its order, before that is read.

        Raises VaultTrouble, LedgerUnavailable."""
        Mirror(vault).bring_up(self._database, None)

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
        return Database(self._settings, service="factory", answer_limit=ANSWER_LIMIT, search_path=path)

    def believe(self, files: Mapping[str, FileState]) -> None:
        """Takes the rows of these originals over from the ledger as they are."""
        if not files:
            return
        chosen = f"SELECT id FROM {self.live}.media_assets WHERE final_path = ANY (CAST(:paths AS text[]))"
        with self._database.session() as session:
            for table, column in (("media_assets", "id"), ("asset_tags", "asset_id")):
                session.execute(
                    text(
                        f"INSERT INTO {self.name}.{table} SELECT * FROM {self.live}.{table} "
                        f"WHERE {column} IN ({chosen}) ON CONFLICT DO NOTHING"
                    ),
                    {"paths": [to_ledger(path) for path in files]},
                )
            read_files.note(session, files, self.name)


def digest(row: str, schema: str) -> str:
    """SQL: what a rebuild may change in an original's row, in a few bytes."""
    columns = ", ".join(f"{row}.{column}" for column in COMPARED)
    return f"md5(ROW({columns})::text || {TAGS_OF.format(schema=schema, row=row)})"


def decided_since(beside: Beside, which: str) -> str:
    """SQL: whether people have decided since the rebuild began; `which`: the events `e` that count.

    Values do not say it: what was changed and changed back looks as before. Nor does the number of an event alone: of
    two that are written at once the first may come to be seen last.
    """
    return (
        f"EXISTS (SELECT FROM {beside.live}.overlay_events AS e WHERE {which} AND NOT EXISTS "
        f"(SELECT FROM {beside.name}.overlay_events AS b WHERE b.id = e.id "
        f"AND b.seq <= (SELECT decided_seq FROM {beside.name}.state)))"
    )


def of_album(id_: str) -> str:
    """SQL: the events `e` about an album itself. `id_`: an expression for its id, as text."""
    return f"e.file_hash IS NULL AND e.field = 'album' AND {id_} IN (e.before->>'id', e.after->>'id')"


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
