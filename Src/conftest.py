"""Fixtures for every service: one PostgreSQL server for the run, a fresh factory and ledger for each test."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from Src.Shared import database as shared_database
from Src.Shared import embedded_postgres, postmaster
from Src.Shared.database import Database
from Src.Shared.embedded_postgres import EmbeddedPostgres
from Src.Shared.migrations import migrate
from Src.Shared.settings import Settings, load_settings

# A slow machine is no defect. People try other examples each time; an image and CI are built by the same ones, or a
# change would be refused for what it did not change.
SLOW_IS_FINE = [HealthCheck.too_slow]
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=SLOW_IS_FINE)
hypothesis_settings.register_profile("image", deadline=None, suppress_health_check=SLOW_IS_FINE, derandomize=True)
hypothesis_settings.load_profile("image" if os.environ.get("CI") else "patient")

# Nor is it an outage. Tests of these limits set their own.
shared_database.CONNECT_LIMIT = shared_database.LOCK_LIMIT = 60.0
postmaster.PROBE_LIMIT = embedded_postgres.STOP_LIMIT = 60.0

_TEMPLATE = "factory_template"
_LEDGER_FIXTURES = {"session_postgres_folder", "postgres_folder"}  # the ground of all that uses a real PostgreSQL
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs the embedded PostgreSQL, so that the builds of the images can leave it out."""
    for item in items:
        if isinstance(item, pytest.Function) and _LEDGER_FIXTURES & set(item.fixturenames):
            item.add_marker("ledger")


@pytest.fixture(scope="session")
def session_postgres_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        yield Path(folder)


@pytest.fixture
def postgres_folder() -> Iterator[Path]:
    """For a PostgreSQL of the test's own. Not in `tmp_path`: each start of pytest closes that for other users,
    and where we are root PostgreSQL is another user."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def ledger_server(session_postgres_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL with a migrated template database. It is shared: do not stop or kill it."""
    server = EmbeddedPostgres(session_postgres_folder / "db")
    _run_sql(
        server.ensure_running(),
        "ALTER SYSTEM SET fsync = off",  # nothing here has to outlive a power cut
        "ALTER SYSTEM SET max_wal_size = '4GB'",
        "SELECT pg_reload_conf()",
        f"CREATE DATABASE {_TEMPLATE}",
    )
    engine = create_engine(_url_of(server, _TEMPLATE))
    migrate(engine)
    engine.dispose()
    _run_sql(server.ensure_running(), _end_sessions(_TEMPLATE))
    yield server
    server.release()


@pytest.fixture
def factory_settings(tmp_path: Path, ledger_server: EmbeddedPostgres) -> Iterator[Settings]:
    """A fresh factory below `tmp_path` with a ledger of its own, empty and migrated, and short delays."""
    name = f"factory_{next(_numbers)}"
    _run_sql(ledger_server.ensure_running(), f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    factory = tmp_path / "factory"
    yield load_settings(
        {
            "FACTORY_DATA": str(factory),
            "DATABASE_URL": _url_of(ledger_server, name),
            "STABILITY_DELAY": "0.2",
            "MIN_FILE_AGE": "0.1",
            "SCAN_INTERVAL": "1",
            "HEARTBEAT_INTERVAL": "1",
            "TZ": "Europe/Berlin",
        },
        env_file=tmp_path / "no.env",
    )
    _run_sql(ledger_server.ensure_running(), _end_sessions(name), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(factory_settings: Settings) -> Iterator[Database]:
    """The way to the fresh ledger of `factory_settings`."""
    database = Database(factory_settings)
    yield database
    database.close()


def _url_of(server: EmbeddedPostgres, name: str) -> str:
    return make_url(server.ensure_running()).set(database=name).render_as_string(hide_password=False)


def _end_sessions(name: str) -> str:
    """With their end waited for: to copy or drop a database, PostgreSQL itself waits 5 s for it and no longer."""
    return f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name}'"


def _run_sql(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
