"""Who owns the ledger and who is the superuser: in new clusters, in those of earlier versions, and after any kill."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from Src.Shared.database import Database
from Src.Shared.postgres import cluster_roles, cluster_sql
from Src.Shared.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from Src.Shared.postgres.postmaster import is_alive, read_postmaster
from Src.Shared.postgres.roles import ADMIN, DATABASE, OWNER, ROLES, Role
from Src.Shared.postgres.tests.earlier_version import ROWS, ask, earlier_version, make_ledger
from Src.Shared.settings import load_settings
from Src.Shared.tests.postgres_helpers import cluster_of, kill_server, stop_for_good
from Src.Testing.patience import PATIENCE, wait_until
from Src.Testing.surroundings import PATIENT

SUPERUSERS = "SELECT rolname FROM pg_roles WHERE rolsuper ORDER BY rolname"
STILL_OF_ADMIN = """
SELECT count(*) FROM (
    SELECT oid FROM pg_class WHERE relowner = 10 AND relkind <> 't' AND relkind <> 'i'
    UNION ALL SELECT oid FROM pg_proc WHERE proowner = 10
    UNION ALL SELECT oid FROM pg_type WHERE typowner = 10
    UNION ALL SELECT oid FROM pg_namespace WHERE nspowner = 10
) AS owned WHERE oid >= 16384
"""


@pytest.fixture
def data(postgres_folder: Path) -> Path:
    return postgres_folder / "db"


@pytest.fixture
def server(data: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data, limits=PATIENT)
    yield server
    stop_for_good(server, data)


@pytest.fixture(scope="module")
def made_earlier(session_postgres_folder: Path) -> Path:
    """The folder of a cluster at rest that an earlier version made, with originals. Tests get copies of it."""
    data = session_postgres_folder / "made-earlier"
    server = EmbeddedPostgres(data, limits=PATIENT)
    with earlier_version():
        make_ledger(server.ensure_running())
        server.release()
    with open(cluster_of(data) / "postgresql.conf", "a") as configuration:
        configuration.write("fsync = off\n")  # processes are killed here, and no power is cut
    return data


@pytest.fixture
def earlier(made_earlier: Path, data: Path) -> Path:
    """Such a cluster of the test's own."""
    _copy(made_earlier, data)
    return data


@pytest.fixture(scope="module")
def earlier_template(made_earlier: Path, session_postgres_folder: Path) -> Path:
    """Of one database more, at rest."""
    data = session_postgres_folder / "earlier"
    _copy(made_earlier, data)
    server = EmbeddedPostgres(data, limits=PATIENT)
    with earlier_version():
        server.ensure_running()
        ask(cluster_of(data), "CREATE DATABASE mine")
        ask(cluster_of(data), "CREATE TABLE noted AS SELECT 42 AS n", database="mine")
        stop_for_good(server, data)
    return data


def _copy(made: Path, data: Path) -> None:
    subprocess.run(["cp", "-a", made, data], check=True)


