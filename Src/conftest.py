"""Fixtures for every service: one PostgreSQL server for the run, a fresh factory and ledger for each test."""

from __future__ import annotations

import gc
import itertools
import os
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg2.errors import InsufficientPrivilege, ObjectInUse
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from Src.Shared.database import Database
from Src.Shared.migrations import migrate
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.roles import ADMIN
from Src.Shared.settings import Settings, load_settings
from Src.Testing.patience import PATIENCE
from Src.Testing.roots_ledgers import no_ledger_is_left_behind as no_ledger_is_left_behind
from Src.Testing.surroundings import PATIENT
from Src.Testing.surroundings import open_folder as open_folder
from Src.Testing.surroundings import other_filesystem as other_filesystem
from Src.Testing.surroundings import small_filesystem as small_filesystem
from Src.Testing.surroundings import unprivileged as unprivileged
from Src.Testing.surroundings import wait_for as wait_for

# A slow machine is no defect. People try other examples each time; an image and CI are built by the same ones, or a
# change would be refused for what it did not change.
_SLOW = [HealthCheck.too_slow]
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=_SLOW)
hypothesis_settings.register_profile("image", deadline=None, suppress_health_check=_SLOW, derandomize=True)
hypothesis_settings.load_profile("image" if os.environ.get("CI") else "patient")

_TEMPLATE = "factory_template"
_LEDGER_FIXTURES = {"session_postgres_folder", "postgres_folder"}  # the ground of all that uses a real PostgreSQL
_numbers = itertools.count(1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Of all that tests import nothing is garbage: to look for it took a fifth of the collection, in each process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs the embedded PostgreSQL, so that the builds of the images can leave it out."""
    for item in items:
        if isinstance(item, pytest.Function) and _LEDGER_FIXTURES & set(item.fixturenames):
            item.add_marker("ledger")


@pytest.fixture(scope="session")
def session_postgres_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


@pytest.fixture
def postgres_folder() -> Iterator[Path]:
    """For a PostgreSQL of the test's own. Not in `tmp_path`: each start of pytest closes that for other users,
    and where we are root PostgreSQL is another user, for whom the factory opens nobody's folder."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def ledger_server(session_postgres_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL with a migrated template database. It is shared: do not stop or kill it."""
    server = EmbeddedPostgres(session_postgres_folder / "db", limits=PATIENT)
    _run_sql(
        as_role(server.ensure_running(), ADMIN),
        "ALTER SYSTEM SET fsync = off",  # nothing here has to outlive a power cut
        "ALTER SYSTEM SET max_wal_size = '4GB'",
        "ALTER SYSTEM SET autovacuum = off",  # it would come and go in the databases, or not, as time passes
        "SELECT pg_reload_conf()",
    )
    _run_sql(server.ensure_running(), f"CREATE DATABASE {_TEMPLATE}")
    engine = create_engine(_url_of(server, _TEMPLATE))
    migrate(engine)
    engine.dispose()
    yield server
    server.release()


@pytest.fixture
def factory_settings(tmp_path: Path, ledger_server: EmbeddedPostgres) -> Iterator[Settings]:
    """A fresh factory below `tmp_path` with a ledger of its own, empty and migrated, and short delays."""
    name = f"factory_{next(_numbers)}"
    # Copied as files: the usual way writes each page into the log too, which costs a third more.
    made = f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY"
    _run_when_unused(ledger_server.ensure_running(), made)
    factory = tmp_path / "factory"
    yield load_settings(
        {
            "FACTORY_DATA": str(factory),
            "DATABASE_URL": _url_of(ledger_server, name),
            "STABILITY_DELAY": "0.2",
            "MIN_FILE_AGE": "0.1",
            "SCAN_INTERVAL": "1",
            "HEARTBEAT_INTERVAL": "1",
            "METADATA_TIME_LIMIT": str(PATIENCE),
            "DISK_WARNING": "0",  # how full this machine's disk is decides nothing
            "DISK_ERROR": "0",
            "TZ": "Europe/Berlin",
        },
        env_file=tmp_path / "no.env",
        limits=PATIENT,
    )
    _run_when_unused(ledger_server.ensure_running(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(factory_settings: Settings) -> Iterator[Database]:
    """The way to the fresh ledger of `factory_settings`."""
    database = Database(factory_settings, answer_limit=PATIENCE)
    yield database
    database.close()


def as_role(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string(hide_password=False)


def _url_of(server: EmbeddedPostgres, name: str) -> str:
    return make_url(server.ensure_running()).set(database=name).render_as_string(hide_password=False)


def _run_when_unused(url: str, statement: str) -> None:
    """PostgreSQL itself waits 5 s for those who are just leaving a database: too little for a busy machine.

    And only a superuser may end an autovacuum that has just begun there.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return _run_sql(url, statement)
        except (OperationalError, ProgrammingError) as error:
            if not isinstance(error.orig, ObjectInUse | InsufficientPrivilege) or time.monotonic() > end:
                raise


def _run_sql(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
