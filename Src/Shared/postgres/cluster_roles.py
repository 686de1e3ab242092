"""The roles and the ledger's database of an embedded server, made where they are missing.

Only this connects as the superuser, and only while roles have to change: after initdb, in a cluster of an earlier
version, and where this version knows other roles than the one before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing

import psycopg2
from psycopg2.errors import LockNotAvailable

from Src.Shared.postgres.cluster_sql import DATABASES, END_SESSIONS_OF_ADMIN, cluster_sql, fingerprint
from Src.Shared.postgres.roles import ADMIN, DATABASE, OWNER

Connect = Callable[[str, str], psycopg2.extensions.connection]  # role, database

NO_OWNER = f'role "{OWNER}" does not exist'  # as after initdb; a cluster of ours speaks English (its locale is C)

_STATE = f"""
SELECT NOT rolsuper AND shobj_description(oid, 'pg_authid') IS NOT DISTINCT FROM %s,
    EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}')
FROM pg_roles WHERE rolname = current_user
"""
_END_OTHER_SESSIONS = """
SELECT pg_catalog.pg_terminate_backend(pid, 60000) FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND backend_type = 'client backend'
    AND pid <> pg_catalog.pg_backend_pid()
"""

logger = logging.getLogger(__name__)


def settle(connect: Connect) -> None:
    """Makes the roles and the database what they should be; where they are, one question asks for it.

    Raises psycopg2.Error. What a kill interrupts, the next call goes on with.
    """
    mark = f"owner of the database; roles {fingerprint()}"
    is_settled, has_database = _state(connect, mark)
    if not is_settled:
        _make_roles(connect, mark)
    if not has_database:
        with closing(connect(OWNER, "postgres")) as connection:
            _execute(connection, f"CREATE DATABASE {DATABASE}")


def _state(connect: Connect, mark: str) -> tuple[bool, bool]:
    """Whether the roles are as they should be, and whether there is a database."""
    try:
        connection = connect(OWNER, "postgres")
    except psycopg2.Error as error:
        if NO_OWNER in str(error):
            return False, False
        raise
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(_STATE, (mark,))
        found = cursor.fetchone()
        assert found is not None
        return bool(found[0]), bool(found[1])


def _make_roles(connect: Connect, mark: str) -> None:
    superuser = ADMIN
    try:
        connect(ADMIN, "postgres").close()
    except psycopg2.Error:
        superuser = OWNER
        logger.info("%s will be no superuser any more: making %s and a role for each service", OWNER, ADMIN)
    with closing(connect(superuser, "postgres")) as connection:
        databases = _execute(connection, DATABASES)
    for database in databases:
        with closing(connect(superuser, database)) as connection:
            _change(connection)
        superuser = ADMIN
    with closing(connect(ADMIN, "postgres")) as connection:
        _execute(connection, END_SESSIONS_OF_ADMIN)
        _execute(connection, f"COMMENT ON ROLE {OWNER} IS '{mark}'")  # last: now it is done


def _change(connection: psycopg2.extensions.connection) -> None:
    try:
        _execute(connection, cluster_sql(), alone=False)
    except LockNotAvailable:
        connection.rollback()
        logger.warning("Sessions that keep %s locked are ended, so that its owner can change", connection.info.dbname)
        _execute(connection, _END_OTHER_SESSIONS)
        _execute(connection, cluster_sql(), alone=False)


def _execute(connection: psycopg2.extensions.connection, statement: str, *, alone: bool = True) -> list[str]:
    """The first column of the answer. `alone`: outside of any transaction; otherwise all of it is one."""
    connection.autocommit = alone
    with connection.cursor() as cursor:
        cursor.execute(statement)
        rows = [str(row[0]) for row in cursor.fetchall()] if cursor.description else []
    if not alone:
        connection.commit()
    return rows
