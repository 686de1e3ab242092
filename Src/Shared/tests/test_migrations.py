"""The schema: what Alembic makes is what the models say, once, whoever comes first."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg2.errors import ObjectInUse
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError

from Src.Shared import migrations
from Src.Shared.database import Database, LedgerTooNew
from Src.Shared.migrations import HEAD, current_revision, migrate
from Src.Shared.models import Base
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Shared.tests.postgres_helpers import ask
from Src.Testing.patience import wait_until

_numbers = itertools.count(1)


def _done_when_unused(server: str, statement: str) -> None:
    """PostgreSQL waits only five seconds for those who leave: too little for a busy machine."""

    def done() -> bool:
        try:
            ask(server, statement)
        except ObjectInUse:
            return False
        return True

    wait_until(done, what=statement)


@contextmanager
def _empty_database(ledger_server: EmbeddedPostgres) -> Iterator[Engine]:
    server = ledger_server.ensure_running()
    name = f"empty_{next(_numbers)}"
    _done_when_unused(server, f"CREATE DATABASE {name}")
    engine = create_engine(make_url(server).set(database=name))
    yield engine
    engine.dispose()
    _done_when_unused(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty(ledger_server: EmbeddedPostgres) -> Iterator[Engine]:
    """A database with nothing in it."""
    with _empty_database(ledger_server) as engine:
        yield engine


def _dump(server: EmbeddedPostgres, engine: Engine) -> str:
    url = engine.url
    host, database = str(url.query["host"]), str(url.database)
    dumping = [str(server.bin / "pg_dump"), "--schema-only", "--no-owner", "--no-privileges", "--restrict-key=same"]
    dumping += ["--exclude-table=alembic_version", "-U", str(url.username), "-h", host, database]
    dump: str = subprocess.run(dumping, check=True, capture_output=True, text=True).stdout
    return dump


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return current_revision(connection)


def test_an_empty_ledger_is_brought_to_the_newest_schema(empty: Engine) -> None:
    assert _revision(empty) is None
    assert migrate(empty) is True
    assert _revision(empty) == HEAD
    assert migrate(empty) is False


def test_the_server_has_nothing_to_complain_of_at_the_first_start(empty: Engine) -> None:
    """Its log is read by people, and an ERROR on a healthy first start alarms them."""
    refused: list[str] = []
    event.listen(empty, "handle_error", lambda context: refused.append(str(context.original_exception)))
    migrate(empty)
    assert refused == []


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_alembic_finds_no_difference_to_the_models(empty: Engine) -> None:
    migrate(empty)
    with empty.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_dump_is_the_same_as_of_the_models(empty: Engine, ledger_server: EmbeddedPostgres) -> None:
    """Alembic does not compare everything: not the checks, nor what partial indexes cover, nor column order.

    Models know no functions, triggers, policies and rights; what those do is tested in test_counters.py and
    test_rights.py.
    """
    migrate(empty)
    with empty.begin() as connection:
        functions = connection.scalars(
            text("SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
        ).all()
        for function in functions:
            connection.execute(text(f"DROP FUNCTION {function} CASCADE"))
        for table in ("system_status", "system_status_history"):
            connection.execute(text(f"DROP POLICY heartbeats_select ON {table}"))
            connection.execute(text(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"))
        for policy in ("heartbeats_update", "heartbeats_delete"):
            connection.execute(text(f"DROP POLICY {policy} ON system_status_history"))
    assert len(functions) == 19
    migrated = _dump(ledger_server, empty)
    with _empty_database(ledger_server) as by_models:
        Base.metadata.create_all(by_models)
        assert _dump(ledger_server, by_models) == migrated
    assert migrated.count("CREATE") > 15


def test_many_services_at_once_migrate_once(empty: Engine) -> None:
    results: list[object] = []

    def start(engine: Engine) -> None:
        try:
            results.append(migrate(engine))
        except Exception as error:
            results.append(error)

    engines = [create_engine(empty.url) for _ in range(4)]
    threads = [threading.Thread(target=start, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    assert sorted(map(str, results)) == ["False", "False", "False", "True"]


def test_a_migration_waits_for_another_one_but_not_for_ever(empty: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with empty.connect() as other, monkeypatch.context() as impatient:
        impatient.setattr(migrations, "_LOCK_LIMIT", 0.2)
        other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": migrations._LOCK})
        with pytest.raises(OperationalError, match="lock timeout"):
            migrate(empty)
        other.invalidate()  # the server may take its time to notice
    assert migrate(empty) is True


def test_a_migration_that_fails_leaves_nothing(empty: Engine) -> None:
    with empty.begin() as connection:
        connection.execute(text("CREATE TABLE system_status_history (in_the_way int)"))
    with pytest.raises(Exception, match="system_status_history"):
        migrate(empty)
    with empty.connect() as connection:
        tables = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
    assert set(tables) <= {"system_status_history", "alembic_version"}


def test_a_ledger_of_a_later_version_is_left_alone(factory_settings: Settings, database: Database) -> None:
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerTooNew, match="9999") as caught:
        database.ensure_ready()
    assert "\n" not in str(caught.value)
    with database.session() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_nothing_to_do_costs_five_questions(database: Database) -> None:
    database.ensure_ready()
    statements: list[str] = []
    assert database._engine is not None
    event.listen(database._engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    database.ensure_ready()
    assert statements[1] == "SELECT version_num FROM alembic_version"
    assert len(statements) == 5, "the first asks whether there is one, the others for rights"
    assert all(statement.lstrip().startswith(("SELECT", "WITH")) for statement in statements)


def test_nothing_to_do_does_not_import_alembic(factory_settings: Settings) -> None:
    program = (
        "import sys\n"
        "from sqlalchemy import create_engine\n"
        "from Src.Shared.migrations import migrate\n"
        "migrate(create_engine(sys.argv[1]))\n"
        "print('alembic' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(factory_settings.database_url)]
    ran = subprocess.run(command, cwd=PROJECT_ROOT, check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"


def test_the_limits_of_a_migration_do_not_stay(empty: Engine) -> None:
    with empty.connect() as connection:
        before = connection.scalar(text("SHOW lock_timeout"))
    migrate(empty)
    with empty.connect() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == before
        locks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        wait_until(lambda: connection.scalar(locks) == 0)  # the server may take its time to end what is closed


def test_rows_with_paths_that_are_none_stay_and_are_reported_and_no_more_come(
    empty: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(migrations, "HEAD", "0002")
    migrate(empty)
    insert = (
        "INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, "
        "mime_type, captured_at, date_source) VALUES (gen_random_uuid(), '{}', 1, 'a', 'a', '{}', 'JPEG', "
        "'image/jpeg', now(), 'mtime') RETURNING id"
    )
    with empty.begin() as connection:
        bad = connection.scalar(text(insert.format("a" * 64, "../../etc/passwd")))
        connection.execute(text(insert.format("b" * 64, "Originals/2024/2024-01-01/b.jpg")))
    monkeypatch.undo()

    migrate(empty)

    assert f"break ck_media_assets_final_path, and are not believed: {bad}" in caplog.text
    with empty.begin() as connection:
        rows = connection.execute(
            text("SELECT conname, convalidated FROM pg_constraint WHERE conname LIKE 'ck\\_%path'")
        )
        validated = {row.conname: row.convalidated for row in rows}
        assert validated["ck_media_assets_final_path"] is False
        assert validated["ck_ingest_events_final_path"] is True
        assert connection.scalar(text("SELECT count(*) FROM media_assets")) == 2
    with pytest.raises(IntegrityError, match="ck_media_assets_final_path"), empty.begin() as connection:
        connection.execute(text(insert.format("c" * 64, "/etc/passwd")))


def _upgrade_to(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_heartbeats_of_before_there_were_instances_are_kept_and_go_on(empty: Engine) -> None:
    _upgrade_to(empty, "0011")
    status = "INSERT INTO system_status VALUES ('{}', now() - interval '1 hour', 'OK', 'watching', NULL, 60)"
    history = "INSERT INTO system_status_history (service_name, heartbeat_timestamp, status) VALUES ('{}', now(), 'OK')"
    with empty.begin() as connection:
        for service in ("librarian", "dashboard", "syncthing"):
            connection.execute(text(status.format(service)))
            connection.execute(text(history.format(service)))
    assert migrate(empty) is True
    with empty.connect() as connection:
        rows = connection.execute(text("SELECT service_name, instance, host FROM system_status ORDER BY 1")).all()
        # The dashboard's instances have other names from now on.
        assert rows == [("librarian", "1", None), ("syncthing", "1", None)]
        kept = connection.execute(text("SELECT service_name, instance FROM system_status_history ORDER BY 1")).all()
        assert kept == [(service, "1") for service in ("dashboard", "librarian", "syncthing")]
