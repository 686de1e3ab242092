"""A PostgreSQL connection that does not wait for ever.

libpq has no limit for an answer: a server that is stopped, swapped out or behind a dead network would hold
its clients as long as it likes. psycopg2 lets us do the waiting (its wait callback), so here it ends at a
limit, and signals are served meanwhile.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2 import extensions


class NoAnswer(psycopg2.OperationalError):
    """The server did not answer in time. The connection is closed."""


class LimitedConnection(extensions.connection):
    """A psycopg2 connection with a limit, in seconds, on every answer (`None`: no limit)."""

    answer_limit: float | None

    def __init__(self, dsn: str, connect_limit: float, answer_limit: float | None) -> None:
        self.answer_limit = connect_limit  # reaching the server is an answer too
        super().__init__(dsn)
        self.answer_limit = answer_limit


def limited(connect_limit: float, answer_limit: float | None) -> Callable[..., LimitedConnection]:
    """A `connection_factory` for psycopg2. Limits are seconds; NoAnswer is raised at their end."""
    # The callback is psycopg2's one for the whole process; connections of other makers get no limit from it.
    extensions.set_wait_callback(_wait)

    def connect(dsn: str, *_async: Any) -> LimitedConnection:
        return LimitedConnection(dsn, connect_limit, answer_limit)

    return connect


def _wait(connection: Any) -> None:
    limit: float | None = getattr(connection, "answer_limit", None)
    end = None if limit is None else time.monotonic() + limit
    while (state := connection.poll()) != extensions.POLL_OK:
        poller = select.poll()  # the file descriptor may change while a connection is made
        what = select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
        poller.register(connection.fileno(), what)
        left = None if end is None else max(0.0, end - time.monotonic()) * 1000
        if not poller.poll(left):
            raise NoAnswer(f"the database did not answer within {limit:g} s")
