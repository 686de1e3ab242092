"""The way to the ledger. Sessions only through a context manager; an absent ledger is one exception.

The ledger's absence looks like many things (refused, lost, full, starting, stopping, read-only, silent);
callers see LedgerUnavailable for all of them, and the errors of their own data as they are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from sqlalchemy import Engine, create_engine, event
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from Src.Shared.embedded_postgres import START_LIMIT, EmbeddedPostgres, EmbeddedPostgresError
from Src.Shared.migrations import LedgerTooNew, migrate
from Src.Shared.pg_connection import limited
from Src.Shared.settings import Settings, load_settings

__all__ = ["Database", "LedgerTooNew", "LedgerUnavailable", "get_db_session"]

CONNECT_LIMIT = 5.0
LOCK_LIMIT = 10.0
IDLE_IN_TRANSACTION_LIMIT = 300.0  # a service stopped inside a session must not hold its locks for ever

# SQLSTATEs that psycopg2 does not call operational: read-only after a failover, broken pages.
_OUTAGE_CODES = ("25006", "XX001", "XX002")
# Operational for psycopg2, but the fault of what was asked: over a limit, an object's wrong state.
_OWN_FAULT_CLASSES = ("54", "55")
_LOCK_TIMEOUT = "55P03"


class LedgerUnavailable(Exception):
    """The ledger cannot be reached or did not answer. The message is one line; the cause is chained."""


class Database:
    """Connections to one factory's ledger; thread-safe. Connects when first used.

    `answer_limit` is how many seconds any one statement may take.
    """

    embedded: EmbeddedPostgres | None

    def __init__(self, settings: Settings, *, service: str = "photo-factory", answer_limit: float = 30.0) -> None:
        self.embedded = EmbeddedPostgres(settings.db_data) if settings.database_url is None else None
        self._configured_url = settings.database_url
        self._service = service
        self._answer_limit = answer_limit
        self._mutex = threading.RLock()
        self._engine: Engine | None = None
        self._engine_url = ""
        self._process = os.getpid()

    @property
    def url(self) -> str:
        """The SQLAlchemy URL; an embedded server is started if it is not running.

        Raises LedgerUnavailable.
        """
        return self._url(START_LIMIT)

    def _url(self, wait: float) -> str:
        if self.embedded is None:
            assert self._configured_url is not None
            return self._configured_url
        try:
            return self.embedded.ensure_running(wait)
        except EmbeddedPostgresError as error:
            raise LedgerUnavailable(str(error)) from error

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that commits at the end and rolls back on an error.

        Objects stay readable after it. Raises LedgerUnavailable; errors of the data itself (IntegrityError,
        DataError, ...) pass through.
        """
        engine = self._connected_engine()
        with self._outages_named(engine):
            session = Session(engine, expire_on_commit=False)
            try:
                yield session
                session.commit()
            except BaseException:
                # What is raised tells more than what undoing meets on a connection that is gone.
                with suppress(sa_exc.DBAPIError):
                    session.rollback()
                raise
            finally:
                with suppress(sa_exc.DBAPIError):
                    session.close()

    def ensure_ready(self, wait: float = START_LIMIT) -> None:
        """Starts the embedded server if it is down, connects, and brings the schema up to date.

        Raises LedgerTooNew, and LedgerUnavailable, also when the embedded server was not up within `wait`
        seconds: crash recovery takes its time and goes on. A service that must end quickly asks again and
        again, with a short `wait`.
        """
        engine = self._connected_engine(wait)
        with self._outages_named(engine):
            migrate(engine)

    def dispose(self) -> None:
        """Closes the idle connections; the next session opens new ones."""
        with self._mutex:
            if self._engine is not None:
                # In a forked child they are the parent's: forgotten, not closed.
                self._engine.dispose(close=self._process == os.getpid())
            self._process = os.getpid()

    def close(self) -> None:
        """Ends all use: closes the connections and releases the embedded server."""
        self.dispose()
        if self.embedded is not None:
            self.embedded.release()

    def _connected_engine(self, wait: float | None = None) -> Engine:
        with self._mutex:
            if self._process != os.getpid():
                self.dispose()
            if self._engine is not None and wait is None:
                return self._engine
        # Not under the mutex: while one thread starts the server, the sessions of others fail at once.
        url = self._url(START_LIMIT if wait is None else wait)
        with self._mutex:
            if self._engine is None or url != self._engine_url:
                self.dispose()
                self._engine, self._engine_url = self._new_engine(url), url
            return self._engine

    def _new_engine(self, url: str) -> Engine:
        engine = create_engine(
            url,
            pool_size=2,
            max_overflow=1,
            pool_timeout=self._answer_limit,
            connect_args={
                "application_name": self._service,
                "connection_factory": limited(CONNECT_LIMIT, self._answer_limit),
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
            },
        )
        limits = {
            "statement_timeout": self._answer_limit,  # what nobody waits for any more need not be finished
            "lock_timeout": min(LOCK_LIMIT, self._answer_limit),
            "idle_in_transaction_session_timeout": max(IDLE_IN_TRANSACTION_LIMIT, self._answer_limit),
        }
        settings = "; ".join(f"SET {name} = {int(seconds * 1000)}" for name, seconds in limits.items())

        @event.listens_for(engine, "connect")
        def set_limits(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
            cursor = connection.cursor()
            cursor.execute(settings)
            cursor.close()
            connection.commit()

        return engine

    @contextmanager
    def _outages_named(self, engine: Engine) -> Iterator[None]:
        try:
            yield
        except sa_exc.TimeoutError as error:  # of the pool
            raise LedgerUnavailable("all connections to the database are in use") from error
        except sa_exc.DBAPIError as error:
            if not _is_outage(error.orig):
                raise
            engine.dispose()  # what one connection met, the idle ones will meet
            raise LedgerUnavailable(_one_line(error.orig)) from error
        except psycopg2.Error as error:
            if not _is_outage(error):
                raise
            engine.dispose()
            raise LedgerUnavailable(_one_line(error)) from error


def _is_outage(error: BaseException | None) -> bool:
    code = getattr(error, "pgcode", None) or ""
    if code in _OUTAGE_CODES or code == _LOCK_TIMEOUT:
        return True
    if isinstance(error, psycopg2.InterfaceError):  # the connection is closed already
        return True
    return isinstance(error, psycopg2.OperationalError) and code[:2] not in _OWN_FAULT_CLASSES


def _one_line(error: BaseException | None) -> str:
    """libpq indents what goes on, be it a sentence or only a line."""
    told = ""
    for line in str(error).splitlines():
        words = " ".join(line.split())
        if not told or not words:
            told += words
        elif not line[0].isspace():
            told += f"; {words}"
        else:
            told += f". {words}" if words[0].isupper() else f" {words}"
    return told or "the connection to the database was lost"


_default: Database | None = None
_default_mutex = threading.Lock()


@contextmanager
def get_db_session() -> Iterator[Session]:
    """A session of the process-wide Database, made from `load_settings()` when first asked for."""
    global _default
    with _default_mutex:
        if _default is None:
            _default = Database(load_settings())
    with _default.session() as session:
        yield session
