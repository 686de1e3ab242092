"""What each role may do in the ledger, and what not: asked of a real server, as that role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from Src.Shared import heartbeat_service
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.heartbeat_service import HeartbeatService
from Src.Shared.migrations import HEAD, LedgerNotReady, LedgerTooNew, migrate
from Src.Shared.models import Base
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.rights import corrections
from Src.Shared.postgres.roles import ADMIN, OWNER, ROLES
from Src.Shared.postgres.tests.earlier_version import ask as ask_directly
from Src.Shared.postgres.tests.earlier_version import earlier_version
from Src.Shared.settings import Settings, load_settings
from Src.Shared.tests.postgres_helpers import cluster_of, stop_for_good
from Src.Testing.patience import PATIENCE, wait_until
from Src.Testing.surroundings import PATIENT

Ask = Callable[..., list[tuple[object, ...]]]

ORIGINAL = """
    INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind,
        mime_type, captured_at, date_source)
    VALUES (gen_random_uuid(), repeat('a', 64), 1, 'a', 'a', 'Originals/2020/2020-01-01/a', 'JPEG', 'image/jpeg',
        '2020-01-01', 'mtime')
"""
BEAT = (
    "INSERT INTO system_status (service_name, last_heartbeat, status, interval_seconds) VALUES ('{}', now(), 'OK', 1)"
)
HISTORY = "INSERT INTO system_status_history (service_name, heartbeat_timestamp, status) VALUES ('{}', {}, 'OK')"
WAITS = (
    "INSERT INTO inbox_files (path_id, original_path, state, file_size, mtime_ns, inode, attempts) "
    "VALUES (gen_random_uuid(), 'a', '{}', 1, 1, 1, 8)"
)

# What nobody but the owner may do, in each role's own database.
NEVER = (
    "DELETE FROM media_assets",
    "TRUNCATE media_assets",
    "DROP TABLE media_assets",
    "ALTER TABLE media_assets ADD COLUMN mine int",
    "UPDATE ingest_events SET fate = 'ingested'",
    "DELETE FROM ingest_events",
    "UPDATE library_days SET originals = 0",
    "INSERT INTO library_days VALUES ('2020-01-01', 1, 1)",
    "UPDATE overlay_events SET after = '5'",
    "DELETE FROM overlay_events",
    "UPDATE acts SET who = 'somebody else'",
    "DELETE FROM acts",
    "UPDATE alembic_version SET version_num = '9999'",
    "CREATE TABLE mine ()",
    "CREATE TEMPORARY TABLE mine ()",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "ALTER ROLE pf_librarian SUPERUSER",
    "SET ROLE photo_factory",
    "SET ROLE factory_admin",
    "SET SESSION AUTHORIZATION photo_factory",
    "COPY media_assets TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "DROP POLICY heartbeats_update ON system_status",
    "ALTER TABLE system_status DISABLE ROW LEVEL SECURITY",
    "SELECT pg_reload_conf()",
    BEAT.format("somebody-else"),
    HISTORY.format("somebody-else", "now()"),
    "UPDATE system_status_history SET status = 'OK'",
)
NEVER_TOO = {
    "pf_librarian": (
        BEAT.format("dashboard"),
        "SELECT mark_silent('dashboard', '1', now(), 'x')",
        "DELETE FROM system_status",
        "DELETE FROM system_status_history",
        "DELETE FROM operations",
    ),
    "pf_monitor": (
        "SELECT * FROM media_assets",
        "SELECT * FROM overlay_events",
        "SELECT * FROM acts",
        "UPDATE media_assets SET rating = 5",
        "SELECT * FROM media_assets FOR UPDATE",
        "SELECT * FROM ingest_events",
        "SELECT * FROM inbox_files",
        ORIGINAL,
        BEAT.format("librarian"),
        "SELECT ask_for_retry()",
        "UPDATE operations SET status = 'completed'",
        "SELECT ask_of_operation(gen_random_uuid(), 'running', 1, 'cancel')",
        "UPDATE hash_cache SET file_hash = repeat('a', 64)",
    ),
    "pf_dashboard": (
        ORIGINAL,
        "UPDATE media_assets SET final_path = 'Originals/2020/2020-01-02/a'",
        "UPDATE media_assets SET captured_at = '2021-01-01'",
        "UPDATE media_assets SET file_hash = repeat('b', 64)",
        "UPDATE overlay_events SET is_mirrored = true",
        "INSERT INTO ingest_events (id) VALUES (gen_random_uuid())",
        "DELETE FROM inbox_files",
        "UPDATE inbox_files SET state = 'not_media'",
        WAITS.format("failing"),
        BEAT.format("librarian"),
        HISTORY.format("librarian", "now()"),
        "SELECT mark_silent('librarian', '1', now(), 'x')",
        "DELETE FROM system_status",
        "DELETE FROM system_status_history",
        "UPDATE operations SET asked = 'cancel'",
        "INSERT INTO operations (id) VALUES (gen_random_uuid())",
        "UPDATE acts SET parameters = '{}'",
        "UPDATE acts SET who = 'another'",
        "DELETE FROM acts",
        "INSERT INTO trash (file_hash) VALUES (repeat('a', 64))",
        "DELETE FROM trash",
        "DELETE FROM tombstones",
        "INSERT INTO file_moves (id) VALUES (gen_random_uuid())",
        "SELECT take_from_library('{}')",
        "SELECT open_rebuild()",
        "SELECT close_rebuild()",
        "SELECT forget_rebuilt('{}', '{}', '{}')",
        "DELETE FROM hash_cache",
    ),
}


@pytest.fixture(autouse=True)
def last_heartbeats_may_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_service, "STOP_LIMIT", PATIENCE)


@pytest.fixture
def ask(factory_settings: Settings) -> Ask:
    """Asks the fresh ledger as a role; a transaction for each statement."""

    def answer(statement: str, role: str = OWNER) -> list[tuple[object, ...]]:
        url = make_url(factory_settings.database_url or "")
        where: dict[str, Any] = {"host": str(url.query["host"]), "port": str(url.query["port"]), "dbname": url.database}
        with closing(psycopg2.connect(user=role, **where)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []

    return answer


@pytest.fixture
def as_role(factory_settings: Settings) -> Iterator[Callable[[str], Database]]:
    """A Database of the fresh ledger whose sessions are a role's, as in the stack."""
    opened: list[Database] = []

    def database(role: str) -> Database:
        url = make_url(factory_settings.database_url or "").set(username=role).render_as_string()
        opened.append(Database(load_settings({"DATABASE_URL": url}, factory_settings.data / "no.env", PATIENT)))
        return opened[-1]

    yield database
    for one in opened:
        one.close()


