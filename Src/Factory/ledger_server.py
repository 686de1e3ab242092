"""The ledger's server without Docker: the embedded one, or an external one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from Src.Factory.backup import run_backup, run_restore
from Src.Factory.postgres_programs import PostgresPrograms
from Src.Factory.problems import Problem
from Src.Shared.database import Database
from Src.Shared.migrations import LedgerTooNew, migrate
from Src.Shared.settings import Settings


def backup(settings: Settings, target: str, *, force: bool, as_json: bool) -> int:
    """Writes a backup of the ledger; the exit code."""
    with _database(settings) as database:
        database.ensure_ready()
        return run_backup(local_programs(database), target, force=force, as_json=as_json)


def restore(settings: Settings, source: str, *, force: bool, as_json: bool) -> int:
    """Replaces the ledger by a backup; the exit code."""
    with _database(settings) as database:

        def bring_up_to_date(name: str) -> None:
            engine = create_engine(make_url(database.url).set(database=name))
            try:
                migrate(engine)
            except LedgerTooNew as error:
                raise Problem(f"restore: {source}: {error}") from error
            finally:
                engine.dispose()

        return run_restore(local_programs(database), source, force=force, as_json=as_json, migrate=bring_up_to_date)


def local_programs(database: Database) -> PostgresPrograms:
    """PostgreSQL's programs for this ledger; an embedded server is started. Raises LedgerUnavailable."""
    url = make_url(database.url)
    # The password goes by the environment: a command line is for all to see.
    parts = {
        "PGHOST": url.query.get("host") or url.host,
        "PGPORT": url.query.get("port") or url.port,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
    }
    return PostgresPrograms(
        database=url.database or url.username or "",
        folder=database.embedded.bin if database.embedded is not None else None,
        environment={name: str(value) for name, value in parts.items() if value},
    )


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    database = Database(settings, service="factory")
    try:
        yield database
    finally:
        database.close()
