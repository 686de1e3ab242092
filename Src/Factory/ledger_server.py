"""The ledger's server without Docker: the embedded one, or an external one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from Src.Factory.backup import run_backup, run_restore
from Src.Factory.postgres_programs import PostgresPrograms
from Src.Factory.problems import Problem
from Src.Library.belonging import Belonging
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.ledger_way import NewLedger
from Src.Shared.migrations import LedgerTooNew, migrate
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)


def backup(settings: Settings, *, file: str, force: bool, as_json: bool) -> int:
    """Writes a backup of the ledger; the exit code."""
    with _database(settings) as database:
        database.ensure_ready()
        return run_backup(local_programs(database), file, force=force, as_json=as_json)


def restore(settings: Settings, *, file: str, force: bool, as_json: bool) -> int:
    """Replaces the ledger by a backup; the exit code."""
    with _database(settings, new="of any vault") as database:

        def bring_up_to_date(name: str) -> None:
            engine = create_engine(make_url(database.url).set(database=name))
            try:
                migrate(engine)
            except LedgerTooNew as error:
                raise Problem(f"restore: {file}: {error}") from error
            finally:
                engine.dispose()

        code = run_restore(local_programs(database), file, force=force, as_json=as_json, migrate=bring_up_to_date)
        if code == 0:
            tell_vault(settings, database)
        return code


def restored(settings: Settings) -> None:
    """Tells the vault where its ledger is now; the stack's `restore` ends with it."""
    with _database(settings, service="factory") as database:
        tell_vault(settings, database)


def bring_to_schema(settings: Settings) -> None:
    """Brings the ledger to the schema of this version."""
    with _database(settings, service="factory") as database:
        database.ensure_ready()


def tell_vault(settings: Settings, database: Database) -> None:
    """After a restore: notes in the vault's marker where its ledger is now; warns where it is not this vault's."""
    try:
        reason = Belonging(settings, Vault(settings.storage)).restored(database)
    except (VaultTrouble, LedgerUnavailable) as trouble:
        reason = str(trouble)
    if reason is not None:
        logger.warning("the backup is restored, but %s", reason)


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
def _database(
    settings: Settings, *, service: str = "backup", new: NewLedger = "of a new factory"
) -> Iterator[Database]:
    database = Database(settings, service=service, new=new)
    try:
        yield database
    finally:
        database.close()