def test_every_table_is_somebodys_to_read() -> None:
    """A new table needs a decision: who may do what there? See roles.py."""
    named = {table for role in ROLES for table in role.tables}
    assert named == set(Base.metadata.tables) | {"alembic_version"}


@pytest.mark.parametrize("role", [role.name for role in ROLES])
def test_what_no_service_may(ask: Ask, database: Database, role: str) -> None:
    database.ensure_ready()
    ask(ORIGINAL)
    ask(HISTORY.format("librarian", "now() - interval '1 hour'"))
    ask(BEAT.format("another"))
    allowed = []
    for statement in (*NEVER, *NEVER_TOO[role]):
        try:
            ask(statement, role)
        except InsufficientPrivilege:
            continue
        allowed.append(statement)
    # A policy hides the rows of others from an update and a delete: then there is nothing to be refused.
    assert set(allowed) <= {"UPDATE system_status_history SET status = 'OK'"}
    assert ask("SELECT count(*) FROM media_assets") == [(1,)]
    assert ask("SELECT count(*) FROM system_status_history") == [(1,)]
    assert ask("SELECT service_name FROM system_status") == [("another",)]


def test_the_librarian_files_and_the_counters_follow(ask: Ask) -> None:
    ask(ORIGINAL, "pf_librarian")
    ask("UPDATE media_assets SET captured_at = '2021-01-01'", "pf_librarian")
    assert ask("SELECT day::text, originals FROM library_days", "pf_dashboard") == [("2021-01-01", 1)]
    ask(WAITS.format("failing"), "pf_librarian")
    ask("DELETE FROM inbox_files", "pf_librarian")


