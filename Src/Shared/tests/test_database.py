"""The way to the ledger: what its absence looks like, and that it never holds anybody up."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.pool import QueuePool

from Src.Shared import database as module
from Src.Shared.database import Database, LedgerUnavailable, get_db_session
from Src.Shared.ledger_way import one_line
from Src.Shared.limits import Limits
from Src.Shared.postgres import connection as pg_connection
from Src.Shared.postgres.embedded import EmbeddedPostgres, running_url
from Src.Shared.postgres.roles import ADMIN
from Src.Shared.settings import Settings, load_settings
from Src.Shared.tests.postgres_helpers import ask, is_up, kill_server, pid_of, stop_for_good
from Src.Testing.patience import wait_until
from Src.Testing.surroundings import PATIENT


@pytest.fixture
def own(postgres_folder: Path) -> Iterator[Database]:
    """A ledger on a server of its own, to treat badly."""
    settings = load_settings(
        {"FACTORY_DATA": str(postgres_folder), "FACTORY_DB_DATA": str(postgres_folder / "factory-db-data")},
        Path("no.env"),
        PATIENT,
    )
    database = Database(settings)
    yield database
    database.dispose()
    assert database.embedded is not None
    stop_for_good(database.embedded, settings.db_data)


def _data(database: Database, folder: Path) -> Path:
    assert database.embedded is not None
    return folder / "factory-db-data"


def _one(database: Database, sql: str = "SELECT 1") -> object:
    with database.session() as session:
        return session.scalar(text(sql))


# Sessions


def test_a_session_commits_at_its_end(database: Database) -> None:
    with database.session() as session:
        session.execute(text("CREATE TABLE t AS SELECT 1 AS n"))
    assert _one(database, "SELECT n FROM t") == 1


def test_an_error_undoes_the_session(database: Database) -> None:
    def fail() -> None:
        with database.session() as session:
            session.execute(text("CREATE TABLE t AS SELECT 1 AS n"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _one(database, "SELECT to_regclass('t')") is None


def test_connections_are_used_again(database: Database) -> None:
    assert _one(database, "SELECT pg_backend_pid()") == _one(database, "SELECT pg_backend_pid()")


def test_the_server_knows_who_we_are_and_our_limits(factory_settings: Settings) -> None:
    patient = replace(factory_settings, limits=Limits(lock=600.0))
    database = Database(patient, service="librarian", answer_limit=47)
    try:
        assert _one(database, "SELECT current_setting('application_name')") == "librarian"
        assert _one(database, "SELECT current_setting('statement_timeout')") == "47s"
        assert _one(database, "SELECT current_setting('lock_timeout')") == "47s"
        assert _one(database, "SELECT current_setting('idle_in_transaction_session_timeout')") == "5min"
    finally:
        database.close()


def test_many_threads_share_few_connections(database: Database) -> None:
    in_use: list[int] = []

    def work() -> None:
        with database.session() as session:
            session.execute(text("SELECT pg_sleep(0.01)"))
            assert database._engine is not None and isinstance(database._engine.pool, QueuePool)
            in_use.append(database._engine.pool.checkedout())

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(in_use) == 20
    assert max(in_use) <= 3


def test_a_forked_child_uses_connections_of_its_own(database: Database) -> None:
    ours = _one(database, "SELECT pg_backend_pid()")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(_one(database, "SELECT pg_backend_pid()")).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reader, 100)) != ours
    assert _one(database, "SELECT pg_backend_pid()") == ours  # and ours was not closed by it
    os.close(reader)
    os.close(writer)


def test_get_db_session_is_the_settings_ledger(factory_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_settings", lambda: factory_settings)
    monkeypatch.setattr(module, "_default", None)
    with get_db_session() as session:
        found = session.scalar(text("SELECT current_database()"))
    assert found == make_url(factory_settings.database_url or "").database
    assert module._default is not None
    module._default.close()


# What is not an outage passes through


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT 1/0", DataError),
        ("SELECT 'x'::int", DataError),
        ("INSERT INTO system_status VALUES (NULL)", IntegrityError),
        ("SELECT * FROM no_such_table", ProgrammingError),
    ],
)
def test_errors_of_the_data_pass_through(database: Database, sql: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        _one(database, sql)


def test_a_name_too_long_for_an_index_is_no_outage(database: Database) -> None:
    """Operational for psycopg2; trying it again and again would never help."""
    long = "SELECT string_agg(md5(i::text), '') FROM generate_series(1, 9999) i"
    with pytest.raises(OperationalError, match="index row"):
        _one(database, f"CREATE TABLE x (t text UNIQUE); INSERT INTO x {long} RETURNING 1")


def test_after_an_error_of_the_data_the_connection_is_kept(database: Database) -> None:
    pid = _one(database, "SELECT pg_backend_pid()")
    with pytest.raises(DataError):
        _one(database, "SELECT 1/0")
    assert _one(database, "SELECT pg_backend_pid()") == pid


# What is an outage


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            'connection to server at "db", port 5432 failed: Connection refused\n'
            "\tIs the server running on that host and accepting TCP/IP connections?\n",
            'connection to server at "db", port 5432 failed: Connection refused. '
            "Is the server running on that host and accepting TCP/IP connections?",
        ),
        (
            "terminating connection due to administrator command\nserver closed the connection unexpectedly\n"
            "\tThis probably means the server terminated abnormally\n\tbefore or while processing the request.\n",
            "terminating connection due to administrator command; server closed the connection unexpectedly. "
            "This probably means the server terminated abnormally before or while processing the request.",
        ),
        ("", "the connection to the database was lost"),
    ],
)
def test_what_the_driver_says_in_lines_is_said_in_sentences(told: str, line: str) -> None:
    assert one_line(psycopg2.OperationalError(told)) == line


def _unreachable(settings: Settings, url: str, service: str = "test") -> str:
    database = Database(replace(settings, database_url=url), service=service)
    with pytest.raises(LedgerUnavailable) as caught:
        database.ensure_ready()
    database.close()
    assert caught.value.__cause__ is not None
    message = str(caught.value)
    assert "\n" not in message and message
    return message


def test_nobody_there(factory_settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]  # held, so that nobody else listens there
        assert "refused" in _unreachable(factory_settings, f"postgresql+psycopg2://u:secret@127.0.0.1:{port}/d")


def test_no_such_host_or_database(factory_settings: Settings) -> None:
    assert "secret" not in _unreachable(factory_settings, "postgresql+psycopg2://u:secret@no-such-host.invalid/d")
    url = make_url(factory_settings.database_url or "").set(database="nothing_here")
    assert "nothing_here" in _unreachable(factory_settings, url.render_as_string(hide_password=False))


def test_something_that_listens_but_says_nothing(factory_settings: Settings) -> None:
    impatient = replace(factory_settings, limits=Limits(connect=0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "0.2 s" in _unreachable(impatient, f"postgresql+psycopg2://u@127.0.0.1:{port}/d")


def test_a_server_that_is_full(factory_settings: Settings, database: Database) -> None:
    name = make_url(factory_settings.database_url or "").database
    _one(database, "SELECT 1")
    as_admin = make_url(factory_settings.database_url or "").set(username=ADMIN).render_as_string()
    ask(as_admin, "CREATE ROLE visitor LOGIN CONNECTION LIMIT 0")
    try:
        url = make_url(factory_settings.database_url or "").set(username="visitor", database=name)
        assert "too many connections" in _unreachable(factory_settings, url.render_as_string(hide_password=False))
    finally:
        ask(as_admin, "DROP ROLE visitor")


def _end_on_the_server(settings: Settings, pid: object) -> None:
    assert ask(settings.database_url or "", f"SELECT pg_terminate_backend({pid}, 60000)") == "True"


def test_connections_that_the_server_ends(factory_settings: Settings, database: Database) -> None:
    """As an administrator or a restart does: met in the middle, and again where the connection lay idle."""
    for _ in range(2):
        pid = _one(database, "SELECT pg_backend_pid()")
        _end_on_the_server(factory_settings, pid)
        with pytest.raises(LedgerUnavailable, match=r"terminat|closed"):
            _one(database)
        assert _one(database) == 1  # the next one is new


def test_all_idle_connections_go_with_the_first_lost(factory_settings: Settings, database: Database) -> None:
    with database.session() as one, database.session() as other:
        pids = [s.scalar(text("SELECT pg_backend_pid()")) for s in (one, other)]
    for pid in pids:
        _end_on_the_server(factory_settings, pid)
    with pytest.raises(LedgerUnavailable):
        _one(database)
    assert [_one(database) for _ in range(3)] == [1, 1, 1]


def test_a_connection_lost_at_commit(factory_settings: Settings, database: Database) -> None:
    def lose() -> None:
        with database.session() as session:
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            _end_on_the_server(factory_settings, pid)

    with pytest.raises(LedgerUnavailable):
        lose()


def test_a_server_that_became_read_only(database: Database) -> None:
    """As after a failover to a standby."""
    pid = _one(database, "SELECT pg_backend_pid()")
    with pytest.raises(LedgerUnavailable, match="read-only"):
        _one(database, "SET TRANSACTION READ ONLY; DELETE FROM ingest_events")
    assert _one(database, "SELECT pg_backend_pid()") != pid  # a new connection may lead to the new primary


def test_a_lock_that_is_held_for_long(factory_settings: Settings, database: Database) -> None:
    waiting = Database(replace(factory_settings, limits=replace(PATIENT, lock=0.2)))
    with database.session() as session:
        session.execute(text("LOCK TABLE ingest_events"))
        with pytest.raises(LedgerUnavailable, match="lock timeout"):
            _one(waiting, "SELECT count(*) FROM ingest_events")
    assert _one(waiting, "SELECT count(*) FROM ingest_events") == 0
    waiting.close()


def test_no_free_connection(factory_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(factory_settings, answer_limit=60)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(database.session()).scalar(text("SELECT 1"))
        assert database._engine is not None and isinstance(database._engine.pool, QueuePool)
        assert database._engine.pool.timeout() == 60
        monkeypatch.setattr(database._engine.pool, "_timeout", 0.2)
        with pytest.raises(LedgerUnavailable, match="in use"):
            _one(database)
    database.close()


def test_a_statement_that_takes_too_long_is_ended_on_the_server_too(
    factory_settings: Settings, database: Database
) -> None:
    impatient = Database(factory_settings, answer_limit=0.2)
    with pytest.raises(LedgerUnavailable):
        _one(impatient, "SELECT pg_sleep(600)")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
    wait_until(lambda: _one(database, f"{sleeping} AND state = 'active'") == 0)
    impatient.close()


def test_signals_are_served_while_waiting(factory_settings: Settings, database: Database) -> None:
    """libpq would go on waiting."""
    waiting = Database(factory_settings, answer_limit=200)
    begun = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(200)' AND state = 'active'"
    served = threading.Event()

    class Told(Exception):
        pass

    def on_signal(*_: object) -> None:
        if not served.is_set():
            served.set()
            raise Told

    def tell() -> None:
        wait_until(lambda: _one(database, begun) == 1)
        while not served.wait(0.1):  # again: one may come just before the main thread begins to wait
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def wait() -> None:
        teller.start()
        _one(waiting, "SELECT pg_sleep(200)")

    before = signal.signal(signal.SIGUSR1, on_signal)
    teller = threading.Thread(target=tell)
    try:
        with pytest.raises(Told):
            wait()
        assert _one(database, begun) == 1, "it was waited for the answer"
    finally:
        served.set()
        teller.join()
        signal.signal(signal.SIGUSR1, before)
    assert _one(waiting) == 1
    waiting.close()


def test_other_connections_of_the_process_keep_their_ways(factory_settings: Settings) -> None:
    pg_connection.limited(0.1, 0.1)
    assert ask(factory_settings.database_url or "", "SELECT 1 FROM pg_sleep(0.5)") == "1"


# The embedded server


def test_it_is_started_and_migrated_when_needed(own: Database, postgres_folder: Path) -> None:
    data = _data(own, postgres_folder)
    assert running_url(data, PATIENT) is None
    own.ensure_ready()
    assert _one(own, "SELECT count(*) FROM media_assets") == 0
    own.close()
    assert not is_up(data)
    own.ensure_ready()
    assert _one(own, "SELECT count(*) FROM media_assets") == 0


def test_kill_9_of_the_server_is_an_outage_until_ensure_ready(own: Database, postgres_folder: Path) -> None:
    own.ensure_ready()
    with own.session() as session:
        session.execute(text("CREATE TABLE kept AS SELECT 42 AS n"))
    kill_server(_data(own, postgres_folder))

    def is_away() -> bool:
        try:
            _one(own)
        except LedgerUnavailable:
            return True
        return False

    wait_until(is_away)  # the dead server's child for our connection may answer once more
    assert is_away()
    own.ensure_ready()
    assert _one(own, "SELECT n FROM kept") == 42


def test_a_server_that_is_stopped_is_an_outage_soon(
    own: Database, postgres_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP: the kernel still takes our bytes, and nobody reads them. Without a limit this waits for ever."""
    own.ensure_ready()
    pid = pid_of(_data(own, postgres_folder))
    with own.session() as session:
        backend = session.scalar(text("SELECT pg_backend_pid()"))
        connection = session.connection().connection.dbapi_connection
    assert isinstance(backend, int)
    assert isinstance(connection, pg_connection.LimitedConnection) and connection.answer_limit == 30.0
    for process in (pid, backend):
        os.kill(process, signal.SIGSTOP)
    try:
        # What is short here is so only now: nothing before it had to be quick.
        connection.answer_limit = 0.3
        with pytest.raises(LedgerUnavailable, match="did not answer"):  # on the open connection
            _one(own)
        own._limits, patience = replace(own._limits, connect=0.3), own._limits
        own._engine = None  # the next one knows the new limit
        with pytest.raises(LedgerUnavailable, match="did not answer"):  # on a new one
            _one(own)
        with pytest.raises(LedgerUnavailable, match="did not answer"):
            own.ensure_ready()
        own._limits = patience
    finally:
        own._engine = None
        for process in (pid, backend):
            os.kill(process, signal.SIGCONT)
    own.ensure_ready()
    assert _one(own) == 1