def _is_as_it_should_be(data: Path) -> None:
    folder = cluster_of(data)
    assert ask(folder, SUPERUSERS) == [(ADMIN,)]
    assert ask(folder, "SELECT rolname FROM pg_roles WHERE rolname ~ '^pf_' ORDER BY 1") == [
        (name,) for name in sorted(role.name for role in ROLES)
    ]
    assert ask(folder, f"SELECT datdba::regrole::text FROM pg_database WHERE datname = '{DATABASE}'") == [(OWNER,)]
    assert ask(folder, STILL_OF_ADMIN) == [(0,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(folder, "CREATE ROLE another SUPERUSER")


def _nothing_is_lost(data: Path) -> None:
    folder = cluster_of(data)
    assert ask(folder, "SELECT count(*), sum(file_size) FROM media_assets") == [(ROWS, ROWS * (ROWS + 1) // 2)]
    assert ask(folder, "SELECT sum(originals)::int FROM library_days") == [(ROWS,)]
    ask(folder, "UPDATE media_assets SET rating = 5 WHERE file_size = 1")  # it may write, the triggers included
    ask(folder, "CREATE TABLE more ()")
    ask(folder, "DROP TABLE more")


# A new cluster


def test_a_new_cluster_has_an_owner_that_is_no_superuser(server: EmbeddedPostgres, data: Path) -> None:
    server.ensure_running()
    _is_as_it_should_be(data)
    ask(cluster_of(data), "CREATE TABLE mine ()")
    assert ask(cluster_of(data), "SELECT rolcanlogin, rolcreatedb FROM pg_roles WHERE rolname = current_user") == [
        (True, True)
    ]


def test_later_starts_connect_as_no_superuser(
    server: EmbeddedPostgres, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ensure_running()
    ask(cluster_of(data), "ALTER SYSTEM SET log_connections = on", role=ADMIN)
    server.release()
    before = _log(data)
    server.ensure_running()
    EmbeddedPostgres(data, limits=PATIENT)._start(1e9)
    assert "connection authorized: user=photo_factory" in _log(data)[len(before) :]
    assert f"user={ADMIN}" not in _log(data)[len(before) :]


def _log(data: Path) -> str:
    return "".join(path.read_text() for path in sorted((cluster_of(data) / "log").glob("*.log")))


def test_a_new_role_is_made_at_the_next_start(
    server: EmbeddedPostgres, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ensure_running()
    server.release()
    another = Role("pf_another", "another", {})
    monkeypatch.setattr(cluster_sql, "ROLES", (*ROLES, another))
    server.ensure_running()
    assert ask(cluster_of(data), "SELECT rolname FROM pg_roles WHERE rolname ~ 'another'") == [("pf_another",)]


def test_who_made_the_owner_a_superuser_again_finds_it_corrected(server: EmbeddedPostgres, data: Path) -> None:
    server.ensure_running()
    ask(cluster_of(data), f"ALTER ROLE {OWNER} SUPERUSER", role=ADMIN)
    server.release()
    server.ensure_running()
    _is_as_it_should_be(data)


# One of an earlier version


def test_a_cluster_of_an_earlier_version_is_taken_over(earlier: Path, server: EmbeddedPostgres) -> None:
    server.ensure_running()
    _is_as_it_should_be(earlier)
    _nothing_is_lost(earlier)
    settings = load_settings({"FACTORY_DB_DATA": str(earlier)}, earlier / "no.env", PATIENT)
    for service in ("librarian", "service-monitor", "dashboard"):
        database = Database(settings, service=service)
        database.ensure_ready()
        with database.session() as session:
            connected = session.connection().exec_driver_sql("SELECT current_user, session_user").one()
        assert connected == (next(role.name for role in ROLES if role.service == service),) * 2
        database.close()
    _is_as_it_should_be(earlier)


def test_it_is_done_once(earlier: Path, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    server.ensure_running()
    server.release()
    monkeypatch.setattr(cluster_roles, "_make_roles", lambda *_: pytest.fail("once more"))
    server.ensure_running()


def test_whatever_the_superuser_owned_goes_to_the_new_owner(earlier: Path, server: EmbeddedPostgres) -> None:
    folder = cluster_of(earlier)
    with earlier_version():
        server.ensure_running()
        ask(
            folder,
            """
            CREATE SCHEMA "Of mine"; CREATE TABLE "Of mine"."T b" (a int) PARTITION BY RANGE (a);
            CREATE TABLE "Of mine".part PARTITION OF "Of mine"."T b" FOR VALUES FROM (1) TO (2);
            CREATE TABLE counted (id serial PRIMARY KEY, other bigint GENERATED ALWAYS AS IDENTITY);
            CREATE SEQUENCE free; CREATE VIEW seen AS SELECT * FROM counted;
            CREATE MATERIALIZED VIEW kept AS SELECT * FROM counted;
            CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE pair AS (a int, b int); CREATE DOMAIN small AS int;
            CREATE TYPE span AS RANGE (subtype = float8);
            CREATE FUNCTION one(a int, VARIADIC b text[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
            CREATE PROCEDURE act() LANGUAGE sql AS 'SELECT 1';
            CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int, initcond = '0');
            CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
            CREATE COLLATION order_of (provider = builtin, locale = 'C.UTF-8');
            CREATE STATISTICS figures ON id, other FROM counted;
            CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
            CREATE PUBLICATION told FOR TABLE counted;
            SELECT lo_create(4711);
            """,
        )
        server.release()
    server.ensure_running()
    assert ask(folder, STILL_OF_ADMIN) == [(0,)]
    ask(
        folder,
        """
        DROP PUBLICATION told; DROP TEXT SEARCH CONFIGURATION words; DROP STATISTICS figures; DROP COLLATION order_of;
        DROP OPERATOR === (int, int); DROP AGGREGATE total (int); DROP PROCEDURE act; DROP FUNCTION one;
        DROP TYPE span; DROP DOMAIN small; DROP TYPE pair; DROP TYPE mood; DROP MATERIALIZED VIEW kept; DROP VIEW seen;
        DROP SEQUENCE free; INSERT INTO counted DEFAULT VALUES; DROP TABLE counted; DROP SCHEMA "Of mine" CASCADE;
        SELECT lo_unlink(4711);
        """,
    )
    _nothing_is_lost(earlier)


def test_an_extension_stays_and_works(earlier: Path, server: EmbeddedPostgres) -> None:
    folder = cluster_of(earlier)
    with earlier_version():
        server.ensure_running()
        ask(folder, "CREATE EXTENSION vector; CREATE TABLE near (v vector(2)); INSERT INTO near VALUES ('[1,2]')")
        server.release()
    server.ensure_running()
    assert ask(folder, "SELECT extname, extowner::regrole::text FROM pg_extension WHERE extname = 'vector'") == [
        ("vector", ADMIN)
    ]
    assert ask(folder, "SELECT v <-> '[1,2]' FROM near") == [(0.0,)]
    assert ask(folder, "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'near'") == [(OWNER,)]


def test_passwords_memberships_settings_and_default_privileges_are_kept(
    earlier: Path, server: EmbeddedPostgres
) -> None:
    folder = cluster_of(earlier)
    privileges = """
        SELECT defaclobjtype::text, defaclnamespace::int, grantee::regrole::text, privilege_type, is_grantable
        FROM pg_default_acl, aclexplode(defaclacl) WHERE defaclrole = '{}'::regrole ORDER BY 1, 2, 3, 4
    """
    with earlier_version():
        server.ensure_running()
        ask(
            folder,
            """
            ALTER ROLE photo_factory PASSWORD 'sesame' CONNECTION LIMIT 40;
            CREATE ROLE grafana LOGIN; GRANT photo_factory TO grafana;
            CREATE ROLE people; GRANT people TO photo_factory;
            ALTER ROLE photo_factory SET search_path = "a b", public; ALTER ROLE photo_factory SET work_mem = '7MB';
            ALTER ROLE photo_factory IN DATABASE photo_factory SET work_mem = '8MB';
            ALTER ROLE photo_factory SET statement_timeout = '50s';
            ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO grafana;
            ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
            ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO people WITH GRANT OPTION;
            GRANT SELECT ON media_assets TO grafana;
            """,
        )
        verifier = ask(folder, f"SELECT rolpassword FROM pg_authid WHERE rolname = '{OWNER}'")
        before = ask(folder, privileges.format(OWNER))
        server.release()
    server.ensure_running()
    about = f"SELECT rolpassword FROM pg_authid WHERE rolname = '{OWNER}' AND rolconnlimit = 40"
    assert ask(folder, about, role=ADMIN) == verifier
    assert ask(folder, f"SELECT rolpassword FROM pg_authid WHERE rolname = '{ADMIN}'", role=ADMIN) == [(None,)]
    assert ask(folder, "SHOW search_path") == [('"a b", public',)]
    assert ask(folder, "SHOW work_mem") == [("8MB",)]
    assert ask(folder, "SHOW work_mem", database="postgres") == [("7MB",)]
    assert ask(folder, "SHOW statement_timeout") == [("50s",)]
    assert ask(folder, "SHOW statement_timeout", role=ADMIN) == [("0",)]
    assert ask(folder, "SELECT pg_has_role('photo_factory', 'people', 'USAGE')") == [(True,)]
    assert ask(folder, f"SELECT pg_has_role('grafana', '{OWNER}', 'USAGE')") == [(True,)]
    assert ask(folder, f"SELECT pg_has_role('grafana', '{ADMIN}', 'MEMBER')") == [(False,)]
    assert len(before) > 3
    assert ask(folder, privileges.format(OWNER)) == before
    assert ask(folder, privileges.format(ADMIN)) == []
    assert ask(folder, "SELECT count(*) FROM media_assets", role="grafana") == [(ROWS,)]
    ask(folder, "CREATE TABLE public.later AS SELECT 1 AS n")
    assert ask(folder, "SELECT n FROM public.later", role="grafana") == [(1,)]


def test_other_databases_of_the_server_are_taken_over_too(earlier: Path, server: EmbeddedPostgres) -> None:
    folder = cluster_of(earlier)
    with earlier_version():
        server.ensure_running()
        ask(folder, 'CREATE DATABASE "of ""mine"""')
        ask(folder, "CREATE TABLE noted AS SELECT 42 AS n", database='of "mine"')
        ask(folder, "CREATE DATABASE closed ALLOW_CONNECTIONS false")
        server.release()
    server.ensure_running()
    assert ask(folder, "DELETE FROM noted RETURNING n", database='of "mine"') == [(42,)]
    ask(folder, "DROP TABLE noted", database='of "mine"')
    ask(folder, 'DROP DATABASE "of ""mine"""', database="postgres")
    ask(folder, "DROP DATABASE closed", database="postgres")
    _nothing_is_lost(earlier)


def test_sessions_that_are_connected_do_not_stop_it(
    earlier: Path, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Services of the earlier version, which still run, and a psql that somebody left in a transaction."""
    folder = cluster_of(earlier)
    with earlier_version():
        server.ensure_running()
        idle = psycopg2.connect(host=str(folder), user=OWNER, dbname=DATABASE)
        idle.autocommit = True
        holds = psycopg2.connect(host=str(folder), user=OWNER, dbname=DATABASE)
        with holds.cursor() as cursor:
            cursor.execute("UPDATE media_assets SET rating = 1")
    monkeypatch.setattr(
        cluster_sql, "_LIMITS", cluster_sql._LIMITS.replace("lock_timeout = '10s'", "lock_timeout = '1s'")
    )
    with closing(idle), closing(holds):
        other = EmbeddedPostgres(earlier, limits=PATIENT)
        other.ensure_running()
        _is_as_it_should_be(earlier)
        _nothing_is_lost(earlier)
        for connection in (idle, holds):
            with pytest.raises(psycopg2.OperationalError), connection.cursor() as cursor:
                cursor.execute("SELECT 1")  # they were the superuser's
        superusers = "SELECT count(*) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = usesysid WHERE rolsuper"
        wait_until(lambda: ask(folder, f"{superusers} AND backend_type = 'client backend'") == [(0,)])
        other.release()


def test_a_name_that_is_taken_is_said(earlier: Path, server: EmbeddedPostgres) -> None:
    with earlier_version():
        server.ensure_running()
        ask(cluster_of(earlier), f"CREATE ROLE {ADMIN}")
        server.release()
    with pytest.raises(EmbeddedPostgresError, match=f'role "{ADMIN}" already exists') as caught:
        server.ensure_running()
    assert "\n" not in str(caught.value)
    with earlier_version():
        server.ensure_running()
        assert ask(cluster_of(earlier), "SELECT count(*) FROM media_assets") == [(ROWS,)]


# Killed at each step


def test_nothing_is_lost_whenever_it_is_killed(earlier_template: Path, data: Path) -> None:
    """`kill -9` of the process before and after each thing that it asks of the server."""
    step, ended = 0, False
    while not ended:
        for when in ("before", "after"):
            _copy(earlier_template, data)
            ended = _start_in_a_child(data, step, when)
            again = EmbeddedPostgres(data, limits=PATIENT)
            try:
                again.ensure_running()
                _is_as_it_should_be(data)
                _nothing_is_lost(data)
                assert ask(cluster_of(data), "DELETE FROM noted RETURNING n", database="mine") == [(42,)]
            finally:
                stop_for_good(again, data)
                subprocess.run(["rm", "-rf", data], check=True)
        step += 1
    assert step > 6


def _start_in_a_child(data: Path, step: int, when: str) -> bool:
    """Starts the server in a child that is killed at that step; whether it came to its end instead."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            execute, count = cluster_roles._execute, iter(range(1000))

            def execute_or_die(connection: Any, statement: str, *, alone: bool = True) -> list[str]:
                number = next(count)
                if (number, when) == (step, "before"):
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = execute(connection, statement, alone=alone)
                if (number, when) == (step, "after"):
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            cluster_roles._execute = execute_or_die
            EmbeddedPostgres(data, limits=PATIENT).ensure_running()
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def test_a_server_that_is_killed_in_the_middle_of_it(
    earlier: Path, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each part of the text, all of it in one transaction: what was done is as if it had never been."""
    parts = cluster_sql.statements()
    folder = cluster_of(earlier)
    for number in range(1, len(parts) + 1):
        with earlier_version():
            server.ensure_running()
        assert ask(folder, SUPERUSERS) == [(OWNER,)]
        with closing(psycopg2.connect(host=str(folder), user=OWNER, dbname=DATABASE)) as connection:
            with connection.cursor() as cursor:
                for part in parts[:number]:
                    cursor.execute(part)
            kill_server(earlier)
    server.ensure_running()
    _is_as_it_should_be(earlier)
    _nothing_is_lost(earlier)


def test_a_server_that_is_killed_at_any_moment(earlier: Path, server: EmbeddedPostgres) -> None:
    """Again and again, while others try to start it."""
    done = threading.Event()

    def kill() -> None:
        pause = 0.02
        while not done.wait(pause):
            postmaster = read_postmaster(cluster_of(earlier))
            # Who starts it writes a pid of another process there, for a moment.
            if postmaster is not None and is_alive(postmaster.pid, cluster_of(earlier)):
                with suppress(ProcessLookupError):
                    os.kill(postmaster.pid, signal.SIGKILL)
            pause *= 1.3

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        wait_until(lambda: _starts(server), 3 * PATIENCE)  # some five times what a start takes that nobody disturbs
    finally:
        done.set()
        killer.join()
    wait_until(lambda: _starts(server))
    _is_as_it_should_be(earlier)
    _nothing_is_lost(earlier)


def _starts(server: EmbeddedPostgres) -> bool:
    try:
        server.ensure_running(wait=5)
    except EmbeddedPostgresError:
        return False
    return True