@pytest.mark.parametrize("role", ["pf_librarian", "pf_dashboard"])
def test_decisions_are_written_by_whoever_they_are_made_with(ask: Ask, role: str) -> None:
    ask(ORIGINAL)
    ask("SELECT id FROM media_assets FOR UPDATE", role)
    ask("UPDATE media_assets SET rating = 5, title = 'x', description = 'y', is_hidden = true, rotation = 90", role)
    ask("UPDATE media_assets SET location = '{}', is_geocoded = false", role)
    ask("INSERT INTO asset_tags SELECT id, 'word' FROM media_assets", role)
    ask("DELETE FROM asset_tags", role)
    ask("INSERT INTO albums (id, name) VALUES (gen_random_uuid(), 'Summer')", role)
    ask("INSERT INTO album_items SELECT albums.id, media_assets.id, 1 FROM albums, media_assets", role)
    ask("DELETE FROM album_items", role)
    ask("DELETE FROM albums", role)
    ask("INSERT INTO acts (id, who, kind, status) VALUES (gen_random_uuid(), 'me', 'rate', 'pending')", role)
    ask("UPDATE acts SET status = 'done', message = 'well'", role)
    ask(
        "INSERT INTO overlay_events (id, act_id, who, field, before, after) "
        "SELECT gen_random_uuid(), id, who, 'rating', NULL, '5' FROM acts",
        role,
    )
    assert ask("SELECT seq, who, is_mirrored FROM overlay_events", role) == [(1, "me", False)]


def test_the_librarian_notes_what_is_mirrored(ask: Ask) -> None:
    ask(
        "INSERT INTO overlay_events (id, act_id, who, field, after) "
        "VALUES (gen_random_uuid(), gen_random_uuid(), 'me', 'rating', '5')"
    )
    ask("UPDATE overlay_events SET is_mirrored = true", "pf_librarian")
    assert ask("SELECT is_mirrored FROM overlay_events") == [(True,)]


def test_counters_are_those_of_the_ledger_whatever_a_role_has_of_that_name(ask: Ask) -> None:
    ask("CREATE SCHEMA trap; CREATE TABLE trap.library_days (LIKE public.library_days INCLUDING ALL)")
    ask("GRANT ALL ON SCHEMA trap TO PUBLIC; GRANT ALL ON trap.library_days TO PUBLIC")
    ask(f"SET search_path = trap, public; {ORIGINAL}", "pf_librarian")
    assert ask("SELECT count(*) FROM public.library_days") == [(1,)]
    assert ask("SELECT count(*) FROM trap.library_days") == [(0,)]


@pytest.mark.parametrize("role", ["pf_librarian", "pf_dashboard"])
def test_a_retry_can_be_asked_for_and_nothing_else_changes(ask: Ask, role: str) -> None:
    ask(WAITS.format("dead_letter"))
    ask(WAITS.format("not_media"))
    assert ask("SELECT ask_for_retry()", role) == [(1,)]
    assert ask("SELECT state, attempts, next_try_at IS NULL FROM inbox_files ORDER BY state") == [
        ("failing", 0, False),
        ("not_media", 8, True),
    ]


OPERATION = (
    "INSERT INTO operations (id, kind, parameters, who, is_scheduled, status, done, errors, runs, host, pid, "
    "created_at, heartbeat_at) "
    "VALUES (gen_random_uuid(), 'import', '{{}}', 'ada', false, '{}', 1, 0, 1, 'here', 1, now(), now())"
)


@pytest.mark.parametrize(
    ("status", "seen", "wish", "becomes"),
    [
        ("running", "('running', 1)", "cancel", ("running", "cancel")),
        ("running", "('running', 1)", "discard", ("cancelled", None)),
        ("failed", "('failed', 1)", "discard", ("cancelled", None)),
        ("failed", "('failed', 1)", "cancel", None),
        ("completed", "('completed', 1)", "discard", None),
        ("running", "('running', 2)", "discard", None),  # it was resumed meanwhile
        ("completed", "('running', 1)", "cancel", None),  # it has ended meanwhile
        ("running", "('running', 1)", "completed", None),
    ],
)
def test_of_an_operation_the_dashboard_asks_two_things_and_no_more(
    ask: Ask, status: str, seen: str, wish: str, becomes: tuple[str, str | None] | None
) -> None:
    ask(OPERATION.format(status))
    asked = (
        f"SELECT ask_of_operation(o.id, s.status, s.runs, '{wish}') FROM operations o, (VALUES {seen}) s (status, runs)"
    )
    assert ask(asked, "pf_dashboard") == [(becomes is not None,)]
    assert ask("SELECT status, asked FROM operations") == [becomes or (status, None)]


