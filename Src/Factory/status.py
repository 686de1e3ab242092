"""`status`: is all well, and if not, what is it?"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from Src.Factory import report
from Src.Librarian.file_watcher import walk_files
from Src.Librarian.journal import Journal
from Src.Librarian.vault import Vault
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.ledger_text import from_ledger
from Src.Shared.models import InboxFile, MediaAsset, SystemStatus
from Src.Shared.settings import Settings

_SHOWN = 20


def show_status(settings: Settings, *, as_json: bool) -> None:
    """Prints how the factory is. Works with the database away: then what only the ledger knows is left out."""
    found = _gather(settings)
    if as_json:
        report.print_json(found)
    else:
        _print(found)


def _gather(settings: Settings) -> dict[str, Any]:
    database = Database(settings, service="factory")
    ledger: dict[str, Any] = {"mode": "embedded" if database.embedded is not None else "external"}
    services: list[dict[str, Any]] = []
    assets: dict[str, Any] | None = None
    stays: dict[str, tuple[str, int, str | None, datetime | None]] = {}
    try:
        database.ensure_ready()
        with database.session() as session:
            services = [
                _service(row) for row in session.scalars(select(SystemStatus).order_by(SystemStatus.service_name))
            ]
            count, size, errors, last = session.execute(
                select(
                    func.count(),
                    func.coalesce(func.sum(MediaAsset.file_size), 0),
                    func.count().filter(MediaAsset.has_errors),
                    func.max(MediaAsset.ingested_at),
                )
            ).one()
            assets = {"count": count, "bytes": int(size), "with_errors": errors, "last_ingested_at": last}
            for row in session.scalars(select(InboxFile)):
                stays[from_ledger(row.original_path)] = (row.state, row.attempts, row.last_error, row.next_try_at)
            ledger["bytes"] = session.scalar(text("SELECT pg_database_size(current_database())"))
            ledger["version"] = session.scalar(text("SHOW server_version"))
        ledger["reachable"] = True
    except LedgerUnavailable as error:
        ledger |= {"reachable": False, "error": str(error)}
    finally:
        database.close()
    vault = Vault(settings.storage)
    journal = Journal(vault.state / "journal")
    ledger["journaled"] = sum(1 for segment in journal.segments() for _ in journal.entries(segment))
    return {
        "factory": str(settings.data),
        "services": services,
        "assets": assets,
        "inbox": _inbox(settings, stays),
        "vault": {"path": str(vault.originals), "present": vault.is_marked()},
        "database": ledger,
        "disk": {"inbox": _disk(settings.inbox), "vault": _disk(settings.storage)},
        "exiftool": shutil.which("exiftool") is not None,
    }


def _service(row: SystemStatus) -> dict[str, Any]:
    age = (datetime.now(UTC) - row.last_heartbeat).total_seconds()
    return {
        "name": row.service_name,
        "status": row.status,
        "silent": age > 3 * row.interval_seconds and row.current_task != "stopped",
        "last_heartbeat": row.last_heartbeat,
        "seconds_ago": round(age, 1),
        "current_task": row.current_task,
        "message": row.message,
    }


def _inbox(settings: Settings, stays: dict[str, tuple[str, int, str | None, datetime | None]]) -> dict[str, Any]:
    """What is there now, told apart by what the ledger knows of it."""
    counts = {"waiting": 0, "waiting_bytes": 0, "not_media": 0, "failing": 0, "dead_letters": 0}
    problems: list[dict[str, Any]] = []
    inbox = str(settings.inbox.resolve())
    for path, state in walk_files(inbox) if settings.inbox.is_dir() else ():
        name = path[len(inbox) + 1 :]
        known = stays.get(name)
        if known is None:
            counts["waiting"] += 1
            counts["waiting_bytes"] += state.size
        elif known[0] == "not_media":
            counts["not_media"] += 1
        else:
            counts["dead_letters" if known[0] == "dead_letter" else "failing"] += 1
            problems.append(
                dict(zip(("path", "state", "attempts", "error", "next_try_at"), (name, *known), strict=True))
            )
    return {"path": inbox, "present": settings.inbox.is_dir(), **counts, "problems": problems}


def _disk(folder: Path) -> dict[str, int] | None:
    while not folder.exists():
        folder = folder.parent
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return {"total": usage.total, "free": usage.free}


def _print(found: dict[str, Any]) -> None:
    report.heading(f"Photo Factory at {found['factory']}")
    for service in found["services"] or [None]:
        if service is None:
            report.line("services", "none has reported yet; start them with ./factory up", "yellow")
            continue
        status = "SILENT" if service["silent"] else service["status"]
        style = {"OK": "green", "WARNING": "yellow"}.get(status, "red")
        words = [status, service["current_task"] or "", f"heartbeat {report.ago(service['last_heartbeat'])}"]
        report.line(service["name"], ", ".join(word for word in words if word), style)
        if service["message"]:
            report.line("", service["message"], style)
    assets, ledger, inbox = found["assets"], found["database"], found["inbox"]
    if assets is not None:
        last = f", last filed {report.ago(assets['last_ingested_at'])}" if assets["count"] else ""
        errors = f", {assets['with_errors']:,} with errors" if assets["with_errors"] else ""
        report.line("originals", f"{assets['count']:,} ({report.size(assets['bytes'])}){errors}{last}")
    if not found["vault"]["present"] and assets is not None and assets["count"]:
        report.line("vault", f"NOT THERE: {found['vault']['path']}; mount its disk", "red")
    report.line(
        "inbox",
        f"{inbox['waiting']:,} waiting ({report.size(inbox['waiting_bytes'])}), {inbox['not_media']:,} not media, "
        f"{inbox['failing']:,} failing, {inbox['dead_letters']:,} dead letters",
        "yellow" if inbox["failing"] or inbox["dead_letters"] else "",
    )
    if ledger["reachable"]:
        report.line("database", f"{ledger['mode']}, PostgreSQL {ledger['version']}, {report.size(ledger['bytes'])}")
    else:
        report.line("database", f"AWAY ({ledger['mode']}): {ledger['error']}", "red")
    if ledger["journaled"]:
        report.line("journal", f"{ledger['journaled']:,} entries wait for the database", "yellow")
    for name, disk in found["disk"].items():
        if disk is not None:
            report.line(f"{name} disk", f"{report.size(disk['free'])} free of {report.size(disk['total'])}")
    if not found["exiftool"]:
        report.line("exiftool", "MISSING: dates and places of many kinds cannot be read", "yellow")
    if inbox["problems"]:
        columns = ("file in the inbox", "state", "tries", "reason", "next try")
        rows = (
            (one["path"], one["state"].replace("_", " "), one["attempts"], one["error"], _next(one))
            for one in inbox["problems"][:_SHOWN]
        )
        report.table(columns, rows)
        if len(inbox["problems"]) > _SHOWN:
            report.out.print(f"  and {len(inbox['problems']) - _SHOWN:,} more; --json lists all")


def _next(problem: dict[str, Any]) -> str:
    return "./factory retry" if problem["state"] == "dead_letter" else report.ago(problem["next_try_at"])
