"""A look into the ledger says what `Database` would say, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.engine import make_url

from Src.Shared.database import Database, LedgerTooNew, LedgerUnavailable, asking
from Src.Shared.ledger_kind import ledger_kind
from Src.Shared.ledger_look import _target, look_into_ledger
from Src.Shared.models import SystemStatus, VaultRow, new_id
from Src.Shared.settings import Settings, load_settings
from Src.Shared.version import SCHEMA

WORDS = st.text("abzAZ09_-", min_size=1, max_size=6)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def away(settings: Settings, _database: Database) -> Settings:
    return replace(settings, database_url="postgresql+psycopg2://nobody@127.0.0.1:1/nothing")


def too_new(settings: Settings, database: Database) -> Settings:
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    return settings


def without_rights(settings: Settings, database: Database) -> Settings:
    with database.session() as session:
        session.execute(text("REVOKE ALL ON alembic_version FROM pf_librarian, PUBLIC"))
    assert settings.database_url is not None
    url = make_url(settings.database_url).set(username="pf_librarian")
    return replace(settings, database_url=url.render_as_string(hide_password=False))


@pytest.mark.parametrize(
    ("change", "error"),
    [(away, LedgerUnavailable), (too_new, LedgerTooNew), (without_rights, LedgerUnavailable)],
)
def test_it_fails_as_the_ledger_does(
    factory_settings: Settings,
    database: Database,
    change: Callable[[Settings, Database], Settings],
    error: type[Exception],
) -> None:
    settings = change(factory_settings, database)
    with pytest.raises(error) as looked, look_into_ledger(settings, "factory"):
        pytest.fail("there is nothing to look into")
    other = Database(settings)
    with pytest.raises(error) as asked:
        other.ensure_ready()
    other.close()
    assert str(looked.value) == str(asked.value)


def test_an_empty_ledger_gets_its_tables(factory_settings: Settings, database: Database) -> None:
    with database.session() as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    with look_into_ledger(factory_settings, "factory") as ask:
        assert ask("SELECT version_num FROM alembic_version", {}) == [(SCHEMA,)]


def test_it_only_reads_and_has_a_limit(factory_settings: Settings) -> None:
    with look_into_ledger(factory_settings, "factory") as ask:
        assert ask("SHOW statement_timeout", {}) == [("30s",)]
        assert ask("SELECT %(name)s || '%%'", {"name": "a%b"}) == [("a%b%",)]
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            ask("DELETE FROM media_assets RETURNING id", {})


def test_a_session_that_is_lost_is_an_outage(factory_settings: Settings, database: Database) -> None:
    def loses_it() -> None:
        with look_into_ledger(factory_settings, "lost") as ask:
            with database.session() as session:
                ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lost'"
                assert session.execute(text(ended)).scalars().all() == [True]
            ask("SELECT 1", {})

    with pytest.raises(LedgerUnavailable):
        loses_it()


def test_both_ways_to_ask_answer_alike(factory_settings: Settings, database: Database) -> None:
    vault_id = new_id()
    with database.session() as session:
        session.add(VaultRow(vault_id=vault_id, ledger_kind="embedded", looked_at=NOW, looked_originals=7))
        session.add(
            SystemStatus(service_name="x", last_heartbeat=NOW, status="OK", interval_seconds=1.5, details={"a": [1]})
        )
    statements = ("SELECT * FROM system_status", "SELECT vault_id, looked_at FROM vault", "SELECT id FROM media_assets")
    with database.session() as session:
        answers = [asking(session)(statement, {}) for statement in statements]
    assert answers[1:] == [[(vault_id, NOW)], []]
    with look_into_ledger(factory_settings, "factory") as ask:
        assert [ask(statement, {}) for statement in statements] == answers


@given(
    user=st.none() | WORDS,
    password=st.none() | st.text("ab%40:!", max_size=5).map(lambda word: word.replace("%", "%25")),
    host=st.sampled_from(["db", "Db.Local", "10.0.0.1", "factory-db", "[::1]", ""]),
    port=st.sampled_from([None, 0, 1, 5432, 5433]),
    name=WORDS | st.sampled_from(["", "a%20b", "é"]),
    query=st.sampled_from(["", "?host=/run/x", "?sslmode=disable", "?port=9"]),
)
def test_a_url_says_the_same_without_sqlalchemy(
    user: str | None, password: str | None, host: str, port: int | None, name: str, query: str
) -> None:
    login = "" if user is None else f"{user}@" if password is None else f"{user}:{password}@"
    url = f"postgresql+psycopg2://{login}{host}{'' if port is None or not host else f':{port}'}/{name}{query}"
    parsed = make_url(url)
    words = parsed.get_dialect()().create_connect_args(parsed)[1]
    expected = {key: str(value) for key, value in words.items() if value not in (None, "")}
    taken = {key: str(value) for key, value in _target(url, is_ours=False).items() if value not in (None, "")}
    assert taken == expected

    kind = ledger_kind(load_settings({"FACTORY_DATA": "/nowhere", "DATABASE_URL": url}, env_file=Path("/no.env")))
    at = parsed.query.get("host") or parsed.host or "localhost"
    where = f"{at}:{parsed.query.get('port') or parsed.port or 5432}/{parsed.database or ''}"
    assert kind == ("stack" if at == "factory-db" else f"external {where}")
