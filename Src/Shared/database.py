"""The way to the ledger for all that writes, and asks for more than a few rows. Sessions only through a context
manager; an absent ledger is one exception (`ledger_way.py`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from sqlalchemy import Engine, create_engine, event
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from Src.Shared.ledger_way import (
    Ask,
    LedgerRefused,
    LedgerStarting,
    LedgerUnavailable,
    NewLedger,
    connect_arguments,
    embedded_ledger,
    is_outage,
    one_line,
    session_limits,
    started,
)
from Src.Shared.migrations import LedgerNotReady, LedgerTooNew, migrate
from Src.Shared.postgres.embedded import START_LIMIT, EmbeddedPostgres
from Src.Shared.postgres.roles import OWNER, role_of
from Src.Shared.settings import Settings, load_settings

__all__ = [
    "Database",
    "LedgerRefused",
    "LedgerStarting",
    "LedgerTooNew",
    "LedgerUnavailable",
    "asking",
    "get_db_session",
]


def asking(session: Session) -> Ask:
    """For what may be asked without SQLAlchemy too."""

    def ask(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        rows = session.connection().exec_driver_sql(statement, dict(values) or None)
        return [tuple(row) for row in rows]

    return ask


class Database:
    """Connections to one factory's ledger; thread-safe. Connects when first used.

    To the embedded server each `service` connects as its own role (see `postgres/roles.py`), to another one as the
    settings say. `answer_limit` is how many seconds any one statement may take.
    """

    embedded: EmbeddedPostgres | None

    def __init__(
        self,
        settings: Settings,
        *,
        service: str = "photo-factory",
        answer_limit: float = 30.0,
        new: NewLedger = "of a new factory",
        search_path: str | None = None,
    ) -> None:
        """`new`: which ledger may be made where there is none. A person may ask for another one of this kind for a
        vault that has originals, or for one of another kind. `search_path`: SQL, where tables are looked for, of a
        ledger that is ready."""
        self._limits = settings.limits
        self.embedded = embedded_ledger(settings, new)
        self._configured_url = settings.database_url
        self._service = service
        self._answer_limit = answer_limit
        self._search_path = search_path
        self._mutex = threading.RLock()
        self._engine: Engine | None = None
        self._engine_url = ""
        self._process = os.getpid()
        self._role = role_of(service) if self.embedded is not None else None

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, for this service's role; an embedded server is started if it is not running.

        Raises LedgerUnavailable.
        """
        return self._url(START_LIMIT)

    def _url(self, wait: float) -> str:
        url = self._owner_url(wait)
        if self._role is None:
            return url
        return make_url(url).set(username=self._role).render_as_string(hide_password=False)

    def _owner_url(self, wait: float) -> str:
        if self.embedded is None:
            assert self._configured_url is not None
            return self._configured_url
        return started(self.embedded, wait)

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
        """Starts the embedded server if it is down, connects, and brings the schema and the rights up to date: as
        the ledger's owner, where the server is the embedded one.

        Raises LedgerTooNew, and LedgerUnavailable, also when the embedded server was not up within `wait`
        seconds: crash recovery takes its time and goes on. A service that must end quickly asks again and
        again, with a short `wait`.
        """
        engine = self._connected_engine(wait)
        owner = engine
        if self._role not in (None, OWNER):
            owner = self._new_engine(self._owner_url(wait), poolclass=NullPool)
        try:
            with self._outages_named(engine):
                migrate(owner)
                if owner is not engine:
                    engine.connect().close()
        except LedgerNotReady as error:
            raise LedgerUnavailable(str(error)) from error
        finally:
            if owner is not engine:
                owner.dispose()

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
                pool = {"pool_size": 2, "max_overflow": 1, "pool_timeout": self._answer_limit}
                self._engine, self._engine_url = self._new_engine(url, **pool), url
            return self._engine

    def _new_engine(self, url: str, **pool: Any) -> Engine:
        arguments = connect_arguments(self._limits, self._service, self._answer_limit)
        engine = create_engine(url, **pool, connect_args=arguments)
        limits = session_limits(self._limits, self._answer_limit)
        if self._search_path is not None:
            limits = f"{limits}; SET search_path = {self._search_path}"

        @event.listens_for(engine, "connect")
        def set_limits(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
            cursor = connection.cursor()
            cursor.execute(limits)
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
            if not is_outage(error.orig):
                raise
            engine.dispose()  # what one connection met, the idle ones will meet
            raise LedgerUnavailable(one_line(error.orig)) from error
        except psycopg2.Error as error:
            if not is_outage(error):
                raise
            engine.dispose()
            raise LedgerUnavailable(one_line(error)) from error


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
