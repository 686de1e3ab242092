"""A look into the ledger: one transaction that only reads, without SQLAlchemy, whose import alone takes longer than all
that `status` does. Whoever writes, or asks for more than a few rows, takes `Database`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2 import extensions, extras

from Src.Shared.ledger_way import (
    Ask,
    LedgerUnavailable,
    connect_arguments,
    embedded_ledger,
    is_outage,
    one_line,
    plain_url,
    session_limits,
    started,
)
from Src.Shared.postgres.embedded import START_LIMIT
from Src.Shared.settings import Settings
from Src.Shared.version import SCHEMA

_ANSWER_LIMIT = 30.0  # seconds that any one statement may take


@contextmanager
def look_into_ledger(settings: Settings, service: str) -> Iterator[Ask]:
    """Starts the embedded server if it is down, brings a schema that is not this version's up to date, as
    `Database.ensure_ready` does, and asks as the ledger's owner.

    Raises LedgerTooNew, and LedgerUnavailable, also within.
    """
    embedded = embedded_ledger(settings)
    try:
        url = settings.database_url if embedded is None else started(embedded, START_LIMIT)
        assert url is not None
        with _outages_named():
            connection = _connected(settings, url, service)
            try:
                if _schema(connection) != SCHEMA:
                    connection.close()
                    _bring_up_to_date(settings, service)
                    connection = _connected(settings, url, service)
                yield lambda statement, values: _rows(connection, statement, values)
            finally:
                with suppress(psycopg2.Error):
                    connection.close()
    finally:
        if embedded is not None:
            embedded.release()


@contextmanager
def _outages_named() -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        if not is_outage(error):
            raise
        raise LedgerUnavailable(one_line(error)) from error


def _connected(settings: Settings, url: str, service: str) -> Any:
    arguments = connect_arguments(settings.limits, service, _ANSWER_LIMIT)
    connection: Any = psycopg2.connect(**_target(url, is_ours=settings.database_url is None), **arguments)
    extras.register_uuid(None, connection)  # type: ignore[no-untyped-call]
    connection.set_session(readonly=True)
    with connection.cursor() as cursor:
        cursor.execute(session_limits(settings.limits, _ANSWER_LIMIT))
    connection.commit()  # else the limits would go with the transaction
    return connection


def _target(url: str, *, is_ours: bool) -> dict[str, Any]:
    """What a SQLAlchemy URL says, for psycopg2."""
    if is_ours:
        _, _, rest = url.partition("://")  # the driver's name before it is SQLAlchemy's
        return dict(extensions.parse_dsn(f"postgresql://{rest}"))
    plain = plain_url(url)
    if plain is not None:
        return dict(plain)
    from sqlalchemy.engine import make_url  # the one that knows what is meant by the rest

    parsed = make_url(url)
    return dict(parsed.get_dialect()().create_connect_args(parsed)[1])


def _schema(connection: Any) -> str | None:
    """None: there is none, or this role may not know; `Database` knows what that means."""
    if _rows(connection, "SELECT to_regclass('alembic_version')", {}) == [(None,)]:
        return None
    try:
        rows = _rows(connection, "SELECT version_num FROM alembic_version", {})
    except psycopg2.errors.InsufficientPrivilege:
        return None
    return str(rows[0][0]) if rows else None


def _bring_up_to_date(settings: Settings, service: str) -> None:
    from Src.Shared.database import Database  # SQLAlchemy: once in a ledger's version

    database = Database(settings, service=service)
    try:
        database.ensure_ready()
    finally:
        database.close()


def _rows(connection: Any, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)  # None: a % in it is a %
        return list(cursor.fetchall())
