"""Is the ledger's database there, quick, writable, and does it have room for more connections?"""

from __future__ import annotations

import time

from sqlalchemy import text

from Src.Shared.database import Database, LedgerStarting, LedgerTooNew, LedgerUnavailable
from Src.Shared.heartbeat_service import READY_LIMIT
from Src.Shared.monitor.finding import Finding, Findings

SLOW = 1.0  # seconds for an answer without any work
STARTING_LIMIT = 120.0  # seconds that an embedded server may take to come up before anybody is alarmed
CROWDED = 0.9  # of the connections that there may be

_AWAY = (
    "nothing is lost: photos are still filed, they are recorded later. See why it does not answer "
    "(docker logs factory_postgres, or FACTORY_DB_DATA/18/log) and start it"
)

_NUMBERS = text("""
    SELECT pg_database_size(current_database()) AS bytes,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
        current_setting('max_connections')::int AS max_connections,
        current_setting('server_version') AS version,
        current_setting('transaction_read_only') = 'on' AS read_only
""")


class FactoryDb:
    """The check of the database. An embedded server that is down is started, as any use of it does."""

    def __init__(self, name: str, database: Database) -> None:
        self._name = name
        self._database = database
        self._ready = False
        self._starting_since: float | None = None

    def look(self) -> Findings:
        try:
            finding = self._look()
            self._starting_since = None
            return {self._name: finding}
        except LedgerStarting as error:
            self._ready = False
            now = time.monotonic()
            self._starting_since = self._starting_since or now
            if now - self._starting_since < STARTING_LIMIT:
                return {self._name: Finding("OK", task="starting")}
            return {self._name: Finding("ERROR", str(error), _AWAY, "away")}
        except (LedgerUnavailable, LedgerTooNew) as error:
            self._ready = False
            advice = _AWAY if isinstance(error, LedgerUnavailable) else None
            return {self._name: Finding("ERROR", str(error), advice, "away")}

    def _look(self) -> Finding:
        if not self._ready:
            self._database.ensure_ready(READY_LIMIT)
            self._ready = True
        with self._database.session() as session:
            session.execute(text("SELECT 1"))  # connected, if it was not
            began = time.monotonic()
            session.execute(text("SELECT 1"))
            latency = time.monotonic() - began
            found = session.execute(_NUMBERS).one()
        details = {
            "latency_ms": round(1000 * latency, 2),
            "bytes": found.bytes,
            "connections": found.connections,
            "max_connections": found.max_connections,
            "version": found.version,
        }
        if found.read_only:
            return Finding("ERROR", "it takes no writes: it is read-only", _AWAY, "reading only", details)
        if latency > SLOW:
            message = f"it is slow: {latency:.1f} s for an answer without work"
            return Finding("WARNING", message, "see what keeps its disk or its machine busy", "serving", details)
        if found.connections >= CROWDED * found.max_connections:
            message = f"{found.connections} of {found.max_connections} connections are in use"
            advice = "see who holds them: ./factory psql -c 'SELECT application_name, state FROM pg_stat_activity'"
            return Finding("WARNING", message, advice, "serving", details)
        return Finding("OK", task="serving", details=details)
