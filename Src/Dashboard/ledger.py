"""The dashboard's way to the ledger: few connections, short limits, and while it is away nobody waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.migrations import LedgerTooNew

ANSWER_LIMIT = 5.0  # seconds that one question may take
FIRST_WAIT = 3.0  # seconds that the first page waits for the first connection
PROBE_INTERVAL = 1.0  # seconds
PROBE_LIMIT = 5.0  # seconds to wait for an embedded server that is starting
_CANCELED = "57014"  # SQLSTATE: the statement took longer than its limit
_DEADLOCK = "40P01"  # SQLSTATE

logger = logging.getLogger(__name__)


class TooSlow(Exception):
    """The ledger is there, but one question took longer than it may."""


class Crossed(TooSlow):
    """Somebody else changes the same rows at this moment: PostgreSQL has ended one of both, and nothing is changed."""


class Ledger:
    """Sessions for pages. One thread looks whether an absent ledger is back; until then all else fails at once."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._mutex = threading.Lock()
        self._there = threading.Event()
        self._reason = "it has not answered yet"
        self._away_since: float | None = None
        self._asked = False
        self._lose("it has not answered yet")

    @property
    def reason(self) -> str:
        """Why the ledger is away, in one line."""
        return self._reason

    def away_for(self) -> float | None:
        """Seconds since the ledger was found away; None while it is there."""
        if self._is_there():
            return None
        since = self._away_since
        return None if since is None else time.monotonic() - since

    @contextmanager
    def session(self, *, writes: bool = False) -> Iterator[Session]:
        """A session that can only read, unless it `writes`. Raises LedgerUnavailable, at once, and TooSlow."""
        if not self._is_there():
            raise LedgerUnavailable(self._reason)
        try:
            with self.database.session() as session:
                if not writes:
                    session.connection(execution_options={"postgresql_readonly": True})
                yield session
        except LedgerUnavailable as error:
            code = getattr(getattr(error.__cause__, "orig", None), "pgcode", None)
            if code == _CANCELED:
                raise TooSlow("the database took too long for this") from error
            if code == _DEADLOCK:
                raise Crossed("somebody else changes the same photos at this moment") from error
            self._lose(str(error))
            raise

    def _is_there(self) -> bool:
        """Whoever asks first waits for the first connection."""
        first, self._asked = not self._asked, True
        return self._there.wait(FIRST_WAIT if first else 0.0)

    def _lose(self, reason: str) -> None:
        with self._mutex:
            self._reason = reason
            if self._away_since is not None:
                return
            self._away_since = time.monotonic()
            self._there.clear()
        threading.Thread(target=self._find_again, name="ledger-probe", daemon=True).start()

    def _find_again(self) -> None:
        while True:
            try:
                self.database.ensure_ready(PROBE_LIMIT)
            except (LedgerUnavailable, LedgerTooNew) as error:
                self._reason = str(error)
            except Exception as error:  # whatever it is, the pages must be told, and the next try may be better
                self._reason = " ".join(str(error).split())
                logger.exception("the database cannot be used")
            else:
                with self._mutex:
                    self._away_since = None
                    self._there.set()
                return
            time.sleep(PROBE_INTERVAL)