def test_the_dashboard_reads_everything(ask: Ask) -> None:
    for table in Base.metadata.tables:
        ask(f"SELECT * FROM {table}", "pf_dashboard")


@pytest.mark.parametrize(
    ("role", "service"),
    [(role.name, service) for role in ROLES for service in (role.service, *role.also_speaks_for)],
)
def test_heartbeats_are_written_as_ones_own_role(
    ask: Ask, as_role: Callable[[str], Database], role: str, service: str
) -> None:
    beats = HeartbeatService(as_role(role), service, 0.2)
    beats.start()
    wait_until(
        lambda: ask(f"SELECT count(*) > 2 FROM system_status_history WHERE service_name = '{service}'") == [(True,)]
    )
    beats.stop()
    assert ask("SELECT service_name, current_task FROM system_status") == [(service, "stopped")]


def test_nobody_writes_over_the_heartbeat_of_another(ask: Ask) -> None:
    ask(BEAT.format("librarian"))
    ask("UPDATE system_status SET message = 'mine'", "pf_dashboard")
    ask("UPDATE system_status SET message = 'mine'", "pf_monitor")
    ask("DELETE FROM system_status", "pf_monitor")
    assert ask("SELECT message FROM system_status") == [(None,)]
    upsert = f"{BEAT.format('librarian')} ON CONFLICT (service_name, instance) DO UPDATE SET message = 'mine'"
    with pytest.raises(InsufficientPrivilege):
        ask(upsert, "pf_dashboard")
    ask(upsert.replace("'mine'", "NULL"), "pf_librarian")


def test_the_monitor_marks_who_is_silent(ask: Ask) -> None:
    ask(BEAT.format("librarian"))
    ask("SELECT mark_silent('librarian', '1', last_heartbeat, 'silent') FROM system_status", "pf_monitor")
    assert ask("SELECT status, message FROM system_status") == [("ERROR", "silent")]
    assert ask("SELECT service_name, message FROM system_status_history") == [("librarian", "silent")]
    ask("SELECT mark_silent('librarian', '1', now(), 'late') FROM system_status", "pf_monitor")
    assert ask("SELECT message FROM system_status") == [("silent",)], "it has spoken meanwhile"


def test_the_monitor_has_an_instance_forgotten_that_went_away_for_good(ask: Ask) -> None:
    for instance, age in (("nas/1", 0), ("nas/2", 100), ("nas/3", 200)):
        ask(
            "INSERT INTO system_status (service_name, last_heartbeat, status, interval_seconds, instance) "
            f"VALUES ('dashboard', now() - interval '{age} hours', 'OK', 1, '{instance}')"
        )
    forget = "SELECT forget_instance('dashboard', instance, {}) FROM system_status WHERE instance = '{}'"
    ask(forget.format("now()", "nas/3"), "pf_monitor")
    ask(forget.format("last_heartbeat", "nas/1"), "pf_monitor")
    assert ask("SELECT count(*) FROM system_status") == [(3,)], "one has spoken meanwhile, the other is the last"
    with pytest.raises(InsufficientPrivilege):
        ask(forget.format("last_heartbeat", "nas/3"), "pf_dashboard")
    ask(forget.format("last_heartbeat", "nas/3"), "pf_monitor")
    assert ask("SELECT instance FROM system_status ORDER BY 1") == [("nas/1",), ("nas/2",)]


def test_retention_deletes_what_is_old_and_nothing_else(ask: Ask) -> None:
    for age in ("2 days", "1 hour"):
        ask(HISTORY.format("librarian", f"now() - interval '{age}'"))
    ask("SELECT id FROM system_status_history FOR UPDATE SKIP LOCKED", "pf_monitor")
    ask("DELETE FROM system_status_history", "pf_monitor")
    assert ask("SELECT count(*) FROM system_status_history") == [(1,)]


# Kept right


