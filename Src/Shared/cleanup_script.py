"""Retention: old heartbeats, operations long ended and hashes of no use go, and nothing else ever does.

`python -m Src.Shared.cleanup_script` deletes once; with `--every HOURS` it goes on until a signal stops it.
What became of a file (`ingest_events`) is proof, and is kept.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading

from sqlalchemy import TextClause, text

from Src.Shared.database import Database, LedgerTooNew, LedgerUnavailable
from Src.Shared.logs import configure_logging
from Src.Shared.runner_watch import end_with_runner
from Src.Shared.settings import SettingsError, load_settings

BATCH_SIZE = 5000  # rows; a batch is one short transaction
FIRST_RETRY, LAST_RETRY = 1.0, 60.0  # seconds between tries while the ledger is away

_DELETE = text("""
    DELETE FROM system_status_history WHERE id IN (
        SELECT id FROM system_status_history
        WHERE heartbeat_timestamp < now() - make_interval(days => :days)
        ORDER BY heartbeat_timestamp LIMIT :batch
        FOR UPDATE SKIP LOCKED
    ) RETURNING id
""")

# Of operations what has ended, and what stopped and nobody came back to. Of hashes what no import has met for long.
OPERATIONS_DAYS, HASHES_DAYS = 30, 90
_DELETE_OPERATIONS = text("""
    DELETE FROM operations WHERE id IN (
        SELECT id FROM operations WHERE heartbeat_at < now() - make_interval(days => :days)
        ORDER BY heartbeat_at LIMIT :batch
    ) RETURNING id
""")
_DELETE_HASHES = text("""
    DELETE FROM hash_cache WHERE path_id IN (
        SELECT path_id FROM hash_cache WHERE seen_at < now() - make_interval(days => :days)
        ORDER BY seen_at LIMIT :batch
    ) RETURNING path_id
""")

logger = logging.getLogger(__name__)


def delete_old_heartbeats(
    database: Database, retention_days: int, *, batch: int = BATCH_SIZE, stop: threading.Event | None = None
) -> int:
    """Deletes heartbeats older than `retention_days`, in batches, and returns how many; `stop` ends it early.

    Raises LedgerUnavailable; what was deleted until then stays deleted.
    """
    return _delete(database, _DELETE, retention_days, batch, stop)


def delete_old_work(database: Database, *, batch: int = BATCH_SIZE, stop: threading.Event | None = None) -> int:
    """Deletes operations of which nothing was heard for 30 days and hashes that were of no use for 90; how many rows.

    Raises LedgerUnavailable as `delete_old_heartbeats`.
    """
    return sum(
        _delete(database, statement, days, batch, stop)
        for statement, days in ((_DELETE_OPERATIONS, OPERATIONS_DAYS), (_DELETE_HASHES, HASHES_DAYS))
    )


def _delete(database: Database, what: TextClause, days: int, batch: int, stop: threading.Event | None) -> int:
    deleted = 0
    while stop is None or not stop.is_set():
        with database.session() as session:
            gone = len(session.execute(what, {"days": days, "batch": batch}).all())
        deleted += gone
        if gone < batch:
            break
    return deleted


def run(database: Database, retention_days: int, every: float, stop: threading.Event) -> None:
    """Deletes old heartbeats every `every` seconds until `stop` is set. The ledger's absence delays it."""
    retry = FIRST_RETRY
    while not stop.is_set():
        try:
            database.ensure_ready(wait=5.0)
            deleted = delete_old_heartbeats(database, retention_days, stop=stop)
            delete_old_work(database, stop=stop)
        except LedgerUnavailable as error:
            logger.warning("No cleaning up now, next try in %g s: %s", retry, error)
            stop.wait(retry)
            retry = min(2 * retry, LAST_RETRY)
            continue
        logger.info("Deleted %d status reports older than %d days", deleted, retention_days)
        retry = FIRST_RETRY
        stop.wait(every)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cleanup_script", description="Deletes old status reports of services.")
    parser.add_argument("--every", type=float, metavar="HOURS", help="go on, every so many hours")
    options = parser.parse_args(arguments)
    if options.every is not None and not 0 < options.every < 1e6:
        parser.error("--every: a number of hours, more than 0")
    try:
        settings = load_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    configure_logging(settings, "cleanup")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)  # an exception, because it ends the wait for a silent server too
    end_with_runner()
    database = Database(settings, service="cleanup")
    try:
        if options.every is not None:
            run(database, settings.retention_days, options.every * 3600, threading.Event())
            return 0
        database.ensure_ready()
        deleted = delete_old_heartbeats(database, settings.retention_days)
        delete_old_work(database)
        logger.info("Deleted %d status reports older than %d days", deleted, settings.retention_days)
        return 0
    except (LedgerUnavailable, LedgerTooNew) as error:
        logger.error("%s", error)
        return 2
    finally:
        database.close()


def _end(number: int, _frame: object) -> None:
    logger.info("Stopped by %s", signal.Signals(number).name)
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
