"""Retention, once a day."""

from __future__ import annotations

import logging
import threading
import time

from Src.Shared.cleanup_script import delete_old_heartbeats, delete_old_work
from Src.Shared.database import Database, LedgerTooNew, LedgerUnavailable
from Src.Shared.heartbeat_service import READY_LIMIT
from Src.Shared.monitor.finding import Findings

DAY = 86400.0

logger = logging.getLogger(__name__)


class Retention:
    """The daily step, asked in each round; while the database is away it waits for the next."""

    def __init__(self, database: Database, retention_days: int, stop: threading.Event) -> None:
        self._database = database
        self._days = retention_days
        self._stop = stop
        self._due = float("-inf")

    def look(self) -> Findings:
        if time.monotonic() >= self._due:
            try:
                self._database.ensure_ready(READY_LIMIT)
                deleted = delete_old_heartbeats(self._database, self._days, stop=self._stop)
                delete_old_work(self._database, stop=self._stop)
            except (LedgerUnavailable, LedgerTooNew):  # the check of the database tells
                return {}
            level = logging.INFO if deleted else logging.DEBUG
            logger.log(level, "Deleted %d status reports older than %d days", deleted, self._days)
            self._due = time.monotonic() + DAY
        return {}
