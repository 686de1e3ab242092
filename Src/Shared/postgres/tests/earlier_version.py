"""A cluster as versions before the roles left it: `photo_factory` is the role of initdb, and owns everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from Src.Shared import migrations
from Src.Shared.postgres import embedded
from Src.Shared.postgres.roles import DATABASE, OWNER

ROWS = 50
_ORIGINAL = """
INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, mime_type,
    captured_at, date_source)
SELECT gen_random_uuid(), md5(n::text) || md5(n::text), n, n || '.jpg', n || '.jpg', 'Originals/2020/2020-01-01/' || n,
    'JPEG', 'image/jpeg', '2020-01-01 12:00', 'mtime' FROM generate_series(1, %s) AS n
"""


@contextmanager
def earlier_version() -> Iterator[None]:
    """Meanwhile a server is started, and made where there is none, as an earlier version does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "ADMIN", OWNER)
        patch.setattr(embedded, "settle_roles", _create_missing_database)
        yield


def _create_missing_database(socket_folder: Path, _limit: float) -> None:
    found = ask(socket_folder, "SELECT count(*) FROM pg_database WHERE datname = 'photo_factory'", database="postgres")
    if found == [(0,)]:
        ask(socket_folder, "CREATE DATABASE photo_factory", database="postgres")


def make_ledger(url: str, revision: str = "0002") -> None:
    """The schema of that revision and some originals, by whom the URL names."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(url)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    with engine.begin() as connection:
        connection.exec_driver_sql(_ORIGINAL, (ROWS,))
    engine.dispose()


def ask(
    socket_folder: Path, statement: str, *, role: str = OWNER, database: str = DATABASE
) -> list[tuple[object, ...]]:
    """The answer; each statement is a transaction of its own."""
    with closing(psycopg2.connect(host=str(socket_folder), user=role, dbname=database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
