"""The ledger's schema, changed by Alembic and nothing else; with it, who may do what there.

`migrate` brings a ledger to `HEAD`. A new revision is a file in `versions/`, written by hand; with it `SCHEMA`
in `Src/Shared/version.py` moves and `docs/DATABASE_SCHEMA.md` follows (tests hold all three together).
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from Src.Shared.errors import FactoryError
from Src.Shared.postgres.connection import LimitedConnection
from Src.Shared.postgres.rights import corrections, owns_ledger
from Src.Shared.postgres.roles import OWNER
from Src.Shared.version import SCHEMA, VERSION

HEAD = SCHEMA  # known without Alembic, whose import takes longer than asking the ledger

_LOCK = 0x50686F746F  # "Photo": the advisory lock that one migrating service holds
_LOCK_LIMIT = 600  # seconds to wait for another service's migration
_UNDEFINED_TABLE = "42P01"
_INSUFFICIENT_PRIVILEGE = "42501"

logger = logging.getLogger(__name__)


class LedgerTooNew(FactoryError):
    """The ledger was made by a later version of Photo Factory than this one. The message is one line."""

    about = "database"


class LedgerNotReady(Exception):
    """The ledger waits for its owner to bring it up to date; this role may not. The message is one line."""


def migrate(engine: Engine) -> bool:
    """Brings the ledger to `HEAD`, one service at a time, and rights to what they should be; True if there was
    anything to do. A role that is not the ledger's owner only looks.

    Raises LedgerTooNew, LedgerNotReady, and SQLAlchemy's errors where the database fails.
    """
    with engine.connect() as connection:
        current = current_revision(connection)
        if current == HEAD and not corrections(connection):
            return False
        if not owns_ledger(connection):
            if current is not None and current > HEAD:
                raise LedgerTooNew(_too_new(current))
            raise LedgerNotReady(
                f"the database is of schema {current or 'none'} and this Photo Factory needs {HEAD}; its owner "
                f"({OWNER}) brings it up to date: docker compose up -d, or ./factory migrate with that role"
            )
    with engine.connect() as connection:
        try:
            return _migrate_alone(connection)
        finally:
            connection.invalidate()  # closes it: the lock goes, and its limits do not return to the pool


def current_revision(connection: Connection) -> str | None:
    """The ledger's revision; None if it is empty."""
    try:
        # Asked for first: the server's log of a first start is to have no ERROR.
        is_there = connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is not None
        statement = text("SELECT version_num FROM alembic_version")
        revision: str | None = connection.execute(statement).scalar() if is_there else None
    except ProgrammingError as error:
        code = getattr(error.orig, "pgcode", None)
        if code == _INSUFFICIENT_PRIVILEGE:
            raise LedgerNotReady("the database gives this role no rights yet; its owner does when it starts") from error
        if code != _UNDEFINED_TABLE:  # it went away in between
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
    if current != HEAD:
        _upgrade(connection, current)
    statements = corrections(connection)
    for statement in statements:
        connection.exec_driver_sql(statement)
    connection.commit()
    return current != HEAD or bool(statements)


def _upgrade(connection: Connection, current: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise LedgerTooNew(_too_new(current))
    if current is None:
        logger.info("Making the tables of the database (schema %s)", HEAD)
    else:
        logger.info("Updating the tables of the database from schema %s to %s", current, HEAD)
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _too_new(revision: str) -> str:
    return (
        f"the database is of a later version (schema {revision}) than this Photo Factory {VERSION} (schema {HEAD}): "
        "update Photo Factory"
    )