def test_rights_that_are_missing_or_too_many_are_corrected(ask: Ask, database: Database) -> None:
    ask("REVOKE SELECT ON media_assets FROM pf_dashboard")
    ask("GRANT DELETE ON media_assets TO pf_dashboard")
    ask("GRANT UPDATE (file_size) ON media_assets TO pf_dashboard")
    ask("GRANT EXECUTE ON FUNCTION ask_for_retry() TO PUBLIC")
    ask("CREATE OR REPLACE FUNCTION own_services() RETURNS text[] LANGUAGE sql AS $$SELECT ARRAY['librarian']$$")
    database.ensure_ready()
    ask("SELECT * FROM media_assets", "pf_dashboard")
    for statement in ("DELETE FROM media_assets", "UPDATE media_assets SET file_size = 1", BEAT.format("librarian")):
        with pytest.raises(InsufficientPrivilege):
            ask(statement, "pf_dashboard")
    with pytest.raises(InsufficientPrivilege):
        ask("SELECT ask_for_retry()", "pf_monitor")
    with database.session() as session:
        assert corrections(session.connection()) == []


def test_what_a_person_has_granted_on_tables_of_their_own_stays(ask: Ask, database: Database) -> None:
    ask("CREATE TABLE mine AS SELECT 1 AS n")
    ask("GRANT SELECT ON mine TO pf_dashboard")
    database.ensure_ready()
    assert ask("SELECT n FROM mine", "pf_dashboard") == [(1,)]


def test_a_service_waits_for_its_rights(ask: Ask, database: Database, as_role: Callable[[str], Database]) -> None:
    for table in Base.metadata.tables:
        ask(f"REVOKE ALL ON {table} FROM pf_librarian")
    ask("REVOKE ALL ON alembic_version FROM pf_librarian")
    service = as_role("pf_librarian")
    with pytest.raises(LedgerUnavailable, match="no rights"):
        service.ensure_ready()
    with pytest.raises(LedgerUnavailable, match="permission denied"), service.session() as session:
        session.execute(text("SELECT * FROM media_assets"))
    database.ensure_ready()
    service.ensure_ready()
    with service.session() as session:
        session.execute(text("SELECT * FROM media_assets"))


def test_a_service_does_not_migrate_and_says_who_does(ask: Ask, as_role: Callable[[str], Database]) -> None:
    service = as_role("pf_librarian")
    service.ensure_ready()
    ask("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(LedgerUnavailable, match=f"0001 .* needs {HEAD}; its owner") as caught:
        service.ensure_ready()
    assert "\n" not in str(caught.value)
    ask("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerTooNew, match="9999"):
        service.ensure_ready()


def test_a_role_without_any_right_is_refused_by_name(ask: Ask, factory_settings: Settings) -> None:
    ask("CREATE ROLE stranger LOGIN", ADMIN)
    try:
        url = make_url(factory_settings.database_url or "").set(username="stranger")
        engine = create_engine(url)
        with pytest.raises(LedgerNotReady, match="no rights"):
            migrate(engine)
        engine.dispose()
    finally:
        ask("DROP ROLE stranger", ADMIN)


# A PostgreSQL of one's own


def test_one_role_is_enough(postgres_folder: Path) -> None:
    """A server that knows none of our roles: everything is done as the one that the settings name."""
    data = postgres_folder / "db"
    server = EmbeddedPostgres(data, limits=PATIENT)
    try:
        with earlier_version():
            server.ensure_running()
        where = f"@/photo_factory?host={cluster_of(data)}"
        ask_directly(cluster_of(data), "CREATE ROLE me LOGIN; ALTER DATABASE photo_factory OWNER TO me")
        settings = load_settings({"DATABASE_URL": f"postgresql://me{where}"}, data / "no.env", PATIENT)
        for service in ("librarian", "service-monitor", "dashboard"):
            database = Database(settings, service=service)
            database.ensure_ready()
            beats = HeartbeatService(database, service, 60)
            beats.start()
            with database.session() as session:
                connection_ = session.connection()
                assert connection_.exec_driver_sql("SELECT current_user").scalar() == "me"
                assert connection_.exec_driver_sql("SELECT ask_for_retry()").scalar() == 0
                assert connection_.exec_driver_sql("SELECT count(*) FROM pg_roles WHERE rolname ~ '^pf_'").scalar() == 0
                connection_.exec_driver_sql(ORIGINAL)
                connection_.exec_driver_sql("DELETE FROM media_assets")
            beats.stop()
            database.close()
        assert ask_directly(cluster_of(data), "SELECT count(*) FROM system_status", role="me") == [(3,)]
    finally:
        stop_for_good(server, data)
