"""Heartbeats: each service tells the ledger, again and again, that it lives and what it does."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import func, insert
from sqlalchemy.dialects.postgresql import insert as upsert

from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.ledger_text import plain_text
from Src.Shared.liveness import LivenessFile
from Src.Shared.migrations import LedgerTooNew
from Src.Shared.models import SystemStatus, SystemStatusHistory

Status = Literal["OK", "WARNING", "ERROR"]

CHANGE_INTERVAL = 1.0  # seconds between two writes at least, however often the status changes
RETRY_INTERVAL = 5.0  # seconds to the next try while the ledger is away
READY_LIMIT = 5.0  # seconds to wait for a database that is starting
STOP_LIMIT = 3.0  # seconds that the last heartbeat may take
TEXT_LIMIT = 2000  # characters; a message is for people to read

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Report:
    status: Status
    current_task: str
    message: str | None = None
    details: dict[str, Any] | None = None


class HeartbeatService:
    """A thread that writes the heartbeats of one service. Nothing that happens to it reaches the service.

    Each heartbeat replaces the service's row of `system_status` and adds one to `system_status_history`.
    `interval` is in seconds. `touch` belongs in the service's own loop, whose life a thread does not prove.
    """

    def __init__(
        self, database: Database, service_name: str, interval: float, liveness_file: Path | None = None
    ) -> None:
        self._database = database
        self._service = service_name
        self._interval = interval
        self._liveness = None if liveness_file is None else LivenessFile(liveness_file)
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
    ) -> None:
        """What the next heartbeat will say. Takes microseconds, from any thread.

        `message` is the reason of a WARNING or ERROR, `details` anything JSON can hold. A change of `status`
        is written at once, anything else with the next heartbeat.
        """
        report = _Report(status, current_task, message, details)
        with self._changed:
            if status != self._report.status:
                self._urgent = True
                self._changed.notify()
            self._report = report

    def touch(self) -> None:
        """Called in each round of the service's main loop: touches the liveness file."""
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
                    left = (urgent_due if self._urgent else due) - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
                report, last = self._report, self._stopping
                self._urgent = False
            written = self._write(report)
            if last:
                return
            urgent_due = time.monotonic() + CHANGE_INTERVAL
            due = time.monotonic() + (self._interval if written else min(self._interval, RETRY_INTERVAL))

    def _write(self, report: _Report) -> bool:
        try:
            values = {
                "service_name": self._service,
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
                    .on_conflict_do_update(index_elements=[SystemStatus.service_name], set_=latest)
                )
                session.execute(insert(SystemStatusHistory).values(**values, heartbeat_timestamp=func.now()))
        except Exception as error:
            self._ready = False
            self._note_outage(error)
            return False
        if self._outage:
            log.info("Heartbeats of %s reach the ledger again", self._service)
            self._outage = ""
        return True

    def _note_outage(self, error: Exception) -> None:
        """Logs what keeps heartbeats from the ledger: once, as long as it is the same kind of thing."""
        kind = type(error).__name__
        if kind == self._outage:
            return
        self._outage = kind
        if isinstance(error, LedgerUnavailable | LedgerTooNew):
            log.warning("No heartbeat of %s: %s", self._service, error)
        else:
            log.error("No heartbeat of %s", self._service, exc_info=error)


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
