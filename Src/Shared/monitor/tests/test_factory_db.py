"""The database's check, against a real server in each state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from Src.Shared.database import Database, LedgerStarting
from Src.Shared.disk.locks import locked
from Src.Shared.monitor import factory_db as module
from Src.Shared.monitor.factory_db import FactoryDb
from Src.Shared.monitor.finding import Finding
from Src.Shared.settings import Settings, load_settings
from Src.Shared.tests.postgres_helpers import is_up, kill_server
from Src.Testing.patience import wait_until
from Src.Testing.surroundings import PATIENT


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW", 600.0)


def look(database: Database) -> Finding:
    return FactoryDb("factory-db", database).look()["factory-db"]


def test_a_database_that_is_well(database: Database) -> None:
    found = look(database)
    assert (found.state, found.message, found.task) == ("OK", None, "serving")
    numbers = found.details
    assert numbers["latency_ms"] > 0
    assert numbers["bytes"] > 1_000_000
    assert 1 <= numbers["connections"] <= numbers["max_connections"]
    assert numbers["version"].startswith("18")


def test_one_that_is_away_is_one_line(factory_settings: Settings) -> None:
    away = replace(factory_settings, database_url="postgresql+psycopg2://u:secret@127.0.0.1:1/d")
    found = look(Database(away))
    assert found.state == "ERROR"
    assert found.message is not None and "refused" in found.message
    assert "\n" not in found.message and "secret" not in found.message
    assert found.advice is not None and "nothing is lost" in found.advice


@pytest.mark.ledger
def test_an_embedded_one_that_is_starting_alarms_nobody_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process makes it: at a first start on a slow machine that takes a minute."""
    folder = tmp_path / "db"
    folder.mkdir()
    settings = load_settings({"FACTORY_DATA": str(tmp_path), "FACTORY_DB_DATA": str(folder)}, env_file=tmp_path / "no")
    monkeypatch.setattr(module, "READY_LIMIT", 0.1)
    database = Database(settings)
    with locked(folder / "start.lock", time.monotonic() + 60):
        with pytest.raises(LedgerStarting, match="has not come up yet"):
            database.ensure_ready(0.1)
        check = FactoryDb("factory-db", database)
        assert check.look()["factory-db"] == Finding("OK", task="starting")
        monkeypatch.setattr(module, "STARTING_LIMIT", 0.0)
        found = check.look()["factory-db"]
    assert (found.state, found.task) == ("ERROR", "away")
    assert found.message is not None and "start.lock" in found.message
    database.close()


def test_one_that_is_read_only(database: Database) -> None:
    with database.session() as session:
        name = session.scalar(text("SELECT current_database()"))
        session.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    database.dispose()
    found = look(database)
    assert found.state == "ERROR"
    assert found.message is not None and "read-only" in found.message


def test_one_that_is_crowded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CROWDED", 0.0)
    found = look(database)
    assert found.state == "WARNING"
    assert found.message == f"{found.details['connections']} of 50 connections are in use"


def test_one_that_is_slow(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW", 0.0)
    found = look(database)
    assert found.state == "WARNING"
    assert found.message is not None and "slow" in found.message


@pytest.fixture
def embedded(postgres_folder: Path) -> Iterator[Database]:
    settings = load_settings(
        {"FACTORY_DB_DATA": str(postgres_folder / "factory-db-data")},
        env_file=postgres_folder / "no.env",
        limits=PATIENT,
    )
    database = Database(settings)
    yield database
    database.close()


def test_an_embedded_server_that_was_killed_is_started(embedded: Database, postgres_folder: Path) -> None:
    check = FactoryDb("factory-db", embedded)
    data = postgres_folder / "factory-db-data"

    def look() -> str:
        return check.look()["factory-db"].state

    wait_until(lambda: look() == "OK")  # nobody else starts it
    kill_server(data)
    wait_until(lambda: look() == "ERROR")  # the dead server's child for our connection may answer once more
    wait_until(lambda: look() == "OK")
    assert is_up(data)
