"""What the services say of themselves, and which of them have gone silent.

A service is silent when its last heartbeat is older than three of its own intervals, by the database's clock. That is
written where everybody looks for its status, and its own next heartbeat writes over it. To be fair:

- a service that said it stopped is not silent; after three intervals it is told as stopped;
- when the monitor starts, each has one round to speak: after a power cut all start together;
- when the database was away, or the clock jumped (a machine that slept), each has three intervals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, delete, text
from sqlalchemy.orm import Session

from Src.Shared.database import Database, LedgerTooNew, LedgerUnavailable
from Src.Shared.docker_api import CONTAINERS
from Src.Shared.heartbeat_service import READY_LIMIT
from Src.Shared.models import SystemStatus
from Src.Shared.monitor.finding import Finding, Findings

MISSED = 3  # intervals without a heartbeat are silence
CLOCK_JUMP = 30.0  # seconds that the database's clock may run ahead or behind between two rounds

_STATUSES = text("""
    SELECT service_name, status, current_task, message, last_heartbeat, interval_seconds,
        now() AS asked_at, extract(epoch FROM now() - last_heartbeat)::float AS age
    FROM system_status
""")
# Only if it has not spoken meanwhile; `last_heartbeat` stays what it is.
_MARK_SILENT = text("""
    WITH marked AS (
        UPDATE system_status SET status = 'ERROR', message = :message
        WHERE service_name = :service AND last_heartbeat = :last_heartbeat AND message IS DISTINCT FROM :message
        RETURNING service_name, status, current_task, message
    )
    INSERT INTO system_status_history (service_name, heartbeat_timestamp, status, current_task, message)
    SELECT service_name, now(), status, current_task, message FROM marked
""")


class Heartbeats:
    """The check of all services that speak for themselves."""

    def __init__(
        self,
        database: Database,
        others: Collection[str],
        gone: AbstractSet[str] = frozenset(),
        steady_time: Callable[[], float] = time.monotonic,
    ) -> None:
        """`others`: services that are not looked at here; `gone`: of those, the ones that nobody looks at any more."""
        self._database = database
        self._others = others
        self._gone = gone
        self._steady_time = steady_time
        self._asked: tuple[datetime, float] | None = None  # when last, by both clocks
        self._was_away = False
        self._fair_since = float("-inf")  # since then all could speak, and the clock runs evenly

    def look(self) -> Findings:
        """Marks the silent. Finds nothing while the database is away."""
        try:
            if self._asked is None or self._was_away:
                self._database.ensure_ready(READY_LIMIT)
            with self._database.session() as session:
                return self._look(session)
        except (LedgerUnavailable, LedgerTooNew):  # the check of the database tells
            self._was_away = True
            return {}

    def _look(self, session: Session) -> Findings:
        now = self._steady_time()
        rows = session.execute(_STATUSES).all()
        if not rows:
            return {}
        first = self._asked is None and not self._was_away
        self._keep_fair(rows[0].asked_at, now)
        for service in self._gone & {row.service_name for row in rows}:
            session.execute(delete(SystemStatus).where(SystemStatus.service_name == service))
        findings = {}
        for row in rows:
            if row.service_name not in self._others:
                age = min(row.age, now - self._fair_since)
                overdue = not first and age > MISSED * row.interval_seconds
                finding = _finding(row, overdue)
                if overdue and finding.state == "ERROR":
                    values = {"service": row.service_name, "last_heartbeat": row.last_heartbeat}
                    session.execute(_MARK_SILENT, {**values, "message": finding.message})
                findings[row.service_name] = finding
        return findings

    def _keep_fair(self, asked_at: datetime, now: float) -> None:
        jumped = False
        if self._asked is not None:
            by_database = (asked_at - self._asked[0]).total_seconds()
            jumped = abs(by_database - (now - self._asked[1])) > CLOCK_JUMP
        if self._was_away or jumped:
            self._fair_since = now
        self._asked, self._was_away = (asked_at, now), False


def _finding(row: Row[Any], overdue: bool) -> Finding:
    container = CONTAINERS.get(row.service_name, row.service_name)
    log = f"see its log (docker logs {container}, or the terminal of ./factory up)"
    last = f"{row.last_heartbeat.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    task = row.current_task or ""
    if overdue and task == "stopped":
        return Finding("STOPPED", f"stopped since {last}", f"start it: docker compose up -d {row.service_name}", task)
    if overdue:
        advice = f"{log} and restart it: docker compose restart {row.service_name}"
        return Finding("ERROR", f"silent since {last}", advice, task)
    return Finding(row.status, row.message, f"see ./factory status, and {log}", task)
