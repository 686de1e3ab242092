"""The ledger's schema, changed by Alembic and nothing else.

`migrate` brings a ledger to `HEAD`. A new revision is a file in `versions/`, written by hand; with it `HEAD`
moves and `docs/DATABASE_SCHEMA.md` follows (tests hold all three together).
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from Src.Shared.pg_connection import LimitedConnection

HEAD = "0002"  # known without Alembic, whose import takes longer than asking the ledger

_LOCK = 0x50686F746F  # "Photo": the advisory lock that one migrating service holds
_LOCK_LIMIT = 600  # seconds to wait for another service's migration
_UNDEFINED_TABLE = "42P01"

log = logging.getLogger(__name__)


class LedgerTooNew(Exception):
    """The ledger was made by a later version of Photo Factory than this one. The message is one line."""


def migrate(engine: Engine) -> bool:
    """Brings the ledger to `HEAD`, one service at a time; True if there was anything to do.

    Raises LedgerTooNew, and SQLAlchemy's errors where the database fails.
    """
    with engine.connect() as connection:
        if current_revision(connection) == HEAD:
            return False
    with engine.connect() as connection:
        try:
            return _migrate_alone(connection)
        finally:
            connection.invalidate()  # closes it: the lock goes, and its limits do not return to the pool


def current_revision(connection: Connection) -> str | None:
    """The ledger's revision; None if it is empty."""
    try:
        revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) != _UNDEFINED_TABLE:
            raise
        revision = None
    connection.rollback()
    return revision


def _migrate_alone(connection: Connection) -> bool:
    raw = connection.connection.dbapi_connection
    if isinstance(raw, LimitedConnection):
        raw.answer_limit = None  # a migration of a large library takes its time
    connection.execute(text("SET statement_timeout = 0"))
    connection.execute(text(f"SET lock_timeout = '{_LOCK_LIMIT}s'"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
    connection.commit()
    current = current_revision(connection)
    if current == HEAD:
        return False

    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise LedgerTooNew(
            f"the ledger is of a later version (schema {current}) than this Photo Factory (schema {HEAD}): "
            "update Photo Factory"
        )
    log.info("Bringing the ledger from schema %s to %s", current or "nothing", HEAD)
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
    return True