def test_an_embedded_server_that_cannot_start_is_an_outage(postgres_folder: Path) -> None:
    settings = load_settings(
        {"FACTORY_DATA": str(postgres_folder), "FACTORY_DB_DATA": str(postgres_folder / "factory-db-data")},
        Path("no.env"),
        PATIENT,
    )
    (settings.db_data / "17").mkdir(parents=True)
    (settings.db_data / "17" / "PG_VERSION").write_text("17")
    with pytest.raises(LedgerUnavailable, match="PostgreSQL 17"):
        Database(settings).ensure_ready()


def test_a_new_socket_folder_after_a_restart_is_found(own: Database, postgres_folder: Path) -> None:
    own.ensure_ready()
    own._engine_url = "postgresql+psycopg2://photo_factory@/photo_factory?host=/gone"
    own._engine = own._new_engine(own._engine_url)
    with pytest.raises(LedgerUnavailable):
        _one(own)
    own.ensure_ready()
    assert _one(own) == 1


def test_close_leaves_the_server_to_others(own: Database, postgres_folder: Path) -> None:
    data = _data(own, postgres_folder)
    own.ensure_ready()
    other = EmbeddedPostgres(data, limits=PATIENT)
    other.ensure_running()
    own.close()
    assert is_up(data)
    other.release()
    assert not is_up(data)
