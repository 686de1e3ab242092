"""What the services say of themselves, and which of them have gone silent.

A service is silent when its last heartbeat is older than three of its own intervals, by the database's clock. That is
written where everybody looks for its status, and its own next heartbeat writes over it. To be fair:

- a service that said it stopped is not silent; after three intervals it is told as stopped;
- when the monitor starts, each has one round to speak: after a power cut all start together;
- when the database was away, or the clock jumped (a machine that slept), each has three intervals.

Of a service that may run several times, an instance that went away for good is forgotten, so that it does not alarm for
ever: one that said it stopped as soon as it counts as stopped, a silent one after a day; but only while another
instance of it speaks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, text
from sqlalchemy.orm import Session

from Src.Shared.database import Database, LedgerTooNew, LedgerUnavailable
from Src.Shared.docker_api import container_name
from Src.Shared.heartbeat_service import READY_LIMIT
from Src.Shared.instance import instance_title
from Src.Shared.liveness import ONLY, Lives
from Src.Shared.models import SystemStatus
from Src.Shared.monitor.finding import Finding, Findings
from Src.Shared.services import SILENT_AFTER

FORGOTTEN_AFTER = 86400.0  # seconds that a silent instance is missed while another one speaks
CLOCK_JUMP = 30.0  # seconds that the database's clock may run ahead or behind between two rounds

_STATUSES = text("""
    SELECT service_name, instance, host, status, current_task, message, last_heartbeat, interval_seconds,
        now() AS asked_at, extract(epoch FROM now() - last_heartbeat)::float AS age
    FROM system_status ORDER BY service_name, instance
""")
# Functions of the ledger (migration 0012), because the monitor may write nobody else's heartbeat.
_MARK_SILENT = text("SELECT mark_silent(:service, :instance, :last_heartbeat, :message)")
_FORGET = text("SELECT forget_instance(:service, :instance, :last_heartbeat)")

logger = logging.getLogger(__name__)


class Heartbeats:
    """The check of all services that speak for themselves."""

    def __init__(
        self,
        database: Database,
        others: Collection[str],
        gone: AbstractSet[str] = frozenset(),
        lives: Lives | None = None,
        steady_time: Callable[[], float] = time.monotonic,
        factory_name: str | None = None,
    ) -> None:
        """`others`: services that are not looked at here; `gone`: of those, the ones that nobody looks at any more.

        `lives`: what is known here of the loops of services that run on this machine.
        """
        self._factory_name = factory_name
        self._database = database
        self._others = others
        self._gone = gone
        self._lives = lives
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
        judged = [row for row in rows if row.service_name not in self._others]
        ages = {_subject(row): min(row.age, now - self._fair_since) for row in judged}
        overdue = {
            _subject(row) for row in judged if not first and ages[_subject(row)] > SILENT_AFTER * row.interval_seconds
        }
        speaking = {
            row.service_name for row in judged if _subject(row) not in overdue and row.current_task != "stopped"
        }
        findings = {}
        for row in judged:
            subject = _subject(row)
            values = {
                "service": row.service_name,
                "instance": row.instance,
                "last_heartbeat": row.last_heartbeat,
            }
            if subject in overdue and row.service_name in speaking and _is_gone(row, ages[subject]):
                logger.info("%s has gone for good, others do its work: it is forgotten", subject)
                session.execute(_FORGET, values)
                continue
            still = None if first else self._stands_still(row, ages[subject])
            container = container_name(row.service_name, self._factory_name)
            finding = _finding(row, subject in overdue, container) if still is None else _standing_still(row, still)
            if (subject in overdue or still is not None) and finding.state == "ERROR":
                session.execute(_MARK_SILENT, {**values, "message": finding.message})
            findings[subject] = finding
        return findings

    def _stands_still(self, row: Row[Any], age: float) -> float | None:
        if self._lives is None or row.current_task == "stopped":
            return None
        return self._lives.stands_still(row.service_name, age, row.instance, row.host)

    def _keep_fair(self, asked_at: datetime, now: float) -> None:
        jumped = False
        if self._asked is not None:
            by_database = (asked_at - self._asked[0]).total_seconds()
            jumped = abs(by_database - (now - self._asked[1])) > CLOCK_JUMP
        if self._was_away or jumped:
            self._fair_since = now
        self._asked, self._was_away = (asked_at, now), False


def _subject(row: Row[Any]) -> str:
    """What findings and alerts are about."""
    return instance_title(row.service_name, row.instance)


def _is_gone(row: Row[Any], age: float) -> bool:
    """An overdue instance that others of its service do without."""
    return row.instance != ONLY and (row.current_task == "stopped" or age > FORGOTTEN_AFTER)


def _standing_still(row: Row[Any], seconds: float) -> Finding:
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    message = f"the loop has stood still since {since:%Y-%m-%d %H:%M} UTC: the process was stopped, or waits for a disk"
    advice = f"see what it waits for, then restart it: docker compose restart {row.service_name}, or ./factory up again"
    return Finding("ERROR", message, advice, row.current_task or "")


def _finding(row: Row[Any], overdue: bool, container: str) -> Finding:
    log = f"see its log (docker logs {container}, or the terminal of ./factory up)"
    last = f"{row.last_heartbeat.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    task = row.current_task or ""
    if overdue and task == "stopped":
        return Finding("STOPPED", f"stopped since {last}", f"start it: docker compose up -d {row.service_name}", task)
    if overdue:
        advice = f"{log} and restart it: docker compose restart {row.service_name}"
        return Finding("ERROR", f"silent since {last}", advice, task)
    return Finding(row.status, row.message, f"see ./factory status, and {log}", task)
