"""The counters count what is in `media_assets`, whatever is done to it, by however many at once."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url

from Src.Shared import migrations
from Src.Shared.database import Database
from Src.Shared.migrations import migrate
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.tests.postgres_helpers import ask

INSERT = text("""
    INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, mime_type,
        captured_at, date_source, location, camera_model, ingested_at)
    SELECT uuidv7(), hash, size, hash, hash, 'Originals/2024/2024-01-01/' || hash, kind, '', captured_at, 'mtime',
        location, camera, ingested_at
    FROM json_to_recordset(CAST(:rows AS json)) AS new (hash text, size bigint, kind text, captured_at timestamp,
        location jsonb, camera text, ingested_at timestamptz)
""")
TRUTH = {
    "library_days": "SELECT captured_at::date AS day, count(*), sum(file_size)::bigint FROM media_assets GROUP BY 1",
    "library_facets": (
        "SELECT captured_at::date AS day, media_kind, left(coalesce(camera_model, ''), 100), count(*) "
        "FROM media_assets GROUP BY 1, 2, 3"
    ),
    "library_places": (
        "SELECT captured_at::date, round((location->>'lat')::numeric * 1000)::int, "
        "round((location->>'lon')::numeric * 1000)::int, count(*) "
        "FROM media_assets WHERE jsonb_typeof(location->'lat') = 'number' GROUP BY 1, 2, 3"
    ),
    "ingest_hours": (
        "SELECT date_trunc('hour', ingested_at, 'UTC'), count(*), sum(file_size)::bigint FROM media_assets GROUP BY 1"
    ),
}


def _rows(seed: int, number: int, salt: str = "") -> str:
    chance = random.Random(seed)
    return json.dumps(
        [
            {
                "hash": hashlib.sha256(f"{salt}{seed} {n}".encode()).hexdigest(),
                "size": chance.randrange(1, 10**10),
                "kind": chance.choice(("JPEG", "HEIC", "MP4")),
                "captured_at": f"20{chance.randrange(10, 12)}-0{chance.randrange(1, 10)}-01T10:00:00",
                "location": chance.choice((None, {"lat": chance.randrange(4) / 8, "lon": -chance.randrange(4) / 8})),
                "camera": chance.choice((None, "Canon EOS 40D", "x" * 5000)),
                "ingested_at": f"2026-01-01T{chance.randrange(24):02}:30:00Z",
            }
            for n in range(number)
        ]
    )


def _assert_true(connection: Connection) -> None:
    for table, query in TRUTH.items():
        counted = connection.execute(text(f"SELECT * FROM {table}")).all()
        assert sorted(map(tuple, counted)) == sorted(map(tuple, connection.execute(text(query)).all())), table


@pytest.fixture
def ledger(database: Database) -> Iterator[Connection]:
    with database.session() as session:
        yield session.connection()


def test_an_empty_ledger_counts_nothing(ledger: Connection) -> None:
    for table in TRUTH:
        assert ledger.execute(text(f"SELECT * FROM {table}")).all() == []


def test_what_is_inserted_updated_and_deleted_is_counted(ledger: Connection) -> None:
    ledger.execute(INSERT, {"rows": _rows(1, 500)})
    _assert_true(ledger)
    ledger.execute(INSERT, {"rows": _rows(2, 128)})
    _assert_true(ledger)
    for changed in (
        "captured_at = captured_at + interval '1 day'",
        "file_size = file_size + 1",
        "ingested_at = ingested_at + interval '3 hours', media_kind = 'PNG'",
        "camera_model = NULL",
        "location = NULL",
        'location = \'{"lat": 1.5, "lon": 2.25}\'',
        "is_thumbnailed = true",
    ):
        ledger.execute(text(f"UPDATE media_assets SET {changed} WHERE file_hash < '8'"))
        _assert_true(ledger)
    ledger.execute(text("DELETE FROM media_assets WHERE file_hash < '4'"))
    _assert_true(ledger)
    ledger.execute(text("DELETE FROM media_assets"))
    for table in TRUTH:
        assert ledger.execute(text(f"SELECT * FROM {table}")).all() == []


def test_truncate_is_counted(ledger: Connection) -> None:
    ledger.execute(INSERT, {"rows": _rows(1, 10)})
    ledger.execute(text("TRUNCATE media_assets"))
    _assert_true(ledger)


def test_rows_that_are_there_already_are_not_counted_twice(ledger: Connection) -> None:
    again = text(f"{INSERT.text} ON CONFLICT DO NOTHING")
    ledger.execute(INSERT, {"rows": _rows(1, 10)})
    ledger.execute(again, {"rows": _rows(1, 20)})
    _assert_true(ledger)


@pytest.mark.parametrize(
    "location",
    ['"here"', "[]", '[{"lat": 1, "lon": 1}]', '{"lat": "1", "lon": "1"}', '{"lat": 1}', '{"lat": [1], "lon": [1]}',
     '{"lat": 1e300, "lon": 1}', '{"lat": 91, "lon": 1}'],
)  # fmt: skip
def test_a_location_that_is_none_keeps_no_photo_out(ledger: Connection, location: str) -> None:
    ledger.execute(INSERT, {"rows": _rows(1, 1)})
    ledger.execute(text("UPDATE media_assets SET location = CAST(:location AS jsonb)"), {"location": location})
    assert ledger.execute(text("SELECT * FROM library_places")).all() == []
    assert ledger.scalar(text("SELECT sum(originals) FROM library_days")) == 1


def test_hours_do_not_depend_on_the_zone_of_a_session(ledger: Connection) -> None:
    for seed, zone in enumerate(("Asia/Kolkata", "UTC")):
        ledger.execute(text(f"SET LOCAL timezone = '{zone}'"))
        ledger.execute(INSERT, {"rows": _rows(seed, 50)})
    _assert_true(ledger)


def test_many_writers_at_once(database: Database) -> None:
    """Batches that share their days, in any order of rows; every one commits, and the sums are right."""
    engine = create_engine(database.url, pool_size=6)
    errors: list[Exception] = []

    def write(seed: int) -> None:
        try:
            for batch in range(8):
                with engine.begin() as connection:
                    connection.execute(INSERT, {"rows": _rows(seed * 100 + batch, 64)})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with engine.connect() as connection:
        _assert_true(connection)
        assert connection.scalar(text("SELECT sum(originals) FROM library_days")) == 6 * 8 * 64
    engine.dispose()


def test_a_delete_and_an_insert_of_the_last_of_a_day_meet(database: Database) -> None:
    engine = create_engine(database.url)
    with engine.begin() as connection:
        connection.execute(INSERT, {"rows": _rows(1, 1)})
    with engine.begin() as deleting:
        deleting.execute(text("DELETE FROM media_assets"))

        def insert() -> None:
            with engine.begin() as connection:
                connection.execute(INSERT, {"rows": _rows(1, 1, "other")})

        thread = threading.Thread(target=insert)
        thread.start()
        _wait_for_a_lock(engine)
    thread.join()
    with engine.connect() as connection:
        _assert_true(connection)
    engine.dispose()


def _wait_for_a_lock(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            connection.execute(text("SELECT pg_sleep(0.01)"))


@contextmanager
def _at_revision_1(ledger_server: EmbeddedPostgres) -> Iterator[Engine]:
    server = ledger_server.ensure_running()
    ask(server, "DROP DATABASE IF EXISTS at_revision_1 WITH (FORCE)")
    ask(server, "CREATE DATABASE at_revision_1")
    engine = create_engine(make_url(server).set(database="at_revision_1"))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()
    try:
        yield engine
    finally:
        engine.dispose()
        ask(server, "DROP DATABASE at_revision_1 WITH (FORCE)")


def test_originals_from_before_the_counters_are_counted(ledger_server: EmbeddedPostgres) -> None:
    with _at_revision_1(ledger_server) as engine:
        with engine.begin() as connection:
            connection.execute(INSERT, {"rows": _rows(1, 300)})
        assert migrate(engine) is True
        with engine.begin() as connection:
            _assert_true(connection)
            connection.execute(INSERT, {"rows": _rows(2, 30)})
            _assert_true(connection)
