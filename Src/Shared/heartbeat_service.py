"""Heartbeats: each service tells the ledger, again and again, that it lives and what it does."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import func, insert
from sqlalchemy.dialects.postgresql import insert as upsert

from Src.Shared.database import Database, LedgerStarting, LedgerUnavailable
from Src.Shared.instance import ONE, Instance
from Src.Shared.ledger_text import plain_text
from Src.Shared.liveness import LivenessFile, still_words
from Src.Shared.migrations import LedgerTooNew
from Src.Shared.models import SystemStatus, SystemStatusHistory

Status = Literal["OK", "WARNING", "ERROR"]

CHANGE_INTERVAL = 1.0  # seconds between two writes at least, however often the status changes
RETRY_INTERVAL = 5.0  # seconds to the next try while the ledger is away
READY_LIMIT = 5.0  # seconds to wait for a database that is starting
STOP_LIMIT = 3.0  # seconds that the last heartbeat may take
LOOK_AGAIN = 60.0  # seconds
TEXT_LIMIT = 2000  # characters; a message is for people to read
_NO_TABLE = "42P01"  # SQLSTATE; the next heartbeat has the tables made

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Report:
    status: Status
    current_task: str
    message: str | None = None
    details: dict[str, Any] | None = None
    waits: bool = False


class HeartbeatService:
    """A thread that writes the heartbeats of one service. Nothing that happens to it reaches the service.

    Each heartbeat replaces the row of this instance in `system_status` and adds one to `system_status_history`.
    `interval` is in seconds. `touch` belongs in the service's own loop, whose life a thread does not prove.
    """

    def __init__(
        self,
        database: Database,
        service_name: str,
        interval: float,
        liveness_file: Path | None = None,
        loop_limit: float = math.inf,
        instance: Instance = ONE,
    ) -> None:
        """`loop_limit`: seconds without a `touch` after which the loop stands still, which is an ERROR."""
        self._database = database
        self._service = service_name
        self._instance = instance
        self._interval = interval
        self._liveness = None if liveness_file is None else LivenessFile(liveness_file)
        self._loop_limit = loop_limit
        self._moved: float | None = None  # when the loop did last, on a clock that does not run while a machine sleeps
        self._told_still = False
        self._changed = threading.Condition()
        self._report = _Report("OK", "starting")
        self._urgent = False
        self._stopping = False
        self._ready = False
        self._outage = ""
        self._thread = threading.Thread(target=self._run, name=f"heartbeat {service_name}", daemon=True)

    def start(self) -> None:
        """Writes the first heartbeat at once, then one every `interval`. Once started, it does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def report(
        self,
        status: Status,
        current_task: str,
        message: str | None = None,
        details: dict[str, Any] | None = None,
        *,
        waits: bool = False,
    ) -> None:
        """What the next heartbeat will say. Takes microseconds, from any thread.

        `message` is the reason of a WARNING or ERROR, `details` anything JSON can hold, `waits`: the service cannot
        begin its work yet. A change of `status`, and the end of such waiting, are written at once, anything else with
        the next heartbeat.
        """
        report = _Report(status, current_task, message, details, waits)
        with self._changed:
            if status != self._report.status or (self._report.waits and not waits):
                self._urgent = True
                self._changed.notify()
            self._report = report

    def touch(self) -> None:
        """Called in each round of the service's main loop, and where it waits or works for long.

        It touches the liveness file, and is what the thread knows of the loop's life.
        """
        self._moved = time.monotonic()
        if self._liveness is not None:
            self._liveness.touch()

    def stop(self, final_status: Status = "OK", current_task: str = "stopped", message: str | None = None) -> None:
        """Writes a last heartbeat, if the ledger takes it within a few seconds, and ends."""
        with self._changed:
            self._report = _Report(final_status, current_task, message)
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT)

    def _run(self) -> None:
        due = urgent_due = time.monotonic()
        while True:
            with self._changed:
                while not self._stopping:
                    self._urgent |= (self._still_for() is not None) != self._told_still
                    left = (urgent_due if self._urgent else due) - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(min(left, self._until_it_may_be_still()))
                report, last = self._report, self._stopping
                still = None if last else self._still_for()
                self._told_still = still is not None
                self._urgent = False
            if still is not None:
                report = replace(report, status="ERROR", message=still_words(still))
            written = self._write(report)
            if last:
                return
            urgent_due = time.monotonic() + CHANGE_INTERVAL
            due = time.monotonic() + (self._interval if written else min(self._interval, RETRY_INTERVAL))

    def _still_for(self) -> float | None:
        """Seconds for which the loop has stood still; None while that is not too long."""
        if self._moved is None:
            return None
        stood = time.monotonic() - self._moved
        return stood if stood > self._loop_limit else None

    def _until_it_may_be_still(self) -> float:
        """Seconds until that has to be asked again."""
        if self._moved is None or math.isinf(self._loop_limit):
            return LOOK_AGAIN
        return max(CHANGE_INTERVAL, self._moved + self._loop_limit - time.monotonic())

    def _write(self, report: _Report) -> bool:
        try:
            values = {
                "service_name": self._service,
                "instance": self._instance.name,
                "host": self._instance.host,
                "status": report.status,
                "current_task": _text(report.current_task),
                "message": None if report.message is None else _text(report.message),
            }
            latest = {
                **values,
                "last_heartbeat": func.now(),  # the database's clock, the same for all who write
                "interval_seconds": self._interval,
                "details": None if report.details is None else _json(report.details),
            }
            if not self._ready:  # at the first start there may be no tables yet
                self._database.ensure_ready(READY_LIMIT)
                self._ready = True
            with self._database.session() as session:
                session.execute(
                    upsert(SystemStatus)
                    .values(**latest)
                    .on_conflict_do_update(
                        index_elements=[SystemStatus.service_name, SystemStatus.instance], set_=latest
                    )
                )
                session.execute(insert(SystemStatusHistory).values(**values, heartbeat_timestamp=func.now()))
        except Exception as error:
            self._ready = False
            self._note_outage(error)
            return False
        if self._outage:
            logger.info("What %s reports reaches the database again", self._service)
            self._outage = ""
        return True

    def _note_outage(self, error: Exception) -> None:
        """Logs what keeps heartbeats from the ledger: once, as long as it is the same kind of thing."""
        kind = type(error).__name__
        if kind == self._outage:
            return
        self._outage = kind
        if isinstance(error, LedgerStarting):
            logger.info("What %s reports is recorded as soon as the database has started", self._service)
        elif isinstance(error, LedgerUnavailable | LedgerTooNew):
            logger.warning("What %s reports cannot be recorded: %s", self._service, error)
        elif getattr(getattr(error, "orig", None), "pgcode", None) == _NO_TABLE:
            logger.warning(
                "What %s reports cannot be recorded: another or a new database stands in the place of this one",
                self._service,
            )
        else:
            logger.error("What %s reports cannot be recorded", self._service, exc_info=error)


def _text(value: str) -> str:
    return plain_text(value)[:TEXT_LIMIT]


def _json(value: Any) -> Any:
    """As JSONB takes it: no NaN, no lone surrogates, nothing that only Python knows."""
    if isinstance(value, dict):
        return {plain_text(str(key)): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _text(str(value))
